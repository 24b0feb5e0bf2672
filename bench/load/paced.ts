// Starts the paced client (paced-client.ts) in a process of its own, on the load generator's cores, and reads its totals.

import { join } from "node:path";
import type { Stage } from "../stage.ts";
import type { Request } from "../workloads.ts";
import type { PacedTotals } from "./paced-client.ts";
import { runLoad } from "./program.ts";

export type PacedLoad = {
  readonly port: number;
  readonly request: Request;
  readonly connections: number;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly cores: string;
};

/** Runs one paced load to its end. Throws when the client itself fails; what it found wrong is in `problems`. */
export async function runPaced(stage: Stage, load: PacedLoad): Promise<PacedTotals> {
  const argv = [process.execPath, join(import.meta.dirname, "paced-client.ts")];
  argv.push("--port", String(load.port), "--connections", String(load.connections), "--rate", String(load.rate));
  argv.push("--seconds", String(load.seconds), "--request", requestText(load.request));
  return parsePaced(await runLoad(stage, { name: "paced", argv, cores: load.cores }));
}

/** The bytes of a request without a body. */
export function requestText(request: Request): string {
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${request.method} ${request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers.join("")}\r\n`;
}

/** Throws when the line is not what paced-client.ts prints, or a percentile is missing. */
export function parsePaced(output: string): PacedTotals {
  const value: unknown = JSON.parse(output);
  if (!isPacedTotals(value)) throw new Error(`the paced client printed ${output.slice(0, 200)}`);
  return value;
}

function isPacedTotals(value: unknown): value is PacedTotals {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Record<string, unknown>; // an object: every property may be looked at
  // JSON writes a percentile of no samples as null: that run has problems to tell, and its figures are not read.
  const figures = [candidate["requests"], candidate["p50Us"], candidate["p99Us"], candidate["lateUs"]];
  const problems = candidate["problems"];
  if (!Array.isArray(problems)) return false;
  return figures.every((figure) => typeof figure === "number" || (figure === null && problems.length > 0));
}
