import assert from "node:assert/strict";
import { test } from "node:test";
import type { VirtualRouter } from "../model/virtual-router.ts";
import type { FromVrrp, RouterSetup } from "../state/vrrp-protocol.ts";
import type { Advertisement } from "../wire/vrrp/advertisement.ts";
import { type TestMachine, testAddress, testLink, testMachine, testSetup } from "./test-edges.ts";
import { type NodeSetup, VrrpNode } from "./vrrp-node.ts";

type World = {
  readonly machine: TestMachine;
  readonly node: VrrpNode;
  readonly said: FromVrrp[];
  /** Lets time pass in steps of 10 ms, as the wait loop would. */
  pass(ms: number): void;
  hear(more?: Partial<Advertisement>, source?: string): void;
};

function world(setups: readonly RouterSetup[] = [testSetup()], more: Partial<NodeSetup> = {}): World {
  const machine = testMachine();
  const said: FromVrrp[] = [];
  const node = new VrrpNode(machine.edges, (message) => said.push(message));
  const receive = () => {
    const ports = [...node.ports.ready];
    node.ports.ready.clear();
    for (const port of ports) node.receive(port);
  };
  node.configure({ setups, gate: "none", awaitedInterfaces: [], standings: {}, ...more });
  return {
    machine,
    node,
    said,
    pass: (ms) => {
      const end = machine.now + ms;
      while (machine.now < end) {
        machine.now = Math.min(end, machine.now + 10);
        node.tick();
      }
    },
    hear: (changes = {}, source = "10.0.0.2") => {
      const advertisement: Advertisement = {
        version: 3,
        family: 4,
        vrid: 51,
        priority: 200,
        interval: 1_000,
        password: undefined,
        addresses: ["10.0.0.100"],
        ...changes,
      };
      machine.deliver(advertisement, source);
      receive();
    },
  };
}

function only(node: VrrpNode) {
  const [router] = node.status().routers;
  assert.ok(router !== undefined);
  return router;
}

function modes(said: readonly FromVrrp[]): string[] {
  return said.filter((message) => message.type === "mode").map(({ router, to, cause }) => `${router} ${to} ${cause}`);
}

test("a takeover claims, then advertises, then announces, and tells the guardian last", () => {
  const { machine, pass, node, said } = world();
  assert.deepEqual(machine.take(), ["open 10.0.0.1 multicast"]);
  pass(4_000);
  assert.deepEqual(machine.take().slice(0, 3), [
    "claim 10.0.0.100 for 2 s",
    "send 51/100 to 224.0.0.18",
    "announce 10.0.0.100",
  ]);
  const guard = machine.orders.findLast((order) => order.kind === "guard");
  assert.ok(guard?.kind === "guard");
  assert.deepEqual(
    guard.addresses.map(({ wanted }) => wanted.address),
    ["10.0.0.100"],
  );
  assert.equal(guard.farewells.length, 1);
  assert.deepEqual(modes(said), ["VI_1 backup started", "VI_1 active silence"]);
  assert.equal(only(node).addresses[0]?.here, "held");
});

test("each advertisement renews the lifetime through the guardian", () => {
  const { machine, pass } = world();
  pass(4_000);
  machine.orders.length = 0;
  pass(3_000);
  const renewals = machine.orders.filter((order) => order.kind === "renew").map(({ untilBootMs }) => untilBootMs);
  assert.equal(renewals.length, 3);
  // Two seconds, and a half because the guardian counts in whole ones; an interval apart.
  assert.ok((renewals[2] ?? 0) - machine.now > 1_500 && (renewals[2] ?? 0) - machine.now <= 2_500);
  assert.equal((renewals[2] ?? 0) - (renewals[1] ?? 0), 1_000);
});

test("without a guardian the process renews with its own hands", () => {
  const { machine, pass } = world();
  pass(4_000);
  machine.guardFails = true;
  machine.take();
  pass(1_000);
  assert.ok(machine.take().includes("renew 10.0.0.100 for 2 s"));
});

test("a stopped node resigns, serves until its successor speaks, and only then gives the address up", () => {
  const { machine, pass, node, said, hear } = world();
  pass(4_000);
  machine.take();
  node.stop();
  assert.deepEqual(machine.take(), ["send 51/0 to 224.0.0.18"]);
  pass(500);
  assert.deepEqual(machine.take(), []);
  assert.equal(node.ended, false);
  hear({ priority: 90 });
  assert.deepEqual(machine.take(), ["release 10.0.0.100", "close 10.0.0.1"]);
  assert.equal(node.ended, true);
  assert.deepEqual(modes(said).at(-1), "VI_1 init stopped");
  assert.ok(said.some((message) => message.type === "resigning" && message.resigning));
});

