import assert from "node:assert/strict";
import { test } from "node:test";
import { createLayer4Picker } from "../balance/picker.ts";
import { memberOf } from "../balance/test-kit.ts";
import { seededRandom } from "../core/random.ts";
import type { Target } from "../model/pool.ts";
import { createAccessLog } from "./access-log.ts";
import { flowRecord } from "./flow-record.ts";
import { HeldDatagram, heldMemory } from "./held-datagram.ts";
import { FlowWorld, flowSnapshot } from "./test-flows.ts";
import { sinkTo } from "./test-sink.ts";
import { target } from "./test-world.ts";

test("weights 40, 30 and 30 hold exactly over 100 flows, evenly mixed", () => {
  const targets = [40, 30, 30].map((weight, index) => target(index + 1, { weight }));
  const world = new FlowWorld({ targets });
  for (let client = 0; client < 100; client++) {
    world.send("one", 40_000 + client);
    world.send("two", 40_000 + client);
    if (client % 10 === 9) {
      const tenth = (client + 1) / 10;
      assert.deepEqual(world.shares(), [4 * tenth, 3 * tenth, 3 * tenth]);
    }
  }
});

test("consistent hash goes by the client's address alone, as it does in the kernel", () => {
  const balance = { policy: "consistentHash", key: { kind: "clientAddress" } } as const;
  const targets = Array.from({ length: 10 }, (_, index) => target(index + 1));
  const world = new FlowWorld({ targets, pool: { balance } });
  const homes = new Map<string, string>();
  for (let client = 0; client < 200; client++) {
    const address = `198.51.100.${client % 50}`;
    world.send("one", 30_000 + client, address);
    const home = homes.get(address) ?? world.at().host;
    homes.set(address, home);
    assert.equal(world.at().host, home);
  }
  assert.ok(new Set(homes.values()).size > 5);
  const members = targets.map(({ address }, index) => ({ ...memberOf(index), address }));
  const picker = createLayer4Picker(balance, members, seededRandom(1));
  for (const [clientAddress, home] of homes) {
    const index = picker.pick({ nowMs: 0, tried: [], keyHash: 0, clientAddress });
    assert.equal(home, targets[index]?.host);
  }
});

for (const policy of ["leastConnections", "twoChoices", "random", "ipHash"] as const) {
  test(`${policy} spreads flows`, () => {
    const world = new FlowWorld({ pool: { balance: { policy } } });
    for (let client = 0; client < 60; client++) world.send("one", 40_000, `198.51.${client}.1`);
    assert.ok(Math.min(...world.shares()) > 5, `${world.shares()}`);
    if (policy === "leastConnections") assert.deepEqual(world.shares(), [20, 20, 20]);
  });
}

test("when the table is full the flow that was silent longest gives way, and that is counted", () => {
  const world = new FlowWorld({ listener: { limits: { flowsMax: 3 } } });
  for (const port of [1, 2, 3]) {
    world.send("one", port);
    world.advance(10);
  }
  // Of the first the client is heard again, of the second the target: the third is now silent longest.
  world.send("two", 1);
  world.at(1).answer("ONE");
  world.send("one", 4);
  assert.deepEqual(
    world.sockets.map(({ closed }) => closed),
    [false, false, true, false],
  );
  assert.deepEqual(world.counters.limits, { "listener.flows": 1 });
  assert.deepEqual([world.records[0]?.errorCode, world.records[0]?.clientPort], ["listener.flows", 3]);
  world.send("one", 5);
  assert.equal(world.at(0).closed, true);
  assert.equal(world.counters.flowsOpen, 3);
  world.assertBooks();
});

test("the limit is the node's: each worker has its share, and a lower one holds at once", () => {
  const world = new FlowWorld({ listener: { limits: { flowsMax: 8 } }, workerCount: 2 });
  for (let port = 1; port <= 6; port++) world.send("one", port);
  assert.equal(world.counters.flowsOpen, 4);
  world.apply({ listener: { limits: { flowsMax: 2 } }, workerCount: 2 });
  assert.deepEqual([world.counters.flowsOpen, world.counters.limits], [1, { "listener.flows": 5 }]);
  world.send("two", 6);
  assert.equal(world.sockets.length, 6);
  world.assertBooks();
});

