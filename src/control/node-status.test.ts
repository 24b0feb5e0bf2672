import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import type { Target } from "../model/pool.ts";
import { targetTotals } from "../state/counters.ts";
import type { TargetStatus, WorkerStatus } from "../state/worker-protocol.ts";
import { type StatusParts, sumStatus } from "./node-status.ts";
import type { PoolSourceStatus } from "./targets/source-watches.ts";
import { initialSlots, type Slot, slotsConfigDefault, stepSlots } from "./workers/worker-slots.ts";

function target(address: string): Target {
  const [host = "", port = ""] = address.split(":");
  const shared = { weight: 1, maxFails: 1, failTimeout: 10_000, connectionsMax: 0, backup: false, slowStart: 0 };
  return { address, host, port: Number(port), ...shared, intent: "up" };
}

const config: Config = {
  node: "lb-1",
  admin: { socket: "/run/x.sock", http: undefined },
  stateDirectory: "/var/lib/x",
  workers: 2,
  drainTimeout: 1_000,
  accessLog: undefined,
  kernel: { keepOnStop: false, countTraffic: false },
  ha: haNone,
  listeners: [],
  pools: [
    {
      name: "app",
      balance: { policy: "roundRobin" },
      targets: [target("10.0.0.1:80"), target("10.0.0.2:80")],
      source: undefined,
      slowStart: 0,
      healthCheck: undefined,
      idleConnectionsMax: 1,
      idleTimeout: 1_000,
    },
  ],
};

function slots(phases: readonly Slot["phase"][]): Slot[] {
  const start = { type: "change", generation: 1, listeners: [], count: phases.length } as const;
  const { state } = stepSlots(slotsConfigDefault, initialSlots(), start, 0);
  return state.slots.map((slot, index) => ({ ...slot, pid: 100 + index, phase: phases[index] ?? slot.phase }));
}

function seen(address: string, health: TargetStatus["health"], active: number): TargetStatus {
  const counters = { ...targetTotals(), exchanges: 10, failures: health === "unhealthy" ? 3 : 0 };
  const reason = health === "unhealthy" ? "target.connect.refused" : undefined;
  const kinds = {
    active,
    activeTunnels: Math.min(active, 1),
    activeFlows: 0,
    effectiveWeight: active === 3 ? 0.25 : 1,
  };
  return { pool: "app", address, ...kinds, health, reason, outForMs: health === "unhealthy" ? 500 : 0, counters };
}

function workerStatus(targets: readonly TargetStatus[]): WorkerStatus {
  return { pid: 1, generation: 1, draining: false, listeners: [], targets };
}

function parts(phases: readonly Slot["phase"][], answers: readonly [number, WorkerStatus][]): StatusParts {
  return {
    config,
    version: "1.2.3",
    pid: 1,
    state: "serving",
    generation: 1,
    uptimeSeconds: 5,
    slots: slots(phases),
    answers: new Map(answers),
    totals: { listeners: new Map(), targets: new Map([["app 10.0.0.1:80", { ...targetTotals(), exchanges: 20 }]]) },
    judged: () => undefined,
  };
}

test("a target's numbers are those of all workers, and one worker that finds it unhealthy is enough", () => {
  const status = sumStatus(
    parts(
      ["serving", "serving"],
      [
        [0, workerStatus([seen("10.0.0.1:80", "healthy", 2), seen("10.0.0.2:80", "healthy", 0)])],
        [1, workerStatus([seen("10.0.0.1:80", "unhealthy", 3), seen("10.0.0.2:80", "unknown", 1)])],
      ],
    ),
  );
  const [first, second] = status.pools[0]?.targets ?? [];
  assert.deepEqual(
    [first?.health, first?.unhealthyWorkers, first?.active, first?.outForMs, first?.counters.exchanges],
    ["unhealthy", 1, 5, 500, 20],
  );
  assert.deepEqual([first?.activeTunnels, first?.activeFlows, first?.effectiveWeight], [2, 0, 0.25]);
  assert.deepEqual([second?.health, second?.active], ["healthy", 1]);
  assert.deepEqual(status.degraded, ["target 10.0.0.1:80 of pool app is unhealthy: target.connect.refused"]);
});

