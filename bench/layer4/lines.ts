// Waits for what a program of this benchmark prints, line by line: that is how it says that it is ready, and what came out.

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Stage, Started } from "../stage.ts";

const LOOK_MS = 10;

export type LineWanted = {
  /** From 0. */
  readonly index: number;
  readonly withinMs: number;
};

/** A whole line of a program's standard output. Throws with the program's own words when it ends first or is too slow. */
export async function waitForLine(stage: Stage, started: Started, wanted: LineWanted): Promise<string> {
  let ended: string | undefined;
  started.ended.then((how) => {
    ended = how;
  });
  const deadline = performance.now() + wanted.withinMs;
  while (true) {
    const gone = ended; // looked at before the file: a line printed just before the end still counts
    const lines = readFileSync(stage.path(`${started.name}.out`), "utf8").split("\n");
    const line = lines[wanted.index];
    if (line !== undefined && wanted.index < lines.length - 1) return line;
    if (gone !== undefined) throw new Error(`${started.name} ended with ${gone}: ${started.complaint()}`);
    if (performance.now() > deadline) throw new Error(`${started.name} says nothing: ${started.complaint()}`);
    await delay(LOOK_MS);
  }
}
