// Watches that one side of a tunnel takes what the engine holds for it: made when something is held, gone when nothing is,
// so that an idle tunnel has none. On the request's way, looked at by the sweep. What is held may only stand still for the
// send timeout; how much it is does not matter.

import type { Milliseconds } from "../core/clock.ts";

/** What a look found. */
export const Progress = {
  none: 0,
  /** Some of it was taken since the last look. */
  some: 1,
  late: 2,
} as const;
export type Progress = (typeof Progress)[keyof typeof Progress];

export class SendWatch {
  private held = -1;
  private deadlineMs: Milliseconds = 0;

  look(held: number, nowMs: Milliseconds, sendMax: Milliseconds): Progress {
    if (held !== this.held) {
      this.held = held;
      this.deadlineMs = nowMs + sendMax;
      return Progress.some;
    }
    return nowMs >= this.deadlineMs ? Progress.late : Progress.none;
  }
}