test("what the kernel carries is counted by its kind beside what workers have", () => {
  const of = { ...parts(["serving"], [[0, workerStatus([seen("10.0.0.1:80", "healthy", 2)])]]) };
  const counts = { begun: 9, traffic: undefined };
  const targets = new Map([
    [
      "app 10.0.0.1:80",
      [
        { protocol: "tcp", open: 5, ...counts },
        { protocol: "udp", open: 7, ...counts },
      ] as const,
    ],
  ]);
  const kernel = { chosen: [], carried: { listeners: new Map(), targets }, failure: undefined };
  const [first] = sumStatus({ ...of, kernel }).pools[0]?.targets ?? [];
  assert.deepEqual([first?.active, first?.activeTunnels, first?.activeFlows], [14, 6, 7]);
});

test("a worker that keeps silent, waits or starts makes the node degraded", () => {
  const { degraded, workers } = sumStatus(parts(["serving", "waiting"], []));
  assert.deepEqual(degraded, ["worker 0 (serving) does not answer", "worker 1 crashed and waits for its next start"]);
  assert.deepEqual(
    workers.map((worker) => worker.answered),
    [false, false],
  );
});

test("a pool without an eligible target says so", () => {
  const out = [seen("10.0.0.1:80", "unhealthy", 0), seen("10.0.0.2:80", "unhealthy", 0)];
  const { degraded } = sumStatus(parts(["serving"], [[0, workerStatus(out)]]));
  assert.equal(degraded.length, 3);
  assert.equal(degraded.at(-1), "pool app has no eligible target");
});

test("targets that the kernel cannot reach or could not take up are told, each with its listener or reason", () => {
  const chosen = [
    { listener: "dns", engine: "kernel", reason: "asked for", fellBack: false, leftOut: ["[::1]:53", "[::2]:53"] },
    { listener: "echo", engine: "kernel", reason: "asked for", fellBack: false },
  ] as const;
  const kernel = { chosen, carried: { listeners: new Map(), targets: new Map() }, failure: undefined };
  const status = sumStatus({ ...parts([], []), kernel, untaken: ["this machine forwards no packets"] });
  assert.deepEqual(status.degraded, [
    "listener dns leads no client to target [::1]:53 (and 1 more): the kernel cannot reach it from there",
    "listeners that the kernel carries keep the targets of before: this machine forwards no packets",
  ]);
});

test("a pool that is to have more targets than it may says how many are left out", () => {
  const status = sumStatus({ ...parts([], []), leftOut: (pool) => (pool === "app" ? 7 : 0) });
  assert.deepEqual(status.degraded, ["pool app has 2 targets, which is the most; 7 more are left out"]);
});

test("a source that has never answered is told otherwise than one whose last list stays", () => {
  const source = {
    pool: "app",
    type: "consul",
    endpoint: "http://10.0.0.1:8500",
    connected: false,
    answeredAgoMs: undefined,
    answers: 0,
    failures: 3,
    lastFailure: "nobody listens there",
    targets: 0,
    damaged: [],
    fromDump: false,
    dumpWrittenAt: undefined,
    revision: undefined,
    readAt: undefined,
  } as const;
  const told = (more: Partial<PoolSourceStatus>) =>
    sumStatus({ ...parts([], []), sources: [{ ...source, ...more }] }).degraded[0];
  assert.match(told({}) ?? "", /does not answer, it has not answered yet: nobody listens there/);
  assert.match(told({ targets: 2, readAt: "2026-01-02T03:04:05.000Z" }) ?? "", /its last list stays/);
  assert.match(told({ fromDump: true, dumpWrittenAt: "2026-01-02T03:04:05.000Z" }) ?? "", /the list of 2026-01-02/);
});
