// How far its tracks can move a virtual router's priority, before anything has happened: what validation asks, to find weights
// that can never move an address. The change's way; pure. Counted as tracks.ts counts.

import type { TrackEntry } from "../model/virtual-router.ts";

export type Weighted = {
  readonly priority: number;
  readonly tracks: readonly Pick<TrackEntry, "weight" | "reverse">[];
};

/** Priorities that are advertised: with every track as it should be, and with none. */
export type Reach = { readonly healthy: number; readonly worst: number };

const ownerPriority = 255;

/** What a track adds while it is as it should be; it adds its weight's amount less while it is not. */
function gain({ weight, reverse }: Weighted["tracks"][number]): number {
  return weight > 0 === reverse ? 0 : Math.abs(weight);
}

function advertised(priority: number): number {
  return Math.min(254, Math.max(1, priority));
}

/** The owner's 255 never moves; any other stays within 1 to 254. */
export function reachOf({ priority, tracks }: Weighted): Reach {
  if (priority === ownerPriority) return { healthy: ownerPriority, worst: ownerPriority };
  const healthy = tracks.reduce((sum, track) => sum + (track.weight === 0 ? 0 : gain(track)), priority);
  return { healthy: advertised(healthy), worst: advertised(healthy - amountOf(tracks)) };
}

/** All weights together: how much priority is lost when every track fails. */
export function amountOf(tracks: Weighted["tracks"]): number {
  return tracks.reduce((sum, { weight }) => sum + Math.abs(weight), 0);
}

/** True when the track with this index changes the advertised priority in no combination: it is cut off at 1 or 254. */
export function isWithoutEffect({ priority, tracks }: Weighted, index: number): boolean {
  const track = tracks[index];
  if (track === undefined || track.weight === 0) return false;
  if (priority === ownerPriority) return true;
  const others = tracks.filter((one, at) => at !== index && one.weight !== 0);
  const highest = others.reduce((sum, one) => sum + gain(one), priority);
  const lowest = highest - amountOf(others);
  const up = gain(track);
  return highest + up <= 1 || lowest + up - Math.abs(track.weight) >= 254;
}
