// A listener with as many connections as it may have, with the real program: who comes now is neither refused nor served,
// waits in the kernel's backlog, and is served when others leave. With one worker, with two that share the limit, and over
// a reload that moves it.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Balancer, listener, startBalancer } from "./http-kit.ts";
import { ask, freePort, type RawClient, rawClient, until } from "./kit.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

type Full = { readonly balancer: Balancer; readonly port: number; setLimit(connections: number): Promise<void> };

async function start(t: TestContext, workers: number, connections: number): Promise<Full> {
  const port = await freePort();
  const config = (limit: number) => ({
    workers,
    // Nobody leaves by himself while the test looks.
    defaults: { timeouts: { keepAlive: "10m", clientHeader: "10m" } },
    listeners: { web: listener(port, [{ respond: { body: "served" } }], { limits: { connections: limit } }) },
  });
  const balancer = await startBalancer(t, config(connections));
  return {
    balancer,
    port,
    setLimit: async (limit) => {
      balancer.write(config(limit));
      const ran = await balancer.reload();
      assert.equal(ran.code, 0, ran.stderr);
    },
  };
}

/** Connects and asks; whether it is served is another matter. */
async function asking(t: TestContext, port: number): Promise<RawClient> {
  const client = await rawClient(t, port);
  client.write(GET);
  return client;
}

/** One after the other, so that the order in the backlog is theirs. */
async function askingMany(t: TestContext, port: number, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count) clients.push(await asking(t, port));
  return clients;
}

/** Asks once more on a connection that is served already, and waits for the response. */
async function asksAgain(client: RawClient): Promise<void> {
  const before = responses(client);
  client.write(GET);
  await client.receives(() => responses(client) === before + 1);
}

function responses(client: RawClient): number {
  return client.received().split("HTTP/1.1 200 OK").length - 1;
}

type Counters = { readonly open: number; readonly accepted: number; readonly timesFull: number };

async function countersOf({ balancer }: Full): Promise<Counters> {
  const { listeners } = JSON.parse((await ask({ socketPath: balancer.socket, path: "/v1/status" })).body);
  const { connectionsOpen, connectionsAccepted, limits } = listeners[0].counters;
  return { open: connectionsOpen, accepted: connectionsAccepted, timesFull: limits["listener.connections"] ?? 0 };
}

/** Half-closes as a client that has had its response, and waits until we have closed as well. */
async function leaves(client: RawClient): Promise<void> {
  client.end();
  await client.closed();
  assert.equal(client.state(), "end");
}

test("clients beyond the limit wait, and are served in their order as others leave", async (t) => {
  const full = await start(t, 1, 4);
  const clients = await askingMany(t, full.port, 8);
  const waiting = clients.slice(4);
  for (const client of clients.slice(0, 4)) await client.receives("served");
  assert.deepEqual(await countersOf(full), { open: 4, accepted: 4, timesFull: 1 });
  // Those inside are served on, however many wait.
  for (const client of clients.slice(0, 4)) await asksAgain(client);
  for (const client of waiting) assert.deepEqual([client.received(), client.state()], ["", "open"]);
  for (const [index, client] of waiting.entries()) {
    await leaves(clients[index] as RawClient);
    await client.receives("served");
    for (const later of waiting.slice(index + 1)) assert.deepEqual([later.received(), later.state()], ["", "open"]);
    assert.deepEqual(await countersOf(full), { open: 4, accepted: 5 + index, timesFull: 2 + index });
  }
  for (const client of waiting) await leaves(client);
  await until("an empty listener", async () => (await countersOf(full)).open === 0);
  assert.equal((await ask({ port: full.port })).body, "served");
});

test("one that gives up in the backlog takes nobody's place", async (t) => {
  const full = await start(t, 1, 4);
  const inside = await askingMany(t, full.port, 4);
  for (const client of inside) await client.receives("served");
  const [impatient, broken, patient] = await askingMany(t, full.port, 3);
  impatient?.socket.destroy();
  broken?.socket.resetAndDestroy();
  await leaves(inside[0] as RawClient);
  await patient?.receives("served");
  for (const client of inside.slice(1)) await asksAgain(client);
  await until("the two to be gone", async () => (await countersOf(full)).open === 4);
});

test("two workers share the limit; whichever a client waits for serves it in the end", async (t) => {
  const full = await start(t, 2, 4);
  const clients = await askingMany(t, full.port, 14);
  const left = new Set<RawClient>();
  const inside = () => clients.filter((client) => responses(client) > 0 && !left.has(client));
  while (left.size < clients.length) {
    // Where the kernel put them is chance: a worker may be full while the other one waits for its first client.
    await until("somebody to be served", () => inside().length > 0);
    const { open } = await countersOf(full);
    assert.ok(open <= 4, `${open} connections are open`);
    assert.ok(inside().length <= 4, `${inside().length} clients are served at once`);
    const next = inside()[0] as RawClient;
    await leaves(next);
    left.add(next);
  }
  for (const client of clients) assert.equal(responses(client), 1);
  await until("an empty listener", async () => (await countersOf(full)).open === 0);
  const { accepted, timesFull } = await countersOf(full);
  assert.equal(accepted, 14);
  assert.ok(timesFull >= 1, "14 clients fill one of two workers");
});

test("a reload that raises the limit lets in who waits, and one that lowers it closes nobody", async (t) => {
  for (const workers of [1, 2]) {
    const full = await start(t, workers, 4);
    const clients = await askingMany(t, full.port, 12);
    await until("a full listener", async () => (await countersOf(full)).timesFull > 0);
    await full.setLimit(400);
    for (const client of clients) await client.receives("served");
    await full.setLimit(4);
    const late = await askingMany(t, full.port, 2);
    for (const client of clients) await asksAgain(client);
    assert.equal((await countersOf(full)).open, 12);
    if (workers === 1) for (const client of late) assert.deepEqual([client.received(), client.state()], ["", "open"]);
    for (const client of clients) await leaves(client);
    for (const client of late) await client.receives("served");
  }
});
