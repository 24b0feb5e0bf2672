import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import { type Pool, type Target, targetDefaults } from "../model/pool.ts";
import { changedPool, changeOfPool, wholePoolMax } from "./pool-change.ts";

function target(index: number, weight = 1): Target {
  const host = `10.0.${index >> 8}.${index & 255}`;
  return { address: `${host}:80`, host, port: 80, ...targetDefaults, weight, slowStart: 0 };
}

function pool(targets: readonly Target[]): Pool {
  return {
    name: "app",
    balance: { policy: "random" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

const many = (count: number) => Array.from({ length: count }, (_, index) => target(index));

test("one of ten thousand targets is told as itself and two runs", () => {
  const before = pool(many(10_000));
  const after = pool(before.targets.map((one, index) => (index === 5_000 ? target(5_000, 7) : one)));
  const change = changeOfPool(before, after);
  assert.equal(change.kind, "part");
  assert.ok(JSON.stringify(change).length < 1_000, "a message of a few hundred bytes");
  assert.deepEqual(changedPool(before, JSON.parse(JSON.stringify(change))), JSON.parse(JSON.stringify(after)));
});

test("small pools, new ones, and those of which most is another are told whole", () => {
  const small = pool(many(wholePoolMax));
  assert.equal(changeOfPool(small, pool(small.targets.slice(1))).kind, "whole");
  const large = pool(many(500));
  assert.equal(changeOfPool(undefined, large).kind, "whole");
  assert.equal(changeOfPool(large, pool(many(500))).kind, "whole", "equal targets that are other objects");
  assert.equal(changeOfPool(large, pool(large.targets.toReversed())).kind, "whole");
});

test("whatever comes, goes, changes and moves, the worker has what was meant", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  let known = pool(many(300));
  let held = known;
  for (let step = 0; step < 500; step++) {
    const targets = [...known.targets];
    for (let edit = below(6); edit >= 0; edit--) {
      const at = below(targets.length);
      const what = below(4);
      if (what === 0) targets.splice(at, 1 + below(3));
      else if (what === 1) targets.splice(at, 0, target(10_000 + step * 10 + edit, 1 + below(9)));
      else if (what === 2) targets.splice(at, 1, target(20_000 + step * 10 + edit));
      else targets.push(...targets.splice(at, below(20)));
    }
    const after = pool(targets);
    held = changedPool(held, JSON.parse(JSON.stringify(changeOfPool(known, after))));
    assert.deepEqual(
      held.targets.map(({ address, weight }) => [address, weight]),
      after.targets.map(({ address, weight }) => [address, weight]),
      `seed ${seed}, step ${step}`,
    );
    known = after;
  }
});
