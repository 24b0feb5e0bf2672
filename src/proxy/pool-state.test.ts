// A pool over time: who starts slowly, and when, and that its share follows the line; what a change of the pool keeps.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../core/random.ts";
import type { Balance, Pool, Target } from "../model/pool.ts";
import { privateRows } from "../state/slot-rows.ts";
import { testSeed } from "../wire/test-kit.ts";
import { Counts } from "./counts.ts";
import { PoolState } from "./pool-state.ts";
import { target } from "./test-world.ts";

const seed = testSeed();
const slowStart = 10_000;

function poolOf(targets: readonly Target[], balance: Balance = { policy: "roundRobin" }): Pool {
  return {
    name: "app",
    balance,
    targets,
    source: undefined,
    slowStart,
    healthCheck: undefined,
    idleConnectionsMax: 0,
    idleTimeout: 1_000,
  };
}

function slow(number: number, changes: Partial<Target> = {}): Target {
  return target(number, { slowStart, ...changes });
}

/** A pool with a clock that looks ten times a second, as the data plane does. */
class Scene {
  readonly pool: PoolState;
  readonly told: string[] = [];
  nowMs = 5_000;

  constructor(config: Pool) {
    this.pool = new PoolState(config, {
      workerCount: 1,
      nowMs: this.nowMs,
      counts: new Counts(privateRows(64 * 1024)),
      random: seededRandom(seed),
      tellPassive: (_, address, out) => this.told.push(`${address} ${out}`),
    });
  }

  configure(config: Pool): void {
    this.pool.configure(config, { workerCount: 1, nowMs: this.nowMs });
  }

  at(number: number) {
    return this.pool.find(`10.0.0.${number}:8080`) ?? assert.fail(`the pool has target ${number}`);
  }

  pick(): string {
    const pick = { nowMs: this.nowMs, tried: [], keyHash: 0, clientAddress: "192.0.2.1" };
    return this.pool.pick(pick)?.address.split(/[.:]/)[3] ?? "-";
  }

  picks(count: number): string {
    return Array.from({ length: count }, () => this.pick()).join("");
  }

  advance(span: number): void {
    for (const end = this.nowMs + span; this.nowMs < end; this.pool.sweep(this.nowMs)) this.nowMs += 100;
  }

  /** Each target's part of its weight. */
  parts(): number[] {
    return this.pool.targets.map(({ share, weight }) => share / weight);
  }
}

