// A weighted draw among the members that take work, for the policies that live by chance; on the request's way. A draw
// among all by binary search over the running sum of weights is repeated while it hits a member that takes none; when
// that goes on for too long, or the pool is tiny, one draw among exactly those that do, by two passes. Both ways give
// each its exact share. A slow start is one more reason to draw again. No allocation; it must not call the clock, and
// chance is handed in.

import type { Random } from "../core/random.ts";
import { type Member, type Pick, takesWork } from "./balancer.ts";

/** Draws before the passes over all members. With half of a pool's weight out, 1 pick in 256 needs them. */
const drawsMax = 8;
/** Up to this many members the passes are cheaper than search and repetition. */
const tinyPool = 8;

export type Sampler = {
  /** A member's index by chance, never `except` (-1: no exception); -1 when none takes work. */
  sample(pick: Pick, except: number): number;
};

/**
 * Draws in proportion to what the members take now (`share`), or to what they shall take when no slow start lasts
 * (`weight`).
 */
export function createSampler(members: readonly Member[], random: Random, by: "share" | "weight"): Sampler {
  const byShare = by === "share";
  const count = members.length;
  const sums = runningSums(members);
  const total = count === 0 ? 0 : sums[count - 1]!;

  function sampleByPasses(pick: Pick, except: number): number {
    let taking = 0;
    for (let index = 0; index < count; index++) {
      const member = members[index]!;
      if (index !== except && takesWork(member, pick)) taking += byShare ? member.share : member.weight;
    }
    if (taking === 0) return -1;
    let left = random() * taking;
    let last = -1;
    for (let index = 0; index < count; index++) {
      const member = members[index]!;
      if (index === except || !takesWork(member, pick)) continue;
      last = index;
      left -= byShare ? member.share : member.weight;
      if (left < 0) break;
    }
    return last;
  }

  /** Drawn by its weight, it stays drawn as often as its share says; whoever has all of it asks chance nothing. */
  function staysDrawn({ share, weight }: Member): boolean {
    return !byShare || share === weight || random() * weight < share;
  }

  return {
    sample(pick: Pick, except: number): number {
      if (count > tinyPool && total > 0) {
        for (let draws = 0; draws < drawsMax; draws++) {
          const index = indexAt(sums, random() * total);
          const member = members[index]!;
          if (index !== except && takesWork(member, pick) && staysDrawn(member)) return index;
        }
      }
      return sampleByPasses(pick, except);
    },
  };
}

/** The sum of the weights of each member and of all before it. */
export function runningSums(members: readonly Member[]): Float64Array {
  const sums = new Float64Array(members.length);
  let sum = 0;
  for (const [index, member] of members.entries()) {
    sum += member.weight;
    sums[index] = sum;
  }
  return sums;
}

/**
 * The first index whose running sum is above `value`; `value` is at least 0 and below the last sum. A weight of 0 is
 * never hit.
 */
export function indexAt(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
