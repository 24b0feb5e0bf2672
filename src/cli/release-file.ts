// A release file from the disk to a plan, and to the balancers and the store that it names; what is wrong is told. The
// change's way.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileBytesMax } from "../config/limits.ts";
import { describeProblems } from "../config/problem.ts";
import { decodeReleaseFile } from "../config/release-file.ts";
import { Balancer } from "../control/release/balancer.ts";
import type { ReleaseBalancer, ReleasePlan } from "../model/release.ts";
import { type AdminOptions, adminPlace, adminSocketPath, askAdmin } from "./admin-client.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";

export type ReadPlan = { readonly plan: ReleasePlan; readonly digest: string; readonly balancers: readonly Balancer[] };

/** undefined: it has been told what is wrong, and the exit code is 1. */
export function readPlan(file: string, options: AdminOptions, io: CliIo): ReadPlan | undefined {
  const text = readText(file, io);
  if (text === undefined) return undefined;
  const socketDefault = adminSocketPath(options.socket, io);
  const decoded = decodeReleaseFile(text, { file, environment: io.environment, socketDefault });
  if (!decoded.ok) {
    io.err(describeProblems(decoded.problems));
    io.setExitCode(exitCodes.error);
    return undefined;
  }
  const balancers = decoded.plan.balancers.map((one) => openBalancer(one, io));
  if (balancers.includes(undefined)) return undefined;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return { plan: decoded.plan, digest, balancers: balancers.filter((one) => one !== undefined) };
}

function readText(file: string, io: CliIo): string | undefined {
  let problem: string;
  try {
    const bytes = readFileSync(file);
    if (bytes.length <= fileBytesMax) return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    problem = `has more than ${fileBytesMax} bytes`;
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  io.err(`evenkeel: ${file}: ${problem}\n`);
  io.setExitCode(exitCodes.error);
  return undefined;
}

function openBalancer({ name, place }: ReleaseBalancer, io: CliIo): Balancer | undefined {
  const found =
    place.kind === "socket"
      ? adminPlace({ socket: place.path }, io)
      : adminPlace({ admin: place.url, ...(place.tokenFile === undefined ? {} : { tokenFile: place.tokenFile }) }, io);
  if (!found.ok) {
    io.err(`evenkeel: balancer ${name}: ${found.failure.detail}\n`);
    io.setExitCode(exitCodes.error);
    return undefined;
  }
  return new Balancer({ name, ask: (question) => askAdmin(found.value, question) });
}
