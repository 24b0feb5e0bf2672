// The supervisor and its workers: crashes, hangs, replacements, drains, orphans. With the fake worker, but for one that is
// stopped as it balances.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Greeted, greeted, type Node, readGreeting, startNode } from "./control-kit.ts";
import { type Balancer, decodeResponses, type LogLine, listener, pool, startBalancer, startEcho } from "./http-kit.ts";
import {
  evenkeel,
  freePort,
  isAlive,
  pause,
  rawClient,
  runProgram,
  type Scope,
  temporaryDirectory,
  until,
} from "./kit.ts";

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
  const [first, second] = await greetedByBoth(t, node, port);
  first.client.write("crash\n");
  const line = await node.logged("worker ended unasked");
  assert.deepEqual([line["code"], line["restartInMs"], line["pid"]], [7, 0, first.pid]);
  second.client.write("still there\n");
  await second.client.receives(`${second.pid} still there`);
  await node.logged("worker serving", 3);
  const after = (await node.status()).workers;
  assert.deepEqual(
    after.map((worker) => worker.restarts),
    [1, 0],
  );
  assert.equal(after[1]?.pid, second.pid);
});

/** One connection on each of two workers. */
async function greetedByBoth(scope: Scope, node: Node, port: number): Promise<[Greeted, Greeted]> {
  const pids = (await node.status()).workers.map((worker) => worker.pid);
  return until("a client on each worker", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => greeted(scope, port)));
    const [first, second] = pids.map((pid) => clients.find((client) => client.pid === pid));
    return first !== undefined && second !== undefined ? [first, second] : undefined;
  });
}

test("a worker that hangs is killed and replaced, and what waits for it is served", async (t) => {
  const port = await freePort();
  const file = { listeners: { web: port }, workers: 2 };
  const node = await startNode(t, temporaryDirectory(t), file, { env: { RUN_NODE_SILENCE_MAX: "2500" } });
  const [first, second] = await greetedByBoth(t, node, port);
  first.client.write("hang\n");
  const waiting = await Promise.all(Array.from({ length: 20 }, () => rawClient(t, port)));
  const line = await node.logged("worker killed");
  assert.deepEqual([line["worker"], line["pid"]], [0, first.pid]);
  const silentMs = /^it hangs: not a word from it for (\d+) ms$/.exec(String(line["reason"]))?.[1];
  assert.ok(Number(silentMs) >= 2_500, String(line["reason"]));
  assert.equal((await node.logged("worker ended unasked"))["restartInMs"], 0);
  for (const { pid } of await Promise.all(waiting.map(readGreeting))) assert.notEqual(pid, first.pid);
  await node.logged("worker serving", 3);
  second.client.write("still there\n");
  await second.client.receives(`${second.pid} still there`);
  const after = (await node.status()).workers;
  assert.deepEqual(
    after.map((worker) => worker.restarts),
    [1, 0],
  );
  assert.equal(node.lines().filter((other) => other["message"] === "worker killed").length, 1);
});

test("a node that stood still in the middle of a reload kills nobody for it", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, workers: 2 });
  const pids = (await node.status()).workers.map((worker) => worker.pid);
  // The workers first, so that their answers to the snapshot are still out when the supervisor stops.
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  const reload = node.admin("POST", "/v1/reload");
  const changed = async () => (await node.admin("GET", "/v1/config")).headers.etag === '"2"';
  await until("the change on its way", changed);
  node.program.signal("SIGSTOP");
  // More than the 2 s that run-node.ts gives for an answer.
  await pause(3_000);
  node.program.signal("SIGCONT");
  for (const pid of pids) process.kill(pid, "SIGCONT");
  assert.deepEqual(JSON.parse((await reload).body), { generation: 2, warnings: [], settled: true });
  assert.deepEqual(
    (await node.status()).workers.map(({ pid, restarts }) => [pid, restarts]),
    pids.map((pid) => [pid, 0]),
  );
});

test("a drain does not wait until its deadline for a worker that hangs", async (t) => {
  const port = await freePort();
  const file = { listeners: { web: port }, drainTimeout: "10m" };
  const node = await startNode(t, temporaryDirectory(t), file, { env: { RUN_NODE_SILENCE_MAX: "2500" } });
  const { client, pid } = await greeted(t, port);
  client.write("hang\n");
  node.program.signal("SIGTERM");
  assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
  assert.match(String((await node.logged("worker killed"))["reason"]), /^it hangs/);
  assert.equal(isAlive(pid), false);
});

test("a balancing worker that is stopped is replaced, and the connections of the other one go on", async (t) => {
  const port = await freePort();
  const echo = await startEcho(t, "a");
  const balancer = await startBalancer(t, {
    workers: 2,
    listeners: { web: listener(port, [{ pool: "p" }]) },
    pools: { p: pool([echo.port]) },
  });
  const status = await runProgram(t, evenkeel, ["status", "-o", "json", "--socket", balancer.socket]);
  const stoppedPid: number = JSON.parse(status.stdout).workers[0].pid;
  const request = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
  const patient = { timeoutMs: 40_000 };
  // So many that each of the two has one, but for a chance of 2^-31.
  const kept = await Promise.all(Array.from({ length: 32 }, () => rawClient(t, port, patient)));
  for (const client of kept) client.write(request);
  for (const client of kept) await client.receives((text) => answers(text) === 1);
  process.kill(stoppedPid, "SIGSTOP");
  for (const client of kept) client.write(request);
  const fresh = await Promise.all(Array.from({ length: 32 }, () => rawClient(t, port, patient)));
  for (const client of fresh) client.write(request);

  const killed = await until("the worker's end", () => findLine(balancer, "worker killed"), patient);
  assert.deepEqual([killed["worker"], killed["pid"]], [0, stoppedPid]);
  assert.match(String(killed["reason"]), /^it hangs: not a word from it for 1\d{4} ms$/);
  for (const client of fresh) await client.receives((text) => answers(text) === 1);
  await balancer.logged("worker serving", 3);
  await until(
    "each kept connection's fate",
    () => kept.every((client) => answers(client.received()) === 2 || client.state() !== "open"),
    patient,
  );
  const goesOn = kept.filter((client) => client.state() === "open");
  assert.ok(goesOn.length > 0 && goesOn.length < kept.length, `${goesOn.length} of ${kept.length} go on`);
  for (const client of goesOn) client.write(request);
  for (const client of goesOn) await client.receives((text) => answers(text) === 3);
  assert.deepEqual(
    (await balancer.status()).workers.map((worker) => worker.restarts),
    [1, 0],
  );
});

/** How many whole answers of status 200 the text holds; any other fails the test. */
function answers(text: string): number {
  const { responses } = decodeResponses(text, ["GET"], false);
  for (const response of responses) assert.equal(response.status, 200);
  return responses.length;
}

function findLine(balancer: Balancer, message: string): LogLine | undefined {
  return balancer.lines().find((line) => line["message"] === message);
}

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
