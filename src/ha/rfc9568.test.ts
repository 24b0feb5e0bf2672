// One test for each normative sentence of RFC 9568 section 6, by its section; the sentence is the test's name, shortened.
// Where the kernel keeps the sentence (it answers ARP for an address that is there, and only then), the test is that the
// address is there or not. Sentences about forwarding and the virtual router's own MAC address concern routers: evenkeel,
// like keepalived without `use_vmac`, answers with the interface's.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { VirtualRouter } from "../model/virtual-router.ts";
import { vrrpGroup } from "../wire/vrrp/advertisement.ts";
import { advertisementOf } from "./roles.ts";
import { routerOf } from "./test-network.ts";
import { downInterval, skewTime } from "./timing.ts";
import { initialVirtualRouter, stepVirtualRouter } from "./virtual-router.ts";
import type { VirtualRouterEffect, VirtualRouterInput } from "./virtual-router-state.ts";

const own = "10.0.4.5";

function scene(particular: Partial<VirtualRouter> = {}) {
  const router = routerOf({ priority: 100, advertisementInterval: 1000, ...particular });
  let state = initialVirtualRouter(router);
  let now = 1000;
  const feed = (input: VirtualRouterInput): readonly VirtualRouterEffect[] => {
    const step = stepVirtualRouter(router, state, input, now);
    state = step.state;
    return step.effects;
  };
  const self = {
    router,
    feed,
    get state() {
      return state;
    },
    get now() {
      return now;
    },
    start: (present: readonly string[] = []) => feed({ type: "start", ownAddress: own, present }),
    pass: (ms: number) => {
      now += ms;
      return feed({ type: "tick" });
    },
    hear: (priority: number, from = "10.0.4.1", interval = router.advertisementInterval) =>
      feed({
        type: "received",
        received: {
          advertisement: { ...advertisementOf(router, priority), interval },
          source: from,
          destination: vrrpGroup[4],
          ttl: 255,
          trafficClass: 0xc0,
          checksumForm: "pseudoHeader",
          oddities: [],
        },
      }),
    active: () => {
      self.start();
      return self.pass(downInterval(router, state.priority, router.advertisementInterval));
    },
  };
  return self;
}

const kinds = (effects: readonly VirtualRouterEffect[]) => effects.map(({ type }) => type);
const sent = (effects: readonly VirtualRouterEffect[]) =>
  effects.flatMap((effect) => (effect.type === "advertise" ? [effect.advertisement.priority] : []));

test("6.1: Skew_Time is (256 - Priority) * Active_Adver_Interval / 256", () => {
  assert.equal(skewTime(3, 100, 1000), 609.375);
  assert.equal(skewTime(3, 254, 10), 0.078125);
  assert.equal(skewTime(3, 1, 40_950), (255 * 40_950) / 256);
});

test("6.1: Active_Down_Interval is 3 * Active_Adver_Interval + Skew_Time", () => {
  assert.equal(downInterval(routerOf(), 100, 1000), 3609.375);
  assert.equal(downInterval(routerOf(), 100, 250), 750 + (156 * 250) / 256);
});

test("RFC 3768 6.1: in version 2 Skew_Time is (256 - Priority) / 256 seconds whatever the interval", () => {
  assert.equal(skewTime(2, 100, 5000), 609.375);
});

test("6.1: the address owner always preempts, independent of Preempt_Mode", () => {
  const owner = scene({ priority: 255, preempt: false });
  owner.start();
  owner.hear(255, "10.0.4.9");
  assert.equal(owner.state.mode, "backup");
  const { down } = owner.state.timers;
  owner.hear(200);
  assert.equal(owner.state.timers.down, down, "the lower one is discarded");
});

test("6.4.1: on Startup the owner sends an ADVERTISEMENT, announces its addresses, sets Adver_Timer and is Active", () => {
  const owner = scene({ priority: 255 });
  const effects = owner.start(["10.0.4.99"]);
  assert.deepEqual(kinds(effects), ["advertise", "announce", "mode"]);
  assert.deepEqual(sent(effects), [255]);
  assert.equal(owner.state.timers.advertise, owner.now + 1000);
  assert.equal(owner.state.mode, "active");
});

test("6.4.1: on Startup others set Active_Adver_Interval to their own, Active_Down_Timer to the down interval, and are Backup", () => {
  const other = scene();
  assert.deepEqual(kinds(other.start()), ["mode"]);
  assert.equal(other.state.mode, "backup");
  assert.equal(other.state.activeInterval, 1000);
  assert.equal(other.state.timers.down, other.now + 3609.375);
});

test("6.4.2: a Backup must not answer for the addresses: they are not there", () => {
  const backup = scene();
  backup.start();
  assert.deepEqual(backup.state.held, []);
});

test("6.4.2: on Shutdown a Backup cancels Active_Down_Timer and is Initialize, and says nothing", () => {
  const backup = scene();
  backup.start();
  assert.deepEqual(kinds(backup.feed({ type: "stop" })), ["mode", "stopped"]);
  assert.equal(backup.state.timers.down, undefined);
  assert.equal(backup.state.mode, "init");
});

test("6.4.2: when Active_Down_Timer fires, send an ADVERTISEMENT, announce each address, set Adver_Timer, be Active", () => {
  const backup = scene();
  backup.start();
  assert.deepEqual(backup.pass(3609.3), []);
  const effects = backup.pass(0.1);
  assert.deepEqual(kinds(effects), ["addAddresses", "advertise", "announce", "mode"]);
  assert.deepEqual(sent(effects), [100]);
  assert.equal(backup.state.timers.advertise, backup.now + 1000);
  assert.equal(backup.state.mode, "active");
});

