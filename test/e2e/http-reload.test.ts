// Changes and ends of a running balancer under load: what they must not cost anybody. Load is of three kinds: a raw
// connection that lives through everything, kept connections with one request after the other, and new connections.

import assert from "node:assert/strict";
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { before, test } from "node:test";
import {
  type Balancer,
  type ConfigFile,
  decodeLines,
  type Echo,
  fileScope,
  listener,
  pool,
  startBalancer,
  startEchoes,
} from "./http-kit.ts";
import { ask, freePort, rawClient, temporaryDirectory, until } from "./kit.ts";
import { startLoad } from "./load-kit.ts";

const suite = fileScope();
let echoes: Echo[] = [];

before(async () => {
  echoes = await startEchoes(suite, ["a", "b"]);
});

const app = () => pool(echoes.map(({ port }) => port));

async function readStatus(balancer: Balancer, name: string): Promise<number> {
  const found = (await balancer.status()).listeners.find((one) => one.name === name);
  return found?.counters["exchanges"] ?? 0;
}

test("20 reloads under load fail no request and close no connection, and each one is seen at once", async (t) => {
  const port = await freePort();
  const config = (word: string): ConfigFile => ({
    workers: 2,
    listeners: { web: listener(port, [{ path: { exact: "/word" }, respond: { body: word } }, { pool: "app" }]) },
    pools: { app: app() },
  });
  const balancer = await startBalancer(t, config("word 0."));
  const long = await rawClient(t, port);
  const load = startLoad(t, port, { kept: 4, fresh: 2 });
  await until("load", () => load.served > 50);
  for (let round = 1; round <= 20; round++) {
    balancer.write(config(`word ${round}.`));
    if (round % 2 === 0) {
      const ran = await balancer.reload();
      assert.equal(ran.code, 0, ran.stderr);
      assert.equal(ran.stdout, `generation ${round + 1} is in service\n`);
    } else {
      balancer.program.signal("SIGHUP");
      const line = await balancer.logged("configuration taken up", round);
      assert.deepEqual([line["generation"], line["settled"]], [round + 1, true]);
    }
    // The very connection that was there before sees the new routes, and a new one does.
    long.write("GET /word HTTP/1.1\r\nHost: h\r\n\r\n");
    await long.receives(`word ${round}.`);
    assert.equal((await ask({ port, path: "/word" })).body, `word ${round}.`);
  }
  const { served } = load;
  await until("load after it", () => load.served > served + 50);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(load.connects, 4, "each kept client has its first connection still");
  assert.equal(long.state(), "open");
  const { workers } = await balancer.status();
  assert.ok(workers.every(({ restarts }) => restarts === 0));
  t.diagnostic(`${load.served} requests over 20 reloads`);
});

test("a reload adds and removes listeners, and who is being served by a removed one is served to the end", async (t) => {
  const [first, second] = [await freePort(), await freePort()];
  const one = { web: listener(first, [{ pool: "app" }]) };
  const two = { ...one, api: listener(second, [{ pool: "app" }]) };
  const balancer = await startBalancer(t, { listeners: one, pools: { app: app() } });
  await assert.rejects(ask({ port: second }), { code: "ECONNREFUSED" });
  balancer.write({ listeners: two, pools: { app: app() } });
  assert.equal((await balancer.reload()).code, 0);
  assert.equal((await ask({ port: second })).status, 200);
  const slow = ask({ port: second, path: "/delay/1500" });
  const kept = await rawClient(t, second);
  kept.write("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n");
  await kept.receives("}\n");
  await until("the slow exchange", async () =>
    (await balancer.status()).pools[0]?.targets.some(({ active }) => active === 1),
  );
  balancer.write({ listeners: one, pools: { app: app() } });
  assert.equal((await balancer.reload()).code, 0);
  await assert.rejects(ask({ port: second }), { code: "ECONNREFUSED" });
  assert.equal((await ask({ port: first })).status, 200);
  assert.equal((await slow).status, 200);
  // Nobody serves it any more: an idle connection of it is closed.
  await kept.closed();
  assert.equal(kept.state(), "end");
});

test("a bad configuration is refused whole with every problem, and the old one goes on", async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const balancer = await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: app() },
  });
  const load = startLoad(t, port, { kept: 2, fresh: 1 });
  balancer.write({
    listeners: {
      web: listener(other, [{ pool: "ap" }], { bodyLimit: "1 potato" }),
      more: { bind: "nowhere", routes: [] },
    },
    pools: { app: { ...app(), balanse: "random" } },
  });
  const ran = await balancer.reload();
  assert.equal(ran.code, 1);
  for (const part of [/evenkeel\.json:1:\d+: /, /potato/, /nowhere/, /did you mean `balance`/, /did you mean `app`/]) {
    assert.match(ran.stderr, part);
  }
  balancer.program.signal("SIGHUP");
  await until("its refusal", () => balancer.lines().filter((line) => line["message"] === "reload refused").length >= 8);
  const { served } = load;
  await until("load after it", () => load.served > served + 50);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal((await balancer.status()).generation, 1);
  await assert.rejects(ask({ port: other }), { code: "ECONNREFUSED" });
});