describe("slow start", () => {
  test("is nobody's in a pool that begins, whatever its targets say", () => {
    const scene = new Scene(poolOf([slow(1), slow(2)]));
    assert.deepEqual(scene.parts(), [1, 1]);
    assert.equal(scene.picks(4), "1212");
  });

  test("is a new target's in a pool that has others, from a 256th to the whole", () => {
    const scene = new Scene(poolOf([slow(1), slow(2)]));
    scene.configure(poolOf([slow(1), slow(2), slow(3, { weight: 5 })]));
    assert.deepEqual(scene.parts(), [1, 1, 1 / 256]);
    scene.advance(2_500);
    assert.deepEqual(scene.parts(), [1, 1, 64 / 256]);
    scene.advance(7_400);
    assert.deepEqual(scene.parts(), [1, 1, 253 / 256]);
    scene.advance(100);
    assert.deepEqual(scene.parts(), [1, 1, 1]);
    scene.configure(poolOf([slow(1), slow(2), slow(3, { weight: 5, slowStart: 60_000 })]));
    assert.deepEqual(scene.parts(), [1, 1, 1], "a longer one is for the next time");
  });

  test("is not that of the first targets of a pool that had none", () => {
    const scene = new Scene(poolOf([]));
    scene.configure(poolOf([slow(1), slow(2)]));
    assert.deepEqual(scene.parts(), [1, 1]);
    scene.configure(poolOf([slow(3), slow(4)]));
    assert.deepEqual(scene.parts(), [1 / 256, 1 / 256], "in the place of others they begin slowly");
    assert.equal(scene.picks(4), "3434");
  });

  test("begins when the probes find a target well again, anew each time", () => {
    const scene = new Scene(poolOf([slow(1), slow(2)]));
    scene.pool.probed(scene.at(1), "probe.timeout");
    assert.equal(scene.picks(2), "22");
    scene.pool.probed(scene.at(1), undefined);
    scene.advance(5_000);
    assert.deepEqual(scene.parts(), [125 / 256, 1], "it was noticed a tenth of a second later");
    scene.pool.probed(scene.at(1), "probe.timeout");
    scene.advance(60_000);
    scene.pool.probed(scene.at(1), undefined);
    scene.pick();
    assert.deepEqual(scene.parts(), [1 / 256, 1]);
  });

  test("begins when a trial has shown that the target answers again", () => {
    const scene = new Scene(poolOf([slow(1), slow(2)]));
    scene.pool.failed(scene.at(1), scene.nowMs);
    scene.advance(10_000);
    const trial = scene.pool.begin(scene.at(1), scene.nowMs);
    assert.deepEqual(scene.parts(), [1, 1]);
    scene.pool.succeeded(scene.at(1), trial, 5, scene.nowMs);
    scene.pick();
    assert.deepEqual(scene.parts(), [1 / 256, 1]);
    assert.deepEqual(scene.told, ["10.0.0.1:8080 true", "10.0.0.1:8080 false"]);
  });

  test("begins when a target that was wanted away, or had no weight, is wanted again", () => {
    for (const away of [{ intent: "drain" }, { intent: "down" }, { weight: 0 }] as const) {
      const scene = new Scene(poolOf([slow(1), slow(2, away)]));
      scene.configure(poolOf([slow(1), slow(2)]));
      assert.deepEqual(scene.parts(), [1, 1 / 256], JSON.stringify(away));
    }
  });

  test("is not that of a target that its check had not asked yet when the pool began", () => {
    const scene = new Scene(poolOf([slow(1), slow(2)]));
    scene.pool.probed(scene.at(1), "target.health.initial");
    scene.advance(1_000);
    scene.pool.probed(scene.at(1), undefined);
    scene.advance(100);
    assert.deepEqual(scene.parts(), [1, 1]);
    scene.configure(poolOf([slow(1), slow(2), slow(3)]));
    scene.pool.probed(scene.at(3), "target.health.initial");
    scene.advance(20_000);
    scene.pool.probed(scene.at(3), undefined);
    scene.advance(100);
    assert.deepEqual(scene.parts(), [1, 1, 1 / 256], "one that came later begins when it is found well");
  });

  test("goes on through changes of the pool, with the weight and the time that hold now", () => {
    const scene = new Scene(poolOf([slow(1)]));
    scene.configure(poolOf([slow(1), slow(2)]));
    scene.advance(5_000);
    scene.configure(poolOf([slow(3), slow(2, { weight: 100 }), slow(1)]));
    assert.deepEqual(scene.at(2).share, 50);
    scene.configure(poolOf([slow(2, { weight: 100, slowStart: 20_000 }), slow(1)]));
    assert.deepEqual(scene.at(2).share, 25);
    scene.configure(poolOf([slow(2, { slowStart: 0 }), slow(1)]));
    assert.deepEqual(scene.parts(), [1, 1]);
  });

  test("means nothing where the client's key decides", () => {
    const byKey: readonly Balance[] = [
      { policy: "ipHash" },
      { policy: "consistentHash", key: { kind: "clientAddress" } },
    ];
    for (const balance of byKey) {
      const scene = new Scene(poolOf([slow(1)], balance));
      scene.configure(poolOf([slow(1), slow(2)], balance));
      scene.pool.probed(scene.at(1), "probe.timeout");
      scene.pick();
      scene.pool.probed(scene.at(1), undefined);
      scene.pick();
      assert.deepEqual(scene.parts(), [1, 1]);
      scene.configure(poolOf([slow(1), slow(2), slow(3)]));
      assert.deepEqual(scene.parts(), [1, 1, 1 / 256], "another policy knows who is new");
      scene.configure(poolOf([slow(1), slow(2), slow(3)], balance));
      assert.deepEqual(scene.parts(), [1, 1, 1]);
    }
  });

  test("leaves a target that is alone, or alone with others that start slowly, all the work", () => {
    const scene = new Scene(poolOf([slow(1), slow(2), slow(3)]));
    for (const number of [1, 2, 3]) scene.pool.probed(scene.at(number), "probe.timeout");
    assert.equal(scene.pick(), "-");
    for (const number of [1, 2]) scene.pool.probed(scene.at(number), undefined);
    assert.deepEqual([...scene.picks(10)].sort().join(""), "1111122222");
    scene.pool.probed(scene.at(2), "probe.timeout");
    assert.equal(scene.picks(3), "111");
  });

  test("over its time a target has what the line says, for any load, size and time", (t) => {
    t.diagnostic(`seed ${seed}`);
    const property = fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 500, max: 30_000 }),
      fc.integer({ min: 1, max: 40 }),
      (others, time, picksPerLook) => {
        const kept = Array.from({ length: others }, (_, index) => target(index + 1, { slowStart: time }));
        const scene = new Scene(poolOf(kept));
        scene.picks(others + 1);
        scene.configure(poolOf([...kept, target(99, { slowStart: time })]));
        let expected = 0;
        let got = 0;
        for (let ms = 0; ms < time; ms += 100) {
          const part = Math.max(1, Math.floor((256 * ms) / time)) / 256;
          expected += (picksPerLook * part) / (others + part);
          for (let pick = 0; pick < picksPerLook; pick++) if (scene.pick() === "99") got += 1;
          scene.advance(100);
          // Smooth round robin owes nobody more than one turn.
          assert.ok(Math.abs(got - expected) <= 2, `after ${ms} of ${time} ms: ${got} picks instead of ${expected}`);
        }
        assert.equal(scene.at(99).growing, false);
      },
    );
    fc.assert(property, { seed, numRuns: 60 });
  });
});

