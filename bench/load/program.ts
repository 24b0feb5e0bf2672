// Runs a load program to its end and returns what it printed. Its own failure is an error of the benchmark, told with
// its own words; a failure of the proxy it found is in what it printed.

import { readFileSync } from "node:fs";
import type { Command, Stage } from "../stage.ts";

let serial = 0;

/** Standard output of the program. Throws when it ends otherwise than with exit 0. */
export async function runLoad(stage: Stage, command: Command): Promise<string> {
  serial += 1;
  const name = `${command.name}-${serial}`;
  const started = stage.start({ ...command, name });
  const how = await started.ended;
  if (how !== "exit 0") throw new Error(`${command.name} ended with ${how}: ${started.complaint()}`);
  return readFileSync(stage.path(`${name}.out`), "utf8");
}