test("a target that a reload takes away keeps the exchanges that it has", async (t) => {
  const port = await freePort();
  const config = (ports: readonly number[]) => ({
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool(ports) },
  });
  const [a, b] = echoes.map((echo) => echo.port);
  const balancer = await startBalancer(t, config([a ?? 0]));
  const slow = ask({ port, path: "/delay/1000" });
  await until("the slow exchange", async () => (await balancer.status()).pools[0]?.targets[0]?.active === 1);
  balancer.write(config([b ?? 0]));
  assert.equal((await balancer.reload()).code, 0);
  assert.equal((await ask({ port })).body, "b\n");
  assert.equal((await slow).body, "a\n");
});

test("an access log moved away and reopened with SIGUSR1 under load loses no line", async (t) => {
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const path = join(directory, "access.log");
  const balancer = await startBalancer(
    t,
    {
      workers: 2,
      accessLog: { path, flush: "50ms" },
      listeners: { web: listener(port, [{ pool: "app" }]) },
      pools: { app: app() },
    },
    directory,
  );
  const load = startLoad(t, port, { kept: 4, fresh: 1 });
  const files = [path];
  for (let round = 1; round <= 5; round++) {
    const { served } = load;
    await until("load", () => load.served > served + 100);
    const moved = `${path}.${round}`;
    renameSync(path, moved);
    files.push(moved);
    balancer.program.signal("SIGUSR1");
    await until("the new file", () => readFileSync(path, "utf8").length > 0, { onTimeout: balancer.program.stderr });
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  const lines = () => files.flatMap((file) => decodeLines(readFileSync(file, "utf8")));
  await until("every line", () => lines().length >= load.served);
  balancer.program.signal("SIGTERM");
  assert.deepEqual(await balancer.program.exited(), { code: 0, signal: null });
  assert.equal(lines().length, load.served);
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    // One that was moved before its first flush is empty.
    assert.ok(
      text === "" || text.endsWith("}\n"),
      `${file} of ${text.length} bytes ends with ${JSON.stringify(text.slice(-300))}\n${balancer.program.stderr()}`,
    );
  }
  t.diagnostic(`${load.served} requests, ${files.length} files`);
});

test("SIGTERM under load finishes every request under way and ends with 0", async (t) => {
  const port = await freePort();
  const balancer = await startBalancer(t, {
    workers: 2,
    drainTimeout: "10s",
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: app() },
  });
  const load = startLoad(t, port, { kept: 6, fresh: 4 });
  await until("load", async () => (await readStatus(balancer, "web")) > 200);
  const slow = Array.from({ length: 6 }, () => ask({ port, path: "/delay/1500" }));
  await until("the slow ones", async () => {
    const targets = (await balancer.status()).pools[0]?.targets ?? [];
    return targets.reduce((sum, { active }) => sum + active, 0) >= 6;
  });
  const startedAt = performance.now();
  balancer.program.signal("SIGTERM");
  for (const answer of await Promise.all(slow)) assert.equal(answer.status, 200);
  assert.deepEqual(await balancer.program.exited(), { code: 0, signal: null });
  assert.ok(performance.now() - startedAt < 10_000, "without waiting for the deadline");
  await load.stop();
  // Each client is told with its last response; then it finds nobody who listens. A connection that got into the backlog
  // of a socket as that was closed is reset by the kernel: no balancer ever saw it, and it was a new one.
  const resets = load.failures.filter((code) => code === "ECONNRESET").length;
  t.diagnostic(`${load.served} requests, ${resets} new connections reset in the backlog`);
  assert.deepEqual(
    load.failures.filter((code) => code !== "ECONNRESET"),
    Array(10).fill("ECONNREFUSED"),
  );
  assert.ok(resets <= 10, `${resets} resets`);
});

test("the drain's deadline cuts what hangs, and the end is still orderly", async (t) => {
  const port = await freePort();
  const balancer = await startBalancer(t, {
    drainTimeout: "700ms",
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: app() },
  });
  const hanging = assert.rejects(ask({ port, path: "/delay/60000" }), { code: "ECONNRESET" });
  await until("the hanging one", async () =>
    (await balancer.status()).pools[0]?.targets.some(({ active }) => active === 1),
  );
  const startedAt = performance.now();
  balancer.program.signal("SIGTERM");
  assert.deepEqual(await balancer.program.exited(), { code: 0, signal: null });
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs >= 700 && tookMs < 5_000, `${tookMs} ms`);
  await hanging;
});
