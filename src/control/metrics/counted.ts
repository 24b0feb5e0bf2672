// What workers, and the kernel where it carries listeners, have counted, as metrics. Pure; the change's way. The figures of a
// line are those of its kind's row (state/slot-layout.ts).

import { durationSlots } from "../../state/slot-durations.ts";
import { overflowLabel, RowKind, rowKinds, slotOf } from "../../state/slot-layout.ts";
import type { KernelStatus } from "../kernel/kernel-engine.ts";
import type { CarriedListenerStatus, CarriedTargetStatus, TrafficCounts } from "../kernel/kernel-status.ts";
import type { MetricFamilies, TargetNames } from "./families.ts";
import type { Series } from "./ledger.ts";
import { type Metric, metricTable as table } from "./table.ts";

type Exported = { readonly metric: Metric; readonly slot: number; readonly gauge?: true };

const of = (kind: RowKind, metric: Metric, name: string): Exported => ({ metric, slot: slotOf(kind, name) });
const now = (kind: RowKind, metric: Metric, name: string): Exported => ({ ...of(kind, metric, name), gauge: true });

const workerMetrics: readonly Exported[] = [
  of(RowKind.worker, table.busy, "busySeconds"),
  of(RowKind.worker, table.idle, "idleSeconds"),
  of(RowKind.worker, table.cpu, "cpuSeconds"),
  of(RowKind.worker, table.memory, "memoryBytes"),
  of(RowKind.worker, table.lag, "lagSeconds"),
  of(RowKind.worker, table.rows, "rowsUsed"),
  of(RowKind.worker, table.rowsRefused, "rowsRefused"),
];

const listenerBytes: readonly Exported[] = [
  of(RowKind.listener, table.clientReceived, "bytesFromClients"),
  of(RowKind.listener, table.clientSent, "bytesToClients"),
];
const listenerDatagrams: readonly Exported[] = [
  of(RowKind.listener, table.clientDatagramsReceived, "datagramsFromClients"),
  of(RowKind.listener, table.clientDatagramsSent, "datagramsToClients"),
];
const connectionMetrics: readonly Exported[] = [
  of(RowKind.listener, table.connections, "connectionsAccepted"),
  now(RowKind.listener, table.connectionsOpen, "connectionsOpen"),
  of(RowKind.listener, table.tunnelsOpened, "tunnelsOpened"),
  now(RowKind.listener, table.tunnelsOpen, "tunnelsOpen"),
];
const flowMetrics: readonly Exported[] = [
  of(RowKind.listener, table.flowsOpened, "flowsOpened"),
  now(RowKind.listener, table.flowsOpen, "flowsOpen"),
];

const targetMetrics: readonly Exported[] = [
  of(RowKind.target, table.tries, "exchanges"),
  of(RowKind.target, table.failures, "failures"),
  of(RowKind.target, table.retries, "retries"),
  of(RowKind.target, table.targetConnections, "connectionsOpened"),
  now(RowKind.target, table.targetConnectionsIdle, "connectionsIdle"),
  now(RowKind.target, table.targetActive, "active"),
];
const targetBytes: readonly Exported[] = [
  of(RowKind.target, table.targetSent, "bytesToTarget"),
  of(RowKind.target, table.targetReceived, "bytesFromTarget"),
];
const targetDatagrams: readonly Exported[] = [
  of(RowKind.target, table.targetDatagramsSent, "datagramsToTarget"),
  of(RowKind.target, table.targetDatagramsReceived, "datagramsFromTarget"),
];
const targetClass0 = slotOf(RowKind.target, "class0");
const targetDurations = slotOf(RowKind.target, "duration0");
const routeActive = slotOf(RowKind.exchangeRoute, "active");
const routeDurations = slotOf(RowKind.exchangeRoute, "duration0");

/** Of what ended without a status: a client that was gone before there was one. */
const statusLabels = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;
/** Said also while they are 0: a rate of errors must have its divisor, and its first error must be seen as one more. */
const alwaysTold: readonly number[] = [2, 5];

/** What was counted of one listener or target, the kernel's share with it. */
type Merged = {
  readonly labels: readonly string[];
  readonly figures: number[];
  /** Bytes and datagrams were counted, all of them. */
  traffic: boolean;
};

export type CountedParts = {
  readonly counted: Iterable<Series>;
  readonly kernel: KernelStatus | undefined;
  readonly names: TargetNames;
  readonly isUdp: (listener: string) => boolean;
};

