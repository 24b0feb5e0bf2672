import assert from "node:assert/strict";
import { test } from "node:test";
import { batchSize, judgeGuard, planBatches } from "./batches.ts";

test("a share is rounded down, and at least one target", () => {
  assert.equal(batchSize({ kind: "share", percent: 25 }, 10), 2);
  assert.equal(batchSize({ kind: "share", percent: 1 }, 10), 1);
  assert.equal(batchSize({ kind: "share", percent: 100 }, 10), 10);
  assert.equal(batchSize({ kind: "count", count: 3 }, 10), 3);
});

test("batches keep the order; the first may have another size, the last has what is left", () => {
  const count = { kind: "count", count: 2 } as const;
  assert.deepEqual(planBatches(["a", "b", "c"], count), [["a", "b"], ["c"]]);
  assert.deepEqual(planBatches(["a", "b", "c", "d"], count, 1), [["a"], ["b", "c"], ["d"]]);
  assert.deepEqual(planBatches([], count), []);
});

test("the guard counts what would be left at the balancer with the fewest", () => {
  const seen = [
    { balancer: "lb-1", eligible: ["a", "b", "c"] },
    { balancer: "lb-2", eligible: ["a", "b"] },
  ];
  assert.equal(judgeGuard("a", [], seen, 1), undefined);
  assert.match(judgeGuard("a", [], seen, 2) ?? "", /1 other targets would be eligible at lb-2/);
  assert.match(judgeGuard("a", ["b"], seen, 1) ?? "", /0 other targets would be eligible at lb-2/);
});

test("one that takes no work leaves no gap", () => {
  assert.equal(judgeGuard("c", [], [{ balancer: "lb-2", eligible: ["a", "b"] }], 2), undefined);
});
