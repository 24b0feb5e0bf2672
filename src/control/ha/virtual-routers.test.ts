import assert from "node:assert/strict";
import { test } from "node:test";
import { routerOf } from "../../ha/test-network.ts";
import type { VirtualRouter } from "../../model/virtual-router.ts";
import type { FromVrrp, ToVrrp } from "../../state/vrrp-protocol.ts";
import { VirtualRouters } from "./virtual-routers.ts";
import { decodeFromVrrp, type VrrpEvents } from "./vrrp-process.ts";

type Fake = { readonly sent: ToVrrp[]; readonly events: VrrpEvents; killed: boolean };

/** A driver over processes that answer as they are told. */
function world(answers: (message: ToVrrp, fake: Fake) => void = () => {}) {
  const started: Fake[] = [];
  const told: string[] = [];
  const logged: string[] = [];
  const installed: string[] = [];
  const log = (level: string) => (message: string) => {
    logged.push(`${level} ${message}`);
  };
  const routers = new VirtualRouters({
    log: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    modeChanged: ({ router, to }) => told.push(`${router} ${to}`),
    priorityChanged: ({ name, active, priority }) =>
      told.push(`${name} ${active ? "active" : "not active"} ${priority}`),
    secondActive: (router) => told.push(`${router} secondActive`),
    resigning: (router, resigning) => told.push(`${router} ${resigning ? "resigns" : "stays"}`),
    lost: (router) => told.push(`${router} lost`),
    gate: {
      use: "renewedByKernel",
      install: (setups, { anew }) => {
        installed.push(
          `${setups.map(({ router, gateKey }) => `${router.name} ${gateKey}`).join()}${anew ? " anew" : ""}`,
        );
        return Promise.resolve("renewedByKernel");
      },
      remove: () => {
        installed.push("removed");
        return Promise.resolve();
      },
    },
    start: (_path, events) => {
      const fake: Fake = { sent: [], events, killed: false };
      started.push(fake);
      queueMicrotask(() => events.message({ type: "ready", pid: 1, guardianPid: 2, realtime: undefined }));
      return {
        pid: 1,
        send: (message) => {
          fake.sent.push(message);
          if (message.type === "configure") events.message({ type: "configured", id: message.id });
          answers(message, fake);
        },
        kill: () => {
          fake.killed = true;
          events.exited(null, "SIGKILL");
        },
      };
    },
  });
  const apply = (...list: VirtualRouter[]) => routers.apply({ routers: list, awaitedInterfaces: [], standings: {} });
  return { routers, apply, started, told, logged, installed };
}

const one = routerOf({ name: "VI_1" });
const two = routerOf({ name: "VI_2", vrid: 52 });

function last(list: readonly Fake[]): Fake {
  const found = list.at(-1);
  assert.ok(found !== undefined);
  return found;
}

test("without virtual routers no process is started", async () => {
  const { apply, started, routers } = world();
  await apply();
  assert.equal(started.length, 0);
  assert.equal(await routers.status(), undefined);
  await routers.resign();
});

test("the gate stands before the process is told, and a name keeps its key", async () => {
  const { apply, started, installed, routers } = world((message, { events }) => {
    if (message.type === "stop") events.exited(0, null);
  });
  await apply(one, two);
  await apply(two);
  await apply(two, one);
  assert.deepEqual(installed, ["VI_1 1,VI_2 2", "VI_2 2", "VI_2 2,VI_1 1"]);
  assert.equal(started.length, 1);
  const configures = last(started).sent.filter(({ type }) => type === "configure");
  assert.equal(configures.length, 3);
  await routers.resign();
  assert.equal(installed.at(-1), "removed");
});

test("tracks are passed on as they change, and are part of the next configuration", async () => {
  const { apply, started, routers } = world();
  await apply(one);
  routers.track("chk", "down");
  const { sent } = last(started);
  assert.deepEqual(sent.at(-1), { type: "track", name: "chk", standing: "down" });
});

