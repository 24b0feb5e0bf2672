// The supervisor and its workers, with the fake worker: crashes, replacements, drains, orphans.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { greeted, readGreeting, startNode } from "./control-kit.ts";
import { freePort, isAlive, rawClient, temporaryDirectory, until } from "./kit.ts";

test("connections that wait in the backlog of a killed worker are served by its replacement", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port } });
  const { client, pid } = await greeted(t, port);
  client.write("hang\n");
  // Its event loop is blocked for good: from here on nobody accepts, the kernel holds these.
  await until("a blocked worker", async () => (await cpuTicks(pid)) > 20);
  const waiting = await Promise.all(Array.from({ length: 20 }, () => rawClient(t, port)));
  for (const other of waiting) assert.equal(other.received(), "");
  process.kill(pid, "SIGKILL");
  const served = await Promise.all(waiting.map(readGreeting));
  for (const other of served) assert.notEqual(other.pid, pid);
  assert.equal((await node.logged("worker ended unasked"))["signal"], "SIGKILL");
  assert.equal((await node.status()).workers[0]?.restarts, 1);
});

async function cpuTicks(pid: number): Promise<number> {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11]);
}

test("a worker that crashes leaves the others alone and is replaced", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, workers: 2 });
  const pids = (await node.status()).workers.map((worker) => worker.pid);
  const ofBoth = await until("a client on each worker", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => greeted(t, port)));
    const found = pids.map((pid) => clients.find((client) => client.pid === pid));
    return found.every((client) => client !== undefined) ? found : undefined;
  });
  ofBoth[0]?.client.write("crash\n");
  const line = await node.logged("worker ended unasked");
  assert.deepEqual([line["code"], line["restartInMs"], line["pid"]], [7, 0, pids[0]]);
  ofBoth[1]?.client.write("still there\n");
  await ofBoth[1]?.client.receives(`${pids[1]} still there`);
  await node.logged("worker serving", 3);
  const after = (await node.status()).workers;
  assert.deepEqual(
    after.map((worker) => worker.restarts),
    [1, 0],
  );
  assert.equal(after[1]?.pid, pids[1]);
});

test("workers that crash as they start are started again ever later, and a signal still ends the program", async (t) => {
  const node = await startNode(
    t,
    temporaryDirectory(t),
    { listeners: { web: await freePort() } },
    { ready: false, env: { FAKE_WORKER_CRASH_AT: "start" } },
  );
  await node.logged("worker ended unasked", 4);
  const lines = node.lines().filter((line) => line["message"] === "worker ended unasked");
  assert.deepEqual(
    lines.slice(0, 4).map((line) => line["restartInMs"]),
    [0, 100, 200, 400],
  );
  assert.equal(lines[0]?.["code"], 9);
  assert.equal((await node.admin("GET", "/readyz")).status, 503);
  node.program.signal("SIGTERM");
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
});

test("SIGTERM lets a connection finish, refuses new ones and ends with 0", async (t) => {
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const pidFile = join(directory, "pid");
  const node = await startNode(t, directory, { listeners: { web: port }, workers: 2 }, { pidFile });
  await until("the pid file", () => existsSync(pidFile));
  assert.equal(readFileSync(pidFile, "utf8"), `${node.program.pid}\n`);
  assert.equal(statSync(node.socketPath).mode & 0o777, 0o660);
  const { client } = await greeted(t, port);
  node.program.signal("SIGTERM");
  await node.logged("draining");
  await until("refused connections", async () => {
    const refused = await rawClient(t, port).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
    );
    return refused;
  });
  client.write("and now\n");
  await client.receives("and now\n");
  assert.equal(node.program.exit(), undefined);
  assert.equal(JSON.parse((await node.admin("GET", "/readyz")).body).code, "node.draining");
  client.write("bye\n");
  client.end();
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
  assert.equal(existsSync(pidFile), false);
  assert.equal(existsSync(node.socketPath), false);
});

test("a drain's deadline closes what is left", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, drainTimeout: "300ms" });
  const { client } = await greeted(t, port);
  node.program.signal("SIGTERM");
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
  await client.closed();
});

test("a second SIGTERM does not wait for connections", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, drainTimeout: "10m" });
  await greeted(t, port);
  node.program.signal("SIGTERM");
  await node.logged("draining");
  node.program.signal("SIGTERM");
  assert.equal((await node.logged("draining", 2))["deadlineMs"], 0);
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
});

test("a second SIGTERM ends even a worker that is stuck", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, drainTimeout: "10m" });
  const { client, pid } = await greeted(t, port);
  client.write("hang\n");
  node.program.signal("SIGTERM");
  await node.logged("draining");
  node.program.signal("SIGINT");
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
  assert.equal(isAlive(pid), false);
});

test("workers end when their supervisor is killed", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, workers: 2 });
  const pids = (await node.status()).workers.map((worker) => worker.pid);
  node.program.signal("SIGKILL");
  await until("the workers' end", () => pids.every((pid) => !isAlive(pid)));
});

test("a report of one worker is passed on to the others, and SIGUSR1 to all", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, workers: 3 });
  const { client, pid } = await greeted(t, port);
  client.write("report\n");
  await node.logged("report heard", 2);
  const reporter = (await node.status()).workers.findIndex((worker) => worker.pid === pid);
  const heard = node.lines().filter((line) => line["message"] === "report heard");
  assert.equal(heard.length, 2);
  assert.ok(heard.every((line) => line["worker"] !== reporter && line["target"] === "10.0.0.1:80"));
  node.program.signal("SIGUSR1");
  await node.logged("logs reopened", 3);
});
