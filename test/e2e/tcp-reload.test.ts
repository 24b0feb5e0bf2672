// Changes under open TCP connections: reloads that they don't notice, and the program's end, which gives them time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { listener, pool, startBalancer, startEcho } from "./http-kit.ts";
import { freePort, type RawClient, rawClient, until } from "./kit.ts";
import { startStreamEchoes, tcpListener, visit } from "./tcp-kit.ts";

async function open(t: Parameters<typeof rawClient>[0], port: number, count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => rawClient(t, port)));
  await Promise.all(clients.map((client) => client.receives("\n")));
  return clients;
}

test("200 open tunnels go on through reloads that take away their target, their listener and its protocol", async (t) => {
  const echoes = await startStreamEchoes(t, ["a", "b"]);
  const [a, b] = echoes;
  const web = await startEcho(t, "web");
  assert.ok(a !== undefined && b !== undefined);
  const [port, elsewhere] = [await freePort(), await freePort()];
  const both = { listeners: { echo: tcpListener(port) }, pools: { echo: pool([a.port, b.port]) } };
  const balancer = await startBalancer(t, { workers: 2, ...both });
  const clients = await open(t, port, 200);
  const greetings = clients.map((client) => client.received());
  let round = 0;
  const checkAll = async () => {
    round += 1;
    for (const client of clients) client.write(`round ${round}\n`);
    await Promise.all(clients.map((client, index) => client.receives(`${greetings[index]?.trim()} round ${round}\n`)));
  };
  await checkAll();
  for (const config of [
    { listeners: { echo: tcpListener(port) }, pools: { echo: pool([b.port]) } },
    { listeners: { echo: tcpListener(port, { timeouts: { tunnel: "1s" } }) }, pools: { echo: pool([a.port]) } },
    { listeners: { echo: listener(port, [{ pool: "web" }]) }, pools: { web: pool([web.port]) } },
    { listeners: { echo: tcpListener(elsewhere) }, pools: { echo: pool([b.port]) } },
    { listeners: {}, pools: {} },
    both,
  ]) {
    balancer.write({ workers: 2, ...config });
    const reloaded = await balancer.reload();
    assert.equal(reloaded.code, 0, reloaded.stderr);
    await checkAll();
    if (config.listeners.echo === undefined) continue;
    if (config.listeners.echo["protocol"] === "tcp") {
      const at = config.listeners.echo["bind"] === `127.0.0.1:${port}` ? port : elsewhere;
      assert.match((await visit(at)).greeting, /^[ab]$/);
    } else {
      const client = await rawClient(t, port);
      client.write("GET / HTTP/1.0\r\n\r\n");
      await client.receives("web\n");
    }
  }
  for (const client of clients) client.end();
  await Promise.all(clients.map((client) => client.closed()));
  assert.ok(clients.every((client) => client.state() === "end"));
  await until("no tunnel to be counted", async () => {
    const { pools } = await balancer.status();
    return pools.every(({ targets }) => targets.every(({ active }) => active === 0));
  });
});

test("SIGTERM lets tunnels end in order, and resets at the deadline those that have not", async (t) => {
  const [a] = await startStreamEchoes(t, ["a"]);
  assert.ok(a !== undefined);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    drainTimeout: "4s",
    listeners: { echo: tcpListener(port) },
    pools: { echo: pool([a.port]) },
  });
  const [one, two] = await open(t, port, 2);
  assert.ok(one !== undefined && two !== undefined);
  balancer.program.signal("SIGTERM");
  await until("nobody listens", async () => (await visit(port)).error === "ECONNREFUSED");
  one.write("still here\n");
  await one.receives("a still here\n");
  one.end();
  await one.closed();
  assert.equal(one.state(), "end");
  await two.closed();
  assert.equal(two.state(), "reset");
  assert.equal((await balancer.program.exited()).code, 0);
});
