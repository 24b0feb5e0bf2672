// Holds idle connections: starts the idle client (idle-client.ts) in a process of its own, waits until all its
// connections have done their request, and lets them go later.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Stage, Started } from "../stage.ts";
import type { Request } from "../workloads.ts";
import { requestText } from "./paced.ts";

const OPEN_DEADLINE_MS = 60_000;

export type IdleLoad = {
  readonly port: number;
  readonly request: Request;
  readonly connections: number;
  readonly cores: string;
};

export type Held = {
  readonly idle: number;
  readonly problems: readonly string[];
  /** Closes the connections; resolves with how many of them the proxy had closed before. */
  release(): Promise<number>;
};

let serial = 0;

/** Throws when the client itself fails or takes longer than a minute; what it found wrong is in `problems`. */
export async function holdIdle(stage: Stage, load: IdleLoad): Promise<Held> {
  serial += 1;
  const name = `idle-${serial}`;
  const argv = [process.execPath, join(import.meta.dirname, "idle-client.ts")];
  argv.push("--port", String(load.port), "--connections", String(load.connections));
  argv.push("--request", requestText(load.request));
  const client = stage.start({ name, argv, cores: load.cores }, "pipe");
  const read = (index: number): string | undefined => {
    const lines = readFileSync(stage.path(`${name}.out`), "utf8").split("\n");
    return index < lines.length - 1 ? lines[index] : undefined;
  };
  const opened = parseRecord(await waitForLine(client, () => read(0)));
  const { idle, problems } = opened;
  if (typeof idle !== "number" || !Array.isArray(problems)) throw new Error("the idle client printed no count");
  const release = async (): Promise<number> => {
    client.child.stdin?.end();
    const { lost } = parseRecord(await waitForLine(client, () => read(1)));
    await client.ended;
    if (typeof lost !== "number") throw new Error("the idle client printed no loss");
    return lost;
  };
  return { idle, problems: problems.map(String), release };
}

async function waitForLine(client: Started, read: () => string | undefined): Promise<string> {
  let ended: string | undefined;
  client.ended.then((how) => {
    ended = how;
  });
  const deadline = performance.now() + OPEN_DEADLINE_MS;
  while (true) {
    const gone = ended; // looked at before the file: a line printed just before the end still counts
    const line = read();
    if (line !== undefined) return line;
    if (gone !== undefined) throw new Error(`${client.name} ended with ${gone}: ${client.complaint()}`);
    if (performance.now() > deadline) throw new Error(`${client.name} opened too few connections in a minute`);
    await delay(20);
  }
}

function parseRecord(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) throw new Error(`the idle client printed ${line}`);
  return value as Record<string, unknown>; // an object: every property may be looked at
}
