// Two virtual routers in a sync group, each with its own counterpart, in virtual time: active together or not at all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { vrrpGroup } from "../wire/vrrp/advertisement.ts";
import { advertisementOf } from "./roles.ts";
import { judgeSyncGroup } from "./sync-group.ts";
import { routerOf } from "./test-network.ts";
import { initialVirtualRouter, stepVirtualRouter } from "./virtual-router.ts";
import type { VirtualRouterInput } from "./virtual-router-state.ts";

const chk = { name: "chk", weight: 0, reverse: false };

/** A group of two, judged after every step as a driver does it. */
function group(priorities: readonly [number, number]) {
  const members = (["outside", "inside"] as const).map((name, index) => {
    const router = routerOf({ name, vrid: 51 + index, priority: priorities[index] ?? 100, syncGroup: "G" });
    return { router, state: initialVirtualRouter(router) };
  });
  let now = 0;
  const log: string[] = [];
  const feed = (name: string, input: VirtualRouterInput) => {
    const member = members.find(({ router }) => router.name === name)!;
    const step = stepVirtualRouter(member.router, member.state, input, now);
    member.state = step.state;
    for (const effect of step.effects) {
      if (effect.type === "mode") log.push(`${name} ${effect.to} (${effect.cause})`);
      if (effect.type === "advertise") log.push(`${name} advertises ${effect.advertisement.priority}`);
    }
  };
  const settle = () => {
    for (let round = 0; ; round++) {
      const orders = judgeSyncGroup(members);
      if (orders.length === 0) return;
      assert.ok(round < 10, `endless orders: ${JSON.stringify(orders)}`);
      for (const { router, input } of orders) feed(router, input);
    }
  };
  const tell = (name: string, input: VirtualRouterInput): readonly string[] => {
    log.length = 0;
    feed(name, input);
    settle();
    return [...log];
  };
  return {
    members,
    tell,
    start: () => {
      for (const name of ["outside", "inside"]) tell(name, { type: "start", ownAddress: "10.0.4.5", present: [] });
    },
    pass: (ms: number, ...names: readonly string[]) => {
      now += ms;
      return names.flatMap((name) => tell(name, { type: "tick" }));
    },
    hear: (name: string, priority: number) => {
      const { router } = members.find((member) => member.router.name === name)!;
      return tell(name, {
        type: "received",
        received: {
          advertisement: advertisementOf(router, priority),
          source: "10.0.4.1",
          destination: vrrpGroup[4],
          ttl: 255,
          trafficClass: 0xc0,
          checksumForm: "pseudoHeader",
          oddities: [],
        },
      });
    },
    modes: () => members.map(({ state }) => state.mode).join(" "),
  };
}

function activeGroup() {
  const pair = group([100, 90]);
  pair.start();
  pair.pass(3700, "outside", "inside");
  assert.equal(pair.modes(), "active active");
  return pair;
}

test("the first member whose time has come waits for the other, and both become active in one step", () => {
  const pair = group([100, 90]);
  pair.start();
  assert.deepEqual(pair.pass(3620, "outside"), []);
  assert.equal(pair.modes(), "backup backup");
  const seen = pair.pass(40, "inside");
  assert.deepEqual(seen, [
    "outside advertises 100",
    "outside active (syncGroup)",
    "inside advertises 90",
    "inside active (syncGroup)",
  ]);
});

test("a member that still hears a good active keeps the other from becoming active", () => {
  const pair = group([100, 90]);
  pair.start();
  for (let second = 0; second < 20; second++) {
    pair.hear("inside", 200);
    pair.pass(1000, "outside", "inside");
    assert.equal(pair.modes(), "backup backup");
  }
});

test("a member that is overtaken draws the other along, which resigns and goes when its successor speaks", () => {
  const pair = activeGroup();
  assert.deepEqual(pair.hear("outside", 150), ["outside backup (higherPriority)", "inside advertises 0"]);
  assert.equal(pair.modes(), "backup active");
  assert.deepEqual(pair.hear("inside", 50), ["inside backup (syncGroup)"]);
});

test("a member in fault draws the other into fault, and both come back when it is mended", () => {
  const pair = activeGroup();
  const seen = pair.tell("outside", { type: "fault", cause: "interface:eth0", graceful: false });
  assert.deepEqual(seen, ["outside advertises 0", "outside fault (fault)", "inside advertises 0"]);
  assert.deepEqual(pair.hear("inside", 50), ["inside fault (syncGroup)"]);
  const mended = pair.tell("outside", { type: "clear", cause: "interface:eth0" });
  assert.deepEqual(mended, ["outside backup (recovered)", "inside backup (recovered)"]);
});

test("two members in fault each keep the other there until both are mended", () => {
  const pair = group([100, 90]);
  pair.start();
  for (const name of ["outside", "inside"]) pair.tell(name, { type: "fault", cause: name, graceful: false });
  assert.equal(pair.modes(), "fault fault");
  pair.tell("outside", { type: "clear", cause: "outside" });
  assert.equal(pair.modes(), "fault fault");
  pair.tell("inside", { type: "clear", cause: "inside" });
  assert.equal(pair.modes(), "backup backup");
});

test("a takeover by hand of both members is performed once both are told", () => {
  const pair = group([100, 90]);
  pair.start();
  pair.hear("outside", 200);
  pair.hear("inside", 200);
  assert.deepEqual(pair.tell("outside", { type: "takeover" }), []);
  const seen = pair.tell("inside", { type: "takeover" });
  assert.deepEqual(
    seen.filter((line) => line.includes("advertises")),
    ["outside advertises 201", "inside advertises 201"],
  );
  assert.equal(pair.modes(), "active active");
});

test("an owner in a group waits for the others too", () => {
  const pair = group([255, 100]);
  pair.start();
  assert.equal(pair.modes(), "backup backup");
  pair.pass(3700, "inside");
  assert.equal(pair.modes(), "active active");
});

test("a track of one member that goes down takes the other along", () => {
  const outside = { router: routerOf({ name: "outside", tracks: [chk], syncGroup: "G" }), up: true };
  const step = (state: ReturnType<typeof initialVirtualRouter>, input: VirtualRouterInput) =>
    stepVirtualRouter(outside.router, state, input, 0).state;
  let state = step(initialVirtualRouter(outside.router), { type: "start", ownAddress: "10.0.4.5", present: [] });
  state = step(step(state, { type: "track", name: "chk", standing: "up" }), {
    type: "track",
    name: "chk",
    standing: "down",
  });
  const inside = routerOf({ name: "inside", syncGroup: "G" });
  const other = stepVirtualRouter(
    inside,
    initialVirtualRouter(inside),
    { type: "start", ownAddress: "10.0.4.6", present: [] },
    0,
  );
  const orders = judgeSyncGroup([
    { router: outside.router, state },
    { router: inside, state: other.state },
  ]);
  assert.deepEqual(orders, [{ router: "inside", input: { type: "fault", cause: "syncGroup", graceful: true } }]);
});
