// Which target gets a request: every policy over real demo servers, each of which answers with its name. One worker, so
// that orders are exact. Clients come from several addresses of 127.0.0.0/8.

import assert from "node:assert/strict";
import { request } from "node:http";
import { before, type TestContext, test } from "node:test";
import {
  type Balancer,
  type ConfigFile,
  type Echo,
  fileScope,
  listener,
  pool,
  startBalancer,
  startEcho,
  startEchoes,
} from "./http-kit.ts";
import { ask, freePort, until } from "./kit.ts";

const suite = fileScope();
let echoes: Echo[] = [];

before(async () => {
  echoes = await startEchoes(suite, ["a", "b", "c"]);
});

const ports = () => echoes.map(({ port }) => port);

/** A pool of a, b and c with settings each. */
function pooled(settings: readonly ConfigFile[], more: ConfigFile = {}): ConfigFile {
  return {
    targets: Object.fromEntries(ports().map((port, index) => [`127.0.0.1:${port}`, settings[index] ?? {}])),
    ...more,
  };
}

type Started = { readonly port: number; readonly balancer: Balancer; config(app: ConfigFile): ConfigFile };

async function start(t: TestContext, app: ConfigFile): Promise<Started> {
  const port = await freePort();
  const config = (next: ConfigFile) => ({
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: next },
  });
  return { port, balancer: await startBalancer(t, config(app)), config };
}

/** The name of the target that answers. */
async function nameOf(port: number, path = "/"): Promise<string> {
  const { status, body } = await ask({ port, path });
  return status === 200 ? body.trim() : `${status}`;
}

async function namesOf(port: number, count: number): Promise<string[]> {
  const names: string[] = [];
  while (names.length < count) names.push(await nameOf(port));
  return names;
}

/** As nameOf, from another address of this machine. */
function nameFrom(localAddress: string, port: number, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, localAddress, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("latin1").on("data", (text: string) => {
        body += text;
      });
      response.on("error", reject).on("end", () => resolve(body.trim()));
    });
    outgoing.on("error", reject).end();
  });
}

function tally(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    [...new Set(names)].sort().map((name) => [name, names.filter((other) => other === name).length]),
  );
}

/** Exchanges under way, in the order of a, b and c. */
async function active(balancer: Balancer): Promise<number[]> {
  const targets = (await balancer.status()).pools[0]?.targets ?? [];
  return ports().map((port) => targets.find(({ address }) => address === `127.0.0.1:${port}`)?.active ?? -1);
}

/** Requests that take long, begun one after the other: each is with a target before the next one begins. */
async function hold(started: Started, count: number): Promise<Promise<string>[]> {
  const held: Promise<string>[] = [];
  for (let number = 1; number <= count; number++) {
    held.push(nameOf(started.port, "/delay/1200"));
    await until("the exchange to be under way", async () => {
      const sum = (await active(started.balancer)).reduce((total, each) => total + each, 0);
      return sum === number;
    });
  }
  return held;
}

test("round robin with weights 40, 30 and 30 gives exactly these of 100, evenly mixed", async (t) => {
  const { port } = await start(t, pooled([{ weight: 40 }, { weight: 30 }, { weight: 30 }]));
  const names = await namesOf(port, 100);
  assert.deepEqual(tally(names), { a: 40, b: 30, c: 30 });
  for (let at = 0; at < 100; at += 10) assert.deepEqual(tally(names.slice(at, at + 10)), { a: 4, b: 3, c: 3 });
});

test("weight 0, drain and down take no new work", async (t) => {
  const { port } = await start(t, pooled([{ weight: 0 }, { intent: "drain" }, {}]));
  assert.deepEqual(tally(await namesOf(port, 10)), { c: 10 });
  const none = await start(t, pooled([{ weight: 0 }, { intent: "drain" }, { intent: "down" }]));
  const answer = await ask({ port: none.port });
  assert.equal(answer.status, 503);
  assert.match(answer.body, /pool\.allOut/);
});

test("least connections gives to the target with the fewest under way, by weight", async (t) => {
  const even = await start(t, pooled([], { balance: "leastConnections" }));
  const held = await hold(even, 6);
  assert.deepEqual(await active(even.balancer), [2, 2, 2]);
  assert.deepEqual(tally(await Promise.all(held)), { a: 2, b: 2, c: 2 });
  const weighted = await start(t, pooled([{ weight: 2 }, {}, {}], { balance: "leastConnections" }));
  const more = await hold(weighted, 8);
  assert.deepEqual(await active(weighted.balancer), [4, 2, 2]);
  await Promise.all(more);
});

