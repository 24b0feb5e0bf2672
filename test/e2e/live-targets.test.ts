// Targets that come, change and go while the program runs, without a reload and without a failed request: by the admin API
// and the command line, kept over restarts and kill -9, in force in every worker, over the proxy and the kernel engine.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import {
  type Balancer,
  type ConfigFile,
  type Echo,
  fileScope,
  listener,
  pool,
  startBalancer,
  startEchoes,
} from "./http-kit.ts";
import {
  type Answer,
  ask,
  evenkeel,
  freePort,
  type Ran,
  runProgram,
  type Scope,
  temporaryDirectory,
  until,
} from "./kit.ts";
import { startLoad } from "./load-kit.ts";

const suite = fileScope();
let echoes: Echo[] = [];

before(async () => {
  echoes = await startEchoes(suite, ["a", "b", "c"]);
});

const addressOf = (index: number) => `127.0.0.1:${echoes[index]?.port}`;

function config(port: number, more: ConfigFile = {}): ConfigFile {
  return {
    workers: 2,
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool(echoes.slice(0, 1).map((echo) => echo.port)) },
    ...more,
  };
}

function api(balancer: Balancer, method: string, path: string, body?: unknown): Promise<Answer> {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  return ask({ socketPath: balancer.socket, method, path, headers, ...sent });
}

function target(scope: Scope, balancer: Balancer, ...args: readonly string[]): Promise<Ran> {
  return runProgram(scope, evenkeel, ["target", ...args, "--socket", balancer.socket]);
}

/** Names of the demo servers that answer `count` new connections. */
async function answering(port: number, count = 40): Promise<ReadonlySet<string>> {
  const seen = new Set<string>();
  for (let turn = 0; turn < count; turn++) {
    const { status, body } = await ask({ port, path: "/" });
    assert.equal(status, 200, body);
    seen.add(body.trim());
  }
  return seen;
}

test("a target that the command line adds takes work at once in every worker, and one that it drains takes none", async (t) => {
  const port = await freePort();
  const balancer = await startBalancer(t, config(port));
  const load = startLoad(t, port, { kept: 4, fresh: 2 });
  await until("load", () => load.served > 50);
  assert.deepEqual(await answering(port), new Set(["a"]));
  const added = await target(t, balancer, "add", `app/${addressOf(1)}`);
  assert.equal(added.code, 0, added.stderr);
  assert.deepEqual(await answering(port), new Set(["a", "b"]));
  const twice = await target(t, balancer, "add", `app/${addressOf(1)}`);
  assert.equal(twice.code, 3, "adding what is there is refused");
  const drained = await target(t, balancer, "drain", `app/${addressOf(0)}`, "--wait", "--timeout", "10s");
  assert.equal(drained.code, 0, drained.stdout + drained.stderr);
  assert.deepEqual(await answering(port), new Set(["b"]));
  const foreign = await target(t, balancer, "rm", `app/${addressOf(0)}`);
  assert.equal(foreign.code, 0, "the API's word is taken back");
  assert.deepEqual(await answering(port), new Set(["a", "b"]));
  const owned = await target(t, balancer, "rm", `app/${addressOf(0)}`);
  assert.equal(owned.code, 3, "what the file says, the file alone takes back");
  assert.match(owned.stderr, /file/);
  const removed = await target(t, balancer, "rm", `app/${addressOf(1)}`);
  assert.equal(removed.code, 0, removed.stderr);
  assert.deepEqual(await answering(port), new Set(["a"]));
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test("what the API said holds after a restart and after kill -9, and a reload of the file leaves it", async (t) => {
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const first = await startBalancer(t, config(port), directory);
  const put = await api(first, "PUT", `/v1/pools/app/targets/${addressOf(1)}`, { weight: 3 });
  assert.equal(put.status, 201, put.body);
  const patched = await api(first, "PATCH", `/v1/pools/app/targets/${addressOf(0)}`, { intent: "down" });
  assert.equal(patched.status, 200, patched.body);
  const reloaded = await first.reload();
  assert.equal(reloaded.code, 0, reloaded.stderr);
  assert.deepEqual(await answering(port), new Set(["b"]));
  first.program.signal("SIGKILL");
  await until("its end", () => first.program.exit() !== undefined);
  const second = await startBalancer(t, config(port), directory);
  assert.deepEqual(await answering(port), new Set(["b"]));
  const shown = JSON.parse((await api(second, "GET", `/v1/pools/app/targets/${addressOf(1)}`)).body);
  assert.equal(shown.weight, 3);
  assert.equal(shown.owner, "api");
  second.program.signal("SIGTERM");
  await until("its end", () => second.program.exit() !== undefined);
  const third = await startBalancer(t, config(port), directory);
  const back = await api(third, "PATCH", `/v1/pools/app/targets/${addressOf(0)}`, { intent: null });
  assert.equal(back.status, 200, back.body);
  assert.deepEqual(await answering(port), new Set(["a", "b"]));
});

test("a damaged file of the API's changes is set aside by name, and the one before it is used", async (t) => {
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const first = await startBalancer(t, config(port), directory);
  for (const index of [1, 2]) {
    assert.equal((await api(first, "PUT", `/v1/pools/app/targets/${addressOf(index)}`, {})).status, 201);
  }
  first.program.signal("SIGKILL");
  await until("its end", () => first.program.exit() !== undefined);
  const file = join(directory, "state", "targets.json");
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 20));
  await startBalancer(t, config(port), directory);
  assert.deepEqual(await answering(port), new Set(["a", "b"]), "the state before the last change");
  assert.ok(readdirSync(join(directory, "state")).some((name) => name.startsWith("targets.json.damaged-")));
});

