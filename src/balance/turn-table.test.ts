// Turns as a table: exact shares over a whole round, nginx's order, slots passed on and given back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { nobody } from "./slot-table.ts";
import { createSmoothRoundRobin } from "./smooth-round-robin.ts";
import { membersOf, pickOf, testSeed } from "./test-kit.ts";
import { fillTurns, passOnTurns, turnSlotCount, turnSlotsMax } from "./turn-table.ts";

const seed = testSeed();

function count(owners: Int32Array, members: number): number[] {
  const counts = new Array<number>(members).fill(0);
  for (const owner of owners) if (owner !== nobody) counts[owner]!++;
  return counts;
}

describe("how many slots", () => {
  test("a multiple of the sum of the weights, at least 1,024", () => {
    for (const weights of [[1], [1, 1, 1], [40, 30, 30], [5, 3, 1, 1], [7, 11, 13]]) {
      const slots = turnSlotCount([weights, []]);
      const total = weights.reduce((sum, weight) => sum + weight);
      assert.ok(slots >= 1_024 && slots % (total / divisorOf(weights)) === 0, `${weights}: ${slots}`);
    }
  });

  test("for a few targets the shares are exact while any one of them is out", () => {
    for (const weights of [
      [1, 1, 1],
      [40, 30, 30],
      [5, 3, 1, 1],
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ]) {
      const slots = turnSlotCount([weights]);
      const owners = fillTurns(weights, slots);
      for (const out of weights.keys()) {
        const rest = weights.reduce((sum, weight, index) => (index === out ? sum : sum + weight), 0);
        const shares = count(
          passOnTurns(owners, weights, (index) => index !== out),
          weights.length,
        );
        for (const [index, share] of shares.entries()) {
          assert.equal(share, index === out ? 0 : (slots * weights[index]!) / rest, `${weights} without ${out}`);
        }
      }
    }
  });

  test("backups are exact in the same table, unless that would be too long", () => {
    assert.equal(turnSlotCount([[3, 4], [5]]) % 7, 0);
    assert.equal(
      turnSlotCount([
        [1, 2],
        [2, 5],
      ]) % 21,
      0,
    );
    assert.equal(
      turnSlotCount([
        [1, 16_382],
        [3, 8],
      ]),
      turnSlotsMax,
    );
  });

  test("weights whose sum has no table are rounded to one, and everyone keeps a slot", () => {
    const weights = [65_535, 1, 1, 30_000];
    const slots = turnSlotCount([weights]);
    assert.equal(slots, turnSlotsMax);
    const shares = count(fillTurns(weights, slots), weights.length);
    assert.deepEqual(shares, [11_238, 1, 1, 5_144]);
    assert.equal(turnSlotCount([new Array<number>(20_000).fill(65_535).with(0, 1)]), 20_000);
  });

  test("a pool without weights has a table of nobody", () => {
    assert.deepEqual(new Set(fillTurns([0, 0], turnSlotCount([[0, 0]]))), new Set([nobody]));
    assert.equal(turnSlotCount([[], []]), 1_024);
  });
});

test("the order is that of smooth weighted round robin, round after round", (t) => {
  t.diagnostic(`seed ${seed}`);
  const property = fc.property(fc.array(fc.nat(12), { minLength: 1, maxLength: 8 }), (weights) => {
    const members = membersOf(weights);
    const balancer = createSmoothRoundRobin(members);
    const pick = pickOf();
    const owners = fillTurns(weights, turnSlotCount([weights]));
    for (const owner of owners) assert.equal(owner, balancer.pick(pick));
  });
  fc.assert(property, { seed, numRuns: 200 });
});

test("whoever is out, nobody else's slots move, and all are taken as long as one takes work", (t) => {
  t.diagnostic(`seed ${seed}`);
  const one = fc.record({ weight: fc.nat(9), out: fc.boolean() });
  const property = fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), (targets) => {
    const weights = targets.map(({ weight }) => weight);
    const owners = fillTurns(weights, turnSlotCount([weights]));
    const passed = passOnTurns(owners, weights, (index) => !targets[index]!.out);
    const possible = targets.some(({ weight, out }) => weight > 0 && !out);
    for (const [slot, owner] of owners.entries()) {
      const now = passed[slot]!;
      if (owner !== nobody && !targets[owner]!.out) assert.equal(now, owner);
      if (!possible) assert.equal(now, nobody);
      else assert.ok(now !== nobody && !targets[now]!.out && weights[now]! > 0);
    }
  });
  fc.assert(property, { seed, numRuns: 300 });
});

function divisorOf(weights: readonly number[]): number {
  const divide = (a: number, b: number): number => (b === 0 ? a : divide(b, a % b));
  return weights.reduce(divide);
}
