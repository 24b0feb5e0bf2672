import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesOf, staleOwner, targetCount } from "./network.ts";

test("no two balancers share an address or a network", () => {
  const all = Array.from({ length: 80 }, (_, index) => {
    const { targets, ...others } = addressesOf(index);
    return [...targets, ...Object.values(others)];
  }).flat();
  assert.equal(new Set(all).size, all.length);
});

test("every network has its targets, and a balancer too many is refused", () => {
  assert.equal(addressesOf(0).targets.length, targetCount);
  assert.throws(() => addressesOf(80), /at most 80/);
});

test("only what a run of this benchmark made is taken for left behind", () => {
  assert.equal(staleOwner("ek-bench-4711-clients"), 4711);
  assert.equal(staleOwner("ek-bench-clients"), undefined);
  assert.equal(staleOwner("production-ek-bench-4711-x"), undefined);
});
