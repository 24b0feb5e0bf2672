// Health that the supervisor's probes tell, in a worker: beside the passive judge, across snapshots.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import type { Pool } from "../model/pool.ts";
import { privateRows } from "../state/slot-rows.ts";
import { Counts } from "./counts.ts";
import { PoolState } from "./pool-state.ts";
import { takeHealthChanges, takeWholeHealth } from "./probe-health.ts";
import { target } from "./test-world.ts";

const pick = { nowMs: 0, tried: [], keyHash: 0, clientAddress: "" };

function poolOf(count: number) {
  const targets = Array.from({ length: count }, (_, index) => target(index + 1, { failTimeout: 60_000 }));
  const config: Pool = {
    name: "app",
    balance: { policy: "roundRobin" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 0,
    idleTimeout: 1_000,
  };
  const told: string[] = [];
  const pool = new PoolState(config, {
    workerCount: 1,
    nowMs: 0,
    counts: new Counts(privateRows(64 * 1024)),
    random: seededRandom(1),
    tellPassive: (_, address, out) => told.push(`${address} ${out}`),
  });
  return { pool, pools: new Map([["app", pool]]), told };
}

/** Who is picked in a few picks, by number. */
function picked(pool: PoolState, nowMs = 0): string {
  const seen = Array.from(
    { length: 12 },
    () =>
      pool
        .pick({ ...pick, nowMs })
        ?.address.split(":")[0]
        ?.at(-1) ?? "-",
  );
  return [...new Set(seen)].sort().join("");
}

function word(number: number, healthy: boolean, reason = "probe.timeout") {
  return { pool: "app", target: `10.0.0.${number}:8080`, healthy, reason: healthy ? undefined : reason };
}

test("a target that the probes have out gets nothing, until they have it no more", () => {
  const { pool, pools } = poolOf(3);
  assert.equal(picked(pool), "123");
  takeHealthChanges(pools, [word(2, false), { ...word(9, false) }, { ...word(1, false), pool: "none" }]);
  assert.equal(picked(pool), "13");
  assert.deepEqual(
    [pool.targets[1]?.status(0).health, pool.targets[1]?.status(0).reason],
    ["unhealthy", "probe.timeout"],
  );
  takeHealthChanges(pools, [word(2, true)]);
  assert.equal(picked(pool), "123");
});

test("the only target goes out as well, which live traffic alone never does", () => {
  const { pool, pools } = poolOf(1);
  takeHealthChanges(pools, [word(1, false)]);
  assert.equal(picked(pool), "-");
  assert.equal(pool.whyNone().code, "pool.allOut");
});

test("with a snapshot comes the whole truth: who is not named is not out", () => {
  const { pool, pools } = poolOf(3);
  takeHealthChanges(pools, [word(1, false), word(2, false)]);
  takeWholeHealth(pools, [word(2, false), word(3, false)]);
  assert.equal(picked(pool), "1");
});

test("a passed probe changes nothing for the passive judge, but a return after having been out ends its time out", () => {
  const { pool, pools, told } = poolOf(2);
  const [first] = pool.targets;
  assert.ok(first !== undefined);
  pool.failed(first, 1_000);
  assert.deepEqual([picked(pool, 1_001), told], ["2", ["10.0.0.1:8080 true"]]);
  takeHealthChanges(pools, [word(1, true)]);
  assert.equal(picked(pool, 1_002), "2", "it was never out by probes: failTimeout holds");
  takeHealthChanges(pools, [word(1, false)]);
  takeHealthChanges(pools, [word(1, true)]);
  assert.equal(picked(pool, 1_003), "12");
  assert.deepEqual(told, ["10.0.0.1:8080 true", "10.0.0.1:8080 false"]);
});

test("the supervisor hears of each change of the passive judge once", () => {
  const { pool, told } = poolOf(2);
  const [first] = pool.targets;
  assert.ok(first !== undefined);
  for (let now = 1; now < 5; now++) pool.failed(first, now);
  const trial = pool.begin(first, 70_000);
  pool.succeeded(first, trial, 1, 70_001);
  pool.succeeded(first, trial, 1, 70_002);
  assert.deepEqual(told, ["10.0.0.1:8080 true", "10.0.0.1:8080 false"]);
});
