// The state of the node as an operator asks for it: what the workers answered, summed. Pure; the change's way. The
// shape is the body of GET /v1/status and what `evenkeel status` prints, so it only grows.

import { formatSocketAddress } from "../core/address.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Config } from "../model/config.ts";
import type { Intent, Pool, Target } from "../model/pool.ts";
import { type ListenerTotals, listenerTotals, type TargetTotals, targetTotals } from "../state/counters.ts";
import type { TargetStatus, WorkerStatus } from "../state/worker-protocol.ts";
import { degradedHa } from "./ha/degraded-ha.ts";
import type { HaStatus } from "./ha/high-availability.ts";
import type { KernelStatus } from "./kernel/kernel-engine.ts";
import {
  addListenerCounts,
  addTargetCounts,
  type CarriedTargetStatus,
  type ListenerCounts,
  type TargetCounts,
  targetKey,
  withoutListenerTraffic,
  withoutTargetTraffic,
} from "./kernel/kernel-status.ts";
import type { NodeTotals } from "./metrics/totals.ts";
import type { PoolSourceStatus } from "./targets/source-watches.ts";
import type { JudgedTarget } from "./targets/target-explanation.ts";
import type { Slot, SlotPhase } from "./workers/worker-slots.ts";

export type WorkerSummary = {
  readonly worker: number;
  readonly pid: number | undefined;
  readonly state: SlotPhase;
  /** How often it was started again after it had ended unasked. */
  readonly restarts: number;
  readonly generation: number;
  /** Did it answer in time? What is under way, and health, is told only of those that did. */
  readonly answered: boolean;
};

export type TargetSummary = {
  readonly address: string;
  readonly weight: number;
  readonly backup: boolean;
  readonly intent: Intent;
  /** Unhealthy as soon as one worker finds it so. */
  readonly health: "unknown" | "healthy" | "unhealthy";
  /** How many workers find it unhealthy, of those that answered. */
  readonly unhealthyWorkers: number;
  /** A code: why it is out. */
  readonly reason: string | undefined;
  /** Who took it out, when its health began to be what it is, what the last probe said. */
  readonly by: JudgedTarget["by"];
  readonly since: string | undefined;
  readonly lastOutput: string | undefined;
  readonly outForMs: Milliseconds;
  /** Everything under way there: exchanges, tunnels and flows. */
  readonly active: number;
  readonly activeTunnels: number;
  readonly activeFlows: number;
  /** Its weight, or while a slow start lasts the least that a worker gives it of that. */
  readonly effectiveWeight: number;
  readonly counters: TargetCounts;
};

export type NodeStatus = {
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  readonly state: "starting" | "serving" | "draining";
  readonly generation: number;
  readonly uptimeSeconds: number;
  readonly workers: readonly WorkerSummary[];
  readonly listeners: readonly {
    readonly name: string;
    readonly protocol: string;
    readonly address: string;
    /** Of a layer-4 listener: who carries it, and why. */
    readonly engine: "proxy" | "kernel" | undefined;
    readonly engineReason: string | undefined;
    readonly counters: ListenerCounts;
  }[];
  readonly pools: readonly {
    readonly name: string;
    readonly balance: string;
    readonly targets: readonly TargetSummary[];
  }[];
  /** Floating addresses; undefined without virtual routers. */
  readonly ha: HaStatus | undefined;
  /** One sentence for each thing that is not as it should be; empty when all is well. */
  readonly degraded: readonly string[];
};

export type StatusParts = {
  readonly config: Config;
  readonly version: string;
  readonly pid: number;
  readonly state: NodeStatus["state"];
  readonly generation: number;
  readonly uptimeSeconds: number;
  readonly slots: readonly Slot[];
  /** By slot index; a slot that kept silent is missing. */
  readonly answers: ReadonlyMap<number, WorkerStatus>;
  /** What all workers have counted, of those as well that are gone. */
  readonly totals: NodeTotals;
  /** The supervisor's own judge of a target; undefined when it knows none. */
  readonly judged: (pool: string, address: string) => JudgedTarget | undefined;
  readonly kernel?: KernelStatus;
  readonly ha?: HaStatus | undefined;
  readonly sources?: readonly PoolSourceStatus[];
  /** Targets that a pool is to have and does not, since it has as many as it may. */
  readonly leftOut?: (pool: string) => number;
  /** Why targets that changed are not in force where the kernel carries a listener; a sentence each. */
  readonly untaken?: readonly string[];
};

