// What is counted of exchanges and connections, by route and target, read as the supervisor reads it; and that rows are given
// back when what they are about is gone and at rest, not before.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketOf } from "../state/slot-durations.ts";
import { overflowLabel, RowKind, slotOf } from "../state/slot-layout.ts";
import { SlotReader } from "../state/slot-reader.ts";
import { poolAction, route, scenario, target, testRetry, type World } from "./test-world.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

type Row = { readonly name: string; readonly figures: readonly number[] };

/** Live rows of a kind that count something of their own, by their labels. */
function rowsOf(world: World, kind: RowKind): Row[] {
  const { rows } = world.context.counts;
  const { buffer } = rows.used();
  assert(buffer instanceof ArrayBuffer);
  const reader = new SlotReader(buffer);
  const found: Row[] = [];
  reader.walk((row) => {
    const labels = reader.labels(row) ?? [];
    if (row.kind !== kind || !row.live || labels[0] === overflowLabel) return;
    found.push({ name: labels.join(" "), figures: Array.from(reader.slots.subarray(row.base, row.base + 40)) });
  });
  return found;
}

/** What ended on routes: labels, then classes 0 to 5. */
function ends(world: World, kind: RowKind = RowKind.exchanges): string[] {
  return rowsOf(world, kind).map(({ name, figures }) => `${name}: ${figures.slice(0, 6).join("")}`);
}

function answered(world: World, address: string): { readonly classes: string; readonly durations: readonly number[] } {
  const row = rowsOf(world, RowKind.target).find(({ name }) => name === `app ${address}`);
  assert(row !== undefined);
  const at = slotOf(RowKind.target, "class0");
  const from = slotOf(RowKind.target, "duration0");
  return { classes: row.figures.slice(at, at + 6).join(""), durations: row.figures.slice(from, from + 16) };
}

const second = (world: World): void => world.advance(1_100);

test("an exchange that was tried again counts at the target that answered it, and each response at its own", () => {
  const options = {
    targets: [target(1), target(2)],
    routes: [route({ action: poolAction({ retry: { ...testRetry, statuses: [503] } }) })],
  };
  scenario(options, (world) => {
    world.client(GET);
    const first = world.target();
    world.advance(300);
    world.say(first, UNAVAILABLE);
    const other = world.target();
    world.advance(40);
    world.say(other, OK);
    const [from, to] = world.opened === 2 ? ["10.0.0.1:8080", "10.0.0.2:8080"] : assert.fail("two tries");
    assert.deepEqual(ends(world), [`web web[0] app ${to}: 001000`]);
    assert.equal(answered(world, from).classes, "000001");
    assert.equal(answered(world, from).durations[bucketOf(300)], 1);
    assert.equal(answered(world, to).classes, "001000");
    assert.equal(answered(world, to).durations[bucketOf(40)], 1);
    const [row] = rowsOf(world, RowKind.exchangeRoute).filter(({ name }) => name === "web web[0]");
    assert.equal(row?.figures[slotOf(RowKind.exchangeRoute, "duration0") + bucketOf(340)], 1, "all of it");
    assert.equal(row?.figures[slotOf(RowKind.exchangeRoute, "active")], 0);
  });
});

test("a client that does not wait, a request that is none and one without a route have their places", () => {
  scenario({ routes: [route({ path: { kind: "prefix", path: "/app" } })] }, (world) => {
    world.client("GET /app HTTP/1.1\r\nHost: h\r\n\r\n").putClose("ECONNRESET");
    world.run();
    world.client("GET /else HTTP/1.1\r\nHost: h\r\n\r\n");
    world.client("no request\r\n\r\n");
    assert.deepEqual(ends(world), ["web web[0] app 10.0.0.1:8080: 100000", "web   : 000020"]);
  });
});