test("a flow ends when nothing has come either way for its time, and a new time holds for those that are there", () => {
  const world = new FlowWorld({ listener: { timeouts: { flow: 1_000 } } });
  world.send("one", 1);
  world.send("one", 2);
  world.advance(600);
  world.at(0).answer("ONE");
  world.advance(500);
  assert.deepEqual(world.open(), ["1"]);
  world.apply({ listener: { timeouts: { flow: 30_000 } } });
  world.advance(20_000);
  assert.deepEqual(world.open(), ["1"]);
  world.advance(10_000);
  assert.deepEqual(world.open(), []);
  world.assertBooks();
});

test("one look ends no more than so many flows, so that nobody waits for all of them", () => {
  const world = new FlowWorld({ listener: { timeouts: { flow: 1_000 } } });
  for (let client = 0; client < 5_000; client++) world.send("one", 10_000 + client);
  world.advance(1_000);
  assert.equal(world.counters.flowsOpen, 3_000);
  world.advance(200);
  assert.equal(world.counters.flowsOpen, 0);
  world.assertBooks();
});

test("ten thousand clients are each found again", () => {
  const world = new FlowWorld();
  const clients = Array.from({ length: 10_000 }, (_, index) => ({
    address: index % 3 === 0 ? `2001:db8::${(index >> 6).toString(16)}` : `10.1.${index & 3}.${index % 250}`,
    port: 1_024 + (index % 5_000) * 2 + (index >> 13),
  }));
  const distinct = new Set(clients.map(({ address, port }) => `${address} ${port}`)).size;
  for (const { address, port } of clients) world.send("one", port, address);
  for (const { address, port } of clients) world.send("two", port, address);
  assert.equal(world.counters.flowsOpened, distinct);
  assert.equal(world.counters.flowsOpen, distinct);
});

test("a listener that is gone ends with its flows", () => {
  const world = new FlowWorld();
  world.send("one");
  const next = flowSnapshot(2, {});
  world.applySnapshot({ ...next, listeners: [] });
  assert.deepEqual([world.open(), world.records[0]?.errorCode], [[], "listener.removed"]);
  assert.equal(world.dataPlane.datagramAcceptor("dns"), undefined);
  assert.equal(world.status(1).active, 0);
});

test("a drained worker takes no new flow, serves those that speak, and closes the rest at its deadline", () => {
  const world = new FlowWorld();
  world.send("one", 1);
  world.send("one", 2);
  world.drain(5_000);
  world.send("one", 3);
  assert.deepEqual(world.counters.drops, { "listener.draining": 1 });
  for (let step = 0; step < 4; step++) {
    world.advance(900);
    world.send("more", 1);
  }
  assert.deepEqual([world.open().length, world.at(0).got.length, world.drained], [1, 5, false]);
  world.advance(2_000);
  assert.deepEqual([world.open().length, world.drained], [0, true]);
  assert.deepEqual(
    world.records.map(({ errorCode }) => errorCode),
    ["", ""],
  );
});

test("a drained worker ends at its deadline however much its flows speak", () => {
  const world = new FlowWorld();
  world.send("one", 1);
  world.drain(3_000);
  for (let step = 0; step < 8; step++) {
    world.advance(400);
    if (!world.drained) world.send("more", 1);
  }
  assert.deepEqual([world.drained, world.records[0]?.errorCode], [true, "worker.drained"]);
});

test("a drained worker does not wait for flows that expect no response", () => {
  const world = new FlowWorld({ listener: { responsesMax: 0 } });
  world.send("one", 1);
  world.drain(30_000);
  world.advance(100);
  assert.equal(world.drained, true);
});

test("what a client could not be sent is counted", () => {
  const world = new FlowWorld();
  world.socket("").onLost("EPERM");
  assert.deepEqual(world.counters.drops, { "client.send.EPERM": 1 });
});

