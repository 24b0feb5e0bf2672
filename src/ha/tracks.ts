// What is watched, and what it does to a virtual router: outcomes become a standing (rise, fall), standings become a
// priority or a fault. The change's way; pure. Counted exactly as keepalived counts (vrrp_scheduler.c, vrrp_track.c), so
// that a configuration that was tuned for it elects the same node here. What is watched, and how, is the edges' business.

import type { TrackEntry, VirtualRouter } from "../model/virtual-router.ts";

/**
 * `unknown` until the first outcome: it moves no priority, and with weight 0 it keeps the virtual router in init. A number is
 * what a tracked file says: it counts as often as the weight says.
 */
export type Standing = "unknown" | "up" | "down" | number;

export type TrackPolicy = {
  /** So many passed outcomes in a row bring it up, so many failed ones down; the very first outcome decides alone. */
  readonly rise: number;
  readonly fall: number;
};

export type TrackState = {
  readonly standing: Exclude<Standing, number>;
  /** Outcomes in a row that contradict the standing. */
  readonly against: number;
};

export const trackUnknown: TrackState = { standing: "unknown", against: 0 };

/**
 * The next state of a track. keepalived's first run ignores rise and fall: one success is enough, and one failure.
 * Afterwards an outcome that agrees with the standing starts the count anew.
 */
export function judgeTrack(policy: TrackPolicy, state: TrackState, outcome: "passed" | "failed"): TrackState {
  const said = outcome === "passed" ? "up" : "down";
  if (state.standing === "unknown") return { standing: said, against: 0 };
  if (said === state.standing) return state.against === 0 ? state : { standing: said, against: 0 };
  const against = state.against + 1;
  const needed = said === "up" ? policy.rise : policy.fall;
  return against >= needed ? { standing: said, against: 0 } : { standing: state.standing, against };
}

export type Standings = Readonly<Record<string, Standing>>;

/**
 * What a track adds to the priority: its weight while it is up if that is above 0, its weight while it is down if that is
 * below; a file's number times the weight. `reverse` turns the sign, so that being up costs or being down gains. 0 while
 * unknown, and for weight 0.
 */
export function weightOf(entry: TrackEntry, standing: Standing): number {
  const signed = entry.reverse ? -entry.weight : entry.weight;
  if (typeof standing === "number") return Math.max(-weightMax, Math.min(weightMax, standing * signed)) || 0;
  const counts = (entry.weight > 0 && standing === "up") || (entry.weight < 0 && standing === "down");
  return counts ? signed : 0;
}

/** Of one track. A file's number may say more; less than the negative of it is a fault. */
const weightMax = 253;

/**
 * The priority that is advertised: the configured one and all weights, kept within 1 to 254. The owner's 255 never moves
 * (RFC 9568 section 6.1, keepalived vrrp_set_effective_priority).
 */
export function effectivePriority(router: VirtualRouter, standings: Standings): number {
  if (router.priority === 255) return 255;
  let total = router.priority;
  for (const entry of router.tracks) total += weightOf(entry, standings[entry.name] ?? "unknown");
  return Math.min(254, Math.max(1, total));
}

/**
 * Names of tracks that put the virtual router into fault: of weight 0 and down, or, reversed, up; of weight 0 and a file's
 * number other than 0; a file's number that times the weight is below -253. keepalived vrrp_track.c.
 */
export function tracksInFault(router: VirtualRouter, standings: Standings): readonly string[] {
  return router.tracks.filter((entry) => isInFault(entry, standings[entry.name] ?? "unknown")).map(({ name }) => name);
}

function isInFault({ weight, reverse }: TrackEntry, standing: Standing): boolean {
  if (typeof standing !== "number") return weight === 0 && standing === (reverse ? "up" : "down");
  if (weight === 0) return (standing !== 0) !== reverse;
  return standing * (reverse ? -weight : weight) < -weightMax;
}

/** True while a track of weight 0 has not said anything: keepalived waits for it before it takes part in the election. */
export function awaitsTracks(router: VirtualRouter, standings: Standings): boolean {
  return router.tracks.some(({ name, weight }) => weight === 0 && (standings[name] ?? "unknown") === "unknown");
}
