// Being woken later, as a value: drivers of high availability take it, so that a test turns time by hand. The change's way.

import type { Milliseconds } from "../../core/clock.ts";

/** Calls `ring` once after the delay unless the given function is called before. */
export type Alarm = (delay: Milliseconds, ring: () => void) => () => void;

/** Node's timers. It does not keep the process alive: its sockets do. */
export const alarm: Alarm = (delay, ring) => {
  const timer = setTimeout(ring, Math.max(0, Math.ceil(delay))).unref();
  return () => clearTimeout(timer);
};