test("a flow's line says who, whereto, how much and for how long", () => {
  const world = new FlowWorld();
  world.send("question");
  world.at(0).fail();
  world.advance(500);
  world.at(1).answer("a longer answer");
  world.advance(60_100);
  const [record] = world.records;
  assert.ok(record !== undefined);
  assert.deepEqual(record, {
    ...flowRecord(),
    clientAddress: "198.51.100.7",
    clientPort: 40_000,
    listenerPort: 53,
    listener: "dns",
    pool: "app",
    targetAddress: "10.0.0.2:8080",
    datagramsToTarget: 1,
    bytesToTarget: 8,
    datagramsToClient: 1,
    bytesToClient: 15,
    tries: 2,
    startedWallMs: 1_001_000,
    firstResponseMs: 500,
    totalMs: 60_500,
  });
  const lines: string[] = [];
  createAccessLog({ format: "json", sink: sinkTo(lines), node: "lb-1" }).writeFlow(record);
  createAccessLog({ format: "combined", sink: sinkTo(lines), node: "lb-1" }).writeFlow(record);
  const [json = "", combined = ""] = lines;
  assert.deepEqual(JSON.parse(json), {
    timestamp: "1970-01-01T00:17:41.500Z",
    "network.transport": "udp",
    "server.port": 53,
    "client.address": "198.51.100.7",
    "client.port": 40_000,
    "evenkeel.datagrams.to_target": 1,
    "evenkeel.datagrams.to_client": 1,
    "evenkeel.bytes.to_target": 8,
    "evenkeel.bytes.to_client": 15,
    "evenkeel.node": "lb-1",
    "evenkeel.listener": "dns",
    "evenkeel.pool": "app",
    "evenkeel.target": "10.0.0.2:8080",
    "evenkeel.tries": 2,
    "evenkeel.duration.total": 60.5,
    "evenkeel.duration.first_response": 0.5,
  });
  assert.match(combined, /^198\.51\.100\.7 \[[^\]]+\] UDP 200 15 8 60\.500 "10\.0\.0\.2:8080" "8" "15" "0\.000"\n$/);
});

test("held datagrams have a bound together, and memory given back is there for others", () => {
  const memory = heldMemory(1_024);
  const [one, two] = [new HeldDatagram(memory), new HeldDatagram(memory)];
  const bytes = Buffer.from("x".repeat(2_000));
  assert.ok(one.keep(bytes, 0, 700));
  assert.equal(memory.used, 768);
  assert.ok(!two.keep(bytes, 0, 300));
  assert.equal(two.full, false);
  assert.ok(two.keep(bytes, 0, 200));
  // Larger than what is left: what it held before is gone as well.
  assert.ok(!one.keep(bytes, 0, 800));
  assert.equal(one.full, false);
  one.free();
  assert.ok(two.keep(bytes, 0, 1_024));
  two.free();
  assert.equal(memory.used, 0);
});

/** Always the same five: one that goes and comes back is another, and its old flows are then nobody's in the status. */
const targetsOf = (random: () => number): Target[] =>
  Array.from({ length: 5 }, (_, index) =>
    target(index + 1, {
      weight: Math.floor(random() * 3),
      maxFails: Math.floor(random() * 3),
      connectionsMax: random() < 0.3 ? 5 : 0,
      intent: (["up", "up", "up", "drain", "down"] as const)[Math.floor(random() * 5)] ?? "up",
    }),
  );

test("whatever clients, targets and operators do, the books balance", () => {
  const seed = Number(process.env["EVENKEEL_SEED"] ?? Math.floor(Math.random() * 1e9));
  const random = seededRandom(seed);
  const world = new FlowWorld({ targets: targetsOf(random) }, seed);
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const errors = ["ECONNREFUSED", "EHOSTUNREACH", "EMSGSIZE", "queueFull"];
  try {
    for (let step = 0; step < 4_000; step++) {
      const socket = pick(world.sockets.slice(-40).filter(({ closed }) => !closed));
      const dice = random();
      if (dice < 0.55) world.send(`${step}`, Math.floor(random() * 60), `10.0.0.${Math.floor(random() * 3)}`);
      else if (dice < 0.75) socket?.answer(`to ${step}`);
      else if (dice < 0.85) socket?.fail(pick(errors), socket.got.length > 0 && random() < 0.5);
      else if (dice < 0.87) socket?.unopened(random() < 0.5 ? "EMFILE" : "ENETUNREACH");
      else if (dice < 0.97) world.advance(random() * 700);
      else {
        world.apply({
          targets: targetsOf(random),
          listener: {
            responsesMax: pick([undefined, 0, 1, 3]),
            timeouts: { flow: 500 + random() * 5_000 },
            limits: { flowsMax: 1 + Math.floor(random() * 40) },
          },
        });
      }
      world.assertBooks();
    }
    world.drain(1_000);
    world.advance(2_000);
    assert.ok(world.drained);
    world.assertBooks();
    assert.deepEqual(world.open(), []);
  } catch (error) {
    throw new Error(`seed ${seed} (EVENKEEL_SEED)`, { cause: error });
  }
});
