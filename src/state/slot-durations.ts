// Durations as a histogram in slots: one figure a bucket and one for their sum, bumped on the request's way without a
// branch that matters and without a look-up. The bounds are fixed, so that figures of workers, nodes and versions of a
// release add up. What is exported of it stands in src/control/metrics/table.ts.

import type { Milliseconds } from "../core/clock.ts";

/** Upper bounds, inclusive, in seconds; what takes longer falls into one more bucket. docs/metrics.md says why these. */
export const durationBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

export const durationBuckets = durationBounds.length + 1;
/** Buckets, then the sum of all durations in seconds. */
export const durationSlots = durationBuckets + 1;

const boundsMs = Float64Array.from(durationBounds, (bound) => bound * 1000);

/** The bucket of a duration: the first whose bound is not below it. */
export function bucketOf(ms: Milliseconds): number {
  let low = 0;
  let high = durationBuckets - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ms <= boundsMs[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Counts one duration; `at` is the slot of the first bucket. */
export function countDuration(slots: Float64Array, at: number, ms: Milliseconds): void {
  const sum = at + durationBuckets;
  const bucket = at + bucketOf(ms);
  slots[bucket] = slots[bucket]! + 1;
  slots[sum] = slots[sum]! + ms / 1000;
}
