// A node for tests of metrics, with a bit of everything: a listener of each kind, one of them in the kernel, targets in every
// state, a source, a virtual router. Must not be imported by anything but tests and
// bench/.

import assert from "node:assert/strict";
import type { Config } from "../../model/config.ts";
import { haNone } from "../../model/ha.ts";
import type { Listener } from "../../model/listener.ts";
import type { Pool, Target } from "../../model/pool.ts";
import { ListenerCounters, TargetCounters } from "../../state/counters.ts";
import { RouteCounters } from "../../state/slot-routes.ts";
import { formatRegion, SlotRows } from "../../state/slot-rows.ts";
import type { RouterStatus } from "../../state/vrrp-protocol.ts";
import type { HaStatus } from "../ha/high-availability.ts";
import type { KernelStatus } from "../kernel/kernel-engine.ts";
import { targetKey } from "../kernel/kernel-status.ts";
import type { TargetFigures } from "../targets/health-checks.ts";
import type { PoolSourceStatus } from "../targets/source-watches.ts";
import { initialSlots, slotsConfigDefault, stepSlots } from "../workers/worker-slots.ts";
import type { MetricsParts } from "./collect.ts";
import { Ledger, LedgerRegion } from "./ledger.ts";

export function testTarget(address: string, changes: Partial<Target> = {}): Target {
  const [host = "", port = "0"] = address.split(":");
  return {
    address,
    host,
    port: Number(port),
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    intent: "up",
    slowStart: 0,
    ...changes,
  };
}

export function testPool(name: string, targets: readonly Target[]): Pool {
  const balance = { policy: "roundRobin" } as const;
  const rest = { source: undefined, slowStart: 0, healthCheck: undefined, idleConnectionsMax: 4, idleTimeout: 1_000 };
  return { name, balance, targets, ...rest };
}

/** As far as metrics look at it. */
function listener(name: string, protocol: Listener["protocol"], port: number): Listener {
  const found: unknown = { name, protocol, bind: { host: "0.0.0.0", port } };
  assert(typeof found === "object");
  return found as Listener;
}

export const testConfig: Config = {
  node: "lb-1",
  admin: { socket: "/run/evenkeel/admin.sock", http: undefined },
  stateDirectory: "/nonexistent",
  workers: 2,
  drainTimeout: 30_000,
  accessLog: undefined,
  kernel: { keepOnStop: false, countTraffic: true },
  listeners: [
    listener("web", "http", 80),
    listener("echo", "tcp", 9900),
    listener("report", "udp", 1231),
    listener("fast", "tcp", 9901),
  ],
  pools: [
    testPool("app", [
      testTarget("10.0.0.1:80"),
      testTarget("10.0.0.2:80", { intent: "drain" }),
      testTarget("10.0.0.3:80", { weight: 0 }),
    ]),
    testPool("logs", [testTarget("10.0.1.1:514")]),
    testPool("fast", [testTarget("10.0.2.1:99")]),
  ],
  ha: haNone,
};

/** Two workers that have served; the second has ended since. */
export function testCounted(): Ledger {
  const ledger = new Ledger();
  for (const slot of [0, 1]) {
    const memory = new ArrayBuffer(64 * 1024);
    formatRegion(memory);
    const region = new LedgerRegion(memory, slot);
    ledger.add(region);
    serve(new SlotRows(memory, { shared: true }));
    if (slot === 1) ledger.end(region);
  }
  return ledger;
}

function serve(rows: SlotRows): void {
  const first = new TargetCounters(rows, "app", "10.0.0.1:80");
  const logs = new TargetCounters(rows, "logs", "10.0.1.1:514");
  for (const address of ["10.0.0.2:80", "10.0.0.3:80"]) new TargetCounters(rows, "app", address);
  const web = new ListenerCounters(rows, "web");
  web.connectionsAccepted += 3;
  web.connectionsOpen += 1;
  web.bytesToClients += 1234.0;
  web.countLimit("pool.allOut");
  const route = new RouteCounters(rows, "http", { listener: "web", route: "web[0]" });
  for (const [digit, ms] of [
    [2, 0.4],
    [2, 7],
    [5, 700],
    [0, 80_000],
  ] as const) {
    route.begin();
    first.exchanges += 1;
    first.countAnswer(ms);
    first.countClass(digit);
    route.end(first, "app", digit, ms);
  }
  route.begin();
  const echo = new ListenerCounters(rows, "echo");
  echo.tunnelsOpened += 1;
  const tunnels = new RouteCounters(rows, "tcp", { listener: "echo", route: "echo[0]" });
  tunnels.begin();
  tunnels.end(first, "app", 2, 12_000);
  const report = new ListenerCounters(rows, "report");
  report.flowsOpened += 1;
  report.datagramsFromClients += 2;
  report.countDrop("pool.allFull", 1);
  const flows = new RouteCounters(rows, "udp", { listener: "report", route: "" });
  flows.begin();
  logs.datagramsToTarget += 2;
  flows.end(logs, "logs", 2, 3_000);
}

