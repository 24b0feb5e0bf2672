import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowWorld } from "./test-flows.ts";
import { target } from "./test-world.ts";

test("a client's datagrams go to one target, and its answers to that client", () => {
  const world = new FlowWorld();
  world.send("one");
  world.send("two");
  world.send("three", 40_001);
  assert.deepEqual(
    world.sockets.map(({ host, port, got }) => [host, port, got]),
    [
      ["10.0.0.1", 8080, ["one", "two"]],
      ["10.0.0.2", 8080, ["three"]],
    ],
  );
  world.at(1).answer("THREE");
  world.at(0).answer("ONE");
  assert.deepEqual(world.heard(), ["198.51.100.7:40001 THREE", "198.51.100.7:40000 ONE"]);
  const { datagramsFromClients, datagramsToClients, bytesFromClients, bytesToClients, flowsOpen } = world.counters;
  assert.deepEqual([datagramsFromClients, datagramsToClients, bytesFromClients, bytesToClients], [3, 2, 11, 8]);
  assert.equal(flowsOpen, 2);
  const { datagramsToTarget, datagramsFromTarget, bytesToTarget, bytesFromTarget } = world.status(1).counters;
  assert.deepEqual([datagramsToTarget, datagramsFromTarget, bytesToTarget, bytesFromTarget], [2, 1, 6, 3]);
  world.assertBooks();
});

test("an empty datagram is a datagram", () => {
  const world = new FlowWorld();
  world.send("");
  world.at().fail();
  world.at().answer("");
  assert.deepEqual(world.at().got, [""]);
  assert.deepEqual(world.heard(), ["198.51.100.7:40000 "]);
});

test("the client is answered by the socket through which it asked last", () => {
  const world = new FlowWorld();
  const other = world.socket("other ");
  world.send("one");
  world.send("two", 40_000, "198.51.100.7", other);
  world.at().answer("TWO");
  assert.deepEqual(world.heard(), ["other 198.51.100.7:40000 TWO"]);
  assert.equal(world.sockets.length, 1);
});

test("what met a refusal on its way is sent again to the next target, and the flow stays there", () => {
  const world = new FlowWorld();
  world.send("one");
  world.at(0).fail();
  world.send("two");
  assert.deepEqual([world.at(0).closed, world.at(1).host, world.at(1).got], [true, "10.0.0.2", ["one", "two"]]);
  assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.connect.refused"]);
  assert.equal(world.status(1).health, "unhealthy");
  assert.deepEqual([world.status(1).counters.failures, world.status(2).counters.retries], [1, 1]);
  world.assertBooks();
});

test("a datagram that could not be sent and the one before it, whose refusal that was, both go to the next target", () => {
  const world = new FlowWorld();
  world.send("one");
  world.send("two");
  world.at(0).fail("ECONNREFUSED", true);
  assert.deepEqual(world.at(1).got, ["one", "two"]);
  // Refused there as well, before anything else: both once more.
  world.at(1).fail("ECONNREFUSED", true);
  assert.deepEqual([world.at(2).host, world.at(2).got], ["10.0.0.3", ["one", "two"]]);
});

test("both go on together when the refusal comes after both were sent", () => {
  const world = new FlowWorld();
  world.send("one");
  world.send("two");
  world.at(0).fail("ECONNREFUSED", true);
  world.at(1).fail();
  assert.deepEqual(world.at(2).got, ["one", "two"]);
});

test("nothing that was answered is sent again", () => {
  const world = new FlowWorld();
  world.send("one");
  world.at(0).answer("ONE");
  world.at(0).fail();
  assert.deepEqual([world.at(1).host, world.at(1).got], ["10.0.0.2", []]);
  world.send("two");
  world.at(1).answer("TWO");
  world.send("three");
  world.at(1).fail("EHOSTUNREACH", true);
  assert.deepEqual(world.at(2).got, ["three"]);
});

test("without a target left the datagram is dropped and counted, and the next one begins anew", () => {
  const world = new FlowWorld({ targets: [target(1), target(2, { maxFails: 0 })] });
  world.send("one");
  world.at(0).fail();
  world.at(1).fail();
  assert.deepEqual(world.counters.drops, { "target.connect.refused": 1 });
  assert.deepEqual([world.counters.flowsOpen, world.records[0]?.errorCode], [0, "target.connect.refused"]);
  world.send("two");
  assert.deepEqual([world.at().host, world.at().got], ["10.0.0.2", ["two"]]);
  world.apply({ targets: [target(1, { intent: "down" })] });
  world.send("three");
  assert.deepEqual(world.counters.drops, { "target.connect.refused": 1, "pool.allOut": 1 });
  world.send("four", 40_009);
  assert.equal(world.counters.drops["pool.allOut"], 2);
  world.assertBooks();
});

