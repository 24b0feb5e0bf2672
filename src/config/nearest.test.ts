import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nearest, slipsBetween } from "./nearest.ts";

const keys = ["weight", "maxFails", "failTimeout", "maxConnections", "backup", "intent"];

test("slips of a finger, another style and the beginning of a name find the name", () => {
  const pairs: [string, string][] = [
    ["weigth", "weight"],
    ["wieght", "weight"],
    ["max_fails", "maxFails"],
    ["fail-timeout", "failTimeout"],
    ["MAXCONNECTIONS", "maxConnections"],
    ["maxConn", "maxConnections"],
    ["inten", "intent"],
    ["backups", "backup"],
    ["bakup", "backup"],
  ];
  for (const [name, expected] of pairs) assert.equal(nearest(name, keys), expected, name);
});

test("a name that resembles none gets no suggestion", () => {
  for (const name of ["colour", "x", "", "ip", "max", "a".repeat(1000)])
    assert.equal(nearest(name, keys), undefined, name);
  assert.equal(nearest("up", ["to"]), undefined);
  assert.equal(nearest("anything", []), undefined);
});

test("an exact word but for its style wins over a nearer spelling", () => {
  assert.equal(nearest("web_1", ["web2", "web1"]), "web1");
});

test("a swap of neighbours is one slip, and distance is the same both ways", () => {
  assert.equal(slipsBetween("weigth", "weight"), 1);
  assert.equal(slipsBetween("", "abc"), 3);
  assert.equal(slipsBetween("abc", "abc"), 0);
  assert.equal(slipsBetween("ca", "abc"), 3);
  const word = fc.string({ maxLength: 8, unit: fc.constantFrom("a", "b", "c") });
  fc.assert(
    fc.property(word, word, (left, right) => {
      const slips = slipsBetween(left, right);
      assert.equal(slips, slipsBetween(right, left));
      assert(slips <= Math.max(left.length, right.length));
      assert.equal(slips === 0, left === right);
    }),
  );
});
