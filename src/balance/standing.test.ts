// What a balancer hands on to the one that takes its place: a pool that changes all the time must not begin each time anew.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../core/random.ts";
import type { Balance } from "../model/pool.ts";
import { type Member, noStandings } from "./balancer.ts";
import { createPicker } from "./picker.ts";
import { countPicks, equalMembers, memberOf, pickOf, testSeed } from "./test-kit.ts";

const seed = testSeed();
const roundRobin: Balance = { policy: "roundRobin" };
const random = seededRandom(seed);

function next(members: readonly Member[], standings = noStandings, balance = roundRobin) {
  return createPicker(balance, members, random, standings);
}

/** Addresses picked, by their number. */
function order(balancer: ReturnType<typeof next>, picks: number): string {
  const pick = pickOf();
  return Array.from({ length: picks }, () => balancer.pick(pick)).join("");
}

describe("a balancer that takes another's place", () => {
  test("goes on where that stood, for the same members", () => {
    const members = [memberOf(0, { weight: 5 }), memberOf(1), memberOf(2)];
    const whole = order(next(members), 14);
    for (let at = 0; at < 14; at++) {
      const before = next(members);
      const first = order(before, at);
      assert.equal(first + order(next(members, before.standings), 14 - at), whole);
    }
  });

  test("keeps what a failure has taken, and no more than a new weight can hold", () => {
    const members = [memberOf(0, { weight: 60 }), memberOf(1, { weight: 60 })];
    const before = next(members);
    before.report(0, false);
    const lighter = { ...members[0]!, weight: 2, share: 2 };
    assert.equal(order(next(members, before.standings), 3), "111");
    const after = next([lighter, members[1]!], before.standings);
    assert.equal(countPicks(after, [lighter, members[1]!], 31)[0], 1, "a member is the object, not the name");
  });

  test("follows members to another place in the list, and from the backups to the primaries", () => {
    const [a, b, c] = equalMembers(3) as [Member, Member, Member];
    const before = next([a, b, c]);
    assert.equal(order(before, 1), "0");
    assert.equal(order(next([c, a, b], before.standings), 2), "02", "the first one had its turn");
    const promoted = memberOf(3, { backup: true });
    const withBackup = next([a, b, promoted]);
    order(withBackup, 2);
    assert.equal(withBackup.standings.length, 2);
    assert.equal(
      order(next([{ ...promoted, backup: false }, a, b], withBackup.standings), 3),
      "120",
      "a newcomer is last",
    );
  });

  test("is of another policy that keeps accounts, or of one that keeps none", () => {
    const members = equalMembers(3);
    const turns = next(members);
    order(turns, 1);
    const least = next(members, turns.standings, { policy: "leastConnections" });
    assert.equal(order(least, 2), "12");
    assert.deepEqual(next(members, least.standings, { policy: "random" }).standings, []);
  });
});

describe("a change between any two picks", () => {
  /** Picks of the members that stay, over so many changes. */
  function picksOfKept(change: (round: number, kept: readonly Member[]) => readonly Member[], kept: readonly Member[]) {
    const counts = new Map<Member, number>(kept.map((member) => [member, 0]));
    let others = 0;
    let balancer = next(kept);
    const pick = pickOf();
    const rounds = 1_000;
    for (let round = 0; round < rounds; round++) {
      const members = change(round, kept);
      balancer = next(members, balancer.standings);
      const picked = members[balancer.pick(pick)]!;
      const count = counts.get(picked);
      if (count === undefined) others += 1;
      else counts.set(picked, count + 1);
    }
    return { counts: [...counts.values()], others, rounds };
  }

  test("a target that comes and goes leaves the others their even turns", () => {
    const guest = memberOf(99);
    const { counts, others } = picksOfKept(
      (round, kept) => (round % 2 === 0 ? [guest, ...kept] : kept),
      equalMembers(10),
    );
    for (const count of counts) assert.ok(count >= 90 && count <= 101, String(counts));
    assert.ok(others <= 100, String(others));
  });

  test("a new target at the head of the list each time gets no flood, and starves nobody", () => {
    const { counts, others } = picksOfKept((round, kept) => [memberOf(1_000 + round), ...kept], equalMembers(10));
    for (const count of counts) assert.ok(count >= 80 && count <= 110, String(counts));
    assert.ok(others <= 200, String(others));
  });

  test("weights that change all the time are followed on average", () => {
    const { counts } = picksOfKept((round, kept) => {
      const [first, ...rest] = kept as [Member, ...Member[]];
      Object.assign(first, { weight: 1 + (round % 3), share: 1 + (round % 3) });
      return [first, ...rest];
    }, equalMembers(9));
    const [first = 0, ...rest] = counts;
    assert.ok(first >= 190 && first <= 210, String(counts));
    for (const count of rest) assert.ok(count >= 88 && count <= 112, String(counts));
  });

  test("what leaves with others is no debt of those that stay: after 10,000 of them a newcomer waits one round", () => {
    const kept = equalMembers(4);
    let balancer = next(kept);
    const pick = pickOf();
    for (let round = 0; round < 10_000; round++) {
      // Whoever has just been picked owes most; it is the guest that leaves, again and again.
      const guest = memberOf(500, { weight: 50, share: 50 });
      balancer = next([...kept, guest], balancer.standings);
      balancer.pick(pick);
      balancer = next(kept, balancer.standings);
    }
    const newcomer = memberOf(7);
    const counts = countPicks(next([...kept, newcomer], balancer.standings), [...kept, newcomer], 50);
    for (const count of counts) assert.ok(count >= 8 && count <= 12, String(counts));
  });
});
