// UDP listeners over real demo servers, each of which answers with its name: which target a client gets, that it keeps it,
// how many clients there may be, and what reloads, restarts and several workers change about that.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { type Balancer, type ConfigFile, decodeLines, type Echo, fileScope, pool, startBalancer } from "./http-kit.ts";
import { evenkeel, freePort, runProgram, temporaryDirectory, until } from "./kit.ts";
import {
  DatagramClient,
  nameIn,
  startDatagramEcho,
  startDatagramEchoes,
  tally,
  udpCounters,
  udpListener,
} from "./udp-kit.ts";

const suite = fileScope();
let echoes: Echo[] = [];

before(async () => {
  echoes = await startDatagramEchoes(suite, ["a", "b", "c"]);
});

const ports = () => echoes.map(({ port }) => port);

type Started = { readonly port: number; readonly balancer: Balancer; config(echo: ConfigFile): ConfigFile };

async function start(t: TestContext, echo: ConfigFile, more: ConfigFile = {}, top: ConfigFile = {}): Promise<Started> {
  const port = await freePort();
  const config = (next: ConfigFile) => ({ listeners: { u: udpListener(port, more) }, pools: { echo: next }, ...top });
  return { port, balancer: await startBalancer(t, config(echo)), config };
}

function weighted(weights: readonly number[], more: ConfigFile = {}): ConfigFile {
  const targets = ports().map((port, index) => [`127.0.0.1:${port}`, { weight: weights[index] }]);
  return { targets: Object.fromEntries(targets), ...more };
}

/** So many clients, each of which has asked once, a few at a time. */
async function askAll(t: TestContext, port: number, count: number): Promise<DatagramClient[]> {
  const clients = Array.from({ length: count }, () => DatagramClient.open(t, port));
  for (let at = 0; at < count; at += 100) {
    await Promise.all(clients.slice(at, at + 100).map((client, index) => client.ask(`${at + index}`)));
  }
  return clients;
}

const counters = (balancer: Balancer) => udpCounters(balancer.socket);

test("weights 40, 30 and 30 hold exactly over 100 flows, and each flow keeps its target", async (t) => {
  const { port, balancer } = await start(t, weighted([40, 30, 30]));
  const clients = await askAll(t, port, 100);
  const names = clients.map(({ heard }) => nameIn(heard[0]));
  assert.deepEqual(tally(names), { a: 40, b: 30, c: 30 });
  for (const [index, client] of clients.entries()) assert.equal(await client.ask("again"), `${names[index]} again`);
  const { flowsOpen, flowsOpened, datagramsFromClients, datagramsToClients } = await counters(balancer);
  assert.deepEqual([flowsOpen, flowsOpened, datagramsFromClients, datagramsToClients], [100, 100, 200, 200]);
});

test("consistent hash by the client's address: one home for an address, whatever its port", async (t) => {
  const balance = { consistentHash: { key: "clientAddress" } };
  const { port, balancer, config } = await start(t, pool(ports(), {}, { balance }));
  const addresses = Array.from({ length: 60 }, (_, index) => `127.0.9.${index + 1}`);
  const homes = async () => {
    const names: string[] = [];
    for (const from of addresses) names.push(nameIn(await DatagramClient.open(t, port, { from }).ask("home?")));
    return names;
  };
  const first = await homes();
  assert.deepEqual(await homes(), first);
  assert.deepEqual(Object.keys(tally(first)), ["a", "b", "c"]);
  balancer.write(config(pool(ports().slice(0, 2), {}, { balance })));
  assert.equal((await balancer.reload()).code, 0);
  const second = await homes();
  const moved = tally(first.filter((name, index) => second[index] !== name));
  assert.equal(moved["c"], tally(first)["c"]);
  // A Maglev table, the kernel's: next to nobody else moves.
  assert.ok((moved["a"] ?? 0) + (moved["b"] ?? 0) <= 6, JSON.stringify(moved));
});

test("least connections counts flows", async (t) => {
  const { port, balancer } = await start(t, weighted([2, 1, 1], { balance: "leastConnections" }));
  await askAll(t, port, 40);
  const targets = (await balancer.status()).pools[0]?.targets ?? [];
  assert.deepEqual(
    targets.map(({ active }) => active),
    [20, 10, 10],
  );
});

