// Processes killed with SIGKILL under load: a target, a worker. What a client may notice of it, and nothing more.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { before, type TestContext, test } from "node:test";
import {
  type Balancer,
  decodeWrk,
  type Echo,
  fileScope,
  lacks,
  listener,
  pool,
  startBalancer,
  startEcho,
  startEchoes,
  type WrkResult,
} from "./http-kit.ts";
import { ask, freePort, isAlive, type Program, pause, type RawClient, rawClient, startProgram, until } from "./kit.ts";

const suite = fileScope();
const failTimeoutMs = 1_000;
let steady: Echo[] = [];

before(async () => {
  steady = await startEchoes(suite, ["a", "b"]);
});

type Stage = { readonly balancer: Balancer; readonly port: number; readonly victim: Echo };

/** A pool of three: a, b, and a victim of this test's own. */
async function start(t: TestContext, workers: number): Promise<Stage> {
  const victim = await startEcho(t, "victim");
  const port = await freePort();
  const ports = [...steady.map((echo) => echo.port), victim.port];
  const balancer = await startBalancer(t, {
    workers,
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool(ports, { maxFails: 1, failTimeout: `${failTimeoutMs}ms` }) },
  });
  return { balancer, port, victim };
}

async function exchangesOf({ balancer, victim }: Stage): Promise<number> {
  const targets = (await balancer.status()).pools[0]?.targets ?? [];
  return targets.find(({ address }) => address.endsWith(`:${victim.port}`))?.counters["exchanges"] ?? 0;
}

/** Load until the victim has had its share, then SIGKILL, then the load's end. */
async function killUnderLoad(t: TestContext, stage: Stage, more: readonly string[]): Promise<WrkResult> {
  const { port, victim } = stage;
  const wrk: Program = startProgram(t, "wrk", ["-t1", "-c16", "-d3s", ...more, `http://127.0.0.1:${port}/ping`]);
  await until("load on the victim", async () => (await exchangesOf(stage)) > 300);
  victim.program.signal("SIGKILL");
  await victim.program.exited();
  assert.equal((await wrk.exited()).code, 0, wrk.stderr());
  const result = decodeWrk(wrk.stdout());
  t.diagnostic(`${result.requests} requests, ${result.notGood} not good`);
  return result;
}

// An exchange whose target dies before its answer began is sent to another one, and whole answers are not touched. Only an
// answer cut in its midst could be seen by a client, as a reset: these answers fit one segment, which arrives whole or not.
test("a target killed under load costs no idempotent request, and is back within failTimeout of its restart", async (t) => {
  if (lacks(t, "wrk")) return;
  const stage = await start(t, 1);
  const { notGood, socketErrors, requests } = await killUnderLoad(t, stage, []);
  assert.equal(notGood, 0);
  assert.deepEqual(socketErrors, { connect: 0, read: 0, write: 0, timeout: 0 });
  assert.ok(requests > 1_000);
  const restarted = await startEcho(t, "victim", stage.victim.port);
  const startedAt = performance.now();
  await until("the target's return", async () => (await ask({ port: stage.port })).body === "victim\n");
  const tookMs = performance.now() - startedAt;
  // It was last seen failing before it was restarted; what goes beyond is for a busy machine.
  assert.ok(tookMs < failTimeoutMs + 1_000, `${tookMs} ms`);
  assert.equal(restarted.program.exit(), undefined);
});

// Each client's connection can lose two: one that the target had, and one sent on a connection that the dying target's
// backlog still completed, or that it had kept idle and whose end we had not read yet.
test("a target killed under load costs at most the requests that it had and may have acted on", async (t) => {
  if (lacks(t, "wrk")) return;
  const stage = await start(t, 1);
  const script = join(stage.balancer.directory, "post.lua");
  writeFileSync(script, 'wrk.method = "POST"\nwrk.body = "hello"\n');
  const { notGood, socketErrors } = await killUnderLoad(t, stage, ["-s", script]);
  assert.ok(notGood <= 2 * 16, `${notGood} requests of 16 connections`);
  assert.deepEqual(socketErrors, { connect: 0, read: 0, write: 0, timeout: 0 });
});

