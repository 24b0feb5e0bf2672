import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouterStatus } from "../../state/vrrp-protocol.ts";
import { degradedHa } from "./degraded-ha.ts";
import { explainVip } from "./explain-vip.ts";
import type { HaStatus } from "./high-availability.ts";

const base: RouterStatus = {
  name: "VI_1",
  interface: "eth0",
  vrid: 51,
  version: 2,
  mode: "backup",
  modeMs: 5_000,
  cause: "started",
  priority: 80,
  priorityConfigured: 100,
  byHand: undefined,
  resigning: false,
  ownAddress: "10.0.0.1",
  advertisementIntervalMs: 1000,
  advertisementCopies: 4,
  addresses: [{ address: "10.0.0.100", here: "away" }],
  faults: [],
  tracks: [{ name: "chk", standing: "down", weight: -20, reverse: false, adds: -20 }],
  peers: [{ address: "10.0.0.2", priority: 90, intervalMs: 1_000, agoMs: 300 }],
  takeovers: 0,
  advertisementsSent: 0,
  advertisementsReceived: 9,
  dropped: {},
  odd: {},
  alarms: {},
};

function haOf(router: Partial<RouterStatus> = {}, more: Partial<HaStatus> = {}): HaStatus {
  const routers = [{ ...base, ...router }];
  return {
    vrrp: { pid: 1, guardianPid: 2, realtime: undefined, gate: "none", routers, stray: {} },
    virtualRouters: ["VI_1"],
    tracks: [],
    services: [],
    restarts: 0,
    transitions: [],
    degraded: [],
    ...more,
  };
}

const cases: readonly (readonly [string, Partial<RouterStatus>, RegExp])[] = [
  ["a better one", {}, /10\.0\.0\.2 is active with priority 90, this node has 80/],
  ["a worse one that is spared", { priority: 100 }, /though this node has 100 it does not preempt/],
  ["a release", { byHand: "release", priority: 1 }, /released by hand; `evenkeel vip resume`/],
  ["nobody yet", { peers: [] }, /listens whether anybody else is active/],
  ["an active that has gone", { peers: [{ ...base.peers[0]!, agoMs: 9_000 }] }, /the active one has gone/],
  ["activity", { mode: "active", cause: "silence", priority: 100 }, /active here: no better active was heard/],
  ["a resignation", { mode: "active", resigning: true }, /serves here until its successor speaks/],
  ["a fault", { mode: "fault", faults: [{ cause: "linkDown", detail: "eth0 is down" }] }, /cannot be: eth0 is down/],
  [
    "a track that was not heard of",
    { mode: "init", tracks: [{ name: "balancer", standing: "unknown", weight: 0, reverse: false, adds: 0 }] },
    /waits for the first word of balancer/,
  ],
];

for (const [what, router, expected] of cases) {
  test(`the reason names ${what}`, () => {
    assert.match(explainVip(haOf(router), "VI_1")?.sentence ?? "", expected);
  });
}

test("the priority is told as it was counted, and an unknown name is nobody's", () => {
  assert.deepEqual(explainVip(haOf(), "VI_1")?.priority, ["100 configured", "-20 track chk is down"]);
  assert.equal(explainVip(haOf(), "VI_2"), undefined);
  assert.equal(explainVip(undefined, "VI_1"), undefined);
  assert.match(explainVip(haOf({}, { vrrp: undefined }), "VI_1")?.sentence ?? "", /does not answer/);
});

test("faults, fresh alarms and a silent process make the node degraded, old alarms don't", () => {
  assert.deepEqual(degradedHa(haOf()), []);
  const alarms = { "vrrp.alarm.secondActive": { count: 1, detail: "10.0.0.3 is active too", agoMs: 1_000 } };
  assert.match(degradedHa(haOf({ alarms })).join(), /10\.0\.0\.3 is active too/);
  const old = { "vrrp.alarm.secondActive": { count: 1, detail: "10.0.0.3 is active too", agoMs: 100_000 } };
  assert.deepEqual(degradedHa(haOf({ alarms: old })), []);
  const balancer = { name: "balancer", standing: "down", weight: 0, reverse: false, adds: 0 } as const;
  assert.match(degradedHa(haOf({ mode: "fault", tracks: [balancer] })).join(), /track balancer is down/);
  assert.match(degradedHa(haOf({}, { vrrp: undefined })).join(), /does not answer/);
});
