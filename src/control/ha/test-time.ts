// Time that a test turns by hand: a clock and an alarm that ring in order, each at its own time.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Alarm } from "./alarm.ts";

export type TestTime = {
  readonly clock: Clock;
  readonly alarm: Alarm;
  /** Lets time pass; what is due rings in order, also what is set by what rings. */
  pass(span: Milliseconds): void;
  /** Alarms that are set. */
  readonly waiting: () => number;
};

export function testTime(): TestTime {
  let now = 1_000;
  let next = 0;
  const set = new Map<number, { readonly at: Milliseconds; readonly ring: () => void }>();
  return {
    clock: () => now,
    alarm: (delay, ring) => {
      const number = next++;
      set.set(number, { at: now + Math.max(0, delay), ring });
      return () => set.delete(number);
    },
    pass(span) {
      const until = now + span;
      for (;;) {
        const due = [...set].filter(([, { at }]) => at <= until).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
        if (due === undefined) break;
        set.delete(due[0]);
        now = Math.max(now, due[1].at);
        due[1].ring();
      }
      now = until;
    },
    waiting: () => set.size,
  };
}
