// The program's entrance: ./evenkeel executes this file with the arguments it got.

import { processIo } from "./cli-io.ts";
import { runCommandLine } from "./program.ts";

await runCommandLine(process.argv.slice(2), processIo());
