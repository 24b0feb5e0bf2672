// How often a store is asked that answers at once, again and again: because its list changes all the time, or because it
// (or something in between) does not hold a query open as it should. The change's way, a pure machine. A change that comes
// alone, or a burst of them, is never held back.

import type { Milliseconds } from "../core/clock.ts";

export type Pace = {
  /** Requests that may be made without a wait; below 0 while one waits. */
  readonly left: number;
  readonly atMs: Milliseconds;
};

/** Requests without a wait. */
export const burstMax = 50;
/** Requests a second that last. */
export const requestsPerSecondMax = 50;
/** What a request counts after an answer that held nothing new and was not waited for. */
export const idleCost = 10;

export function startPace(now: Milliseconds): Pace {
  return { left: burstMax, atMs: now };
}

/** Takes `cost` requests' worth and says how long to wait first. */
export function takePace(
  pace: Pace,
  now: Milliseconds,
  cost: number,
): { readonly pace: Pace; readonly delay: Milliseconds } {
  const gained = (Math.max(0, now - pace.atMs) * requestsPerSecondMax) / 1000;
  const left = Math.min(burstMax, pace.left + gained) - cost;
  return { pace: { left, atMs: now }, delay: left >= 0 ? 0 : (-left * 1000) / requestsPerSecondMax };
}
