// Who owns each slot of a listener's map, given which targets take work: where balancing happens in the kernel engine.
// Pure; the change's way, run at every change of health, weight or intent, so what does not depend on health is built once
// a plan (a table of 4,099 slots for 1,000 targets costs a millisecond). Same targets and same health give the same slots
// on every node, whatever was before.

import { nobody } from "../../balance/slot-table.ts";
import { type SourceTable, sourceTable, standIn } from "../../balance/source-table.ts";
import { fillTurns, passOnTurns } from "../../balance/turn-table.ts";
import type { Carried, CarriedTarget } from "./plan.ts";

/** True when health does not speak against a target of a pool. */
export type IsHealthy = (pool: string, address: string) => boolean;

type Group = {
  /** Indexes into the listener's targets. */
  readonly members: readonly number[];
  /** One slot table, of indexes into `members`. */
  readonly owners: Int32Array;
  readonly source: SourceTable | undefined;
};

/** The tables of a listener while everyone takes work. */
export type SlotBook = { readonly carried: Carried; readonly primaries: Group; readonly backups: Group };

export function openBook(carried: Carried): SlotBook {
  return { carried, primaries: groupOf(carried, false), backups: groupOf(carried, true) };
}

function groupOf(carried: Carried, backup: boolean): Group {
  const members = carried.targets.flatMap((target, index) => (target.backup === backup ? [index] : []));
  const targets = members.map((index) => carried.targets[index]!);
  if (carried.choice === "source") {
    const source = sourceTable(targets);
    return { members, owners: source.owners, source };
  }
  const weights = targets.map((target) => target.weight);
  return { members, owners: fillTurns(weights, carried.slotCount), source: undefined };
}

/** Takes new connections: intent is up, it has a weight, health does not speak against it. */
export function takesNew(carried: Carried, target: CarriedTarget, isHealthy: IsHealthy): boolean {
  return target.intent === "up" && target.weight > 0 && isHealthy(carried.pool, target.address);
}

/** Must lose the connections it has: it cannot be served by any more. Draining keeps them. */
export function isDead(carried: Carried, target: CarriedTarget, isHealthy: IsHealthy): boolean {
  return target.intent === "down" || !isHealthy(carried.pool, target.address);
}

/**
 * Owner of each slot as an index into the listener's targets, `nobody` where no target takes work: all slots then. The
 * backups serve as long as no primary does.
 */
export function ownersNow(book: SlotBook, isHealthy: IsHealthy): Int32Array {
  const { carried, primaries, backups } = book;
  const takes = carried.targets.map((target) => takesNew(carried, target, isHealthy));
  const group = primaries.members.some((index) => takes[index]) ? primaries : backups;
  const taking = (member: number) => takes[group.members[member]!] === true;
  const targets = group.members.map((index) => carried.targets[index]!);
  const owners =
    group.source === undefined
      ? passOnTurns(
          group.owners,
          targets.map((target) => target.weight),
          taking,
        )
      : passOnSource(group.source, targets, taking);
  return owners.map((member) => (member === nobody ? nobody : group.members[member]!));
}

function passOnSource(
  source: SourceTable,
  targets: readonly CarriedTarget[],
  taking: (member: number) => boolean,
): Int32Array {
  const possible = targets.some((_, member) => taking(member));
  return source.owners.map((owner, slot) => {
    if (!possible || owner === nobody) return nobody;
    return taking(owner) ? owner : standIn(source, targets, slot, taking);
  });
}
