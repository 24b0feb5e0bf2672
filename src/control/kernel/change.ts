// From the table as it is to the table as it shall be, in steps that no client notices. Pure; the change's way. Three
// transactions: what is new is added where nobody reaches it, the dispatch maps are switched over, what is out of use is
// removed. In one transaction a packet under way could look up a map whose elements are gone since its chain was entered:
// seen as refused connections when rules were replaced under load. Flips of health, weight and intent are none of this:
// they are elements of the listener's map.

import type { ElementChange } from "../../wire/netlink/nftables.ts";
import { addressAndPort, hostNumber } from "../../wire/netlink/registers.ts";
import {
  type Carried,
  type CarriedNames,
  type CarriedTarget,
  counterName,
  countKinds,
  type KernelPlan,
  kindsCounted,
} from "./plan.ts";
import {
  bindKey,
  connectionKey,
  countMap,
  dispatchMapOf,
  elementText,
  flushText,
  hideSet,
  listenerText,
  objectText,
  roomText,
  type SlotOwner,
  trafficHooks,
  trafficText,
} from "./table-text.ts";

/** What the table holds beyond its base, by name. */
export type TableContents = {
  readonly chains: ReadonlySet<string>;
  /** The maps of slots. */
  readonly maps: ReadonlySet<string>;
  readonly counters: ReadonlySet<string>;
  /** Elements of the maps and sets of the base, text by key; undefined: not known (another process made them). */
  readonly elements: Elements | undefined;
};

/** By map or set; the value is what stands behind the key's colon, "" in a set. */
type Elements = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Texts of transactions, in this order; "" where nothing is to be done. */
export type StructureChange = { readonly prepare: string; readonly switch: string; readonly clean: string };

/** A target that a listener had and has no more, or that may not be served by: what is left of it must go. */
export type LostTarget = { readonly carried: Carried; readonly target: CarriedTarget };

export type SlotsOf = (carried: Carried) => readonly SlotOwner[];

/** What the table holds when a plan is carried out. */
export function contentsOf(plan: KernelPlan): TableContents {
  const kinds = kindsCounted(plan);
  const counters = plan.carried.flatMap((carried) => [
    carried.names.full,
    ...carried.targets.flatMap((target) => kinds.map((kind) => counterName(kind, carried.listener, target))),
  ]);
  return {
    chains: new Set([...plan.carried.flatMap(({ names }) => chainsOf(names)), ...hooksOf(plan)]),
    maps: new Set(plan.carried.map(({ names }) => names.slots)),
    counters: new Set(counters),
    elements: new Map([...dispatchElements(plan), ...connectionElements(plan)]),
  };
}

/**
 * Transactions that lead from `from` to a plan. `slotsOf` is asked for the owners that a new map begins with; a map that
 * stays is left to `slotChange`, unless its contents are unknown: then they are written anew, which is a flip like others.
 */
export function changeStructure(from: TableContents, plan: KernelPlan, slotsOf: SlotsOf): StructureChange {
  const to = contentsOf(plan);
  const dispatch = dispatchElements(plan);
  const connections = connectionElements(plan);
  const unknown = from.elements === undefined;
  const refilled = unknown ? plan.carried.filter(({ names }) => from.maps.has(names.slots)) : [];
  const prepare = [
    ...[...to.counters].filter((name) => !from.counters.has(name)).map((name) => objectText("add", "counter", name)),
    ...plan.carried.flatMap((carried) => {
      const { room } = carried.names;
      return room === undefined || from.chains.has(room) ? [] : [roomText(room, carried)];
    }),
    ...plan.carried.filter(({ names }) => !from.chains.has(names.chain)).map((one) => listenerText(one, slotsOf(one))),
    ...addElements(from.elements, connections),
    ...hooksOf(plan)
      .filter((hook) => !from.chains.has(hook))
      .map(trafficText),
    ...refilled.flatMap((carried) => refillText(carried, slotsOf(carried))),
  ];
  const switched = [
    ...(unknown ? [] : removeElements(from.elements, dispatch)),
    ...addElements(from.elements, dispatch),
  ];
  const gone = (now: ReadonlySet<string>, then: ReadonlySet<string>) => [...now].filter((name) => !then.has(name));
  const chains = gone(from.chains, to.chains);
  const clean = [
    ...(unknown ? [] : removeElements(from.elements, connections)),
    ...chains.map((name) => flushText("chain", name)),
    ...chains.map((name) => objectText("delete", "chain", name)),
    ...gone(from.maps, to.maps).map((name) => objectText("delete", "map", name)),
    ...gone(from.counters, to.counters).map((name) => objectText("delete", "counter", name)),
  ];
  return { prepare: textOf(prepare), switch: textOf(switched), clean: textOf(clean) };
}

