// Which endpoint of a store is asked next, and when. The change's way, a pure machine over plain numbers. One that answers
// is stayed with; after a failure the next one is asked at once, and a wait comes only before an endpoint is asked again
// that has failed since the last answer.

import type { Milliseconds } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

export type EndpointTurn = {
  /** Index of the endpoint that is asked. */
  readonly at: number;
  /** Failures since the last answer. */
  readonly failures: number;
};

export type EndpointRules = {
  readonly count: number;
  readonly first: Milliseconds;
  readonly most: Milliseconds;
};

export const firstTurn: EndpointTurn = { at: 0, failures: 0 };

export function turnAnswered(turn: EndpointTurn): EndpointTurn {
  return turn.failures === 0 ? turn : { at: turn.at, failures: 0 };
}

/**
 * The turn after a failure, and how long to wait before it: 0 until all have failed, then the first wait, doubled with each
 * round up to the most. Half of a wait is chance, so that many nodes don't come back to a store in one moment.
 */
export function turnFailed(
  turn: EndpointTurn,
  rules: EndpointRules,
  random: Random,
): { readonly turn: EndpointTurn; readonly delay: Milliseconds } {
  const failures = turn.failures + 1;
  const next = { at: (turn.at + 1) % rules.count, failures };
  if (failures % rules.count !== 0) return { turn: next, delay: 0 };
  // Beyond 30 doublings any wait is longer than the most that a configuration can name.
  const doublings = Math.min(30, failures / rules.count - 1);
  const whole = Math.min(rules.most, rules.first * 2 ** doublings);
  return { turn: next, delay: whole * (0.5 + random() / 2) };
}