test("1,000 changes in a row leave the last state in all workers, and no request fails", async (t) => {
  const port = await freePort();
  const balancer = await startBalancer(t, config(port));
  const load = startLoad(t, port, { kept: 2, fresh: 1 });
  await until("load", () => load.served > 20);
  for (let turn = 0; turn < 1_000; turn++) {
    const index = 1 + (turn % 2);
    const path = `/v1/kv/upstreams/app/${addressOf(index)}`;
    const remove = turn % 4 >= 2 && turn < 996;
    const { status, body } = remove
      ? await ask({ socketPath: balancer.socket, method: "DELETE", path })
      : await ask({
          socketPath: balancer.socket,
          method: "PUT",
          path,
          body: JSON.stringify({ weight: 1 + (turn % 9) }),
        });
    assert.deepEqual([status, body.trim()], [200, "true"], `turn ${turn}`);
  }
  const status = await balancer.status();
  const shown = JSON.parse((await api(balancer, "GET", "/v1/pools/app")).body);
  assert.deepEqual(
    shown.targets.map((one: { address: string; weight: number }) => [one.address, one.weight]),
    [
      [addressOf(0), 1],
      ...[1, 2]
        .map((index) => [addressOf(index), 1 + ((index === 1 ? 998 : 999) % 9)] as const)
        .sort(([left], [right]) => Number(left.split(":")[1]) - Number(right.split(":")[1])),
    ],
  );
  assert.deepEqual(
    new Set(status.workers.map((worker) => Object(worker).generation)),
    new Set([status.generation]),
    "every worker has the last one",
  );
  assert.deepEqual(await answering(port), new Set(["a", "b", "c"]));
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test("a target whose lease is not renewed goes by itself, and one that is renewed stays", async (t) => {
  const port = await freePort();
  const balancer = await startBalancer(t, config(port));
  for (const [index, holder] of [
    [1, "one"],
    [2, "two"],
  ] as const) {
    const lease = { holder, ttl: "1500ms" };
    const put = await api(balancer, "PUT", `/v1/pools/app/targets/${addressOf(index)}`, { lease });
    assert.equal(put.status, 201, put.body);
  }
  const renewed = setInterval(() => {
    void api(balancer, "POST", `/v1/pools/app/targets/${addressOf(1)}:renew`, { holder: "one" });
  }, 300);
  t.after(() => clearInterval(renewed));
  await until("the end of the lease that nobody renews", async () => !(await answering(port, 12)).has("c"));
  assert.deepEqual(await answering(port), new Set(["a", "b"]));
  const stolen = await api(balancer, "POST", `/v1/pools/app/targets/${addressOf(1)}:renew`, { holder: "two" });
  assert.equal(stolen.status, 409, stolen.body);
  const events = (await balancer.logged("target removed"))["by"];
  assert.equal(events, "lease");
});

test("a change whose tag is not the one that stands is refused with 412, and changes nothing", async (t) => {
  const balancer = await startBalancer(t, config(await freePort()));
  const path = `/v1/pools/app/targets/${addressOf(0)}`;
  const tag = (await api(balancer, "GET", path)).headers.etag ?? "";
  const send = (match: string, weight: number) =>
    ask({
      socketPath: balancer.socket,
      method: "PATCH",
      path,
      headers: { "content-type": "application/merge-patch+json", "if-match": match },
      body: JSON.stringify({ weight }),
    });
  const [one, two] = await Promise.all([send(tag, 5), send(tag, 6)]);
  assert.deepEqual([one.status, two.status].sort(), [200, 412], "of two at once one has its way");
  const shown = JSON.parse((await api(balancer, "GET", path)).body);
  assert.equal(shown.weight, one.status === 200 ? 5 : 6);
});

test("a worker that is killed is an event, with its process, its end and its next start", async (t) => {
  const balancer = await startBalancer(t, config(await freePort()));
  const pid = (await balancer.status()).workers[0]?.pid ?? 0;
  assert.ok(pid > 1);
  process.kill(pid, "SIGKILL");
  await balancer.logged("worker ended unasked");
  const { body } = await ask({
    socketPath: balancer.socket,
    path: "/v1/events?since=0",
    headers: { accept: "application/json" },
  });
  const ended = Object(JSON.parse(body)).events.find((event: { type: string }) => event.type === "worker.ended");
  assert.deepEqual(
    [ended?.who, ended?.subject, ended?.after],
    ["evenkeel", { worker: "0" }, { pid, code: null, signal: "SIGKILL", restartInMs: 0 }],
  );
});