describe("a change of the pool", () => {
  test("keeps the balancer's account of those that stay", () => {
    const scene = new Scene(poolOf([target(1), target(2), target(3)]));
    assert.equal(scene.picks(2), "12");
    scene.configure(poolOf([target(1), target(2), target(3), target(4)]));
    assert.equal(scene.picks(6), "312431");
  });

  test("keeps the balancer itself when targets and weights are as they were", () => {
    const scene = new Scene(
      poolOf([target(1), target(2)], { policy: "consistentHash", key: { kind: "clientAddress" } }),
    );
    scene.pick();
    const balancer: unknown = Reflect.get(scene.pool, "balancer");
    assert.ok(balancer !== undefined);
    const { balance } = scene.pool.config;
    scene.configure(poolOf([target(1, { intent: "drain", maxFails: 7 }), target(2)], { ...balance }));
    assert.equal(scene.pick(), "2");
    assert.equal(Reflect.get(scene.pool, "balancer"), balancer);
    scene.configure(poolOf([target(1, { weight: 2 }), target(2)], balance));
    scene.pick();
    assert.notEqual(Reflect.get(scene.pool, "balancer"), balancer);
  });

  test("keeps what live traffic and probes have said of those that stay, and forgets who is gone", () => {
    const scene = new Scene(poolOf([target(1), target(2), target(3)]));
    scene.pool.failed(scene.at(1), scene.nowMs);
    scene.pool.probed(scene.at(2), "probe.timeout");
    const gone = scene.at(3);
    scene.configure(poolOf([target(2), target(1), target(4)]));
    assert.equal(scene.picks(3), "444");
    assert.deepEqual([gone.retired, gone.place, scene.pool.find(gone.address)], [true, -1, undefined]);
    scene.pool.failed(gone, scene.nowMs);
    assert.deepEqual(scene.told, ["10.0.0.1:8080 true"], "what a target that is gone still fails is nobody's news");
    scene.configure(poolOf([target(1), target(2), target(3), target(4)]));
    assert.notEqual(scene.at(3), gone);
    assert.equal(scene.picks(4), "3434");
  });

  test("a thousand of them between picks leave nobody out", () => {
    const kept = Array.from({ length: 9 }, (_, index) => target(index + 1));
    const scene = new Scene(poolOf(kept));
    const counts = new Map<string, number>();
    for (let change = 0; change < 1_000; change++) {
      const guests = change % 4 === 0 ? [] : [target(100 + (change % 50))];
      scene.configure(poolOf([...guests, ...kept]));
      const picked = scene.pick();
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    for (const { host } of kept) {
      const count = counts.get(host.split(".")[3] ?? "") ?? 0;
      assert.ok(count >= 85 && count <= 115, `${host} was picked ${count} times of 1,000`);
    }
  });
});