test("an order comes back with its denial, and an unknown name is never asked about", async () => {
  const { apply, routers } = world((message, { events }) => {
    if (message.type !== "order") return;
    const denied = { code: "vrrp.denied.fault", detail: "it is in fault" };
    events.message({ type: "ordered", id: message.id, denied: message.order === "takeover" ? denied : undefined });
  });
  await apply(one);
  const takeover = await routers.order("VI_1", "takeover");
  assert.ok(!takeover.ok && takeover.failure.code === "vrrp.denied.fault");
  assert.ok((await routers.order("VI_1", "resume")).ok);
  const unknown = await routers.order("VI_7", "takeover");
  assert.ok(!unknown.ok && unknown.failure.code === "vip.unknown");
});

test("a process that ends takes its roles with it, and questions that wait are answered", async () => {
  const { apply, started, told, routers, logged } = world();
  await apply(one);
  const { events } = last(started);
  const change = {
    from: "backup",
    to: "active",
    cause: "silence",
    priority: 100,
    takeovers: 1,
    heardLately: false,
  } as const;
  events.message({ type: "mode", router: "VI_1", ...change });
  const asked = routers.status();
  events.exited(null, "SIGSEGV");
  assert.equal(await asked, undefined);
  assert.deepEqual(told, ["VI_1 active", "VI_1 lost"]);
  assert.ok(logged.includes("error the process that speaks VRRP ended unasked"));
  assert.match(routers.degraded().join(), /not running/);
  await routers.resign();
});

test("a resignation ends with the process; one that does not end is killed", async () => {
  const orderly = world((message, { events }) => {
    if (message.type === "stop") events.exited(0, null);
  });
  await orderly.apply(one);
  await orderly.routers.resign();
  assert.equal(last(orderly.started).killed, false);
  await orderly.apply(one);
  assert.equal(orderly.started.length, 1, "nothing is taken up any more");
  const stuck = world();
  await stuck.apply(routerOf({ name: "VI_1", advertisementInterval: 10 }));
  await stuck.routers.resign();
  assert.equal(last(stuck.started).killed, true);
});

test("changes of the priority and a second active are told on", async () => {
  const { apply, started, told } = world();
  await apply(one);
  const { events } = last(started);
  events.message({ type: "priority", router: "VI_1", from: 100, to: 80 });
  const change = {
    from: "backup",
    to: "active",
    cause: "silence",
    priority: 80,
    takeovers: 1,
    heardLately: false,
  } as const;
  events.message({ type: "mode", router: "VI_1", ...change });
  events.message({ type: "priority", router: "VI_1", from: 80, to: 100 });
  events.message({ type: "alarm", router: "VI_1", code: "vrrp.alarm.secondActive", detail: "" });
  events.message({ type: "alarm", router: "VI_1", code: "vrrp.alarm.slept", detail: "" });
  assert.deepEqual(told, ["VI_1 not active 80", "VI_1 active", "VI_1 active 100", "VI_1 secondActive"]);
});

test("an interface that comes anew has the gate made anew", async () => {
  const { apply, started, installed } = world();
  await apply(one);
  last(started).events.message({ type: "interfaceRenewed", interface: "eth0" });
  assert.equal(installed.at(-1), "VI_1 1 anew");
});

test("short intervals without real-time priority are a lasting warning", async () => {
  const { apply, started, routers, logged } = world();
  await apply(routerOf({ name: "VI_1", advertisementInterval: 10 }));
  const ready: FromVrrp = { type: "ready", pid: 1, guardianPid: 2, realtime: "no real-time priority" };
  last(started).events.message(ready);
  assert.match(routers.degraded().join(), /VI_1.*no real-time priority/);
  assert.ok(logged.includes("warn advertisement intervals are too short for an ordinary process"));
});

test("lines that are none of the protocol are told from those that are", () => {
  assert.deepEqual(decodeFromVrrp('{"type":"stopped"}'), { type: "stopped" });
  const wrong = ["", "(node:1) Warning", "[]", '{"type":"mode","router":1}', '{"type":"log","level":"x","message":""}'];
  for (const line of wrong) assert.equal(decodeFromVrrp(line), undefined, line);
});
