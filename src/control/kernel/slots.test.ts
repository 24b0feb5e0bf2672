import assert from "node:assert/strict";
import { test } from "node:test";
import { nobody } from "../../balance/slot-table.ts";
import { sourceSlotCount } from "../../balance/source-table.ts";
import type { Balance, Target } from "../../model/pool.ts";
import { type Carried, planKernel } from "./plan.ts";
import { isDead, openBook, ownersNow } from "./slots.ts";
import { poolOf, targetOf, tcpOf } from "./test-kit.ts";

function carriedOf(targets: readonly Target[], balance?: Balance): Carried {
  const plan = planKernel([tcpOf("echo", "10.0.0.9", 80)], [poolOf("app", targets, balance)], {
    routeLocalnet: false,
    countTraffic: false,
  });
  return plan.carried[0] ?? assert.fail("nothing planned");
}

function shares(carried: Carried, unhealthy: readonly string[] = []): number[] {
  const counts = new Array<number>(carried.targets.length).fill(0);
  for (const owner of ownersNow(openBook(carried), (_, address) => !unhealthy.includes(address))) {
    if (owner !== nobody) counts[owner]! += 1;
  }
  return counts.map((count) => (count * 100) / carried.slotCount);
}

const [one, two, three] = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"] as const;

test("who drains, is down, unhealthy or of weight 0 owns no slot, and the others share by weight", () => {
  const weighted = (first: Partial<Target>) =>
    carriedOf([
      targetOf(one, { weight: 40, ...first }),
      targetOf(two, { weight: 30 }),
      targetOf(three, { weight: 30 }),
    ]);
  assert.deepEqual(shares(weighted({})), [40, 30, 30]);
  for (const first of [{ intent: "drain" }, { intent: "down" }, { weight: 0 }] as const) {
    assert.deepEqual(shares(weighted(first)), [0, 50, 50], JSON.stringify(first));
  }
  assert.deepEqual(shares(weighted({}), [one]), [0, 50, 50]);
  assert.deepEqual(shares(weighted({}), [one, two, three]), [0, 0, 0]);
});

test("backups own slots only while no primary takes work", () => {
  const carried = carriedOf([
    targetOf(one, { backup: true, weight: 3 }),
    targetOf(two),
    targetOf(three, { backup: true, weight: 2 }),
  ]);
  assert.deepEqual(shares(carried), [0, 100, 0]);
  assert.deepEqual(shares(carried, [two]), [60, 0, 40]);
  assert.deepEqual(shares(carried, [one, two]), [0, 0, 100]);
});

test("by source the slots are those of the Maglev table, and a rest moves its own alone", () => {
  const carried = carriedOf(
    [one, two, three].map((address) => targetOf(address)),
    {
      policy: "consistentHash",
      key: { kind: "clientAddress" },
    },
  );
  assert.equal(carried.slotCount, sourceSlotCount);
  const book = openBook(carried);
  const before = ownersNow(book, () => true);
  const after = ownersNow(book, (_, address) => address !== two);
  for (const [slot, owner] of before.entries()) {
    if (owner === 1) assert.notEqual(after[slot], 1);
    else assert.equal(after[slot], owner);
  }
  assert.deepEqual(new Set(ownersNow(book, () => false)), new Set([nobody]));
});

test("dead is who is down or unhealthy; who drains keeps its connections", () => {
  const carried = carriedOf([targetOf(one, { intent: "drain" }), targetOf(two, { intent: "down" }), targetOf(three)]);
  const dead = carried.targets.filter((target) => isDead(carried, target, (_, address) => address !== three));
  assert.deepEqual(
    dead.map(({ address }) => address),
    [two, three],
  );
});
