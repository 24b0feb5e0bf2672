// `evenkeel release status [FILE]`: how the last release of a pool stands, from where its record is kept; without a file what
// the balancer knows of all pools. Exit 0; 2 when one stands or failed; 1 when nobody answers.

import { describeHolder } from "../control/release/holder.ts";
import { decodeKeptRecord } from "../control/release/kept-record.ts";
import { openReleaseStore } from "../control/release/open-store.ts";
import { isEnd, type ReleaseRecord } from "../model/release.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import type { ReleaseOptions } from "./release.ts";
import { readPlan } from "./release-file.ts";
import { describeRecord } from "./release-text.ts";

type Shown = { readonly record: ReleaseRecord; readonly holder: string | undefined };

export async function showReleases(file: string | undefined, options: ReleaseOptions, io: CliIo): Promise<void> {
  const shown = file === undefined ? await fromBalancer(options, io) : await fromStore(file, options, io);
  if (shown === undefined) return;
  if (options.json === true) io.out(`${JSON.stringify(shown, undefined, 2)}\n`);
  else if (shown.length === 0) io.out("there was no release yet\n");
  else for (const { record, holder } of shown) io.out(describeRecord(record, holder && describeHolder(holder)));
  const stands = shown.some(({ record, holder }) => !isEnd(record.state.phase) && holder === undefined);
  io.setExitCode(stands ? exitCodes.degraded : exitCodes.good);
}

async function fromStore(file: string, options: ReleaseOptions, io: CliIo): Promise<readonly Shown[] | undefined> {
  const read = readPlan(file, options, io);
  if (read === undefined) return undefined;
  const store = openReleaseStore(read.plan, read.balancers, Math.random);
  const kept = await store.keep.look();
  store.close();
  if (kept.ok && kept.value.text === undefined) return [];
  const record = kept.ok ? decodeKeptRecord(kept.value.text ?? "") : kept;
  if (record.ok && kept.ok) return [{ record: record.value, holder: kept.value.holder }];
  if (!record.ok) io.err(`evenkeel: ${record.failure.detail}\n`);
  io.setExitCode(exitCodes.error);
  return undefined;
}

async function fromBalancer(options: ReleaseOptions, io: CliIo): Promise<readonly Shown[] | undefined> {
  const place = placeOf(options, io);
  if (place === undefined) return undefined;
  const reply = await askOrTell(place, { method: "GET", path: "/v1/releases", timeoutMs: 10_000 }, io);
  if (reply === undefined) return undefined;
  const all = Array.isArray(reply.body) ? reply.body : [];
  return all.flatMap((one): Shown[] => {
    const { record, lease } = Object(one);
    const decoded = decodeKeptRecord(JSON.stringify(record ?? null));
    const holder: unknown = Object(lease).holder;
    return decoded.ok ? [{ record: decoded.value, holder: typeof holder === "string" ? holder : undefined }] : [];
  });
}
