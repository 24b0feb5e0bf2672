// Starts that must fail and how they say so, and the admin API of a node, with the fake worker.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { encodeNodeFile, startNode } from "./control-kit.ts";
import { ask, evenkeel, freePort, rawClient, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";

test("a start on a port in use ends with 1 and names the port and its holder, all of them", async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = [await freePort(), await freePort()];
  for (const port of [one, two]) {
    const holder = createServer();
    t.after(() => holder.close());
    await new Promise<void>((resolve) => holder.listen(port, "127.0.0.1", resolve));
  }
  const node = await startNode(t, directory, { listeners: { web: one, api: two } }, { ready: false });
  assert.deepEqual(await node.program.exited(), { code: 1, signal: null });
  for (const port of [one, two]) {
    assert.match(
      node.program.stderr(),
      new RegExp(`127\\.0\\.0\\.1:${port} is in use by process ${process.pid} \\(.*node`),
    );
  }
});

test("a second start of the same configuration is refused and names the first, which goes on", async (t) => {
  const directory = temporaryDirectory(t);
  const file = { listeners: { web: await freePort() } };
  const first = await startNode(t, directory, file);
  const second = await startNode(t, directory, file, { ready: false });
  assert.equal((await second.program.exited()).code, 1);
  const told = second.program.stderr();
  assert.match(told, new RegExp(`listener web: .* in use by process ${first.program.pid} `));
  assert.match(told, new RegExp(`admin socket .* in use by process ${first.program.pid} `));
  assert.equal((await first.admin("GET", "/readyz")).status, 200);
});

test("the socket file of a killed program is replaced", async (t) => {
  const directory = temporaryDirectory(t);
  const file = { listeners: { web: await freePort() } };
  const first = await startNode(t, directory, file);
  first.program.signal("SIGKILL");
  await first.program.exited();
  const second = await startNode(t, directory, file);
  assert.equal((await second.admin("GET", "/livez")).status, 200);
});

test("a file that is no socket is not pushed aside", async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "run"));
  writeFileSync(join(directory, "run", "admin.sock"), "mine");
  const node = await startNode(t, directory, { listeners: { web: await freePort() } }, { ready: false });
  assert.equal((await node.program.exited()).code, 1);
  assert.match(node.program.stderr(), /exists and is no socket/);
});

test("a configuration with problems ends run and validate with 1 and every problem", async (t) => {
  const directory = temporaryDirectory(t);
  const wrong = join(directory, "wrong.yaml");
  writeFileSync(wrong, "workerz: 1\nlisteners: { web: { bind: 127.0.0.1 } }\n");
  for (const command of ["run", "validate"]) {
    const ran = await runProgram(t, evenkeel, [command, "-c", wrong]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /wrong\.yaml:1:1: .*workerz/);
    assert.match(ran.stderr, /wrong\.yaml:2:/);
    assert.equal(ran.stdout, "");
  }
  const none = await runProgram(t, evenkeel, ["validate", "-c", join(directory, "none.yaml")]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /none\.yaml: there is no such file/);
});

test("validate says that a configuration is valid", async (t) => {
  const directory = temporaryDirectory(t);
  const right = join(directory, "right.yaml");
  writeFileSync(right, encodeNodeFile({ listeners: { web: 8080 } }, join(directory, "admin.sock")));
  const ran = await runProgram(t, evenkeel, ["validate", "-c", right]);
  assert.deepEqual([ran.code, ran.stdout], [0, "configuration is valid\n"]);
});

test("status and reload speak to the node, and say so when there is none", async (t) => {
  const directory = temporaryDirectory(t);
  const file = { listeners: { web: await freePort() } };
  const node = await startNode(t, directory, file);
  const socket = ["--socket", node.socketPath];
  const table = await runProgram(t, evenkeel, ["status", ...socket]);
  assert.match(table.stdout, /^node \S+: serving, generation 1, up /);
  assert.match(table.stdout, new RegExp(`HTTP LISTENER .*\\nweb +127\\.0\\.0\\.1:${file.listeners.web} `));
  assert.equal(table.code, 0);
  const json = await runProgram(t, evenkeel, ["status", "-o", "json"], { env: { EVENKEEL_SOCKET: node.socketPath } });
  assert.equal(JSON.parse(json.stdout).generation, 1);
  const good = await runProgram(t, evenkeel, ["reload", ...socket]);
  assert.deepEqual([good.code, good.stdout], [0, "generation 2 is in service\n"]);
  node.write({ ...file, text: "nonsense: true\n" });
  const refused = await runProgram(t, evenkeel, ["reload", ...socket]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /nonsense/);
  assert.match(refused.stderr, /the one that was running goes on/);
  const nobody = await runProgram(t, evenkeel, ["status", "--socket", join(directory, "no.sock")]);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /no evenkeel answers on .*no\.sock: is it running\? \(evenkeel run -c FILE/);
});

test("the admin API answers what it does not know with a problem document", async (t) => {
  const node = await startNode(t, temporaryDirectory(t), { listeners: { web: await freePort() } });
  const unknown = await node.admin("GET", "/v1/nothing");
  assert.equal(unknown.status, 404);
  assert.equal(unknown.headers["content-type"], "application/problem+json");
  assert.equal(JSON.parse(unknown.body).code, "admin.path.unknown");
  const method = await node.admin("DELETE", "/v1/reload");
  assert.deepEqual([method.status, method.headers.allow], [405, "POST"]);
  assert.equal((await node.admin("HEAD", "/livez")).body, "");
  const large = await node.admin("POST", "/v1/reload", { body: "x".repeat(65 * 1024) });
  assert.equal(large.status, 413);
  const query = await node.admin("GET", "/v1/config?pretty");
  assert.deepEqual([query.status, JSON.parse(query.body).code], [400, "admin.query.unknown"]);
  const { listeners } = JSON.parse((await node.admin("GET", "/v1/config")).body);
  assert.equal(listeners[0].name, "web");
});

test("echo servers tell their names over HTTP, TCP and their own problems", async (t) => {
  const [http, tcp] = [await freePort(), await freePort()];
  const echo = startProgram(t, evenkeel, ["echo", "--http", `${http}`, "--tcp", `127.0.0.1:${tcp}`, "--name", "one"]);
  await until("two servers", () => echo.stdout().split("\n").length === 3, { onTimeout: echo.stderr });
  assert.deepEqual(JSON.parse((await ask({ port: http, path: "/ping" })).body), { name: "one", status: "ok" });
  const client = await rawClient(t, tcp);
  await client.receives("one\n");
  client.write("hello\n");
  await client.receives("one hello\n");
  const busy = await runProgram(t, evenkeel, ["echo", "--http", `${http}`]);
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, new RegExp(`held by process ${echo.pid} `));
  echo.signal("SIGTERM");
  assert.deepEqual(await echo.exited(), { code: 0, signal: null });
});
