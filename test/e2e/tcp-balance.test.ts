// TCP listeners through the real program: who gets which client, what becomes of clients when targets die, and limits.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pool, startBalancer } from "./http-kit.ts";
import { freePort, rawClient, temporaryDirectory, until } from "./kit.ts";
import { linesOf, startStreamEcho, startStreamEchoes, tcpListener, type Visit, visit } from "./tcp-kit.ts";

test("weights of 40, 30 and 30 are held exactly over 100 connections", async (t) => {
  const [a, b, c] = await startStreamEchoes(t, ["a", "b", "c"]);
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const port = await freePort();
  const targets = {
    [`127.0.0.1:${a.port}`]: { weight: 40 },
    [`127.0.0.1:${b.port}`]: { weight: 30 },
    [`127.0.0.1:${c.port}`]: { weight: 30 },
  };
  const balancer = await startBalancer(t, { listeners: { echo: tcpListener(port) }, pools: { echo: { targets } } });
  const count = { a: 0, b: 0, c: 0 };
  for (let index = 0; index < 100; index++) {
    const { greeting, error } = await visit(port);
    assert.equal(error, "");
    assert.ok(greeting === "a" || greeting === "b" || greeting === "c");
    count[greeting] += 1;
  }
  assert.deepEqual(count, { a: 40, b: 30, c: 30 });
  const { listeners, pools } = await balancer.status();
  assert.equal(listeners[0]?.counters["connectionsAccepted"], 100);
  assert.deepEqual(
    pools[0]?.targets.map(({ counters }) => counters["connectionsOpened"]),
    [40, 30, 30],
  );
});

test("a target that is killed under load costs no connection that comes after, and comes back", async (t) => {
  const echoes = await startStreamEchoes(t, ["a", "b", "c"]);
  const [killed] = echoes;
  assert.ok(killed !== undefined);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    listeners: { echo: tcpListener(port) },
    pools: {
      echo: pool(
        echoes.map((echo) => echo.port),
        { failTimeout: "1s" },
      ),
    },
  });
  let stopped = false;
  let dead = false;
  const before: Visit[] = [];
  const after: Visit[] = [];
  const load = Array.from({ length: 8 }, async () => {
    while (!stopped) {
      const late = dead;
      const seen = await visit(port);
      (late ? after : before).push(seen);
    }
  });
  await until("load", () => before.length > 100);
  killed.program.signal("SIGKILL");
  await killed.program.exited();
  dead = true;
  await until("load on those that are left", () => after.length > 500);
  stopped = true;
  await Promise.all(load);
  assert.deepEqual(
    after.filter(({ greeting, error }) => error !== "" || (greeting !== "b" && greeting !== "c")),
    [],
  );
  const broken = before.filter(({ error }) => error !== "").length;
  assert.ok(broken <= load.length, `${broken} broke, more than were with the killed target`);
  const { pools } = await balancer.status();
  const failures = pools[0]?.targets[0]?.counters["failures"] ?? 0;
  assert.ok(failures > 0 && failures < 20, `${failures} connects were wasted on it`);
  await startStreamEcho(t, "again", killed.port);
  await until("the target to be used again", async () => (await visit(port)).greeting === "again");
});

test("when every target is out, clients are reset at once, and the log says why", async (t) => {
  const directory = temporaryDirectory(t);
  const log = join(directory, "access.log");
  const [port, nobody] = [await freePort(), await freePort()];
  await startBalancer(
    t,
    {
      accessLog: { path: log, flush: "20ms" },
      listeners: { echo: tcpListener(port) },
      pools: { echo: { targets: { [`127.0.0.1:${nobody}`]: {}, "127.0.0.1:1": { intent: "drain" } } } },
    },
    directory,
  );
  const first = await visit(port);
  const second = await visit(port);
  assert.deepEqual([first.error, second.error], ["ECONNRESET", "ECONNRESET"]);
  const [refused] = await until("two lines", () => (linesOf(log).length >= 2 ? linesOf(log) : undefined));
  assert.equal(refused?.["error.type"], "target.connect.refused");
  assert.equal(refused?.["evenkeel.target"], `127.0.0.1:${nobody}`);
  assert.equal(refused?.["evenkeel.tries"], 1);
});

test("a full listener lets clients wait in the backlog, and takes them when others have left", async (t) => {
  const [echo] = await startStreamEchoes(t, ["a"]);
  assert.ok(echo !== undefined);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    listeners: { echo: tcpListener(port, { limits: { connections: 2 } }) },
    pools: { echo: pool([echo.port]) },
  });
  const [one, two] = [await rawClient(t, port), await rawClient(t, port)];
  await one.receives("a\n");
  await two.receives("a\n");
  const three = await rawClient(t, port);
  three.write("hello\n");
  const { listeners } = await balancer.status();
  assert.equal(listeners[0]?.counters["connectionsOpen"], 2);
  assert.equal(three.received(), "");
  one.end();
  await one.closed();
  await three.receives("a hello\n");
});
