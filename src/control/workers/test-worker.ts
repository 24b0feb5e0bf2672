// A worker for tests of the fleet: it speaks the protocol, holds what it is sent, serves nobody, and answers a change of pools
// when it is told to (`reopenLogs`), or at once with TEST_WORKER_PROMPT=yes. Each message of a new state is told in the log,
// and its status shows the targets that it has. Must not be imported by anything; tests start it as a process.

import type { Pool } from "../../model/pool.ts";
import { targetTotals } from "../../state/counters.ts";
import { changedPool, nameOfChange, type PoolChange } from "../../state/pool-change.ts";
import type { FromWorker, TargetHealth, ToWorker, WorkerStatus } from "../../state/worker-protocol.ts";

const prompt = process.env["TEST_WORKER_PROMPT"] === "yes";
const pools = new Map<string, Pool>();
let generation = 0;
let unhealthy: readonly TargetHealth[] = [];
let owesAnswer = false;

function say(message: FromWorker): void {
  process.send?.(message);
}

function hold(type: string, changed: readonly Pool[], number: number): void {
  for (const pool of changed) pools.set(pool.name, pool);
  generation = number;
  const fields = { type, generation, pools: changed.map(({ name }) => name) };
  say({ type: "log", level: "info", message: "took", fields });
}

function answer(): void {
  owesAnswer = false;
  say({ type: "applied", generation });
}

function status(): WorkerStatus {
  const out = new Set(unhealthy.map(({ pool, target }) => `${pool} ${target}`));
  const targets = [...pools.values()].flatMap((pool) =>
    pool.targets.map(({ address, weight }) => ({
      pool: pool.name,
      address,
      active: 0,
      activeTunnels: 0,
      activeFlows: 0,
      effectiveWeight: weight,
      health: out.has(`${pool.name} ${address}`) ? ("unhealthy" as const) : ("healthy" as const),
      reason: undefined,
      outForMs: 0,
      counters: targetTotals(),
    })),
  );
  return { pid: process.pid, generation, draining: false, listeners: [], targets };
}

function changedFrom(change: PoolChange): Pool {
  const known = pools.get(nameOfChange(change));
  if (known === undefined) throw new Error(`pool ${nameOfChange(change)} was in no snapshot`);
  return changedPool(known, change);
}

function take(message: ToWorker): void {
  switch (message.type) {
    case "snapshot":
      pools.clear();
      unhealthy = message.unhealthy;
      hold("snapshot", message.snapshot.pools, message.snapshot.generation);
      answer();
      break;
    case "pools":
      unhealthy = message.unhealthy;
      hold("pools", message.pools.map(changedFrom), message.generation);
      if (prompt) answer();
      else owesAnswer = true;
      break;
    case "reopenLogs":
      if (owesAnswer) answer();
      break;
    case "status":
      say({ type: "status", id: message.id, status: status() });
      break;
    case "drain":
      process.exit(0);
      break;
    case "health":
    case "listen":
    case "report":
      break;
    default:
      message satisfies never;
  }
}

process.on("message", (message) => take(message as ToWorker));
process.on("disconnect", () => process.exit(0));
say({ type: "ready" });
