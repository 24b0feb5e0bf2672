// The kernel's counters as the node's status tells them: of listeners and of targets. Pure; the change's way. The kernel
// counts from the start of the table, so numbers outlive a reload and a crash of this program. Packets are counted where
// datagrams are asked for: they are the same but for fragments. Traffic that is not counted is left out: 0 would be a lie.

import type { CounterValue } from "../../io/netfilter.ts";
import type { ListenerTotals, TargetTotals } from "../../state/counters.ts";
import { type Carried, type CarriedTarget, type CountKind, counterName, type KernelPlan } from "./plan.ts";

export type CarriedCounts = {
  /** Under way, ended ones not among them. */
  readonly open: number;
  /** Connections, or flows. */
  readonly begun: number;
  /** Undefined: not counted. */
  readonly traffic: TrafficCounts | undefined;
};

export type TrafficCounts = { readonly to: CounterValue; readonly from: CounterValue };

export type CarriedListenerStatus = CarriedCounts & {
  readonly protocol: "tcp" | "udp";
  /** First packets that the limit dropped. */
  readonly full: number;
};

export type CarriedTargetStatus = CarriedCounts & { readonly protocol: "tcp" | "udp" };

export type CarriedStatus = {
  readonly listeners: ReadonlyMap<string, CarriedListenerStatus>;
  /** By pool and address (`targetKey`); one for each listener that leads there. */
  readonly targets: ReadonlyMap<string, readonly CarriedTargetStatus[]>;
};

export function targetKey(pool: string, address: string): string {
  return `${pool} ${address}`;
}

const none: CounterValue = { packets: 0, bytes: 0 };

/** Counts how many connections of each listener to each of its targets are under way, in the order of the pairs. */
export type CountOpen = (pairs: readonly ListenerTarget[]) => readonly number[];

export type ListenerTarget = { readonly carried: Carried; readonly target: CarriedTarget };

export function readCarried(
  plan: KernelPlan,
  counters: ReadonlyMap<string, CounterValue>,
  countOpen: CountOpen,
): CarriedStatus {
  const open = countOpen(pairsOf(plan));
  let pair = 0;
  const listeners = new Map<string, CarriedListenerStatus>();
  const targets = new Map<string, CarriedTargetStatus[]>();
  for (const carried of plan.carried) {
    const { listener, protocol, pool, names } = carried;
    let sum: CarriedCounts = { open: 0, begun: 0, traffic: plan.countTraffic ? { to: none, from: none } : undefined };
    for (const target of carried.targets) {
      const counted = (kind: CountKind) => counters.get(counterName(kind, listener, target)) ?? none;
      const traffic = plan.countTraffic ? { to: counted("to"), from: counted("from") } : undefined;
      const counts = { open: open[pair++] ?? 0, begun: counted("begun").packets, traffic };
      const key = targetKey(pool, target.address);
      targets.set(key, [...(targets.get(key) ?? []), { protocol, ...counts }]);
      sum = add(sum, counts);
    }
    listeners.set(listener, { protocol, ...sum, full: counters.get(names.full)?.packets ?? 0 });
  }
  return { listeners, targets };
}

/** Every listener with each of its targets. */
export function pairsOf(plan: KernelPlan): ListenerTarget[] {
  return plan.carried.flatMap((carried) => carried.targets.map((target) => ({ carried, target })));
}

function add(one: CarriedCounts, other: CarriedCounts): CarriedCounts {
  return {
    open: one.open + other.open,
    begun: one.begun + other.begun,
    traffic: addTraffic(one.traffic, other.traffic),
  };
}

function addTraffic(one: TrafficCounts | undefined, other: TrafficCounts | undefined): TrafficCounts | undefined {
  if (one === undefined || other === undefined) return undefined;
  return { to: addValue(one.to, other.to), from: addValue(one.from, other.from) };
}

function addValue(one: CounterValue, other: CounterValue): CounterValue {
  return { packets: one.packets + other.packets, bytes: one.bytes + other.bytes };
}

/** Adds what the kernel counted of a listener to what the workers did. */
export function addListenerCounts(sum: ListenerTotals, counts: CarriedListenerStatus): void {
  const { protocol, begun, open, traffic, full } = counts;
  if (protocol === "tcp") {
    sum.connectionsAccepted += begun;
    sum.connectionsOpen += open;
  } else {
    sum.flowsOpened += begun;
    sum.flowsOpen += open;
    sum.datagramsFromClients += traffic?.to.packets ?? 0;
    sum.datagramsToClients += traffic?.from.packets ?? 0;
  }
  sum.bytesFromClients += traffic?.to.bytes ?? 0;
  sum.bytesToClients += traffic?.from.bytes ?? 0;
  if (full === 0) return;
  const code = protocol === "tcp" ? "listener.connections" : "listener.flows";
  sum.limits[code] = (sum.limits[code] ?? 0) + full;
}

/** The same of a target. */
export function addTargetCounts(sum: TargetTotals, counts: CarriedTargetStatus): void {
  const { protocol, begun, traffic } = counts;
  sum.exchanges += begun;
  if (protocol === "tcp") {
    sum.connectionsOpened += begun;
  } else {
    sum.datagramsToTarget += traffic?.to.packets ?? 0;
    sum.datagramsFromTarget += traffic?.from.packets ?? 0;
  }
  sum.bytesToTarget += traffic?.to.bytes ?? 0;
  sum.bytesFromTarget += traffic?.from.bytes ?? 0;
}

const listenerTraffic = ["bytesFromClients", "bytesToClients", "datagramsFromClients", "datagramsToClients"] as const;
const targetTraffic = ["bytesToTarget", "bytesFromTarget", "datagramsToTarget", "datagramsFromTarget"] as const;

type Without<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;
/** What a status tells of a listener: no traffic where the kernel carries some of it uncounted. */
export type ListenerCounts = Without<ListenerTotals, (typeof listenerTraffic)[number]>;
/** The same of a target. */
export type TargetCounts = Without<TargetTotals, (typeof targetTraffic)[number]>;

export function withoutListenerTraffic(counters: ListenerTotals): ListenerCounts {
  const counts: ListenerCounts = { ...counters };
  for (const name of listenerTraffic) delete counts[name];
  return counts;
}

export function withoutTargetTraffic(counters: TargetTotals): TargetCounts {
  const counts: TargetCounts = { ...counters };
  for (const name of targetTraffic) delete counts[name];
  return counts;
}
