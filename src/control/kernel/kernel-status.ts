// The kernel's counters as the node's status tells them: of listeners and of targets. Pure; the change's way. The kernel
// counts from the start of the table, so numbers outlive a reload and a crash of this program. Packets are counted where
// datagrams are asked for: they are the same but for fragments.

import type { CounterValue } from "../../io/netfilter.ts";
import type { ListenerCounters, TargetCounters } from "../../state/counters.ts";
import { type Carried, type CarriedTarget, counterName, countKinds, type KernelPlan } from "./plan.ts";

export type CarriedCounts = {
  /** Under way, ended ones not among them. */
  readonly open: number;
  /** Connections, or flows. */
  readonly begun: number;
  readonly packetsTo: number;
  readonly bytesTo: number;
  readonly packetsFrom: number;
  readonly bytesFrom: number;
};

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
    let sum: CarriedCounts = { open: 0, begun: 0, packetsTo: 0, bytesTo: 0, packetsFrom: 0, bytesFrom: 0 };
    for (const target of carried.targets) {
      const [begun, to, from] = countKinds.map((kind) => counters.get(counterName(kind, listener, target)) ?? none);
      const counts = { open: open[pair++] ?? 0, ...countsOf(begun ?? none, to ?? none, from ?? none) };
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

function countsOf(begun: CounterValue, to: CounterValue, from: CounterValue): Omit<CarriedCounts, "open"> {
  return {
    begun: begun.packets,
    packetsTo: to.packets,
    bytesTo: to.bytes,
    packetsFrom: from.packets,
    bytesFrom: from.bytes,
  };
}

function add(one: CarriedCounts, other: CarriedCounts): CarriedCounts {
  return {
    open: one.open + other.open,
    begun: one.begun + other.begun,
    packetsTo: one.packetsTo + other.packetsTo,
    bytesTo: one.bytesTo + other.bytesTo,
    packetsFrom: one.packetsFrom + other.packetsFrom,
    bytesFrom: one.bytesFrom + other.bytesFrom,
  };
}

/** Adds what the kernel counted of a listener to what the workers did. */
export function addListenerCounts(sum: ListenerCounters, counts: CarriedListenerStatus): void {
  sum.bytesFromClients += counts.bytesTo;
  sum.bytesToClients += counts.bytesFrom;
  if (counts.protocol === "tcp") {
    sum.connectionsAccepted += counts.begun;
    sum.connectionsOpen += counts.open;
  } else {
    sum.flowsOpened += counts.begun;
    sum.flowsOpen += counts.open;
    sum.datagramsFromClients += counts.packetsTo;
    sum.datagramsToClients += counts.packetsFrom;
  }
  if (counts.full === 0) return;
  const code = counts.protocol === "tcp" ? "listener.connections" : "listener.flows";
  sum.limits[code] = (sum.limits[code] ?? 0) + counts.full;
}

/** The same of a target. */
export function addTargetCounts(sum: TargetCounters, counts: CarriedTargetStatus): void {
  sum.exchanges += counts.begun;
  sum.bytesToTarget += counts.bytesTo;
  sum.bytesFromTarget += counts.bytesFrom;
  if (counts.protocol === "tcp") {
    sum.connectionsOpened += counts.begun;
  } else {
    sum.datagramsToTarget += counts.packetsTo;
    sum.datagramsFromTarget += counts.packetsFrom;
  }
}