/** The clients' ports of the connections to `port` that the process has accepted, from /proc. */
function clientPortsOf(pid: number, port: number): Set<number> {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const ports = new Set<number>();
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)) {
    const [, local = "", remote = "", state, , , , , , inode = ""] = line.trim().split(/\s+/);
    const established = state === "01" && Number.parseInt(local.split(":")[1] ?? "", 16) === port;
    if (established && inodes.has(inode)) ports.add(Number.parseInt(remote.split(":")[1] ?? "", 16));
  }
  return ports;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed since the folder was read.
    return "";
  }
}

const ping = "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n";

/** One exchange on the kept connection; undefined when it broke. */
async function askOn(client: RawClient): Promise<boolean> {
  const before = client.received().length;
  client.write(ping);
  await client.receives((text) => text.slice(before).includes('"ok"}\n') || client.state() !== "open");
  return client.state() === "open";
}

test("a worker killed under load takes its own connections along and nothing else, and is replaced", async (t) => {
  const stage = await start(t, 2);
  const { balancer, port } = stage;
  const kept = await Promise.all(Array.from({ length: 24 }, () => rawClient(t, port)));
  for (const client of kept) assert.ok(await askOn(client));
  const workers = (await balancer.status()).workers;
  const [victim, other] = [workers[0]?.pid ?? -1, workers[1]?.pid ?? -1];
  const owned = clientPortsOf(victim, port);
  const portOf = (client: RawClient) => client.socket.localPort ?? -1;
  const doomed = kept.filter((client) => owned.has(portOf(client)));
  assert.equal(doomed.length + clientPortsOf(other, port).size, kept.length, "each connection belongs to one worker");
  assert.ok(doomed.length > 0 && doomed.length < kept.length, "the kernel gave both workers some");

  let stop = false;
  let dead = false;
  let served = 0;
  const failed: string[] = [];
  const fresh = Array.from({ length: 4 }, async () => {
    while (!stop) {
      // Begun before the worker was gone, it may have been with it.
      const mayFail = !dead;
      try {
        assert.equal((await ask({ port, path: "/ping" })).status, 200);
        served++;
      } catch (error) {
        if (!mayFail || (error as NodeJS.ErrnoException).code === "ECONNREFUSED") failed.push(String(error));
      }
    }
  });
  await until("load", () => served > 100);
  process.kill(victim, "SIGKILL");
  await until("the worker's death", () => !isAlive(victim), { everyMs: 1 });
  dead = true;
  for (const client of doomed) await client.closed();
  for (const client of kept) if (!doomed.includes(client)) assert.ok(await askOn(client), "the others go on");
  await balancer.logged("worker serving", 3);
  const replaced = (await balancer.status()).workers;
  assert.deepEqual(
    replaced.map(({ restarts }) => restarts),
    [1, 0],
  );
  const replacement = replaced[0]?.pid ?? -1;
  await until("a connection with the replacement", async () => {
    const client = await rawClient(t, port);
    assert.ok(await askOn(client));
    return clientPortsOf(replacement, port).has(portOf(client));
  });
  const before = served;
  await until("load after it", () => served > before + 200);
  stop = true;
  await Promise.all(fresh);
  assert.deepEqual(failed, []);
  for (const client of kept) if (!doomed.includes(client)) assert.ok(await askOn(client), "still the same connection");
});

test("both workers killed at once: who waits in the backlog is served by their replacements", async (t) => {
  const { balancer, port } = await start(t, 2);
  for (const { pid } of (await balancer.status()).workers) process.kill(pid, "SIGKILL");
  const answers = await Promise.all(Array.from({ length: 40 }, () => askAgain(port)));
  assert.ok(answers.every((status) => status === 200));
  await balancer.logged("worker serving", 4);
});

/** A connection that a dying worker had still accepted is lost with it; one that it had not is not. Refused is never right. */
async function askAgain(port: number): Promise<number> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return (await ask({ port, path: "/ping" })).status;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      assert.equal(code, "ECONNRESET");
      await pause(5);
    }
  }
  return 0;
}