test("a target has as many flows as it may, and what finds no place is counted", async (t) => {
  const { port, balancer } = await start(t, pool(ports(), { maxConnections: 2 }));
  await askAll(t, port, 6);
  const seventh = DatagramClient.open(t, port);
  seventh.send("no room");
  await until("the drop to be counted", async () => (await counters(balancer)).drops["pool.allFull"] === 1);
  assert.deepEqual(seventh.heard, []);
});

test("a flow ends after the responses that its datagrams are owed, and is idle for no longer than it may be", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "access.log");
  const log = { accessLog: { path, flush: "50ms" } };
  const counted = await start(t, pool(ports()), { responses: 1 }, log);
  const client = DatagramClient.open(t, counted.port);
  const names = [];
  for (let asked = 0; asked < 6; asked++) names.push(nameIn(await client.ask(`${asked}`)));
  assert.deepEqual(tally(names), { a: 2, b: 2, c: 2 });
  const lines = await until("the lines of the flows", () => {
    const found = decodeLines(readFileSync(path, "utf8"));
    return found.length === 6 && found;
  });
  assert.equal(lines[0]?.["network.transport"], "udp");
  assert.equal(lines[0]?.["client.port"], client.socket.address().port);
  assert.equal(lines[0]?.["evenkeel.bytes.to_client"], 3);
  const idle = await start(t, pool(ports()), { timeouts: { flow: "300ms" } });
  await askAll(t, idle.port, 3);
  await until("the flows to end", async () => (await counters(idle.balancer)).flowsOpen === 0);
});

test("ten thousand clients each keep their target", async (t) => {
  const { port, balancer } = await start(t, pool(ports()), { limits: { flows: 10_000 } });
  const count = 10_000;
  const clients = await askAll(t, port, count);
  assert.deepEqual(tally(clients.map(({ heard }) => nameIn(heard[0]))), { a: 3334, b: 3333, c: 3333 });
  for (let at = 0; at < count; at += 100) {
    await Promise.all(clients.slice(at, at + 100).map((client, index) => client.ask(`again ${at + index}`)));
  }
  for (const [index, { heard }] of clients.entries()) {
    assert.deepEqual(heard, [`${nameIn(heard[0])} ${index}`, `${nameIn(heard[0])} again ${index}`]);
  }
  const { flowsOpen, flowsOpened } = await counters(balancer);
  assert.deepEqual([flowsOpen, flowsOpened], [count, count]);
});

test("a full table lets the flows go that were silent longest", async (t) => {
  const { port, balancer } = await start(t, pool(ports()), { limits: { flows: 100 } });
  const [first] = await askAll(t, port, 100);
  await first?.ask("I am still here");
  await askAll(t, port, 50);
  await first?.ask("and here");
  const { flowsOpen, flowsOpened, limits } = await counters(balancer);
  assert.deepEqual([flowsOpen, flowsOpened, limits], [100, 150, { "listener.flows": 50 }]);
});

test("IPv6 clients and targets, and a client of one family with a target of the other", async (t) => {
  const six = await startDatagramEcho(t, "six", undefined, "::1");
  const [bound, mixed, back] = [await freePort(), await freePort(), await freePort()];
  await startBalancer(t, {
    listeners: {
      all: { bind: `[::1]:${bound}`, protocol: "udp", pool: "six" },
      mixed: { bind: `[::1]:${mixed}`, protocol: "udp", pool: "echo" },
      back: { bind: `127.0.0.1:${back}`, protocol: "udp", pool: "six" },
    },
    pools: { six: { targets: { [`[::1]:${six.port}`]: {} } }, echo: pool(ports().slice(0, 1)) },
  });
  assert.equal(await DatagramClient.open(t, bound, { host: "::1" }).ask("1"), "six 1");
  assert.equal(await DatagramClient.open(t, mixed, { host: "::1" }).ask("2"), "a 2");
  assert.equal(await DatagramClient.open(t, back).ask("3"), "six 3");
});

test("the largest datagrams pass whole, both ways", async (t) => {
  const { port } = await start(t, pool(ports()));
  const client = DatagramClient.open(t, port);
  const large = "x".repeat(65_507 - 2);
  assert.equal((await client.ask(large)).length, 65_507);
});

