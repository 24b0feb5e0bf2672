// Slow start through the policies: the share of a target that has just come follows the line, whoever picks.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../core/random.ts";
import type { Balance } from "../model/pool.ts";
import type { Member } from "./balancer.ts";
import { observeLatency } from "./peak-ewma.ts";
import { createPicker } from "./picker.ts";
import { growthSteps, shareAfter, startsSlowly } from "./slow-start.ts";
import { countPicks, equalMembers, membersOf, pickOf, policies, testSeed } from "./test-kit.ts";

const seed = testSeed();
const slowStart = 30_000;

describe("the share after a while", () => {
  test("grows on a line in steps of a 256th, from one of them to the whole", () => {
    assert.equal(shareAfter(1, 0, slowStart), 1 / 256);
    assert.equal(shareAfter(1, slowStart / 2, slowStart), 1 / 2);
    assert.equal(shareAfter(100, slowStart / 4, slowStart), 25);
    assert.equal(shareAfter(3, slowStart - 1, slowStart), (3 * 255) / 256);
    assert.equal(shareAfter(3, slowStart, slowStart), 3);
    assert.equal(shareAfter(3, Number.POSITIVE_INFINITY, slowStart), 3, "one that never began is over");
  });

  test("is the whole weight where there is no slow start, and nothing of weight 0", () => {
    assert.equal(shareAfter(7, 0, 0), 7);
    assert.equal(shareAfter(0, 0, slowStart), 0);
  });

  test("is a whole number of 256ths of the weight, above 0, and never falls", (t) => {
    t.diagnostic(`seed ${seed}`);
    const property = fc.property(
      fc.integer({ min: 1, max: 65_535 }),
      fc.nat(60_000),
      fc.nat(1_000),
      (weight, ms, more) => {
        const share = shareAfter(weight, ms, slowStart);
        assert.ok(share > 0 && share <= weight);
        assert.ok(Number.isInteger((share * growthSteps) / weight) && Number.isInteger(share * growthSteps));
        assert.ok(shareAfter(weight, ms + more, slowStart) >= share);
      },
    );
    fc.assert(property, { seed });
  });
});

/** What member 0 got of `picks` picks, of which none lasts, with its share at this part of its weight. */
function portion(balance: Balance, members: readonly Member[], part: number, picks: number): number {
  members[0]!.share = members[0]!.weight * part;
  const balancer = createPicker(balance, members, seededRandom(seed));
  return countPicks(balancer, members, picks)[0]! / picks;
}

const slow = policies.filter(startsSlowly);

describe("under a policy that starts slowly", () => {
  test("these are all but those where a key decides", () => {
    assert.deepEqual(
      slow.map(({ policy }) => policy),
      ["roundRobin", "leastConnections", "random", "twoChoices"],
    );
  });

  for (const balance of slow) {
    const exact = balance.policy === "roundRobin" || balance.policy === "leastConnections";

    test(`${balance.policy}: the new one's share follows its part of the weight, in small pools and large ones`, (t) => {
      t.diagnostic(`seed ${seed}`);
      for (const size of [2, 3, 10, 40]) {
        for (const part of [1 / 256, 16 / 256, 0.25, 0.5, 0.75, 1]) {
          const members = equalMembers(size);
          for (const member of members) observeLatency(member, 10, 0);
          const picks = 25_600;
          // Two choices draws two of them: the loser's part goes to the winner alone, so the line is that of its own draws.
          const wanted = balance.policy === "twoChoices" ? part / size : part / (size - 1 + part);
          const off = exact ? 0.001 : 0.012;
          const got = portion(balance, members, part, picks);
          assert.ok(Math.abs(got - wanted) <= off, `${size} members, part ${part}: ${got} instead of ${wanted}`);
        }
      }
    });

    test(`${balance.policy}: a pool in which all start slowly serves, each by its part, and one alone takes all`, (t) => {
      t.diagnostic(`seed ${seed}`);
      const members = equalMembers(12);
      for (const member of members) member.share = 1 / 256;
      const balancer = createPicker(balance, members, seededRandom(seed));
      const counts = countPicks(balancer, members, 12_000);
      for (const count of counts) assert.ok(Math.abs(count - 1_000) < 200, String(counts));
      for (const member of members.slice(1)) member.eligible = false;
      assert.deepEqual(countPicks(balancer, members, 100).slice(0, 2), [100, 0]);
    });
  }

  test("weights of 1 beside one that grows: over any 256 shares' worth of picks the account is exact", () => {
    const members = equalMembers(4);
    members[3]!.share = 77 / 256;
    const balancer = createPicker({ policy: "roundRobin" }, members, seededRandom(seed));
    assert.deepEqual(countPicks(balancer, members, 3 * 256 + 77), [256, 256, 256, 77]);
  });

  test("the order of a pool in which nobody grows any more is what it always was", () => {
    const members = equalMembers(3);
    members[0]!.share = 0.5;
    const balancer = createPicker({ policy: "roundRobin" }, members, seededRandom(seed));
    // A whole round of shares: everybody is even again.
    assert.deepEqual(countPicks(balancer, members, 5), [1, 2, 2]);
    members[0]!.share = 1;
    const pick = pickOf();
    assert.deepEqual(
      Array.from({ length: 6 }, () => balancer.pick(pick)),
      [0, 1, 2, 0, 1, 2],
    );
  });

  test("leastConnections: of what lasts a growing target has its part, and one exchange at the least", () => {
    const members = equalMembers(4);
    members[0]!.share = 0.25;
    const balancer = createPicker({ policy: "leastConnections" }, members, seededRandom(seed));
    for (let exchange = 0; exchange < 26; exchange++) members[balancer.pick(pickOf())]!.active++;
    assert.deepEqual(
      members.map(({ active }) => active),
      [2, 8, 8, 8],
    );
  });

  test("twoChoices: a growing target that is faster than all others gets its part of what it would win, and no more", (t) => {
    t.diagnostic(`seed ${seed}`);
    for (const part of [1 / 256, 0.25, 0.5]) {
      const members = equalMembers(2);
      observeLatency(members[0]!, 1, 0);
      observeLatency(members[1]!, 50, 0);
      const got = portion({ policy: "twoChoices" }, members, part, 20_000);
      assert.ok(Math.abs(got - part) < 0.015, `${got} instead of ${part}`);
    }
  });

  test("random: weights and parts go together, also where the pool is large and most of it is out", (t) => {
    t.diagnostic(`seed ${seed}`);
    const members = membersOf(Array.from({ length: 300 }, () => 2));
    for (const member of members.slice(3)) member.eligible = false;
    members[0]!.share = 0.5;
    members[1]!.share = 1.5;
    const counts = countPicks(createPicker({ policy: "random" }, members, seededRandom(seed)), members, 20_000);
    for (const [index, share] of [0.125, 0.375, 0.5].entries()) {
      assert.ok(Math.abs(counts[index]! / 20_000 - share) < 0.02, String(counts.slice(0, 3)));
    }
  });
});

test("a policy by key takes no notice: every client stays where it is", () => {
  for (const balance of policies.filter((one) => !startsSlowly(one))) {
    const whole = equalMembers(5);
    const growing = equalMembers(5);
    growing[2]!.share = 1 / 256;
    const one = createPicker(balance, whole, seededRandom(seed));
    const other = createPicker(balance, growing, seededRandom(seed));
    for (let client = 0; client < 200; client++) {
      const pick = { ...pickOf(), keyHash: client * 0x9e3779b, clientAddress: `192.0.${client}.1` };
      assert.equal(other.pick(pick), one.pick(pick));
    }
  }
});
