// Puts the metrics of a node together: what workers counted, what the judges say, what the configuration wants, how sources and
// virtual routers stand. Pure; the change's way. The names are metrics-table.ts, the text is src/admin/metrics.ts.

import { formatSocketAddress } from "../../core/address.ts";
import type { Config } from "../../model/config.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { HaStatus } from "../ha/high-availability.ts";
import type { KernelStatus } from "../kernel/kernel-engine.ts";
import type { NodeStatus } from "../node-status.ts";
import type { TargetFigures } from "../targets/health-checks.ts";
import type { PoolSourceStatus } from "../targets/source-watches.ts";
import type { Slot } from "../workers/worker-slots.ts";
import { addCounted } from "./counted.ts";
import { MetricFamilies, type MetricFamily, TargetNames } from "./families.ts";
import { addHa } from "./ha.ts";
import type { Series } from "./ledger.ts";
import type { ReloadRecord } from "./reload.ts";
import { metricTable as table } from "./table.ts";

/** Each metric that has something to say, with its samples. */
export type NodeMetrics = { readonly families: readonly MetricFamily[] };

export type MetricsParts = {
  readonly version: string;
  /** Since 1970. */
  readonly startedAtSeconds: number;
  readonly state: NodeStatus["state"];
  readonly generation: number;
  readonly reload: ReloadRecord;
  /** Of the supervisor. */
  readonly process: { readonly cpuSeconds: number; readonly memoryBytes: number };
  readonly slots: readonly Slot[];
  /** With the pools' targets as they are desired now. */
  readonly config: Config;
  readonly counted: Iterable<Series>;
  readonly accounts: { readonly shared: boolean; readonly damaged: number; readonly refused: number };
  readonly judged: (pool: string, address: string) => TargetFigures | undefined;
  readonly kernel: KernelStatus | undefined;
  readonly ha: HaStatus | undefined;
  readonly sources: readonly PoolSourceStatus[];
  /** For tests. */
  readonly linesMax?: number;
};

const nodeStates: readonly NodeStatus["state"][] = ["starting", "serving", "draining"];

export function collectMetrics(parts: MetricsParts): NodeMetrics {
  const families = new MetricFamilies(parts.linesMax);
  addNode(families, parts);
  addWorkers(families, parts.slots);
  addHa(families, parts.ha);
  for (const source of parts.sources) addSource(families, source);
  const names = new TargetNames();
  for (const pool of parts.config.pools) addPool(families, pool, parts.judged, names);
  addListeners(families, parts);
  const udp = new Set(parts.config.listeners.flatMap(({ name, protocol }) => (protocol === "udp" ? [name] : [])));
  const { counted, kernel } = parts;
  addCounted(families, { counted, kernel, names, isUdp: (listener) => udp.has(listener) });
  return { families: families.filled() };
}

function addNode(families: MetricFamilies, parts: MetricsParts): void {
  const { reload, accounts, process } = parts;
  families.add(table.build, [parts.version], 1);
  families.add(table.start, [], parts.startedAtSeconds);
  families.addState(table.nodeState, [], nodeStates, parts.state);
  families.add(table.generation, [], parts.generation);
  families.add(table.reloads, ["accepted"], reload.accepted);
  families.add(table.reloads, ["refused"], reload.refused);
  families.addFlag(table.reloadGood, [], reload.lastGood);
  families.add(table.reloadAt, [], reload.lastAtMs / 1000);
  families.add(table.reloadGoodAt, [], reload.lastGoodAtMs / 1000);
  families.add(table.supervisorCpu, [], process.cpuSeconds);
  families.add(table.supervisorMemory, [], process.memoryBytes);
  families.addFlag(table.shared, [], accounts.shared);
  families.add(table.damaged, [], accounts.damaged + accounts.refused);
  if (parts.kernel !== undefined && parts.kernel.carried.listeners.size > 0) {
    families.addFlag(table.kernelFailed, [], parts.kernel.failure !== undefined);
  }
}

function addWorkers(families: MetricFamilies, slots: readonly Slot[]): void {
  const there = slots.filter(({ phase }) => phase !== "gone" && phase !== "draining");
  families.add(table.workers, [], there.length);
  families.add(table.serving, [], there.filter(({ phase, served }) => served && phase !== "waiting").length);
  for (const { index, crashes, applied } of slots) {
    const labels = [String(index)];
    families.add(table.restarts, labels, crashes);
    families.add(table.workerGeneration, labels, applied);
  }
}

function addSource(families: MetricFamilies, source: PoolSourceStatus): void {
  const labels = [source.pool, source.type];
  families.addFlag(table.sourceConnected, labels, source.connected);
  const readAt = source.readAt === undefined ? undefined : Date.parse(source.readAt) / 1000;
  families.addKnown(table.sourceSuccessAt, labels, readAt);
  families.add(table.sourceAnswers, labels, source.answers);
  families.add(table.sourceFailures, labels, source.failures);
  families.add(table.sourceEntries, labels, source.targets);
  families.add(table.sourceDamaged, labels, source.damaged.length);
  families.addFlag(table.sourceFromDump, labels, source.fromDump);
}

function addPool(families: MetricFamilies, pool: Pool, judged: MetricsParts["judged"], names: TargetNames): void {
  let healthy = 0;
  let eligible = 0;
  for (const target of pool.targets) {
    const figures = judged(pool.name, target.address);
    const isHealthy = figures?.healthy !== false;
    const isEligible = isHealthy && target.intent === "up" && target.weight > 0;
    if (isHealthy) healthy += 1;
    if (isEligible) eligible += 1;
    addTarget(families, target, { labels: names.of(pool.name, target.address), isHealthy, isEligible, figures });
  }
  families.add(table.targets, [pool.name], pool.targets.length);
  families.add(table.targetsHealthy, [pool.name], healthy);
  families.add(table.targetsEligible, [pool.name], eligible);
}

type TargetFacts = {
  readonly labels: readonly string[];
  readonly isHealthy: boolean;
  readonly isEligible: boolean;
  readonly figures: TargetFigures | undefined;
};

function addTarget(families: MetricFamilies, target: Target, facts: TargetFacts): void {
  const { labels, figures } = facts;
  families.addFlag(table.healthy, labels, facts.isHealthy);
  families.addFlag(table.eligible, labels, facts.isEligible);
  families.add(table.weight, labels, target.weight);
  families.add(table.intent, [...labels, target.intent], 1);
  if (figures === undefined) return;
  families.add(table.healthChanges, labels, figures.changes);
  families.add(table.reports, labels, figures.reports);
  if (!figures.checked) return;
  families.add(table.probes, labels, figures.probes);
  families.add(table.probesFailed, labels, figures.probesFailed);
  families.add(table.probesUnable, labels, figures.probesUnable);
}

function addListeners(families: MetricFamilies, { config, kernel }: MetricsParts): void {
  for (const { name, protocol, bind } of config.listeners) {
    const engine = kernel?.chosen.find(({ listener }) => listener === name)?.engine ?? "proxy";
    families.add(table.listener, [name, protocol, formatSocketAddress(bind), engine], 1);
  }
}
