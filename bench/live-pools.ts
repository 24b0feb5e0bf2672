// How long a change of one pool takes until it is in force, by the size of the pool: the real fleet with one real worker, whose
// listener is asked one request after the other. Each change moves all the weight from one target to another; the first answer
// of the other is the moment. Beside that, what a stream of changes costs, and the parts of one change in one process.
// Run with `node bench/live-pools.ts`; about a minute. Targets are one process behind addresses of 127.0.0.0/8.

import { type ChildProcess, fork } from "node:child_process";
import { createServer, connect as dial, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { decodeConfig } from "../src/config/decode.ts";
import { planSockets } from "../src/control/workers/listener-sockets.ts";
import { WorkerFleet } from "../src/control/workers/worker-fleet.ts";
import { assert } from "../src/core/assert.ts";
import type { Log } from "../src/core/log.ts";
import { seededRandom } from "../src/core/random.ts";
import type { Balance, Pool, Target } from "../src/model/pool.ts";
import { Counts } from "../src/proxy/counts.ts";
import { PoolState } from "../src/proxy/pool-state.ts";
import { privateRows } from "../src/state/slot-rows.ts";
import { type Snapshot, toSnapshot } from "../src/state/snapshot.ts";
import { drawText } from "./table.ts";

const sizes = [10, 1_000, 10_000];
const policies: readonly Balance[] = [
  { policy: "roundRobin" },
  { policy: "leastConnections" },
  { policy: "random" },
  { policy: "consistentHash", key: { kind: "clientAddress" } },
];
const changes = 15;
const streamed = 1_000;
const listenPort = 18_080;
const machine = { hostname: "bench", cores: 1 };
const request = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
const quiet = (): void => {};
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: (message) => console.error(message) };

/** The targets' side: says the last three numbers of the address that it was reached at. */
function serveTargets(): void {
  const server = createServer((socket) => {
    const body = socket.localAddress?.replace(/^.*?127\./, "") ?? "";
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.on("error", quiet).on("data", () => socket.write(answer));
  });
  server.listen({ port: 0, host: "0.0.0.0" }, () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : 0);
  });
  process.on("disconnect", () => process.exit(0));
}

function hostOf(index: number): string {
  return `127.0.${1 + (index >> 7)}.${1 + (index & 127)}`;
}

const idleTargets = new Map<string, Target>();

/** All the weight at one target. */
function poolOf(size: number, at: number, port: number, balance: Balance): Pool {
  const rules = {
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    slowStart: 0,
    intent: "up",
  } as const;
  // A target that stays as it was is the same object, as the registry has it.
  const targets = Array.from({ length: size }, (_, index): Target => {
    const host = hostOf(index);
    const made = (weight: number) => ({ address: `${host}:${port}`, host, port, weight, ...rules });
    if (index === at) return made(1);
    const idle = idleTargets.get(`${host}:${port}`) ?? made(0);
    idleTargets.set(idle.address, idle);
    return idle;
  });
  const pool = { name: "app", balance, targets, source: undefined, slowStart: 0, healthCheck: undefined };
  return { ...pool, idleConnectionsMax: 4, idleTimeout: 30_000 };
}

/** One request; the address of the target that answered. */
function ask(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", (bytes) => {
      socket.off("error", reject);
      resolve(`127.${bytes.toString("latin1").split("\r\n\r\n")[1]}`);
    });
    socket.write(request);
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? 0;
}

function snapshotOf(pool: Pool): Snapshot {
  const listener = { bind: `127.0.0.1:${listenPort}`, protocol: "http", routes: [{ path: "/", pool: "app" }] };
  const text = JSON.stringify({ workers: 1, listeners: { web: listener }, pools: { app: { targets: {} } } });
  const decoded = decodeConfig(text, { file: "bench", environment: {}, machine });
  assert(decoded.ok, "the bench's configuration is right");
  return { ...toSnapshot(decoded.config, 1), pools: [pool] };
}

