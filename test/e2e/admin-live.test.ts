// The admin API and its commands with the real program: a change by one door is seen through the others, is in force at
// once, is recorded under who made it, and outlives the program.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  ask,
  evenkeel,
  freePort,
  type Program,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

type Running = {
  readonly directory: string;
  readonly socketPath: string;
  readonly api: number;
  readonly web: number;
  readonly tunnels: number;
  readonly token: string;
  readonly start: () => Promise<Program>;
  readonly run: (...args: string[]) => ReturnType<typeof runProgram>;
};

async function setUp(scope: Scope): Promise<Running> {
  const directory = temporaryDirectory(scope);
  const [socketPath, tokenFile] = [join(directory, "admin.sock"), join(directory, "token")];
  const [api, web, tunnels] = [await freePort(), await freePort(), await freePort()];
  const made = await runProgram(scope, evenkeel, ["token", "new", "deploy", "--file", tokenFile]);
  const configFile = join(directory, "evenkeel.yaml");
  writeFileSync(
    configFile,
    `
admin: { socket: ${socketPath}, http: "127.0.0.1:${api}", tokenFile: ${tokenFile} }
stateDirectory: ${join(directory, "state")}
workers: 2
drainTimeout: 1s
listeners:
  web: { bind: "127.0.0.1:${web}", routes: [ { pool: app } ] }
  line: { bind: "127.0.0.1:${tunnels}", protocol: tcp, pool: lines }
pools: { app: {}, lines: {} }
`,
  );
  const start = async () => {
    const program = startProgram(scope, evenkeel, ["run", "-c", configFile]);
    await until("the node", async () => (await ask({ socketPath, path: "/readyz" })).status === 200, {
      onTimeout: program.stderr,
    });
    return program;
  };
  const run = (...args: string[]) => runProgram(scope, evenkeel, [...args, "--socket", socketPath]);
  return { directory, socketPath, api, web, tunnels, token: made.stdout.trim(), start, run };
}

async function startEcho(scope: Scope, kind: "--http" | "--tcp", name: string): Promise<number> {
  const port = await freePort();
  const echo = startProgram(scope, evenkeel, ["echo", kind, `127.0.0.1:${port}`, "--name", name]);
  await until("a demo server", () => echo.stdout() !== "", { onTimeout: echo.stderr });
  return port;
}

test("a target added by a script over TCP serves at once, is shown with who added it, and is there after kill -9", async (t) => {
  const { socketPath, api, web, token, start, run } = await setUp(t);
  const port = await startEcho(t, "--http", "a");
  const program = await start();
  assert.equal((await ask({ port: web })).status, 503);
  const authorization = `Bearer ${token}`;
  const path = `/v1/kv/upstreams/app/127.0.0.1:${port}`;
  assert.equal((await ask({ port: api, method: "PUT", path, body: '{"weight":2}' })).status, 401);
  const put = await ask({ port: api, method: "PUT", path, headers: { authorization }, body: '{"weight":2}' });
  assert.deepEqual([put.status, put.body], [200, "true\n"]);
  assert.equal((await ask({ port: web })).body, "a\n");
  const drained = await run("target", "drain", `app/127.0.0.1:${port}`);
  assert.equal(drained.code, 0, drained.stderr);
  const events = await run("events", "-o", "json");
  const who = events.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type.startsWith("target.added") || type.startsWith("target.changed"))
    .map((event) => `${event.type} ${event.who}`);
  assert.deepEqual(who, ["target.added api token:deploy", `target.changed api unix:${userInfo().username}`]);
  const target = `/v1/pools/app/targets/127.0.0.1:${port}`;
  const before = await ask({ socketPath, path: target });
  program.signal("SIGKILL");
  await program.exited();
  await start();
  const after = await ask({ socketPath, path: target });
  assert.equal(after.headers["etag"], before.headers["etag"]);
  assert.deepEqual(JSON.parse(after.body).desired, JSON.parse(before.body).desired);
  assert.equal((await run("target", "up", `app/127.0.0.1:${port}`)).code, 0);
  assert.equal((await ask({ port: web })).body, "a\n");
});

test("drain --wait tells a tunnel that is left until it ends, while the next client goes elsewhere", async (t) => {
  const { tunnels, start, run } = await setUp(t);
  const [one, two] = [await startEcho(t, "--tcp", "one"), await startEcho(t, "--tcp", "two")];
  await start();
  assert.equal((await run("target", "add", `lines/127.0.0.1:${one}`)).code, 0);
  const first = await greeted(t, tunnels);
  assert.equal(first.greeting, "one\n");
  assert.equal((await run("target", "add", `lines/127.0.0.1:${two}`)).code, 0);
  const late = await run("target", "drain", `lines/127.0.0.1:${one}`, "--wait", "--timeout", "1ms");
  assert.deepEqual([late.code, /0 exchanges, 1 tunnel, 0 flows left/.test(late.stdout)], [2, true], late.stderr);
  for (let count = 0; count < 4; count++) assert.equal((await greeted(t, tunnels)).greeting, "two\n");
  const waiting = run("target", "drain", `lines/127.0.0.1:${one}`, "--wait");
  first.end();
  const done = await waiting;
  assert.deepEqual([done.code, /0 exchanges, 0 tunnels, 0 flows left\n$/.test(done.stdout)], [0, true], done.stderr);
});

async function greeted(scope: Scope, port: number): Promise<{ readonly greeting: string; readonly end: () => void }> {
  const socket = connect(port, "127.0.0.1");
  const end = () => {
    socket.destroy();
  };
  scope.after(end);
  const greeting = await new Promise<string>((resolve, reject) => {
    socket.once("data", (data) => resolve(data.toString()));
    socket.once("error", reject);
  });
  return { greeting, end };
}

test("what a command asks wrongly is refused with the field and the nearest name, and changes nothing", async (t) => {
  const { socketPath, start, run } = await setUp(t);
  await start();
  const wrong = await run("target", "add", "app/127.0.0.1:9", "--weight", "many");
  assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
  assert.match(wrong.stderr, /^evenkeel: weight: found the text `many`; expected a whole number from 0 to 65535\n$/);
  const named = await run("target", "set", "app/127.0.0.1:9", "max_fails=3");
  assert.match(named.stderr, /did you mean `maxFails`/);
  assert.deepEqual(JSON.parse((await ask({ socketPath, path: "/v1/pools/app" })).body).targets, []);
});