test("one datagram meets five targets at most", () => {
  const targets = [1, 2, 3, 4, 5, 6, 7].map((number) => target(number, { maxFails: 0 }));
  const world = new FlowWorld({ targets });
  world.send("one");
  for (let tries = 0; tries < 5; tries++) world.at().fail();
  assert.equal(world.sockets.length, 5);
  assert.equal(new Set(world.sockets.map(({ host }) => host)).size, 5);
  assert.deepEqual(world.counters.drops, { "target.connect.refused": 1 });
});

test("the other flows of a dead target go elsewhere with their next datagram", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)] });
  for (let client = 0; client < 10; client++) world.send("one", 40_000 + client);
  world.at(0).fail();
  for (let client = 0; client < 10; client++) world.send("two", 40_000 + client);
  assert.deepEqual(new Set(world.open()), new Set(["2"]));
  assert.equal(world.reports.length, 1);
  world.assertBooks();
});

test("a flow that leaves a dead target takes along what it sent there since its death, and nothing older", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)] });
  for (let client = 0; client < 3; client++) world.send("old", 40_000 + client);
  world.advance(1_000);
  // The dead target's refusal reaches only one flow: systems limit how many they send.
  world.send("one", 40_000);
  world.advance(1);
  world.send("two", 40_002);
  world.at(0).fail();
  world.send("three", 40_002);
  assert.deepEqual(world.at().got, ["two", "three"]);
  // Both are on their way, and go on together.
  world.at().fail();
  assert.equal(world.counters.drops["target.connect.refused"], 2);
  const other = new FlowWorld({ targets: [target(1), target(2)] });
  for (const port of [1, 2, 3]) other.send("old", port);
  other.advance(1_000);
  other.send("one", 1);
  other.at(0).fail();
  other.send("new", 3);
  assert.deepEqual(other.at().got, ["new"]);
});

test("flows stay at a target that is out when there is no other", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)] });
  world.send("one");
  world.send("one", 40_001);
  world.send("one", 40_002);
  world.at(0).fail();
  world.at(1).fail();
  world.send("two", 40_002);
  assert.deepEqual(world.at(2).got, ["one", "two"]);
});

test("flows leave a target that the probes have out", () => {
  const world = new FlowWorld();
  world.send("one");
  const change = { pool: "app", target: "10.0.0.1:8080", healthy: false, reason: "target.health.failed" };
  world.dataPlane.takeHealth([change]);
  world.send("two");
  assert.deepEqual([world.at(0).closed, world.at(1).got], [true, ["two"]]);
});

test("a draining target keeps its flows, one that is down or gone loses them with their next datagram", () => {
  const world = new FlowWorld();
  for (let client = 0; client < 3; client++) world.send("one", 40_000 + client);
  world.apply({ targets: [target(1, { intent: "drain" }), target(2, { intent: "down" }), target(4)] });
  for (let client = 0; client < 3; client++) world.send("two", 40_000 + client);
  assert.deepEqual(
    world.sockets.map(({ host, got, closed }) => [host, got, closed]),
    [
      ["10.0.0.1", ["one", "two"], false],
      ["10.0.0.2", ["one"], true],
      ["10.0.0.3", ["one"], true],
      ["10.0.0.4", ["two"], false],
      ["10.0.0.4", ["two"], false],
    ],
  );
  world.assertBooks();
});

test("a listener that is given another pool takes its flows there", () => {
  const world = new FlowWorld({ targets: [target(1)] });
  world.send("one");
  world.apply({ targets: [target(9)], pool: { name: "other" }, listener: { pool: "other" } });
  world.send("two");
  assert.deepEqual([world.at().host, world.at().got, world.at(0).closed], ["10.0.0.9", ["two"], true]);
});

test("a flow ends after as many responses as are expected for its datagrams", () => {
  const world = new FlowWorld({ listener: { responsesMax: 1 } });
  // Two questions from one port, as resolvers ask for A and AAAA: both are answered.
  world.send("A");
  world.send("AAAA");
  world.at(0).answer("a");
  assert.equal(world.counters.flowsOpen, 1);
  world.at(0).answer("aaaa");
  assert.deepEqual([world.counters.flowsOpen, world.at(0).closed], [0, true]);
  assert.deepEqual(world.heard().length, 2);
  world.send("MX");
  assert.equal(world.at(1).host, "10.0.0.2");
  world.assertBooks();
});

test("where no response is expected a flow lasts until it is idle, and one that comes is passed on", () => {
  const world = new FlowWorld({ listener: { responsesMax: 0 } });
  world.send("one");
  world.at(0).answer("unasked");
  world.advance(59_000);
  world.send("two");
  world.advance(59_000);
  assert.deepEqual([world.at(0).got, world.heard().length], [["one", "two"], 1]);
  world.advance(1_100);
  assert.equal(world.counters.flowsOpen, 0);
  assert.equal(world.records[0]?.errorCode, "");
});

