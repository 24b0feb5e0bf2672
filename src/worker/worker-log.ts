// The program log of a worker: what an operator should read goes to the supervisor, who writes it. Bounded: a target that
// sends garbage a thousand times a second must not fill the channel.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Log, LogFields } from "../core/log.ts";
import type { FromWorker } from "../state/worker-protocol.ts";

/** Messages per interval; the rest is counted and told with the next one. */
const MESSAGES_MAX = 20;
const INTERVAL: Milliseconds = 1_000;

export function createWorkerLog(say: (message: FromWorker) => void, clock: Clock): Log {
  let intervalStartMs: Milliseconds = Number.NEGATIVE_INFINITY;
  let said = 0;
  let withheld = 0;
  const write = (level: "info" | "warn" | "error", message: string, fields: LogFields = {}): void => {
    const nowMs = clock();
    if (nowMs - intervalStartMs >= INTERVAL) {
      intervalStartMs = nowMs;
      said = 0;
    }
    if (said >= MESSAGES_MAX) {
      withheld += 1;
      return;
    }
    said += 1;
    const worker = { worker: process.pid, ...fields };
    say({ type: "log", level, message, fields: withheld === 0 ? worker : { ...worker, withheld } });
    withheld = 0;
  };
  return {
    debug() {},
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}