test("one that slept gives up what it had, drains its socket and is elected anew", () => {
  const { machine, pass, node, said } = world();
  pass(4_000);
  machine.take();
  machine.now += 12_000;
  node.woke(12_000);
  const done = machine.take();
  assert.ok(done.indexOf("drain") < done.indexOf("release 10.0.0.100"));
  assert.ok(!done.some((what) => what.startsWith("send")), "not a word about a role that is over");
  assert.deepEqual(modes(said).at(-1), "VI_1 backup woke");
});

test("an address that somebody removes is put back with an alarm, and given up when it goes again and again", () => {
  const { machine, pass, node, said } = world();
  pass(4_000);
  const remove = () => {
    const at = machine.addresses.findIndex(({ address }) => address === "10.0.0.100");
    machine.addresses.splice(at, 1);
    node.look();
  };
  machine.take();
  remove();
  assert.deepEqual(machine.take(), ["forget 10.0.0.100", "claim 10.0.0.100 for 2 s", "announce 10.0.0.100"]);
  assert.ok(said.some((message) => message.type === "alarm" && message.code === "vrrp.alarm.addressRemoved"));
  for (let times = 0; times < 5; times++) remove();
  assert.equal(only(node).resigning, true);
  assert.equal(only(node).faults[0]?.cause, "addressRemoved");
});

test("an address that somebody has added anew is theirs: never removed, and told of", () => {
  const { machine, pass, node, said } = world();
  pass(4_000);
  const at = machine.addresses.findIndex(({ address }) => address === "10.0.0.100");
  machine.addresses[at] = testAddress("10.0.0.100", { prefixLength: 32 });
  node.look();
  assert.ok(said.some((message) => message.type === "alarm" && message.code === "vrrp.alarm.addressForeign"));
  node.stop();
  pass(5_000);
  assert.equal(node.ended, true);
  assert.ok(!machine.take().includes("release 10.0.0.100"));
});

test("an address that the machine had before is advertised and never touched", () => {
  const machine = testMachine();
  machine.addresses.push(testAddress("10.0.0.100", { prefixLength: 32 }));
  const node = new VrrpNode(machine.edges, () => {});
  node.configure({ setups: [testSetup()], gate: "none", awaitedInterfaces: [], standings: {} });
  for (let turn = 0; turn < 500; turn++) {
    machine.now += 10;
    node.tick();
  }
  assert.equal(only(node).mode, "active");
  assert.equal(only(node).addresses[0]?.here, "foreign");
  assert.ok(!machine.take().some((what) => what.startsWith("claim")));
});

test("a link that goes down is a fault at once, and the way back leads through the election", () => {
  const { machine, pass, node, said } = world();
  pass(4_000);
  machine.links[0] = { ...testLink, flags: 1 };
  node.look();
  assert.equal(only(node).mode, "fault");
  assert.equal(only(node).faults[0]?.cause, "linkDown");
  machine.links[0] = testLink;
  node.look();
  assert.deepEqual(modes(said).slice(-2), ["VI_1 fault fault", "VI_1 backup recovered"]);
});

test("another source address opens another socket before the next word is said", () => {
  const { machine, node, pass } = world();
  pass(4_000);
  machine.take();
  machine.addresses[0] = testAddress("10.0.0.7");
  node.look();
  assert.deepEqual(machine.take(), ["open 10.0.0.7 multicast", "close 10.0.0.1"]);
  assert.equal(only(node).ownAddress, "10.0.0.7");
});

test("an advertisement that a firewall refuses gives the role up, and it is tried again later and later", () => {
  const { machine, pass, node } = world();
  pass(4_000);
  machine.sendFails = "vrrp.socket.blocked";
  pass(1_100);
  assert.equal(only(node).mode, "fault");
  assert.equal(only(node).faults[0]?.cause, "send");
  machine.sendFails = undefined;
  pass(5_000 + 4_000);
  assert.equal(only(node).mode, "active");
});

test("a full send queue and a peer without a route are no reason to give up", () => {
  for (const code of ["vrrp.socket.busy", "vrrp.socket.noRoute"]) {
    const { machine, pass, node } = world();
    pass(4_000);
    machine.sendFails = code;
    pass(3_000);
    assert.equal(only(node).mode, "active", code);
  }
});

test("an address that the kernel refuses is a fault that lets the successor come first", () => {
  const { machine, pass, node } = world();
  machine.claimFails = "address.refused";
  pass(4_000);
  assert.equal(only(node).resigning, true);
});

test("virtual routers on one interface share a socket, and strangers are counted once", () => {
  const two = [testSetup(), testSetup({ name: "VI_2", vrid: 52 }, 2)];
  const { machine, node, hear } = world(two);
  assert.deepEqual(machine.take(), ["open 10.0.0.1 multicast"]);
  hear({ vrid: 52 });
  assert.deepEqual(
    node.status().routers.map(({ advertisementsReceived }) => advertisementsReceived),
    [0, 1],
  );
  hear({ vrid: 77 });
  assert.deepEqual(node.status().stray, { eth0: { "vrrp.vrid.unknown": 1 } });
});

