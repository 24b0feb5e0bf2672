// One run of a benchmark from its first process to its last: a stage, struck however the run ends, and Ctrl-C that ends it
// without taking the failures it causes for failures of a system.

import { Stage } from "./stage.ts";

/** The exit code of `work`; 130 when a signal ended it. Throws what `work` throws. */
export async function runSession(work: (stage: Stage) => Promise<number>): Promise<number> {
  const stage = new Stage();
  let interrupted = false;
  // Ending the load programs makes the run below fail; it must not take that for an error of its own.
  const interrupt = (): void => {
    interrupted = true;
    stage.strike();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  try {
    return await work(stage);
  } catch (cause) {
    if (!interrupted) throw cause;
    process.stdout.write("interrupted\n");
    return 130;
  } finally {
    await stage.strike();
  }
}
