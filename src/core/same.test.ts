import assert from "node:assert/strict";
import { test } from "node:test";
import { same } from "./same.ts";

test("JSON data is the same by its content, absent or undefined", () => {
  assert.equal(same({ a: 1, b: undefined }, { a: 1 }), true);
  assert.equal(same([1, { a: [2] }], [1, { a: [2] }]), true);
  assert.equal(same([1], [1, 2]), false);
  assert.equal(same({ a: 1 }, [1]), false);
  assert.equal(same(null, {}), false);
});