test("a target that owes responses and says nothing to anybody fails", () => {
  const world = new FlowWorld({ listener: { responsesMax: 1 } });
  world.send("one");
  world.advance(60_100);
  assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.silent"]);
  assert.equal(world.records[0]?.errorCode, "target.silent");
  assert.equal(world.status(1).health, "unhealthy");
});

test("a client that asks a silent target again and again is moved when a flow's time has passed", () => {
  const world = new FlowWorld({ listener: { responsesMax: 1 } });
  for (let asked = 0; asked < 7; asked++) {
    world.send(`${asked}`);
    world.advance(10_000);
  }
  assert.deepEqual([world.at(0).got.length, world.at(1).got], [6, ["6"]]);
  assert.equal(world.reports.length, 1);
});

test("a target that leaves one question unanswered and answers another has not failed", () => {
  const world = new FlowWorld({ targets: [target(1, { maxFails: 1 }), target(2)], listener: { responsesMax: 1 } });
  world.send("nonsense");
  world.send("to 2", 40_001);
  world.send("to 1", 40_002);
  world.advance(100);
  world.at(2).answer("yes");
  world.advance(60_100);
  assert.deepEqual(world.reports, ["app 10.0.0.2:8080 target.silent"]);
});

test("a target that has had its time out takes one flow on trial, and an answer ends it", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)] });
  world.send("one");
  world.at(0).fail();
  world.advance(10_100);
  for (let client = 1; client < 9; client++) world.send("one", 40_000 + client);
  assert.deepEqual(world.open().filter((number) => number === "1").length, 1);
  const trial = world.sockets.find(({ closed, host }) => !closed && host === "10.0.0.1");
  trial?.answer("I am back");
  for (let client = 10; client < 18; client++) world.send("one", 40_000 + client);
  assert.equal(world.open().filter((number) => number === "1").length, 5);
});

test("where no response is owed, a second without ICMP's word ends the trial", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)], listener: { responsesMax: 0 } });
  world.send("one");
  world.at(0).fail();
  world.advance(10_100);
  world.send("one", 40_001);
  world.send("one", 40_002);
  world.send("one", 40_003);
  const before = world.open().filter((number) => number === "1").length;
  world.advance(1_100);
  for (let client = 4; client < 8; client++) world.send("one", 40_000 + client);
  assert.deepEqual([before, world.open().filter((number) => number === "1").length], [1, 3]);
});

test("where responses are owed, a trial lasts until one has come", () => {
  const world = new FlowWorld({ targets: [target(1), target(2)], listener: { responsesMax: 1 } });
  world.send("one");
  world.at(0).fail();
  world.advance(10_100);
  for (let client = 1; client < 4; client++) world.send("one", 40_000 + client);
  world.advance(5_000);
  for (let client = 4; client < 8; client++) world.send("one", 40_000 + client);
  assert.equal(world.open().filter((number) => number === "1").length, 1);
});

test("a target takes as many flows as it may have", () => {
  const targets = [target(1, { connectionsMax: 2 }), target(2, { connectionsMax: 1 })];
  const world = new FlowWorld({ targets });
  for (let client = 0; client < 5; client++) world.send("one", 40_000 + client);
  assert.deepEqual([world.status(1).active, world.status(2).active], [2, 1]);
  assert.deepEqual(world.counters.drops, { "pool.allFull": 2 });
  world.advance(60_100);
  world.send("two");
  assert.equal(world.counters.flowsOpen, 1);
});

test("a socket that cannot be had costs the datagram, and the flow that was silent longest its own", () => {
  const world = new FlowWorld();
  world.send("one");
  world.advance(10);
  world.send("one", 40_001);
  world.send("one", 40_002);
  world.at(2).unopened("EMFILE");
  assert.deepEqual(world.open(), ["2"]);
  assert.deepEqual([world.counters.drops, world.counters.limits], [{ "flow.socket": 1 }, { "flow.socket": 1 }]);
  assert.deepEqual(world.reports, []);
  world.assertBooks();
});

test("a target that cannot be reached from here is not the end of the datagram", () => {
  const world = new FlowWorld();
  world.send("one");
  world.at(0).unopened("ENETUNREACH");
  assert.deepEqual([world.at(1).host, world.at(1).got], ["10.0.0.2", ["one"]]);
  assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.connect.failed"]);
});

test("what is not the target's fault is counted and changes nothing", () => {
  const world = new FlowWorld();
  world.send("one");
  world.at(0).fail("EMSGSIZE", true);
  world.send("two");
  assert.deepEqual([world.at(0).got, world.sockets.length], [["two"], 1]);
  assert.deepEqual(world.counters.drops, { "target.send.EMSGSIZE": 1 });
});

test("a large datagram is sent again whole", () => {
  const world = new FlowWorld();
  const large = "x".repeat(65_507);
  world.send("small");
  world.send(large);
  world.at(0).fail("ECONNREFUSED", true);
  assert.deepEqual(world.at(1).got, ["small", large]);
});
