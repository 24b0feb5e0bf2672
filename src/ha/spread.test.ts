// Spread plans: balance without a loss, after any loss, and the same plan on every node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { afterLoss, planSpread } from "./spread.ts";

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${String(index + 1).padStart(2, "0")}`);

function loads(plan: ReturnType<typeof planSpread>, lost: readonly string[]): readonly number[] {
  return [...afterLoss(plan, lost).values()].map((routers) => routers.length);
}

for (const nodeCount of [2, 3, 4, 5, 7]) {
  for (const each of [1, 2, 3, 6]) {
    const nodes = names("lb-", nodeCount);
    const plan = planSpread(nodes, names("VI_", nodeCount * each));

    test(`${nodeCount} nodes with ${each} addresses each carry equal shares`, () => {
      assert.deepEqual(new Set(loads(plan, [])), new Set([each]));
    });

    test(`the loss of any of ${nodeCount} nodes with ${each} addresses each leaves loads that differ by at most one`, () => {
      for (const node of nodes) {
        const after = loads(plan, [node]);
        assert.ok(Math.max(...after) - Math.min(...after) <= 1, `without ${node}: ${after}`);
      }
    });
  }
}

test("the loss of two of five nodes leaves no node with more than twice its share", () => {
  const nodes = names("lb-", 5);
  const plan = planSpread(nodes, names("VI_", 20));
  for (const one of nodes) {
    for (const other of nodes) {
      if (one < other) assert.ok(Math.max(...loads(plan, [one, other])) <= 8, `without ${one} and ${other}`);
    }
  }
});

test("the plan does not depend on the order in which nodes and routers are named", () => {
  const nodes = names("lb-", 4);
  const routers = names("VI_", 9);
  assert.deepEqual(planSpread([...nodes].reverse(), [...routers].reverse()), planSpread(nodes, routers));
});

test("priorities of a router differ by the step, lie within 1 to 254, and follow the order", () => {
  for (const count of [1, 2, 12, 64]) {
    const plan = planSpread(names("lb-", count), names("VI_", 3));
    for (const [router, order] of plan.orders) {
      const priorities = order.map((node) => plan.priorities.get(router)?.get(node) ?? 0);
      assert.equal(new Set(order).size, count);
      for (const [rank, priority] of priorities.entries()) {
        assert.ok(priority >= 1 && priority <= 254);
        if (rank > 0) assert.equal((priorities[rank - 1] ?? 0) - priority, plan.step);
      }
    }
  }
});
