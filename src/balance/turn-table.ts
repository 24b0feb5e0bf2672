// Weighted turns as a table: the order of smooth weighted round robin written into slots, for an engine that can count but
// not weigh (the kernel's `numgen`). A whole round of the table gives every member exactly its share. Members that take no
// work leave their slots to the others, in smooth order too; the slots of the others stay as they are. On the change's
// way; it must not know what a slot becomes in the kernel.

import { nobody } from "./slot-table.ts";

/** A table has at least as many slots as this, so that what one round cannot divide evenly is less than 1 in 1,000. */
const slotsMin = 1_024;
/** Up to here a table is made longer so that the shares are exact as well while any one member is out. */
const slotsEvenMax = 4_096;
/** Weights whose sum has no table of this length are rounded to it: 0.006 % of all turns. Each keeps one slot at least. */
export const turnSlotsMax = 16_384;

/**
 * How many slots serve these groups of weights (primaries; backups): a multiple of each group's sum where that is
 * possible. Weights of 0 don't count. With more members than turnSlotsMax it is their number.
 */
export function turnSlotCount(groups: readonly (readonly number[])[]): number {
  const parts = groups.map((group) => reduce(group.filter((weight) => weight > 0))).filter((group) => group.length > 0);
  let count = 1;
  for (const weights of parts) {
    const longer = leastMultiple(count, sum(weights));
    if (longer > turnSlotsMax) return Math.max(turnSlotsMax, ...parts.map((group) => group.length));
    count = longer;
  }
  for (const weights of parts) {
    const cycle = sum(weights);
    for (const weight of new Set(weights)) {
      // Without a member of this weight: its slots must be a multiple of what the others' weights sum up to.
      const rest = cycle - weight;
      if (rest === 0) continue;
      const longer = leastMultiple(count, cycle * (rest / greatestDivisor(rest, weight)));
      if (longer <= slotsEvenMax) count = longer;
    }
  }
  return count * Math.ceil(slotsMin / count);
}

/** Owner of each slot as an index into `weights`; `nobody` everywhere when all are 0. */
export function fillTurns(weights: readonly number[], slotCount: number): Int32Array {
  const shares = shareOut(weights, slotCount);
  return smoothOrder(reduce(shares), slotCount);
}

/**
 * The table while some take no work: their slots go to those that do, in turns by weight; `nobody` when none does.
 * Depends on who takes work now, not on what was before.
 */
export function passOnTurns(
  owners: Int32Array,
  weights: readonly number[],
  takes: (index: number) => boolean,
): Int32Array {
  const taking = weights.map((weight, index) => (takes(index) ? weight : 0));
  const vacant: number[] = [];
  for (const [slot, owner] of owners.entries()) if (owner === nobody || taking[owner] === 0) vacant.push(slot);
  const passed = Int32Array.from(owners);
  if (vacant.length === 0) return passed;
  const order = smoothOrder(reduce(taking), vacant.length);
  for (const [turn, slot] of vacant.entries()) passed[slot] = order[turn]!;
  return passed;
}

/** nginx's order (see smooth-round-robin.ts) over that many turns; it repeats after the sum of the weights. */
function smoothOrder(weights: readonly number[], turns: number): Int32Array {
  const order = new Int32Array(turns).fill(nobody);
  const cycle = sum(weights);
  if (cycle === 0) return order;
  const taking = Int32Array.from(weights.flatMap((weight, index) => (weight > 0 ? [index] : [])));
  const current = new Float64Array(weights.length);
  const own = Math.min(turns, cycle);
  // Equal weights take turns in their own order; a thousand of them need no thousand comparisons a turn.
  const equal = taking.length === cycle;
  for (let turn = 0; turn < own; turn++) {
    order[turn] = equal ? taking[turn]! : smoothStep(weights, taking, current, cycle);
  }
  for (let turn = own; turn < turns; turn++) order[turn] = order[turn - own]!;
  return order;
}

function smoothStep(weights: readonly number[], taking: Int32Array, current: Float64Array, cycle: number): number {
  let best = taking[0]!;
  let bestValue = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < taking.length; at++) {
    const index = taking[at]!;
    const value = current[index]! + weights[index]!;
    current[index] = value;
    if (value > bestValue) {
      best = index;
      bestValue = value;
    }
  }
  current[best] = bestValue - cycle;
  return best;
}

/** Slots for each weight: exact where the count is a multiple of the sum, else by largest remainder, one at least. */
function shareOut(weights: readonly number[], slotCount: number): number[] {
  const total = sum(weights);
  if (total === 0) return weights.map(() => 0);
  const exact = weights.map((weight) => (weight * slotCount) / total);
  const shares = exact.map((share) => (share === 0 ? 0 : Math.max(1, Math.floor(share))));
  let left = slotCount - sum(shares);
  const byNeed = weights.map((_, index) => index).sort((a, b) => need(b) - need(a) || a - b);
  function need(index: number): number {
    return exact[index]! - shares[index]!;
  }
  for (const index of byNeed) {
    if (left <= 0) break;
    if (weights[index]! === 0) continue;
    shares[index]! += 1;
    left -= 1;
  }
  // Those raised to one took more than there was: the largest give it back.
  while (left < 0) {
    const largest = shares.indexOf(Math.max(...shares));
    shares[largest]! -= 1;
    left += 1;
  }
  return shares;
}

function sum(weights: readonly number[]): number {
  return weights.reduce((total, weight) => total + weight, 0);
}

function reduce(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestDivisor, 0);
  return divisor > 1 ? weights.map((weight) => weight / divisor) : [...weights];
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

function leastMultiple(a: number, b: number): number {
  return (a / greatestDivisor(a, b)) * b;
}