test("a forged packet is counted every time and logged once a minute", () => {
  const setup = testSetup({ version: 2, password: "ours" });
  const { node, hear, said, pass } = world([setup]);
  const lines = () => said.filter(({ type }) => type === "log").length;
  for (let times = 0; times < 5; times++) hear({ version: 2, password: "theirs" });
  assert.equal(only(node).dropped["vrrp.authentication.password"], 5);
  assert.equal(lines(), 1);
  pass(61_000);
  hear({ version: 2, password: "theirs" });
  assert.equal(lines(), 2);
});

test("a reload touches what has changed and nothing else", () => {
  const { machine, node, pass } = world();
  pass(4_000);
  machine.take();
  const again = (more: Partial<VirtualRouter>) =>
    node.configure({ setups: [testSetup(more)], gate: "none", awaitedInterfaces: [], standings: {} });
  again({});
  assert.deepEqual(machine.take(), []);
  const second = { address: "10.0.0.101", prefixLength: 32, interface: undefined };
  again({ addresses: [...testSetup().router.addresses, second] });
  assert.ok(machine.take().includes("claim 10.0.0.101 for 2 s"));
  again({ addresses: [second] });
  const done = machine.take();
  assert.ok(done.includes("release 10.0.0.100") && !done.includes("release 10.0.0.101"));
  assert.equal(only(node).takeovers, 1);
});

test("another vrid is another virtual router: it starts when the old one has gone", () => {
  const { machine, node, pass, said } = world();
  pass(4_000);
  node.configure({ setups: [testSetup({ vrid: 60 })], gate: "none", awaitedInterfaces: [], standings: {} });
  assert.equal(only(node).mode, "init");
  pass(3_000);
  assert.ok(machine.take().includes("release 10.0.0.100"));
  assert.deepEqual(modes(said).slice(-2), ["VI_1 init stopped", "VI_1 backup started"]);
});

test("tracks that are known hold from the start, and one of weight 0 is awaited", () => {
  const track = { name: "balancer", weight: 0, reverse: false };
  const { node, pass } = world([testSetup({ tracks: [track] })]);
  pass(4_000);
  assert.equal(only(node).mode, "init");
  node.track("balancer", "up");
  pass(4_000);
  assert.equal(only(node).mode, "active");
  node.track("balancer", "down");
  assert.equal(only(node).resigning, true);
});

test("members of a sync group fail and return together", () => {
  const members = ["inside", "outside"].map((name, index) =>
    testSetup(
      {
        name,
        vrid: 51 + index,
        syncGroup: "gateway",
        addresses: [{ address: `10.0.0.10${index}`, prefixLength: 32, interface: undefined }],
        tracks: index === 0 ? [{ name: "chk", weight: 0, reverse: false }] : [],
      },
      index + 1,
    ),
  );
  const { node, pass, hear } = world(members, { standings: { chk: "up" } });
  const shown = () => node.status().routers.map(({ mode }) => mode);
  pass(5_000);
  assert.deepEqual(shown(), ["active", "active"]);
  node.track("chk", "down");
  hear({ vrid: 51 });
  hear({ vrid: 52 });
  assert.deepEqual(shown(), ["fault", "fault"]);
  node.track("chk", "up");
  pass(5_000);
  assert.deepEqual(shown(), ["active", "active"]);
});

test("a silent supervisor is a fault that ends with its next word", () => {
  const { node, pass, hear } = world();
  pass(4_000);
  node.fault("supervisorSilent", "the supervisor is silent");
  hear({ priority: 90 });
  assert.equal(only(node).mode, "fault");
  node.clear("supervisorSilent");
  assert.equal(only(node).mode, "backup");
});

test("the gate is renewed by hand where the kernel cannot, and disarmed when the address has gone", () => {
  const { machine, pass, node, hear } = world([testSetup()], { gate: "renewedByHand" });
  pass(4_000);
  assert.ok(machine.take().includes("gate 1 for 2500 ms"));
  hear({ priority: 200 });
  assert.deepEqual(machine.take(), ["release 10.0.0.100", "disarm 1"]);
  assert.equal(only(node).mode, "backup");
});

test("orders are taken or denied with a reason", () => {
  const { node } = world();
  assert.equal(node.order("VI_9", "takeover")?.code, "vip.unknown");
  assert.equal(node.order("VI_1", "takeover"), undefined);
  assert.equal(only(node).mode, "active");
  node.fault("supervisorSilent", "silent");
  const owner = world([testSetup({ priority: 255 })]);
  assert.equal(owner.node.order("VI_1", "release")?.code, "vrrp.denied.owner");
});