test("a reload keeps flows and their targets; one that is drained takes no new flow, one that is down keeps none", async (t) => {
  const { port, balancer, config } = await start(t, pool(ports()));
  const clients = await askAll(t, port, 9);
  const names = clients.map(({ heard }) => nameIn(heard[0]));
  const intents = ["up", "drain", "down"];
  const targets = ports().map((each, index) => [`127.0.0.1:${each}`, { intent: intents[index] }]);
  balancer.write(config({ targets: Object.fromEntries(targets) }));
  assert.equal((await balancer.reload()).code, 0);
  for (const [index, client] of clients.entries()) {
    const expected = names[index] === "c" ? "a" : names[index];
    assert.equal(await client.ask("again"), `${expected} again`);
  }
  const later = await askAll(t, port, 5);
  assert.deepEqual(tally(later.map(({ heard }) => nameIn(heard[0]))), { a: 5 });
  assert.equal((await counters(balancer)).flowsOpened, 14);
});

test("a listener that moves to another port is there, and gone where it was", async (t) => {
  const { port, balancer } = await start(t, pool(ports()));
  await DatagramClient.open(t, port).ask("here");
  const next = await freePort();
  balancer.write({ listeners: { u: udpListener(next) }, pools: { echo: pool(ports()) } });
  assert.equal((await balancer.reload()).code, 0);
  await DatagramClient.open(t, next).ask("there");
  const late = DatagramClient.open(t, port);
  await until("a refusal", () => {
    late.send("anybody?");
    return late.errors.includes("ECONNREFUSED");
  });
});

test("UDP and TCP listeners share a port number, and a listener may change from one to the other", async (t) => {
  const port = await freePort();
  const { balancer } = {
    balancer: await startBalancer(t, { listeners: { u: udpListener(port) }, pools: { echo: pool(ports()) } }),
  };
  const client = DatagramClient.open(t, port);
  await client.ask("1");
  const tcp = { bind: `127.0.0.1:${port}`, protocol: "tcp", pool: "echo" };
  balancer.write({ listeners: { u: tcp }, pools: { echo: pool(ports()) } });
  assert.equal((await balancer.reload()).code, 0);
  balancer.write({ listeners: { u: udpListener(port), t: tcp }, pools: { echo: pool(ports()) } });
  assert.equal((await balancer.reload()).code, 0);
  await DatagramClient.open(t, port).ask("2");
});

test("two workers share the clients, and one that is killed loses nothing that waits for it", async (t) => {
  const { port, balancer } = await start(t, pool(ports()), {}, { workers: 2 });
  const clients = await askAll(t, port, 60);
  const { workers } = await balancer.status();
  const [victim] = workers;
  assert.ok(victim !== undefined && workers.length === 2);
  process.kill(victim.pid, "SIGKILL");
  const late = Array.from({ length: 60 }, () => DatagramClient.open(t, port));
  for (const client of [...clients, ...late]) client.send("while it is away");
  for (const client of [...clients, ...late]) {
    await until("an answer", () => client.heard.some((text) => text.endsWith("while it is away")));
    assert.deepEqual(client.errors, []);
  }
  const after = await until("both to serve again", async () => {
    const now = (await balancer.status()).workers;
    return now.every(({ state }) => state === "serving") && now;
  });
  assert.deepEqual(
    after.map(({ restarts }) => restarts),
    workers.map(({ pid }) => (pid === victim.pid ? 1 : 0)),
  );
  assert.equal((await counters(balancer)).flowsOpen, 120);
});

test("a UDP port that somebody has is refused at the start, with his name", async (t) => {
  const holder = createSocket("udp4");
  t.after(() => holder.close());
  const { port } = holder.bindSync({ address: "127.0.0.1" });
  const directory = temporaryDirectory(t);
  const file = join(directory, "evenkeel.json");
  const socket = join(directory, "admin.sock");
  const own = { admin: { socket }, stateDirectory: join(directory, "state") };
  const config = { ...own, listeners: { u: udpListener(port) }, pools: { echo: pool(ports()) } };
  writeFileSync(file, JSON.stringify(config));
  const ran = await runProgram(t, evenkeel, ["run", "-c", file]);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, new RegExp(`listener u: 127\\.0\\.0\\.1:${port} is in use by process ${process.pid} \\(`));
});
