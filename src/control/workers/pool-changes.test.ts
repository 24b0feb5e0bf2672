import assert from "node:assert/strict";
import { test } from "node:test";
import { PoolChanges } from "./pool-changes.ts";

function names(changes: PoolChanges, after: number): string[] | undefined {
  const found = changes.after(after);
  return found && [...found].sort();
}

test("what a worker lacks are the pools that changed after its generation, each once", () => {
  const changes = new PoolChanges();
  changes.restart(3);
  changes.note(4, ["app"]);
  changes.note(5, ["api", "db"]);
  changes.note(6, ["app"]);
  assert.deepEqual(names(changes, 3), ["api", "app", "db"]);
  assert.deepEqual(names(changes, 4), ["api", "app", "db"]);
  assert.deepEqual(names(changes, 5), ["app"]);
  assert.deepEqual(names(changes, 6), []);
});

test("a worker older than the last whole snapshot cannot be brought up by pools", () => {
  const changes = new PoolChanges();
  changes.restart(3);
  changes.note(4, ["app"]);
  assert.equal(changes.after(2), undefined);
  changes.restart(5);
  assert.equal(changes.after(4), undefined);
  assert.deepEqual(names(changes, 5), []);
});
