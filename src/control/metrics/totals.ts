// The sums of all workers as the node's status tells them, by listener and by target: what workers counted that have ended is
// among them, so a figure never goes back. Pure; the change's way.

import { type ListenerTotals, listenerTotals, type TargetTotals, targetTotals } from "../../state/counters.ts";
import { RowKind, slotOf } from "../../state/slot-layout.ts";
import { targetKey } from "../kernel/kernel-status.ts";
import type { Series } from "./ledger.ts";

export type NodeTotals = {
  readonly listeners: ReadonlyMap<string, ListenerTotals>;
  /** By `targetKey`. */
  readonly targets: ReadonlyMap<string, TargetTotals>;
};

const class0 = slotOf(RowKind.listener, "class0");
const listenerFigures = [
  "connectionsAccepted",
  "connectionsOpen",
  "exchanges",
  "bytesFromClients",
  "bytesToClients",
  "datagramsFromClients",
  "datagramsToClients",
  "flowsOpened",
  "flowsOpen",
  "tunnelsOpened",
  "tunnelsOpen",
] as const;
const targetFigures = [
  "connectionsOpened",
  "connectionsIdle",
  "exchanges",
  "failures",
  "retries",
  "bytesToTarget",
  "bytesFromTarget",
  "datagramsToTarget",
  "datagramsFromTarget",
] as const;
const listenerSlots = listenerFigures.map((name) => [name, slotOf(RowKind.listener, name)] as const);
const targetSlots = targetFigures.map((name) => [name, slotOf(RowKind.target, name)] as const);

export function totalsOf(lines: Iterable<Series>): NodeTotals {
  const listeners = new Map<string, ListenerTotals>();
  const targets = new Map<string, TargetTotals>();
  const listener = (name: string): ListenerTotals => {
    const known = listeners.get(name) ?? listenerTotals();
    listeners.set(name, known);
    return known;
  };
  for (const { kind, labels, figures } of lines) {
    const [first = "", second = ""] = labels;
    if (kind === RowKind.listener) {
      const totals = listener(first);
      for (const [name, slot] of listenerSlots) totals[name] = figures[slot]!;
      for (let digit = 0; digit < 6; digit++) totals.statusClasses[digit] = figures[class0 + digit]!;
    } else if (kind === RowKind.drop) listener(first).drops[second] = figures[0]!;
    else if (kind === RowKind.limit) listener(first).limits[second] = figures[0]!;
    else if (kind === RowKind.target) {
      const totals = targetTotals();
      for (const [name, slot] of targetSlots) totals[name] = figures[slot]!;
      targets.set(targetKey(first, second), totals);
    }
  }
  return { listeners, targets };
}
