// Slow start: the part of its weight that a target takes while it is new or has just come back. It grows on a straight line
// from 1/256 to the whole, as nginx's slow_start and HAProxy's slowstart do, in steps of a 256th: a double holds a weight
// times such a step exactly, so that smooth round robin stays exact and nobody else's weight needs to be scaled. On the
// change's way, ten times a second at most. No clock: the time since it began is handed in.

import type { Milliseconds } from "../core/clock.ts";
import type { Balance } from "../model/pool.ts";

/** Into how many steps a slow start is divided. */
export const growthSteps = 256;

/** The share of a target of that weight, `sinceMs` after its slow start began; all of it when that is over or never was. */
export function shareAfter(weight: number, sinceMs: Milliseconds, slowStart: Milliseconds): number {
  if (!(sinceMs < slowStart)) return weight;
  return (weight * Math.max(1, Math.floor((growthSteps * sinceMs) / slowStart))) / growthSteps;
}

/**
 * False for a policy under which slow start means nothing, as in nginx: where the client's key decides, a target has all
 * of its clients or they would move twice.
 */
export function startsSlowly({ policy }: Balance): boolean {
  return policy !== "ipHash" && policy !== "consistentHash";
}
