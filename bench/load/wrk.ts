// The load generator wrk for saturated workloads: a Lua script that sends one fixed request and prints exact totals in a
// line of our own (wrk's own summary is rounded), and the parser of that line. wrk checks the framing of every response
// and counts statuses from 400 up; the totals of bytes are checked by the caller.

import { writeFileSync } from "node:fs";
import type { Stage } from "../stage.ts";
import type { Request } from "../workloads.ts";
import { runLoad } from "./program.ts";

export const wrkProgram = "/usr/bin/wrk";

/** Seconds that wrk waits for a response before it counts a timeout: a slow 100 MiB download is no failure. */
const TIMEOUT_SECONDS = 30;
const MARK = "evenkeel-bench";

export type WrkTotals = {
  /** Responses received whole. */
  readonly requests: number;
  readonly durationUs: number;
  /** Bytes of responses, heads included, those of responses cut off at the end too. */
  readonly bytes: number;
  readonly connectErrors: number;
  readonly readErrors: number;
  readonly writeErrors: number;
  /** Responses with a status from 400 up. */
  readonly statusErrors: number;
  readonly timeouts: number;
  readonly p50Us: number;
  readonly p99Us: number;
};

export type WrkLoad = {
  /** 127.0.0.1 by default. */
  readonly host?: string;
  readonly port: number;
  /** Where wrk runs; the namespace of this process by default. */
  readonly namespace?: string;
  readonly request: Request;
  readonly connections: number;
  readonly seconds: number;
  readonly cores: string;
};

/** Runs wrk with one thread and returns its totals. Throws when wrk fails or prints no totals. */
export async function runWrk(stage: Stage, load: WrkLoad): Promise<WrkTotals> {
  const script = stage.path("wrk.lua");
  writeFileSync(script, luaScript(load.request));
  const argv = [wrkProgram, "-t1", `-c${load.connections}`, `-d${load.seconds}s`, `--timeout`, `${TIMEOUT_SECONDS}s`];
  argv.push("-s", script, `http://${load.host ?? "127.0.0.1"}:${load.port}${load.request.path}`);
  const { cores, namespace } = load;
  const command = namespace === undefined ? { name: "wrk", argv, cores } : { name: "wrk", argv, cores, namespace };
  return parseWrk(await runLoad(stage, command));
}

/** Without a `request` function wrk formats the request once and sends the same bytes: no Lua runs per request. */
export function luaScript(request: Request): string {
  const headers = Object.entries(request.headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`);
  const body = request.bodyBytes === 0 ? [] : [`wrk.body = string.rep("b", ${request.bodyBytes})`];
  return `wrk.method = ${lua(request.method)}
${[...headers, ...body].join("\n")}
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "${MARK} requests=%.0f durationUs=%.0f bytes=%.0f connectErrors=%.0f readErrors=%.0f writeErrors=%.0f " ..
    "statusErrors=%.0f timeouts=%.0f p50Us=%.0f p99Us=%.0f\\n",
    summary.requests, summary.duration, summary.bytes, errors.connect, errors.read, errors.write,
    errors.status, errors.timeout, latency:percentile(50), latency:percentile(99)))
end
`;
}

/** Finds our line in what wrk printed. Throws when it is missing or lacks a field: half a result is none. */
export function parseWrk(output: string): WrkTotals {
  const line = output.split("\n").find((candidate) => candidate.startsWith(`${MARK} `));
  if (line === undefined) throw new Error(`wrk printed no totals: ${output.slice(0, 400)}`);
  const fields = new Map<string, number>();
  for (const word of line.split(" ").slice(1)) {
    const [name = "", value = ""] = word.split("=");
    if (!/^\d+$/.test(value)) throw new Error(`wrk printed ${JSON.stringify(word)}`);
    fields.set(name, Number(value));
  }
  const field = (name: keyof WrkTotals): number => {
    const value = fields.get(name);
    if (value === undefined) throw new Error(`wrk printed no ${name}: ${line}`);
    return value;
  };
  return {
    requests: field("requests"),
    durationUs: field("durationUs"),
    bytes: field("bytes"),
    connectErrors: field("connectErrors"),
    readErrors: field("readErrors"),
    writeErrors: field("writeErrors"),
    statusErrors: field("statusErrors"),
    timeouts: field("timeouts"),
    p50Us: field("p50Us"),
    p99Us: field("p99Us"),
  };
}

/** What was wrong with a run, one sentence each; empty when every response was right. */
export function wrkProblems(totals: WrkTotals, responseBytes: number): string[] {
  const problems: string[] = [];
  const counts = { connectErrors: "connect", readErrors: "read", writeErrors: "write" } as const;
  for (const [name, word] of Object.entries(counts)) {
    const count = totals[name as keyof typeof counts];
    if (count > 0) problems.push(`${count} ${word} errors`);
  }
  if (totals.statusErrors > 0) problems.push(`${totals.statusErrors} responses with a status from 400 up`);
  if (totals.timeouts > 0) problems.push(`${totals.timeouts} timeouts`);
  if (totals.requests === 0) problems.push("no response");
  if (totals.bytes < totals.requests * responseBytes) {
    problems.push(`${totals.bytes} bytes are too few for ${totals.requests} responses of ${responseBytes}`);
  }
  return problems;
}

function lua(text: string): string {
  return JSON.stringify(text);
}