function chainsOf({ chain, room }: CarriedNames): readonly string[] {
  return room === undefined ? [chain] : [chain, room];
}

function hooksOf(plan: KernelPlan): readonly (typeof trafficHooks)[number][] {
  return plan.countTraffic ? trafficHooks : [];
}

function textOf(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function dispatchElements(plan: KernelPlan): Elements {
  const elements = emptyElements(["bind4", "any4", "bind6", "any6"]);
  for (const carried of plan.carried) {
    elements.get(dispatchMapOf(carried))?.set(bindKey(carried), `goto ${carried.names.chain}`);
  }
  return elements;
}

function connectionElements(plan: KernelPlan): Elements {
  const dispatches = ["bind4", "any4", "bind6", "any6"] as const;
  const elements = emptyElements(
    dispatches.flatMap((dispatch) => [hideSet(dispatch), ...countKinds.map((kind) => countMap(kind, dispatch))]),
  );
  for (const carried of plan.carried) {
    const dispatch = dispatchMapOf(carried);
    for (const target of carried.targets) {
      const key = connectionKey(carried, target);
      if (carried.masquerade) elements.get(hideSet(dispatch))?.set(key, "");
      for (const kind of kindsCounted(plan)) {
        elements.get(countMap(kind, dispatch))?.set(key, `"${counterName(kind, carried.listener, target)}"`);
      }
    }
  }
  return elements;
}

function emptyElements(maps: readonly string[]): Map<string, Map<string, string>> {
  return new Map(maps.map((map) => [map, new Map<string, string>()]));
}

// Of maps whose contents nobody knows, what they hold goes in the same transaction that writes them anew.
function addElements(from: Elements | undefined, to: Elements): string[] {
  const lines: string[] = [];
  for (const [map, elements] of to) {
    if (from === undefined) lines.push(flushText(isSet(map) ? "set" : "map", map));
    const before = from?.get(map);
    const added = [...elements].filter(([key, value]) => before?.get(key) !== value);
    if (added.length > 0) lines.push(elementText("add", map, added.map(([key, value]) => pair(key, value)).join(", ")));
  }
  return lines;
}

function removeElements(from: Elements | undefined, to: Elements): string[] {
  const lines: string[] = [];
  for (const [map, elements] of to) {
    const removed = [...(from?.get(map) ?? [])].filter(([key, value]) => elements.get(key) !== value);
    if (removed.length > 0) lines.push(elementText("delete", map, removed.map(([key]) => key).join(", ")));
  }
  return lines;
}

function pair(key: string, value: string): string {
  return value === "" ? key : `${key} : ${value}`;
}

function isSet(map: string): boolean {
  return map.startsWith("hide-");
}

function refillText(carried: Carried, owners: readonly SlotOwner[]): string[] {
  const { slots } = carried.names;
  const elements = owners.flatMap((owner, slot) =>
    owner === undefined ? [] : [`${slot} : ${owner.host} . ${owner.port}`],
  );
  const added = elements.length === 0 ? [] : [elementText("add", slots, elements.join(", "))];
  return [flushText("map", slots), ...added];
}

/** What leads a map from some owners to others; undefined when they are the same. */
export function slotChange(
  map: string,
  before: readonly SlotOwner[],
  after: readonly SlotOwner[],
): ElementChange | undefined {
  const remove: Uint8Array[] = [];
  const add: { key: Uint8Array; data: Uint8Array }[] = [];
  const data = new Map<string, Uint8Array>();
  for (let slot = 0; slot < after.length; slot++) {
    const was = before[slot];
    const is = after[slot];
    if (was?.address === is?.address) continue;
    const key = hostNumber(slot);
    if (was !== undefined) remove.push(key);
    if (is === undefined) continue;
    const bytes = data.get(is.address) ?? addressAndPort(is);
    data.set(is.address, bytes);
    add.push({ key, data: bytes });
  }
  return remove.length === 0 && add.length === 0 ? undefined : { map, remove, add };
}

/** Targets that a listener of both plans had before and has no more. A listener that is gone lets its clients finish. */
export function targetsGone(before: KernelPlan, after: KernelPlan): LostTarget[] {
  const now = new Map(after.carried.map((carried) => [bindKey(carried), carried]));
  return before.carried.flatMap((carried) => {
    const next = now.get(bindKey(carried));
    if (next === undefined) return [];
    const staying = new Set(next.targets.map((target) => target.address));
    return carried.targets
      .filter((target) => !staying.has(target.address))
      .map((target): LostTarget => ({ carried, target }));
  });
}
