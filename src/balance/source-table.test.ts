// Who gets a client by its address: shares, disruption, and that nothing but addresses and weights counts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fillMaglev } from "./maglev.ts";
import { nobody } from "./slot-table.ts";
import { createSourceHash } from "./source-hash.ts";
import { sourceSlot, sourceSlotCount, sourceTable, standIn } from "./source-table.ts";
import { equalMembers, memberOf, membersOf, pickOf } from "./test-kit.ts";

function countOwners(owners: Int32Array, members: number): number[] {
  const counts = new Array<number>(members).fill(0);
  for (const owner of owners) counts[owner]!++;
  return counts;
}

test("shares follow the weights to a slot or two", () => {
  for (const weights of [[1], [1, 1, 1], [40, 30, 30], [5, 3, 1, 1], [1, 1000]]) {
    const total = weights.reduce((sum, weight) => sum + weight);
    const counts = countOwners(fillMaglev(membersOf(weights), sourceSlotCount), weights.length);
    for (const [index, count] of counts.entries()) {
      const fair = (sourceSlotCount * weights[index]!) / total;
      assert.ok(Math.abs(count - fair) <= 2, `${weights}: ${count} instead of ${fair}`);
    }
  }
});

test("the order of the members is of no account, and the table stays what it is", () => {
  const members = membersOf([40, 30, 30, 10]);
  const owners = fillMaglev(members, sourceSlotCount);
  const turned = [...members].reverse();
  const other = fillMaglev(turned, sourceSlotCount);
  for (let slot = 0; slot < sourceSlotCount; slot++) {
    assert.equal(turned[other[slot]!]?.address, members[owners[slot]!]?.address);
  }
  // A failover leads clients by the table of the other node, which may run another release.
  const first = [0, 0, 1, 0, 0, 2, 1, 1, 3, 2, 1, 2, 2, 2, 0, 0, 0, 0, 0, 1, 2, 3, 1, 0];
  assert.deepEqual([...owners.slice(0, first.length)], first);
});

test("of 10 members one that goes moves hardly more slots than its own", (t) => {
  const members = equalMembers(10);
  const before = fillMaglev(members, sourceSlotCount);
  const left = members.slice(1);
  const after = fillMaglev(left, sourceSlotCount);
  let moved = 0;
  for (let slot = 0; slot < sourceSlotCount; slot++) {
    if (members[before[slot]!]!.address !== left[after[slot]!]!.address) moved++;
  }
  t.diagnostic(`${moved} of ${sourceSlotCount} slots moved, 410 were its own`);
  assert.ok(moved < 520, `${moved}`);
});

test("a member that rests moves its own slots only, spread over all others by weight, and gets them back", () => {
  const members = membersOf([1, 1, 1, 1, 2]);
  const table = sourceTable(members);
  const counts = new Array<number>(members.length).fill(0);
  for (let slot = 0; slot < sourceSlotCount; slot++) {
    const stand = standIn(table, members, slot, (index) => index !== 0);
    assert.notEqual(stand, 0);
    if (table.owners[slot] === 0) counts[stand]!++;
  }
  const spread = counts.slice(1).map((count) => count / counts.reduce((sum, one) => sum + one));
  for (const [index, fair] of [0.2, 0.2, 0.2, 0.4].entries())
    assert.ok(Math.abs(spread[index]! - fair) < 0.06, `${spread}`);
  // With another one resting as well, slots that stood in elsewhere stay there.
  for (let slot = 0; slot < sourceSlotCount; slot++) {
    const one = standIn(table, members, slot, (index) => index !== 0);
    const two = standIn(table, members, slot, (index) => index > 1);
    if (one !== 1) assert.equal(two, one);
  }
  assert.equal(
    standIn(table, members, 0, () => false),
    nobody,
  );
});

test("members without weight, or none at all, own nothing", () => {
  assert.deepEqual(new Set(fillMaglev(membersOf([0, 0]), sourceSlotCount)), new Set([nobody]));
  assert.deepEqual(new Set(fillMaglev([], sourceSlotCount)), new Set([nobody]));
  assert.deepEqual(new Set(fillMaglev(membersOf([0, 1]), sourceSlotCount)), new Set([1]));
});

test("the proxy's picker gives a client the owner of its slot, mapped addresses the one of IPv4", () => {
  const members = equalMembers(7);
  const balancer = createSourceHash(members);
  const { owners } = sourceTable(members);
  const pick = pickOf();
  for (const clientAddress of ["192.0.2.1", "2001:db8::17", "10.1.2.3"]) {
    pick.clientAddress = clientAddress;
    assert.equal(balancer.pick(pick), owners[sourceSlot(clientAddress)]);
  }
  assert.equal(sourceSlot("::ffff:192.0.2.1"), sourceSlot("192.0.2.1"));
  pick.clientAddress = "10.1.2.3";
  const owner = balancer.pick(pick);
  members[owner]!.eligible = false;
  const stand = balancer.pick(pick);
  assert.notEqual(stand, owner);
  members[stand]!.eligible = false;
  assert.notEqual(balancer.pick(pick), stand);
  for (const member of members) member.eligible = false;
  assert.equal(balancer.pick(pick), -1);
  assert.equal(createSourceHash([memberOf(0, { weight: 0 })]).pick(pick), -1);
});
