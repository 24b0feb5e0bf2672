import assert from "node:assert/strict";
import { test } from "node:test";
import { formatVipExplanation } from "./explain-vip.ts";
import { formatVips, type RouterStatus } from "./vip-table.ts";

const router: RouterStatus = {
  name: "VI_1",
  interface: "eth0",
  vrid: 51,
  version: 2,
  mode: "active",
  modeMs: 65_000,
  cause: "silence",
  priority: 80,
  priorityConfigured: 100,
  byHand: undefined,
  resigning: false,
  ownAddress: "10.0.0.1",
  advertisementIntervalMs: 1000,
  advertisementCopies: 4,
  addresses: [
    { address: "10.0.0.100", here: "held" },
    { address: "10.0.0.101", here: "foreign" },
  ],
  faults: [],
  tracks: [],
  peers: [{ address: "10.0.0.2", priority: 0, intervalMs: 1_000, agoMs: 300 }],
  takeovers: 1,
  advertisementsSent: 60,
  advertisementsReceived: 2,
  dropped: { "vrrp.checksum": 3 },
  odd: {},
  alarms: { "vrrp.alarm.secondActive": { count: 2, detail: "10.0.0.3 is active too, with 90", agoMs: 3_000 } },
};

const ha = {
  vrrp: { pid: 1, guardianPid: 2, realtime: undefined, gate: "none", routers: [router], stray: {} },
  virtualRouters: ["VI_1"],
  tracks: [],
  services: [],
  restarts: 0,
  transitions: [],
  degraded: [],
} as const;

test("status shows each virtual router and what the other nodes said last", () => {
  const text = formatVips(ha).join("\n");
  assert.match(text, /VI_1 +active +1m 5s +silence +80 \(of 100\) +eth0 +51 +10\.0\.0\.100 10\.0\.0\.101 \(not ours\)/);
  assert.match(text, /10\.0\.0\.2 +VI_1 +0, resigned +1000 ms +300 ms/);
});

test("without virtual routers there is nothing to show, and without their process they are named", () => {
  assert.deepEqual(formatVips(undefined), []);
  assert.match(formatVips({ ...ha, vrrp: undefined }).join(), /VI_1, of which nothing is known now/);
});

test("the explanation lists what it rests on", () => {
  const told = { name: "VI_1", active: true, sentence: "VI_1 is active here", priority: ["100 configured"], router };
  const lines = formatVipExplanation(told).split("\n");
  assert.equal(lines[0], "VI_1 is active here");
  assert.ok(lines.includes("  address 10.0.0.101: here, but not ours: it is never touched"));
  assert.ok(lines.includes("  dropped: 3 times vrrp.checksum"));
  assert.ok(lines.some((line) => line.startsWith("  alarm: 10.0.0.3 is active too, with 90")));
});
