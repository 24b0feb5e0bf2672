// A clock that is read at most once per event. On the request's way a dozen places ask for the time within one event,
// and between two of them nothing has happened that a timeout or a figure could see.

import type { Clock, Milliseconds } from "./clock.ts";

export type EventClock = {
  /** An event begins: the next look reads the real clock. */
  begin(): void;
  /** The time of the present event. */
  readonly now: Clock;
};

export function createEventClock(clock: Clock): EventClock {
  let timeMs: Milliseconds = 0;
  let fresh = false;
  return {
    begin() {
      fresh = false;
    },
    now() {
      if (fresh) return timeMs;
      fresh = true;
      timeMs = clock();
      return timeMs;
    },
  };
}