/** What workers answered and counted, over the listeners and targets of the running configuration. */
export function sumStatus(parts: StatusParts): NodeStatus {
  const answers = [...parts.answers.values()];
  const workers = parts.slots.map((slot) => summarizeSlot(slot, parts.answers.has(slot.index)));
  const listeners = parts.config.listeners.map((listener) => ({
    name: listener.name,
    protocol: listener.protocol,
    address: formatSocketAddress(listener.bind),
    ...engineOf(parts.kernel, listener.name),
    counters: sumListener(parts.totals.listeners.get(listener.name), listener.name, parts.kernel),
  }));
  const targetsByPool = groupTargets(answers);
  const pools = parts.config.pools.map((pool) => ({
    name: pool.name,
    balance: pool.balance.policy,
    targets: pool.targets.map((target) => {
      const seen = targetsByPool.get(pool.name)?.get(target.address) ?? [];
      const judged = parts.judged(pool.name, target.address);
      const known = parts.totals.targets.get(targetKey(pool.name, target.address)) ?? targetTotals();
      return sumTarget({ target, seen, judged, known, carried: carriedOf(parts.kernel, pool, target) });
    }),
  }));
  const { node } = parts.config;
  const { version, pid, state, generation, uptimeSeconds } = parts;
  const degraded = [
    ...degradedWorkers(workers),
    ...degradedKernel(parts.kernel),
    ...(parts.untaken ?? []).map((why) => `listeners that the kernel carries keep the targets of before: ${why}`),
    ...degradedHa(parts.ha),
    ...(parts.sources ?? []).flatMap(degradedSource),
    ...pools.flatMap(({ name, targets }) => degradedSize(name, targets.length, parts.leftOut?.(name) ?? 0)),
    ...pools.flatMap(degradedTargets),
  ];
  return { node, version, pid, state, generation, uptimeSeconds, workers, listeners, pools, ha: parts.ha, degraded };
}

function summarizeSlot(slot: Slot, answered: boolean): WorkerSummary {
  const { index: worker, pid, phase: state, crashes: restarts, applied: generation } = slot;
  return { worker, pid, state, restarts, generation, answered };
}

function engineOf(
  kernel: KernelStatus | undefined,
  name: string,
): Pick<NodeStatus["listeners"][number], "engine" | "engineReason"> {
  const chosen = kernel?.chosen.find(({ listener }) => listener === name);
  return { engine: chosen?.engine, engineReason: chosen?.reason };
}

function carriedOf(kernel: KernelStatus | undefined, pool: Pool, target: Target): readonly CarriedTargetStatus[] {
  return kernel?.carried.targets.get(targetKey(pool.name, target.address)) ?? [];
}

function degradedKernel(kernel: KernelStatus | undefined): string[] {
  const leftOut = (kernel?.chosen ?? []).flatMap(degradedChoice);
  if (kernel?.failure === undefined) return leftOut;
  return [`the kernel engine's rules are not as they should be: ${kernel.failure}`, ...leftOut];
}

function degradedChoice({ listener, leftOut: [first, ...more] = [] }: KernelStatus["chosen"][number]): string[] {
  if (first === undefined) return [];
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return [`listener ${listener} leads no client to target ${first}${others}: the kernel cannot reach it from there`];
}

function sumListener(
  known: ListenerTotals | undefined,
  name: string,
  kernel: KernelStatus | undefined,
): ListenerCounts {
  const sum = copyTotals(known);
  const carried = kernel?.carried.listeners.get(name);
  if (carried !== undefined) addListenerCounts(sum, carried);
  return carried === undefined || carried.traffic !== undefined ? sum : withoutListenerTraffic(sum);
}

/** Its own: what is counted is not ours to add to. */
function copyTotals(known = listenerTotals()): ListenerTotals {
  return { ...known, statusClasses: [...known.statusClasses], drops: { ...known.drops }, limits: { ...known.limits } };
}

function groupTargets(answers: readonly WorkerStatus[]): Map<string, Map<string, TargetStatus[]>> {
  const pools = new Map<string, Map<string, TargetStatus[]>>();
  for (const status of answers.flatMap((answer) => answer.targets)) {
    const pool = pools.get(status.pool) ?? new Map<string, TargetStatus[]>();
    pools.set(status.pool, pool);
    const sisters = pool.get(status.address);
    if (sisters === undefined) pool.set(status.address, [status]);
    else sisters.push(status);
  }
  return pools;
}