async function startFleet(pool: Pool): Promise<WorkerFleet> {
  const first = snapshotOf(pool);
  const workerPath = fileURLToPath(new URL("../src/worker/main.ts", import.meta.url));
  const fleet = new WorkerFleet(
    { workerPath, log, clock: () => performance.now(), slots: undefined, heartbeat: undefined },
    { unhealthy: () => [], reported: quiet, passive: quiet, workerEnded: quiet, crashed: quiet, allGone: quiet },
    first,
  );
  const planned = planSockets([], first.listeners, 1);
  assert(planned.ok, "the port of the bench is free");
  fleet.watch();
  fleet.takeUp(first, planned.plan);
  await fleet.when((state) => state.settledTold === 1);
  return fleet;
}

/** Milliseconds: from the change to the answer of the new target, an exchange's own time, and a thousand changes in a row. */
async function overProcesses(size: number, port: number, balance: Balance) {
  const fleet = await startFleet(poolOf(size, 0, port, balance));
  const socket = dial(listenPort, "127.0.0.1");
  const [inForce, exchanges]: [number[], number[]] = [[], []];
  await ask(socket);
  for (let change = 1; change <= changes; change++) {
    const at = change % 2;
    const next = poolOf(size, at, port, balance);
    const start = performance.now();
    fleet.takePools([next]);
    while ((await ask(socket)) !== hostOf(at));
    inForce.push(performance.now() - start);
    const again = performance.now();
    await ask(socket);
    exchanges.push(performance.now() - again);
  }
  const prepared = [0, 1].map((at) => poolOf(size, at, port, balance));
  const start = performance.now();
  for (let change = 0; change < streamed; change++) {
    fleet.takePools([prepared[change % 2]!]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { generation } = fleet.state;
  await fleet.when((state) => state.settledTold === generation);
  const stream = performance.now() - start;
  const last = await ask(socket);
  assert(last === hostOf(1), "the last change is in force");
  socket.destroy();
  fleet.drain(0);
  await fleet.when((state) => state.goneTold);
  return { inForce: median(inForce), exchange: median(exchanges), stream };
}

/** The parts of one change, in one process: text out, text in, the pool's change, the first pick after it. */
function inOneProcess(size: number, balance: Balance) {
  const config = (at: number) => poolOf(size, at, 80, balance);
  const pool = new PoolState(config(0), {
    workerCount: 1,
    nowMs: 0,
    counts: new Counts(privateRows(16 * 1024 * 1024)),
    random: seededRandom(1),
    tellPassive: quiet,
  });
  const pick = { nowMs: 0, tried: [], keyHash: 1, clientAddress: "192.0.2.1" };
  const times: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let change = 1; change <= changes; change++) {
    const message = { type: "pools", generation: change, pools: [config(change % 2)], unhealthy: [] };
    const start = performance.now();
    const text = JSON.stringify(message);
    const written = performance.now();
    const parsed: typeof message = JSON.parse(text);
    const read = performance.now();
    pool.configure(parsed.pools[0]!, { workerCount: 1, nowMs: change });
    const configured = performance.now();
    const picked = pool.pick(pick);
    const done = performance.now();
    assert(picked?.config.host === hostOf(change % 2), "the pick is of the pool as it is now");
    for (const [at, ms] of [written - start, read - written, configured - read, done - configured].entries()) {
      times[at]!.push(ms);
    }
  }
  return times.map(median);
}

async function main(): Promise<void> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ["--targets"]);
  const port = await new Promise<number>((resolve) => child.once("message", (told) => resolve(Number(told))));
  const rows: string[][] = [];
  for (const balance of policies) {
    for (const size of sizes) {
      const { inForce, exchange, stream } = await overProcesses(size, port, balance);
      const parts = inOneProcess(size, balance);
      const ms = [inForce, exchange, ...parts].map((value) => value.toFixed(2));
      rows.push([balance.policy, String(size), ...ms, stream.toFixed(0)]);
    }
  }
  child.disconnect();
  const parts = ["to text", "from text", "pool", "first pick"];
  const head = ["milliseconds", "targets", "in force after", "an exchange", ...parts, `${streamed} changes in a row`];
  console.log(drawText({ head, rows }));
}

if (process.argv.includes("--targets")) serveTargets();
else await main();