export function addCounted(families: MetricFamilies, { counted, kernel, names, isUdp }: CountedParts): void {
  const listeners = new Map<string, Merged>();
  const targets = new Map<readonly string[], Merged>();
  const faults = new Map<string, { readonly labels: readonly string[]; count: number }>();
  for (const series of counted) {
    const { kind, labels, figures } = series;
    if (kind === RowKind.target) {
      const named = names.of(labels[0]!, labels[1]!);
      targets.set(named, { labels: named, figures, traffic: true });
    } else if (kind === RowKind.listener) listeners.set(labels[0]!, { labels, figures, traffic: true });
    else if (kind === RowKind.limit) faults.set(labels.join(" "), { labels, count: figures[0]! });
    else addOther(families, series);
  }
  if (kernel !== undefined) mergeKernel(kernel, listeners, targets, names);
  for (const [name, { protocol, full }] of kernel?.carried.listeners ?? []) {
    const labels = [name, protocol === "tcp" ? "listener.connections" : "listener.flows"];
    const count = full + (faults.get(labels.join(" "))?.count ?? 0);
    if (count > 0) faults.set(labels.join(" "), { labels, count });
  }
  for (const { labels, count } of faults.values())
    if (!isOther(labels) || count > 0) families.add(table.faults, labels, count);
  for (const [name, listener] of listeners) addListener(families, listener, isUdp(name));
  for (const target of targets.values()) addTarget(families, target);
  // Most of the lines: if there are too many, they are the first to be left out.
  for (const target of targets.values()) addAnswers(families, target);
}

function mergeKernel(
  { carried }: KernelStatus,
  listeners: Map<string, Merged>,
  targets: Map<readonly string[], Merged>,
  names: TargetNames,
): void {
  for (const [name, counts] of carried.listeners) {
    const sum = copyOf(RowKind.listener, listeners.get(name), [name]);
    addKernelListener(sum, counts);
    listeners.set(name, sum);
  }
  for (const [key, parts] of carried.targets) {
    // A pool's name has no space (config/leaf.ts), an address neither.
    const [pool = "", address = ""] = key.split(" ");
    const labels = names.of(pool, address);
    const sum = copyOf(RowKind.target, targets.get(labels), labels);
    for (const counts of parts) addKernelTarget(sum, counts);
    targets.set(labels, sum);
  }
}

/** Its own figures: those of the books are not ours to change. */
function copyOf(kind: RowKind, known: Merged | undefined, labels: readonly string[]): Merged {
  const figures = known === undefined ? rowKinds[kind].fields.map(() => 0) : [...known.figures];
  return { labels, figures, traffic: true };
}

const listenerSlot = (name: string) => slotOf(RowKind.listener, name);
const kernelTcp = { begun: listenerSlot("connectionsAccepted"), open: listenerSlot("connectionsOpen") };
const kernelUdp = { begun: listenerSlot("flowsOpened"), open: listenerSlot("flowsOpen") };
const listenerFrom = { bytes: listenerSlot("bytesFromClients"), packets: listenerSlot("datagramsFromClients") };
const listenerTo = { bytes: listenerSlot("bytesToClients"), packets: listenerSlot("datagramsToClients") };
const targetSlot = (name: string) => slotOf(RowKind.target, name);
const targetTries = targetSlot("exchanges");
const targetConnections = targetSlot("connectionsOpened");
const targetActive = targetSlot("active");
const targetTo = { bytes: targetSlot("bytesToTarget"), packets: targetSlot("datagramsToTarget") };
const targetFrom = { bytes: targetSlot("bytesFromTarget"), packets: targetSlot("datagramsFromTarget") };

function addKernelListener(sum: Merged, { protocol, begun, open, traffic }: CarriedListenerStatus): void {
  const slots = protocol === "tcp" ? kernelTcp : kernelUdp;
  sum.figures[slots.begun]! += begun;
  sum.figures[slots.open]! += open;
  addTraffic(sum, traffic, listenerFrom, listenerTo);
}

function addKernelTarget(sum: Merged, { protocol, begun, open, traffic }: CarriedTargetStatus): void {
  sum.figures[targetTries]! += begun;
  if (protocol === "tcp") sum.figures[targetConnections]! += begun;
  sum.figures[targetActive]! += open;
  addTraffic(sum, traffic, targetTo, targetFrom);
}

type TrafficSlots = { readonly bytes: number; readonly packets: number };