type TargetParts = {
  readonly target: Target;
  /** One a worker that answered. */
  readonly seen: readonly TargetStatus[];
  readonly judged: JudgedTarget | undefined;
  readonly known: TargetTotals;
  readonly carried: readonly CarriedTargetStatus[];
};

function sumTarget({ target, seen, judged, known, carried }: TargetParts): TargetSummary {
  const counters = { ...known };
  let active = 0;
  let activeTunnels = 0;
  let activeFlows = 0;
  let effectiveWeight = target.weight;
  for (const counts of carried) {
    active += counts.open;
    if (counts.protocol === "tcp") activeTunnels += counts.open;
    else activeFlows += counts.open;
    addTargetCounts(counters, counts);
  }
  for (const status of seen) {
    active += status.active;
    activeTunnels += status.activeTunnels;
    activeFlows += status.activeFlows;
    effectiveWeight = Math.min(effectiveWeight, status.effectiveWeight);
  }
  const unhealthy = seen.filter((status) => status.health === "unhealthy");
  // Live traffic finds a target healthy by its successes, a probe by its own; out by probes it is at once, for the node.
  const healthy = judged?.health === "healthy" || seen.some((status) => status.health === "healthy");
  const byProbes = judged?.by === "probes" || judged?.by === "initial";
  const { address, weight, backup, intent } = target;
  return {
    address,
    weight,
    backup,
    intent,
    health: unhealthy.length > 0 || byProbes ? "unhealthy" : healthy ? "healthy" : "unknown",
    unhealthyWorkers: unhealthy.length,
    reason: byProbes ? judged?.code : unhealthy[0]?.reason,
    by: judged?.by,
    since: judged?.since,
    lastOutput: judged?.lastOutput,
    outForMs: unhealthy.reduce((most, status) => Math.max(most, status.outForMs), 0),
    active,
    activeTunnels,
    activeFlows,
    effectiveWeight,
    counters: carried.some(({ traffic }) => traffic === undefined) ? withoutTargetTraffic(counters) : counters,
  };
}

function degradedWorkers(workers: readonly WorkerSummary[]): string[] {
  const sentences: string[] = [];
  for (const { worker, state, answered } of workers) {
    if (state === "waiting") sentences.push(`worker ${worker} crashed and waits for its next start`);
    else if (state === "starting") sentences.push(`worker ${worker} is starting`);
    else if (!answered && state !== "gone") sentences.push(`worker ${worker} (${state}) does not answer`);
  }
  return sentences;
}

function degradedSource({
  pool,
  connected,
  fromDump,
  dumpWrittenAt,
  readAt,
  targets,
  lastFailure,
  damaged,
}: PoolSourceStatus): string[] {
  const sentences: string[] = [];
  if (!connected && lastFailure !== undefined) {
    const unread = readAt === undefined && targets === 0 ? "it has not answered yet" : "its last list stays";
    const instead = fromDump ? `the list of ${dumpWrittenAt} is used` : unread;
    sentences.push(`the source of pool ${pool} does not answer, ${instead}: ${lastFailure}`);
  }
  if (damaged.length > 0) {
    const count = damaged.length === 1 ? "1 entry" : `${damaged.length} entries`;
    sentences.push(
      `the source of pool ${pool} has ${count} that cannot be read: ${damaged[0]?.key}: ${damaged[0]?.detail}`,
    );
  }
  return sentences;
}

function degradedSize(pool: string, most: number, leftOut: number): string[] {
  return leftOut === 0 ? [] : [`pool ${pool} has ${most} targets, which is the most; ${leftOut} more are left out`];
}

function degradedTargets(pool: { readonly name: Pool["name"]; readonly targets: readonly TargetSummary[] }): string[] {
  const wanted = pool.targets.filter((target) => target.intent === "up");
  const sentences = wanted
    .filter((target) => target.health === "unhealthy")
    .map(
      (target) => `target ${target.address} of pool ${pool.name} is unhealthy: ${target.reason ?? "no reason given"}`,
    );
  const eligible = wanted.some((target) => target.health !== "unhealthy");
  if (!eligible) sentences.push(`pool ${pool.name} has no eligible target`);
  return sentences;
}
