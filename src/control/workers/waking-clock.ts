// The time in which the supervisor was awake. Deadlines that others have to meet are measured with it: when this process
// or the whole machine stood still (SIGSTOP, a suspended virtual machine, no CPU for a while), nobody else had a chance
// to be heard, and none of that may count against a worker. It is turned every interval; however late that comes, the
// time since the last turn counts as one interval at most. So it is at worst slow and never stands for good. The change's
// way; for what an operator reads (uptimes) it is the wrong clock.

import type { Clock, Milliseconds } from "../../core/clock.ts";

export type WakingClock = {
  /** Monotonic; starts near 0. Stands an interval after the last turn. */
  readonly now: Clock;
  /** To be called every interval, when what had come until then has been read. */
  turn(): void;
};

/** `clock` is monotonic. */
export function createWakingClock(clock: Clock, interval: Milliseconds): WakingClock {
  let turnedAt = clock();
  let awakeAtTurn: Milliseconds = 0;
  const awakeAt = (at: Milliseconds) => awakeAtTurn + Math.min(at - turnedAt, interval);
  return {
    now: () => awakeAt(clock()),
    turn() {
      const at = clock();
      awakeAtTurn = awakeAt(at);
      turnedAt = at;
    },
  };
}