/** Packets count as datagrams; of TCP nobody looks at them. */
function addTraffic(sum: Merged, traffic: TrafficCounts | undefined, to: TrafficSlots, from: TrafficSlots): void {
  if (traffic === undefined) {
    sum.traffic = false;
    return;
  }
  sum.figures[to.bytes]! += traffic.to.bytes;
  sum.figures[to.packets]! += traffic.to.packets;
  sum.figures[from.bytes]! += traffic.from.bytes;
  sum.figures[from.packets]! += traffic.from.packets;
}

function addOther(families: MetricFamilies, { kind, labels, figures }: Series): void {
  switch (kind) {
    case RowKind.worker:
      addAll(families, workerMetrics, labels, figures);
      return;
    case RowKind.drop:
      addCode(families, table.drops, labels, figures);
      return;
    case RowKind.exchangeRoute:
      if (!isOther(labels)) families.add(table.active, labels, figures[routeActive]!);
      addDurations(families, table.exchangeSeconds, labels, figures);
      return;
    case RowKind.tunnelRoute:
      addDurations(families, table.tunnelSeconds, labels, figures);
      return;
    case RowKind.flowRoute:
      addDurations(families, table.flowSeconds, [labels[0]!], figures);
      return;
    case RowKind.exchanges:
      addClasses(families, table.exchanges, labels, figures);
      return;
    case RowKind.tunnels:
      addClasses(families, table.tunnels, labels, figures);
      return;
    case RowKind.flows:
      addClasses(families, table.flows, [labels[0]!, labels[2]!, labels[3]!], figures);
      return;
    case RowKind.listener:
    case RowKind.target:
    case RowKind.limit:
      // Told together with what the kernel has of them.
      return;
    default:
      kind satisfies never;
  }
}

function isOther([first]: readonly string[]): boolean {
  return first === overflowLabel;
}

/** What is shared by all that found no room is told once there is something, and never as how much there is now. */
function addAll(
  families: MetricFamilies,
  metrics: readonly Exported[],
  labels: readonly string[],
  figures: readonly number[],
): void {
  const other = isOther(labels);
  for (const { metric, slot, gauge } of metrics) {
    const figure = figures[slot]!;
    if (!other || (gauge !== true && figure > 0)) families.add(metric, labels, figure);
  }
}

function addCode(
  families: MetricFamilies,
  metric: Metric,
  labels: readonly string[],
  figures: readonly number[],
): void {
  if (!isOther(labels) || figures[0]! > 0) families.add(metric, labels, figures[0]!);
}

function addDurations(
  families: MetricFamilies,
  metric: Metric,
  labels: readonly string[],
  figures: readonly number[],
): void {
  if (hasDurations(figures, routeDurations)) families.addDurations(metric, labels, figures, routeDurations);
}

function hasDurations(figures: readonly number[], at: number): boolean {
  for (let slot = at; slot < at + durationSlots; slot++) if (figures[slot]! > 0) return true;
  return false;
}

function addClasses(
  families: MetricFamilies,
  metric: Metric,
  labels: readonly string[],
  figures: readonly number[],
  at = 0,
): void {
  const other = isOther(labels);
  for (const [digit, status] of statusLabels.entries()) {
    const count = figures[at + digit]!;
    if (count > 0 || (!other && alwaysTold.includes(digit))) families.add(metric, [...labels, status], count);
  }
}

function addListener(families: MetricFamilies, { labels, figures, traffic }: Merged, isUdp: boolean): void {
  addAll(families, isUdp ? flowMetrics : connectionMetrics, labels, figures);
  if (!traffic) return;
  addAll(families, listenerBytes, labels, figures);
  if (isUdp) addAll(families, listenerDatagrams, labels, figures);
}

function addTarget(families: MetricFamilies, { labels, figures, traffic }: Merged): void {
  addAll(families, targetMetrics, labels, figures);
  if (!traffic) return;
  addAll(families, targetBytes, labels, figures);
  if (targetDatagrams.some(({ slot }) => figures[slot]! > 0)) addAll(families, targetDatagrams, labels, figures);
}

function addAnswers(families: MetricFamilies, { labels, figures }: Merged): void {
  if (!hasDurations(figures, targetDurations)) return;
  const answered = figures.slice(targetClass0, targetClass0 + statusLabels.length).some((count) => count > 0);
  if (answered) addClasses(families, table.responses, labels, figures, targetClass0);
  families.addDurations(table.answerSeconds, labels, figures, targetDurations);
}
