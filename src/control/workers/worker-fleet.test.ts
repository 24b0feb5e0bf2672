// The fleet over processes of a test worker: what each is sent of a change of pools, and what it has in the end.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Log } from "../../core/log.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { Snapshot } from "../../state/snapshot.ts";
import type { TargetHealth } from "../../state/worker-protocol.ts";
import { WorkerFleet } from "./worker-fleet.ts";

const workerPath = fileURLToPath(new URL("./test-worker.ts", import.meta.url));
const patience = 20_000;

function pool(name: string, targets: readonly Target[]): Pool {
  return {
    name,
    balance: { policy: "roundRobin" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

function target(number: number): Target {
  const host = `10.0.${number >>> 8}.${number & 255}`;
  const rules = { maxFails: 1, failTimeout: 10_000, connectionsMax: 0, backup: false, slowStart: 0 };
  return { address: `${host}:80`, host, port: 80, weight: 1, intent: "up", ...rules };
}

/** What one worker said that it took. */
type Took = { readonly worker: unknown; readonly type: unknown; readonly generation: unknown; readonly pools: unknown };

async function withFleet(
  options: { readonly workers: number; readonly prompt: boolean; readonly unhealthy?: readonly TargetHealth[] },
  play: (fleet: WorkerFleet, took: Took[]) => Promise<void>,
): Promise<void> {
  const took: Took[] = [];
  const quiet = (): void => {};
  const log: Log = {
    debug: quiet,
    warn: quiet,
    error: quiet,
    info: (message, fields = {}) => {
      const { worker, type, generation, pools } = fields;
      if (message === "took") took.push({ worker, type, generation, pools });
    },
  };
  const snapshot: Snapshot = {
    generation: 1,
    node: "test",
    workerCount: options.workers,
    accessLog: undefined,
    listeners: [],
    pools: [pool("app", [target(1)]), pool("api", [target(1)]), pool("db", [target(1)])],
    virtualRouters: [],
  };
  process.env["TEST_WORKER_PROMPT"] = options.prompt ? "yes" : "no";
  const fleet = new WorkerFleet(
    { workerPath, log, clock: () => performance.now(), slots: undefined, heartbeat: { silenceMax: 600_000 } },
    {
      unhealthy: () => options.unhealthy ?? [],
      reported: quiet,
      passive: quiet,
      workerEnded: quiet,
      crashed: quiet,
      allGone: quiet,
    },
    snapshot,
  );
  fleet.takeUp(snapshot, { next: [], dropped: [] });
  try {
    await fleet.when((state) => state.settledTold === 1, patience);
    assert.equal(fleet.state.settledTold, 1, "all workers serve");
    await play(fleet, took);
  } finally {
    fleet.drain(0);
    await fleet.when((state) => state.goneTold, patience);
  }
}

/** Every target of a pool that each worker has, by slot. */
async function targetsOf(fleet: WorkerFleet, name: string): Promise<string[][]> {
  const answers = await fleet.status();
  return [...answers.values()].map(({ targets }) =>
    targets.filter((one) => one.pool === name).map(({ address, health }) => `${address} ${health}`),
  );
}

const nextEvent = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a thousand changes in a thousand events: every worker has the last state, and none was sent a whole snapshot", () =>
  withFleet({ workers: 2, prompt: true }, async (fleet, took) => {
    let generation = 1;
    for (let change = 2; change <= 1_001; change++) {
      generation = fleet.takePools([pool("app", [target(1), target(change)])]);
      if (change % 3 === 0) fleet.takePools([pool("db", [target(change)])]);
      await nextEvent();
    }
    assert.ok(generation >= 1_001);
    const last = fleet.state.generation;
    await fleet.when((state) => state.settledTold === last, patience);
    const app = ["10.0.0.1:80 healthy", `${target(1_001).address} healthy`];
    assert.deepEqual(await targetsOf(fleet, "app"), [app, app]);
    const db = [`${target(999).address} healthy`];
    assert.deepEqual(await targetsOf(fleet, "db"), [db, db]);
    assert.deepEqual(
      took.filter(({ type }) => type === "snapshot").map(({ generation }) => generation),
      [1, 1],
    );
    assert.ok(took.every(({ type, pools }) => type === "snapshot" || !JSON.stringify(pools).includes("api")));
  }));

test("a worker that is slow to answer gets one message for all that has changed meanwhile", () =>
  withFleet({ workers: 1, prompt: false }, async (fleet, took) => {
    for (let change = 2; change <= 1_001; change++) {
      fleet.takePools([pool(change % 2 === 0 ? "app" : "api", [target(change)])]);
      await nextEvent();
    }
    const { generation } = fleet.state;
    const answered = (told: number) => fleet.when((state) => state.settledTold >= told, patience);
    fleet.broadcast({ type: "reopenLogs" });
    await answered(2);
    fleet.broadcast({ type: "reopenLogs" });
    await answered(generation);
    assert.deepEqual(
      took.map(({ type, generation: taken, pools }) => [type, taken, pools]),
      [
        ["snapshot", 1, ["app", "api", "db"]],
        ["pools", 2, ["app"]],
        ["pools", 1_001, ["app", "api"]],
      ],
    );
    assert.deepEqual(await targetsOf(fleet, "app"), [[`${target(1_000).address} healthy`]]);
    assert.deepEqual(await targetsOf(fleet, "api"), [[`${target(1_001).address} healthy`]]);
  }));

test("a worker that replaces one that died starts with all changes, in one snapshot", () =>
  withFleet({ workers: 1, prompt: true }, async (fleet, took) => {
    const generation = fleet.takePools([pool("app", [target(7)]), pool("nobody", [])]);
    await fleet.when((state) => state.settledTold === generation, patience);
    const [slot] = fleet.state.slots;
    assert.ok(slot?.pid !== undefined);
    process.kill(slot.pid, "SIGKILL");
    await fleet.when(({ slots }) => slots[0]?.crashes === 1 && slots[0].phase === "serving", patience);
    assert.deepEqual(await targetsOf(fleet, "app"), [["10.0.0.7:80 healthy"]]);
    assert.deepEqual(took.at(-1), { worker: 0, type: "snapshot", generation, pools: ["app", "api", "db"] });
  }));

test("with its pools a worker hears who of them is out, and of others nothing", () => {
  const out = (name: string): TargetHealth => ({ pool: name, target: "10.0.0.1:80", healthy: false, reason: "probe" });
  return withFleet({ workers: 1, prompt: true, unhealthy: [out("app"), out("db")] }, async (fleet) => {
    const generation = fleet.takePools([pool("app", [target(1), target(2)])]);
    await fleet.when((state) => state.settledTold === generation, patience);
    assert.deepEqual(await targetsOf(fleet, "app"), [["10.0.0.1:80 unhealthy", "10.0.0.2:80 healthy"]]);
    assert.deepEqual(await targetsOf(fleet, "db"), [["10.0.0.1:80 healthy"]]);
  });
});

test("pools that nobody has, and none at all, change nothing", () =>
  withFleet({ workers: 1, prompt: true }, async (fleet) => {
    assert.equal(fleet.takePools([]), 1);
    assert.equal(fleet.takePools([pool("nobody", [target(1)])]), 1);
  }));

test("a large pool that changes part by part is whole in every worker, also in one that died meanwhile", () =>
  withFleet({ workers: 2, prompt: true }, async (fleet) => {
    let targets = Array.from({ length: 1_000 }, (_, index) => target(index));
    let generation = 0;
    for (let change = 0; change < 300; change++) {
      const at = (change * 37) % targets.length;
      targets = [...targets.slice(0, at), target(2_000 + change), ...targets.slice(at + 1 + (change % 3))];
      generation = fleet.takePools([pool("app", targets)]);
      if (change === 150) process.kill(fleet.state.slots[1]?.pid ?? 0, "SIGKILL");
      await nextEvent();
    }
    await fleet.when((state) => state.settledTold === generation && state.slots[1]?.phase === "serving", patience);
    const wanted = targets.map(({ address }) => `${address} healthy`);
    assert.deepEqual(await targetsOf(fleet, "app"), [wanted, wanted]);
  }));