test("a tunnel counts as an exchange that took as long as it took to become one", () => {
  scenario({ routes: [route({ action: poolAction({ upgrade: "tunnel" }) })] }, (world) => {
    const client = world.client(UPGRADE);
    const wire = world.target();
    world.advance(200);
    world.say(wire, SWITCHED);
    const { counters } = world;
    assert.deepEqual([counters.tunnelsOpened, counters.tunnelsOpen], [1, 1]);
    for (let minute = 0; minute < 10; minute++) {
      world.say(client, "still here");
      world.advance(60_000);
    }
    client.putClose("");
    world.run();
    assert.equal(world.counters.tunnelsOpen, 0);
    assert.equal(world.records[0]?.totalMs, 600_200, "the log has all of it");
    const [row] = rowsOf(world, RowKind.exchangeRoute).filter(({ name }) => name === "web web[0]");
    assert.equal(row?.figures[slotOf(RowKind.exchangeRoute, "duration0") + bucketOf(200)], 1);
    assert.deepEqual(ends(world), ["web web[0] app 10.0.0.1:8080: 010000"]);
  });
});

test("a TCP client counts at its target when it leaves, one that only looked nowhere", () => {
  scenario({ tcp: {} }, (world) => {
    const client = world.client("hello");
    world.target();
    assert.deepEqual(ends(world, RowKind.tunnels), []);
    client.putClose("");
    world.run();
    assert.deepEqual(ends(world, RowKind.tunnels), ["web web[0] app 10.0.0.1:8080: 001000"]);
    world.client("again");
    world.refuse();
    assert.deepEqual(ends(world, RowKind.tunnels), ["web web[0] app 10.0.0.1:8080: 001001"]);
    assert.equal(
      answered(world, "10.0.0.1:8080").durations.reduce((sum, count) => sum + count, 0),
      1,
    );
  });
});

test("the rows of a removed target are given back once nothing is under way there", () => {
  scenario({ targets: [target(1)] }, (world) => {
    const targets = () => rowsOf(world, RowKind.target).map(({ name }) => name);
    world.client(GET);
    const wire = world.target();
    world.apply({ targets: [target(2)] });
    second(world);
    assert.deepEqual(targets(), ["app 10.0.0.1:8080", "app 10.0.0.2:8080"]);
    world.say(wire, OK);
    assert.deepEqual(ends(world), ["web web[0] app 10.0.0.1:8080: 001000"], "its last exchange is counted");
    second(world);
    assert.deepEqual(targets(), ["app 10.0.0.2:8080"]);
    assert.deepEqual(ends(world), []);
  });
});

test("a route that a reload leaves counts on; one that is gone is given back after its last exchange", () => {
  const named = (name: string) => ({ routes: [route({ name })] });
  scenario(named("old"), (world) => {
    const routes = () => rowsOf(world, RowKind.exchangeRoute).map(({ name }) => name);
    const client = world.client(GET);
    const wire = world.target();
    world.say(wire, OK);
    world.apply(named("old"));
    world.say(client, GET);
    world.say(wire, OK);
    assert.deepEqual(ends(world), ["web old app 10.0.0.1:8080: 002000"]);
    world.say(client, GET);
    world.apply(named("new"));
    second(world);
    assert.deepEqual(routes().sort(), ["web ", "web new", "web old"]);
    world.say(wire, OK);
    assert.deepEqual(ends(world), ["web old app 10.0.0.1:8080: 003000"]);
    second(world);
    assert.deepEqual(routes().sort(), ["web ", "web new"]);
    assert.deepEqual(ends(world), []);
  });
});

test("a listener that is gone is counted until its last client has left", () => {
  scenario({}, (world) => {
    const listeners = () => rowsOf(world, RowKind.listener).map(({ name }) => name);
    const client = world.client("GET / HTTP/1.1\r\n");
    world.client(GET);
    world.apply({ listener: { name: "other" } });
    second(world);
    assert.deepEqual(listeners(), ["web", "other"]);
    for (const wire of [client, ...world.clients]) wire.putClose("");
    world.run();
    second(world);
    assert.deepEqual(listeners(), ["other"]);
    assert.deepEqual(
      rowsOf(world, RowKind.exchangeRoute).map(({ name }) => name.split(" ")[0]),
      ["other", "other"],
    );
  });
});
