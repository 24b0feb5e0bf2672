// What is consistent about the consistent hash: who keeps its keys when members go, come, change or rest. The suite
// over all policies is in suite.test.ts; why this and no ring or Maglev, in docs/decisions/0004-consistent-hash.md.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Member } from "./balancer.ts";
import { createConsistentHash, slotCount } from "./consistent-hash.ts";
import { mix } from "./hash.ts";
import { fillSlots, nobody } from "./slot-table.ts";
import { equalMembers, memberOf, membersOf, pickOf, testSeed } from "./test-kit.ts";

const seed = testSeed();
const keyCount = 20_000;

/** The address each of the keys goes to. */
function placesOf(members: readonly Member[], balancer = createConsistentHash(members)): string[] {
  const pick = pickOf();
  return Array.from({ length: keyCount }, (_, index) => {
    pick.keyHash = mix(index);
    return members[balancer.pick(pick)]?.address ?? "nobody";
  });
}

function movedBetween(before: readonly string[], after: readonly string[]): number {
  return before.filter((place, index) => place !== after[index]).length;
}

describe("a pool that changes", () => {
  test("removing one of N moves its own keys and no others, at most 1/N of all and what a draw of that size strays", (t) => {
    t.diagnostic(`seed ${seed}`);
    const property = fc.property(fc.integer({ min: 2, max: 60 }), fc.nat(), (count, any) => {
      const members = equalMembers(count);
      const lost = members[any % count]!;
      const before = placesOf(members);
      const after = placesOf(members.filter((member) => member !== lost));
      let moved = 0;
      for (const [index, place] of before.entries()) {
        if (place === lost.address) moved++;
        else assert.equal(after[index], place, "a key moved that was not of the lost member");
      }
      // Five standard deviations: of the keys that were drawn and of the slots that a member has.
      const share = 1 / count;
      const strays = 5 * Math.sqrt(share * (1 / keyCount + 1 / slotCount));
      assert.ok(moved / keyCount <= share + strays, `${moved} of ${keyCount} keys for one of ${count} members`);
    });
    fc.assert(property, { seed, numRuns: 12 });
  });

  test("adding a member takes keys for it alone", () => {
    const members = equalMembers(9);
    const added = memberOf(9);
    const before = placesOf(members);
    const after = placesOf([...members.slice(0, 4), added, ...members.slice(4)]);
    for (const [index, place] of after.entries()) if (place !== added.address) assert.equal(place, before[index]);
    assert.ok(Math.abs(movedBetween(before, after) / keyCount - 0.1) < 0.02);
  });

  test("a weight that grows takes keys for its member alone, one that shrinks gives away its member's alone", () => {
    const light = membersOf([2, 3, 4, 5]);
    const heavy = membersOf([2, 6, 4, 5]);
    const less = placesOf(light);
    const more = placesOf(heavy);
    for (const [index, place] of more.entries()) if (place !== heavy[1]!.address) assert.equal(place, less[index]);
    assert.ok(Math.abs(movedBetween(less, more) / keyCount - (6 / 17 - 3 / 14)) < 0.02);
  });

  test("the order in which a source names the members is of no account", () => {
    const members = membersOf([1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(placesOf([...members].reverse()), placesOf(members));
  });

  test("weights that all grow by the same factor move nothing", () => {
    const weights = [1, 2, 3, 4, 5];
    assert.deepEqual(placesOf(membersOf(weights.map((weight) => weight * 20))), placesOf(membersOf(weights)));
  });
});

describe("a member that takes no work for a while", () => {
  test("moves its keys alone, spread over the others by weight, and gets them back", () => {
    const members = membersOf([2, 1, 1, 2, 4]);
    const balancer = createConsistentHash(members);
    const before = placesOf(members, balancer);
    members[4]!.eligible = false;
    const during = placesOf(members, balancer);
    const taken = new Map<string, number>();
    for (const [index, place] of before.entries()) {
      if (place !== members[4]!.address) assert.equal(during[index], place);
      else taken.set(during[index]!, (taken.get(during[index]!) ?? 0) + 1);
    }
    const moved = before.filter((place) => place === members[4]!.address).length;
    for (const { address, weight } of members.slice(0, 4)) {
      assert.ok(
        Math.abs((taken.get(address) ?? 0) / moved - weight / 6) < 0.03,
        `${address} took ${taken.get(address)} of ${moved}`,
      );
    }
    members[4]!.eligible = true;
    assert.deepEqual(placesOf(members, balancer), before);
  });

  test("whoever rests, in whatever combination, no key of another moves", (t) => {
    t.diagnostic(`seed ${seed}`);
    const members = equalMembers(12);
    const balancer = createConsistentHash(members);
    const before = placesOf(members, balancer);
    const property = fc.property(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (eligible) => {
      for (const [index, value] of eligible.entries()) members[index]!.eligible = value;
      const resting = new Set(members.filter((member) => !member.eligible).map((member) => member.address));
      for (const [index, place] of placesOf(members, balancer).entries()) {
        if (!resting.has(before[index]!)) assert.equal(place, before[index]);
        else assert.ok(!resting.has(place));
      }
    });
    fc.assert(property, { seed, numRuns: 40 });
  });

  test("a second loss moves no key that the first had already moved elsewhere", () => {
    const members = equalMembers(10);
    const balancer = createConsistentHash(members);
    members[3]!.eligible = false;
    const first = placesOf(members, balancer);
    members[7]!.eligible = false;
    for (const [index, place] of placesOf(members, balancer).entries()) {
      if (first[index] !== members[7]!.address) assert.equal(place, first[index]);
    }
  });

  test("with one of 2,000 left, every key goes there", () => {
    const members = equalMembers(2_000);
    const balancer = createConsistentHash(members);
    for (const member of members) member.eligible = false;
    members[1_234]!.eligible = true;
    const pick = pickOf();
    for (let key = 0; key < 200; key++) {
      pick.keyHash = mix(key);
      assert.equal(balancer.pick(pick), 1_234);
    }
  });
});

describe("the slot table", () => {
  test("every slot has an owner, for any number of slots and members", () => {
    for (const slots of [1, 2, 97, 4_099]) {
      for (const count of [1, 2, 300])
        assert.ok(!fillSlots(equalMembers(count), slots).includes(nobody), `${slots}, ${count}`);
    }
  });

  test("without weights nobody owns anything", () => {
    assert.deepEqual(new Set(fillSlots(membersOf([0, 0]), 97)), new Set([nobody]));
    assert.deepEqual(new Set(fillSlots([], 97)), new Set([nobody]));
  });

  test("slots follow weights, very different ones too", () => {
    const weights = [1, 10, 100, 1_000];
    const owners = fillSlots(membersOf(weights), slotCount);
    for (const [member, weight] of weights.entries()) {
      const expected = (slotCount * weight) / 1_111;
      const owned = owners.reduce((sum, owner) => sum + (owner === member ? 1 : 0), 0);
      assert.ok(Math.abs(owned - expected) < 5 * Math.sqrt(expected), `member ${member} owns ${owned} of ${expected}`);
    }
  });

  test("the table is the same in every release: a change here moves the keys of every pool at the next upgrade", () => {
    const entries = ["10.0.4.20:8080", "10.0.4.21:8080", "[2001:db8::1]:8080"].map((address) => ({
      address,
      weight: 1,
    }));
    assert.equal(fillSlots(entries, 64).join(""), "0010120000101200011122010201121002210202012101021012020000111012");
  });
});
