// What is watched, and what it does to a virtual router: outcomes become a standing (rise, fall), standings become a
// priority or a fault. The change's way; pure. Counted exactly as keepalived counts (vrrp_scheduler.c, vrrp_track.c), so
// that a configuration that was tuned for it elects the same node here. What is watched, and how, is the edges' business.

import type { TrackEntry, VirtualRouter } from "../model/virtual-router.ts";

/** `unknown` until the first outcome: it moves no priority, and with weight 0 it keeps the virtual router in init. */
export type Standing = "unknown" | "up" | "down";

export type TrackPolicy = {
  /** So many passed outcomes in a row bring it up, so many failed ones down; the very first outcome decides alone. */
  readonly rise: number;
  readonly fall: number;
};

export type TrackState = {
  readonly standing: Standing;
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
 * below; `reverse` turns the sign, so that being up costs or being down gains. 0 while unknown, and for weight 0.
 */
export function weightOf(entry: TrackEntry, standing: Standing): number {
  const counts = (entry.weight > 0 && standing === "up") || (entry.weight < 0 && standing === "down");
  if (!counts) return 0;
  return entry.reverse ? -entry.weight : entry.weight;
}

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

/** Names of tracks of weight 0 that put the virtual router into fault: down, or, reversed, up. */
export function tracksInFault(router: VirtualRouter, standings: Standings): readonly string[] {
  const names: string[] = [];
  for (const { name, weight, reverse } of router.tracks) {
    if (weight === 0 && standings[name] === (reverse ? "up" : "down")) names.push(name);
  }
  return names;
}

/** True while a track of weight 0 has not said anything: keepalived waits for it before it takes part in the election. */
export function awaitsTracks(router: VirtualRouter, standings: Standings): boolean {
  return router.tracks.some(({ name, weight }) => weight === 0 && (standings[name] ?? "unknown") === "unknown");
}
