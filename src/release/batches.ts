// Who has his turn when, and whether there may be a release at all: targets to batches, and the least number that stays
// eligible. Pure; the change's way.

import type { ReleasePlan } from "../model/release.ts";

/** How many targets have their turn at a time, of a pool of so many. */
export function batchSize(batch: ReleasePlan["batch"], count: number): number {
  switch (batch.kind) {
    case "count":
      return batch.count;
    case "share":
      return Math.max(1, Math.floor((count * batch.percent) / 100));
    default:
      return batch satisfies never;
  }
}

/** Addresses in the order of their turns, a list for each batch. `first`: how many the first one has, for a canary. */
export function planBatches(
  addresses: readonly string[],
  batch: ReleasePlan["batch"],
  first?: number,
): readonly (readonly string[])[] {
  const size = batchSize(batch, addresses.length);
  const batches: (readonly string[])[] = [];
  for (let at = 0; at < addresses.length; ) {
    const length = at === 0 && first !== undefined ? first : size;
    batches.push(addresses.slice(at, at + length));
    at += length;
  }
  return batches;
}

/** How many are eligible at one balancer. */
export type EligibleAt = { readonly balancer: string; readonly eligible: readonly string[] };

/** Why this target may not be taken out now; undefined: it may. `leaving`: others that are on their way out. */
export function judgeGuard(
  address: string,
  leaving: readonly string[],
  seen: readonly EligibleAt[],
  minEligible: number,
): string | undefined {
  for (const { balancer, eligible } of seen) {
    // One that takes no work already leaves no gap.
    if (!eligible.includes(address)) continue;
    const left = eligible.filter((one) => one !== address && !leaving.includes(one)).length;
    if (left >= minEligible) continue;
    return `${left} other targets would be eligible at ${balancer}, and minEligible is ${minEligible}`;
  }
  return undefined;
}