const kernel: KernelStatus = {
  chosen: [{ listener: "fast", engine: "kernel", reason: "it asks for it", fellBack: false }],
  carried: {
    listeners: new Map([
      [
        "fast",
        {
          protocol: "tcp",
          open: 2,
          begun: 40,
          full: 1,
          traffic: { to: { packets: 10, bytes: 1_000 }, from: { packets: 8, bytes: 9_000 } },
        },
      ],
    ]),
    targets: new Map([
      [targetKey("fast", "10.0.2.1:99"), [{ protocol: "tcp" as const, open: 2, begun: 40, traffic: undefined }]],
    ]),
  },
  failure: undefined,
};

const router: RouterStatus = {
  name: "VI_1",
  interface: "eth0",
  vrid: 51,
  version: 2,
  mode: "active",
  modeMs: 5_000,
  advertisementIntervalMs: 1_000,
  advertisementCopies: 1,
  cause: "silence",
  priority: 90,
  priorityConfigured: 100,
  byHand: undefined,
  resigning: false,
  ownAddress: "10.0.4.1",
  addresses: [],
  faults: [],
  tracks: [],
  peers: [{ address: "10.0.4.2", priority: 80, intervalMs: 1_000, agoMs: 10 }],
  takeovers: 1,
  advertisementsSent: 55,
  advertisementsReceived: 5,
  dropped: { "vrrp.checksum": 2 },
  odd: { "vrrp.odd.tos": 1 },
  alarms: { "vrrp.twoActive": { count: 3, detail: "another node is active", agoMs: 100 } },
};

const ha: HaStatus = {
  vrrp: {
    pid: 9,
    guardianPid: 10,
    realtime: undefined,
    gate: "none",
    routers: [router],
    stray: { eth0: { "vrrp.vrid.unknown": 4 } },
  },
  virtualRouters: ["VI_1"],
  tracks: [{ name: "chk", standing: "up", reason: "", code: "", since: 0, checkedAt: 0 }],
  services: [],
  transitions: [{ router: "VI_1", to: "active", count: 1 }],
  restarts: 0,
  degraded: [],
};

const source: PoolSourceStatus = {
  pool: "app",
  type: "consul",
  endpoint: "http://127.0.0.1:8500",
  connected: true,
  answeredAgoMs: 12,
  answers: 7,
  failures: 2,
  lastFailure: undefined,
  targets: 3,
  damaged: [{ key: "upstreams/app/x", code: "source.entry.address", detail: "", kept: false }],
  fromDump: false,
  dumpWrittenAt: undefined,
  revision: "17",
  readAt: "2026-01-02T03:04:05.000Z",
};

export const testFigures: TargetFigures = {
  healthy: true,
  changes: 2,
  checked: true,
  probes: 100,
  probesFailed: 3,
  probesUnable: 1,
  reports: 4,
};

export function metricsParts(changes: Partial<MetricsParts> = {}): MetricsParts {
  const change = { type: "change", generation: 4, listeners: [], count: 2 } as const;
  return {
    version: "1.2.3",
    startedAtSeconds: 1_700_000_000.25,
    state: "serving",
    generation: 4,
    reload: { accepted: 2, refused: 1, lastGood: false, lastAtMs: 1_700_000_100_000, lastGoodAtMs: 1_700_000_050_500 },
    process: { cpuSeconds: 1.5, memoryBytes: 80_000_000 },
    slots: stepSlots(slotsConfigDefault, initialSlots(), change, 0).state.slots,
    config: testConfig,
    counted: testCounted().sum(),
    accounts: { shared: true, damaged: 0, refused: 0 },
    judged: (_pool, address) => (address === "10.0.0.1:80" ? { ...testFigures, healthy: false } : testFigures),
    kernel,
    ha,
    sources: [source],
    ...changes,
  };
}