test("6.4.2: a Backup that hears Priority 0 sets Active_Down_Timer to Skew_Time", () => {
  const backup = scene();
  backup.start();
  backup.hear(0);
  assert.equal(backup.state.timers.down, backup.now + 609.375);
});

for (const [name, particular, priority] of [
  ["Preempt_Mode is False", { preempt: false }, 50],
  ["the Priority is greater than the local one", {}, 200],
  ["the Priority is equal to the local one", {}, 100],
] as const) {
  test(`6.4.2: if ${name}, a Backup takes the interval over, recomputes and resets Active_Down_Timer`, () => {
    const backup = scene(particular);
    backup.start();
    backup.pass(2000);
    backup.hear(priority, "10.0.4.1", 500);
    assert.equal(backup.state.activeInterval, 500);
    assert.equal(backup.state.timers.down, backup.now + 1500 + (156 * 500) / 256);
  });
}

test("6.4.2: a Backup that preempts discards an ADVERTISEMENT of lower Priority", () => {
  const backup = scene();
  backup.start();
  const before = backup.state;
  backup.pass(2000);
  assert.deepEqual(backup.hear(50, "10.0.4.1", 500), [{ type: "odd", code: "vrrp.odd.interval", source: "10.0.4.1" }]);
  assert.deepEqual([backup.state.timers, backup.state.activeInterval], [before.timers, before.activeInterval]);
});

test("6.4.3: an Active must answer for the addresses: they are there", () => {
  const active = scene();
  active.active();
  assert.deepEqual(
    active.state.held.map(({ address }) => address),
    ["10.0.4.99"],
  );
});

test("6.4.3: on Shutdown an Active cancels Adver_Timer and sends Priority 0", () => {
  const active = scene();
  active.active();
  const effects = active.feed({ type: "stop" });
  assert.deepEqual(sent(effects), [0]);
  assert.equal(active.state.timers.advertise, undefined);
});

test("6.4.3: on Shutdown an Active is Initialize, here as soon as its successor has spoken", () => {
  const active = scene();
  active.active();
  active.feed({ type: "stop" });
  assert.equal(active.state.mode, "active");
  assert.deepEqual(kinds(active.hear(50)), ["removeAddresses", "mode", "stopped"]);
  assert.equal(active.state.mode, "init");
});

test("6.4.3: when Adver_Timer fires, send an ADVERTISEMENT and reset Adver_Timer", () => {
  const active = scene();
  active.active();
  assert.deepEqual(sent(active.pass(1000)), [100]);
  assert.equal(active.state.timers.advertise, active.now + 1000);
});

test("6.4.3: copies of an ADVERTISEMENT are equal to it and leave Adver_Timer's beat alone", () => {
  const active = scene({ advertisementCopies: 3 });
  active.active();
  const { advertise } = active.state.timers;
  assert.deepEqual(sent(active.pass(10)), [100]);
  assert.deepEqual(sent(active.pass(10)), [100]);
  assert.deepEqual(sent(active.pass(500)), []);
  assert.equal(active.state.timers.advertise, advertise);
  assert.deepEqual(sent(active.pass(480)), [100]);
  assert.equal(active.state.timers.advertise, (advertise ?? 0) + 1000);
});

test("6.4.3: an Active that hears Priority 0 sends an ADVERTISEMENT and resets Adver_Timer", () => {
  const active = scene();
  active.active();
  active.pass(300);
  assert.deepEqual(sent(active.hear(0)), [100]);
  assert.equal(active.state.timers.advertise, active.now + 1000);
});

for (const [name, priority, from] of [
  ["a greater Priority", 101, "10.0.4.1"],
  ["an equal Priority and a greater address", 100, "10.0.4.10"],
] as const) {
  test(`6.4.3: an Active that hears ${name} cancels Adver_Timer, takes the interval over and is Backup`, () => {
    const active = scene();
    active.active();
    assert.deepEqual(kinds(active.hear(priority, from, 500)).slice(1), ["removeAddresses", "mode"]);
    assert.equal(active.state.mode, "backup");
    assert.equal(active.state.timers.advertise, undefined);
    assert.equal(active.state.activeInterval, 500);
    assert.equal(active.state.timers.down, active.now + 1500 + (156 * 500) / 256);
  });
}

test("6.4.3: addresses compare as unsigned integers in network byte order, not as text", () => {
  const active = scene();
  active.active();
  active.hear(100, "10.0.4.10");
  assert.equal(active.state.mode, "backup", "10 is greater than 5");
  const other = scene();
  other.active();
  other.hear(100, "9.255.255.255");
  assert.equal(other.state.mode, "active");
});

for (const [name, priority, from] of [
  ["a lower Priority", 99, "10.0.4.10"],
  ["an equal Priority and a lower address", 100, "10.0.4.1"],
] as const) {
  test(`6.4.3: an Active that hears ${name} discards it and sends an ADVERTISEMENT immediately`, () => {
    const active = scene();
    active.active();
    active.pass(500);
    const effects = active.hear(priority, from);
    assert.deepEqual(sent(effects), [100]);
    assert.equal(active.state.mode, "active");
  });
}