test("ip hash keeps clients of one network at one target, and spreads networks", async (t) => {
  const { port } = await start(t, pooled([], { balance: "ipHash" }));
  const byNetwork: string[] = [];
  for (let network = 1; network <= 30; network++) {
    const names = new Set<string>();
    for (const last of [1, 77, 254]) names.add(await nameFrom(`127.0.${network}.${last}`, port));
    assert.equal(names.size, 1, `127.0.${network}.0/24 went to ${[...names].join()}`);
    byNetwork.push(...names);
  }
  assert.deepEqual(Object.keys(tally(byNetwork)), ["a", "b", "c"]);
});

test("consistent hash keeps each client at its target, and a target that leaves moves its own clients only", async (t) => {
  const balance = { consistentHash: { key: "clientAddress" } };
  const { port, balancer, config } = await start(t, pooled([], { balance }));
  const addresses = Array.from({ length: 60 }, (_, index) => `127.0.9.${index + 1}`);
  const homes = async () => {
    const names: string[] = [];
    for (const address of addresses) names.push(await nameFrom(address, port));
    return names;
  };
  const first = await homes();
  assert.deepEqual(await homes(), first);
  assert.deepEqual(Object.keys(tally(first)), ["a", "b", "c"]);
  balancer.write(config(pool(ports().slice(0, 2), {}, { balance })));
  assert.equal((await balancer.reload()).code, 0);
  const second = await homes();
  const moved = first.filter((name, index) => second[index] !== name);
  assert.deepEqual(Object.keys(tally(moved)), ["c"]);
  assert.equal(moved.length, first.filter((name) => name === "c").length);
});

test("consistent hash by a header follows the header, not the client", async (t) => {
  const { port } = await start(t, pooled([], { balance: { consistentHash: { key: { header: "X-Session" } } } }));
  const seen = new Set<string>();
  for (let session = 0; session < 20; session++) {
    const headers = { "x-session": `s${session}` };
    const name = await nameFrom("127.0.0.1", port, headers);
    assert.equal(await nameFrom("127.0.0.2", port, headers), name);
    seen.add(name);
  }
  assert.equal(seen.size, 3);
});

for (const balance of ["random", "twoChoices"]) {
  test(`${balance} reaches every target and none with weight 0`, async (t) => {
    const { port } = await start(t, pooled([{}, {}, { weight: 0 }], { balance }));
    assert.deepEqual(Object.keys(tally(await namesOf(port, 60))), ["a", "b"]);
  });
}

test("a backup takes work only while every other target is out", async (t) => {
  const own = await startEcho(t, "own");
  const app = {
    targets: { [`127.0.0.1:${own.port}`]: { failTimeout: "500ms" }, [`127.0.0.1:${ports()[0]}`]: { backup: true } },
  };
  const { port } = await start(t, app);
  assert.deepEqual(tally(await namesOf(port, 10)), { own: 10 });
  own.program.signal("SIGKILL");
  await own.program.exited();
  assert.deepEqual(tally(await namesOf(port, 10)), { a: 10 });
  await startEcho(t, "own", own.port);
  await until("its return", async () => (await nameOf(port)) === "own");
  assert.deepEqual(tally(await namesOf(port, 10)), { own: 10 });
});

test("a target with as many exchanges as it may gets no more, and when all are full the client is told", async (t) => {
  const started = await start(t, pooled([{ maxConnections: 1 }, { maxConnections: 2 }, { intent: "down" }]));
  const held = await hold(started, 3);
  assert.deepEqual(await active(started.balancer), [1, 2, 0]);
  const answer = await ask({ port: started.port });
  assert.equal(answer.status, 503);
  assert.match(answer.body, /pool\.allFull/);
  assert.deepEqual(tally(await Promise.all(held)), { a: 1, b: 2 });
  assert.match(await nameOf(started.port), /^[ab]$/);
});

test("a target goes out after maxFails failures, stays out for failTimeout, and comes back when it answers", async (t) => {
  const own = await startEcho(t, "own");
  const settings = { maxFails: 2, failTimeout: "1s" };
  const { port, balancer } = await start(t, pool([own.port, ports()[0] ?? 0], settings));
  assert.deepEqual(tally(await namesOf(port, 10)), { a: 5, own: 5 });
  own.program.signal("SIGKILL");
  await own.program.exited();
  const failures = async () =>
    (await balancer.status()).pools[0]?.targets.find(({ address }) => address.endsWith(`:${own.port}`));
  assert.deepEqual(tally(await namesOf(port, 10)), { a: 10 });
  const out = await failures();
  assert.deepEqual([out?.counters["failures"], out?.health], [2, "unhealthy"]);
  await startEcho(t, "own", own.port);
  await until("its return", async () => (await nameOf(port)) === "own");
  assert.deepEqual(tally(await namesOf(port, 10)), { a: 5, own: 5 });
  assert.equal((await failures())?.health, "healthy");
});
