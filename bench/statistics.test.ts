import assert from "node:assert/strict";
import { test } from "node:test";
import { median, noise, percentile, ratios, spread } from "./statistics.ts";

test("a median is the middle value, or the mean of the middle two, in any order", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 9, 1, 2]), 5.5);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

test("a median sorts numbers as numbers", () => {
  assert.equal(median([100, 20, 3]), 20);
});

test("a spread names the lowest and the highest beside the median", () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
});

test("ratios are taken round by round, so a slow round does not count against one side", () => {
  assert.deepEqual(ratios([10, 20, 30], [10, 10, 60]), [1, 2, 0.5]);
});

test("a round that one side lacks is left out of the ratios", () => {
  assert.deepEqual(ratios([10, undefined, 30], [5, 10, 10]), [2, 3]);
  assert.deepEqual(ratios([10, 20], [undefined, 0]), []);
});

test("noise is how far ratios stray from one, either way: in the median round and in the worst", () => {
  const found = noise([1.01, 0.95, 1.03]);
  assert.ok(Math.abs(found.typical - 0.03) < 1e-12);
  assert.ok(Math.abs(found.worst - 0.05) < 1e-12);
  assert.deepEqual(noise([]), { typical: 0, worst: 0 });
});

test("percentiles take the nearest rank", () => {
  const values = Float64Array.from({ length: 200 }, (_, index) => index + 1);
  assert.equal(percentile(values, 0.5), 100);
  assert.equal(percentile(values, 0.99), 198);
  assert.equal(percentile(values, 1), 200);
  assert.equal(percentile([5], 0.01), 5);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});
