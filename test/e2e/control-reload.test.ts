// Changes of a running node, with the fake worker: what is taken up, what is refused whole, and that no connection is
// lost or served by the wrong process on the way.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { greeted, type Node, type NodeFile, startNode } from "./control-kit.ts";
import { freePort, rawClient, type Scope, temporaryDirectory, until } from "./kit.ts";

async function reload(node: Node, file: NodeFile): Promise<{ status: number; body: Record<string, unknown> }> {
  node.write(file);
  const answer = await node.admin("POST", "/v1/reload");
  return { status: answer.status, body: JSON.parse(answer.body) };
}

async function connects(scope: Scope, port: number): Promise<boolean> {
  return rawClient(scope, port).then(
    () => true,
    () => false,
  );
}

test("a reload adds, moves and removes listeners and leaves open connections alone", async (t) => {
  const [first, second, third] = [await freePort(), await freePort(), await freePort()];
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: first, old: third }, workers: 2 });
  const before = await greeted(t, first);
  const reply = await reload(node, { listeners: { web: second, api: first }, workers: 2 });
  assert.deepEqual(reply, { status: 200, body: { generation: 2, warnings: [], settled: true } });
  assert.equal((await greeted(t, second)).listener, "web");
  assert.equal((await greeted(t, first)).listener, "api");
  assert.equal(await connects(t, third), false);
  before.client.write("hello\n");
  await before.client.receives("hello\n");
  const config = await node.admin("GET", "/v1/config");
  assert.equal(config.headers.etag, '"2"');
  assert.equal((await node.admin("GET", "/v1/config", { headers: { "if-none-match": '"2"' } })).status, 304);
});

test("a configuration with problems is refused whole, with all of them, and the old one goes on", async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port } });
  const reply = await reload(node, {
    listeners: {},
    text: `workerz: 1\nlisteners: { web: { bind: "nowhere:${other}" } }\n`,
  });
  assert.equal(reply.status, 422);
  assert.equal(reply.body["code"], "reload.refused");
  const problems = reply.body["problems"];
  assert.ok(Array.isArray(problems) && problems.length >= 2, JSON.stringify(problems));
  assert.match(String(problems[0]), /evenkeel\.yaml:1:1: .*workerz/);
  assert.equal(node.lines().filter((line) => line["message"] === "reload refused").length, problems.length);
  assert.equal((await node.status()).generation, 1);
  await greeted(t, port);
});

test("a new listener on a port in use refuses the reload whole and names who holds it", async (t) => {
  const [port, free, taken] = [await freePort(), await freePort(), await freePort()];
  const holder = createServer();
  t.after(() => holder.close());
  await new Promise<void>((resolve) => holder.listen(taken, "127.0.0.1", resolve));
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port } });
  const reply = await reload(node, { listeners: { moved: free, busy: taken } });
  assert.equal(reply.status, 422);
  assert.match(
    String(reply.body["problems"]),
    new RegExp(`127\\.0\\.0\\.1:${taken} is in use by process ${process.pid} \\(`),
  );
  assert.equal((await node.status()).generation, 1);
  assert.equal((await greeted(t, port)).listener, "web");
  assert.equal(await connects(t, free), false);
});

test("what only a restart can change is refused with that word", async (t) => {
  const port = await freePort();
  const directory = temporaryDirectory(t);
  const node = await startNode(t, directory, { listeners: { web: port }, workers: 2 });
  const reply = await reload(node, { listeners: { web: port }, workers: 1, socket: `${directory}/other.sock` });
  assert.equal(reply.status, 422);
  const problems = reply.body["problems"];
  assert.ok(Array.isArray(problems) && problems.length === 2);
  for (const problem of problems) assert.match(String(problem), /needs a restart/);
});

test("SIGHUP reloads, and many at once are few reloads", async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port } });
  node.write({ listeners: { web: port, api: other } });
  for (let signal = 0; signal < 5; signal++) node.program.signal("SIGHUP");
  await node.logged("configuration taken up");
  await until("the new listener", () => connects(t, other));
  // Ten in one write are read in one piece: they come together however slow the machine is.
  const client = await rawClient(t, node.socketPath);
  client.write("POST /v1/reload HTTP/1.1\r\nhost: node\r\ncontent-length: 0\r\n\r\n".repeat(10));
  const answered = (received: string) => [...received.matchAll(/"generation":(\d+)/g)].map((match) => match[1]);
  const generations = new Set(answered(await client.receives((received) => answered(received).length === 10)));
  assert.ok(generations.size <= 2, `${generations.size} reloads for 10 that came together`);
});

test("a worker that does not take a change up is replaced, and the change stands", async (t) => {
  const port = await freePort();
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: port }, workers: 2 });
  const { client, pid } = await greeted(t, port);
  client.write("silent\nheard\n");
  await client.receives(`${pid} heard`);
  const reply = await reload(node, { listeners: { web: port }, workers: 2 });
  assert.equal(reply.body["settled"], true);
  assert.equal((await node.logged("worker killed"))["pid"], pid);
  await until("two workers on generation 2", async () => {
    const { workers } = await node.status();
    return workers.every((worker) => worker.state === "serving" && worker.pid !== pid);
  });
});

// The supervisor hands its sockets over while clients connect: each one must be greeted by a worker (the supervisor
// never greets, a connection that it had accepted would hang), and none may be reset or refused.
test("no connection is lost or taken by the supervisor while sockets are handed over under load", async (t) => {
  const port = await freePort();
  const file = (name: string, workers: number): NodeFile => ({ listeners: { [name]: port }, workers });
  const node = await startNode(t, temporaryDirectory(t), file("a0", 1));
  let stop = false;
  let served = 0;
  const pids = new Set<number>();
  const load = Array.from({ length: 8 }, async () => {
    while (!stop) {
      const { client, pid } = await greeted(t, port);
      client.socket.destroy();
      pids.add(pid);
      served++;
    }
  });
  const ended = Promise.all(load);
  // Renaming makes every worker give its socket back and take it again; more workers widen the group.
  for (let round = 1; round <= 15; round++) {
    const reply = await Promise.race([reload(node, file(`a${round}`, Math.min(4, 1 + Math.floor(round / 4)))), ended]);
    assert.ok(!Array.isArray(reply) && typeof reply === "object" && reply.status === 200, JSON.stringify(reply));
  }
  const atLeast = served + 200;
  await Promise.race([until("clients after the last change", () => served > atLeast), ended]);
  stop = true;
  await ended;
  assert.equal(pids.has(node.program.pid), false);
  const workers = (await node.status()).workers;
  assert.equal(workers.length, 4);
  assert.ok(workers.every((worker) => worker.restarts === 0));
  t.diagnostic(`${served} connections over 15 changes, by ${pids.size} workers`);
});
