// Who gets a client whose address alone decides: the table of slots that the kernel engine writes into its map and the proxy
// engine looks up itself, so that `consistentHash` by `clientAddress` gives the same target whichever engine carries a layer-4
// listener, on every node and over restarts. Built on the change's way, looked up on both. Slot count and seed must not
// change: they decide where established connections are led after a failover.

import { readAddress } from "./address-bytes.ts";
import { hashText, mix } from "./hash.ts";
import { jhashAddress, scaleHash } from "./jhash.ts";
import { fillMaglev } from "./maglev.ts";
import { nobody, type SlotMember } from "./slot-table.ts";

/** Prime. Shares of 10 equal targets stray by 0.2 % with it, and the kernel's map takes 0.5 MiB. */
export const sourceSlotCount = 4_099;
/** Of the kernel's hash; any number does, as long as it stays. */
export const sourceSeed = 0x65766b6c;

export type SourceTable = {
  /** Owner of each slot among all that have a weight, whoever takes work. */
  readonly owners: Int32Array;
  /** Of each member, for the slots of those that take none. */
  readonly seeds: Int32Array;
};

export function sourceTable(members: readonly SlotMember[]): SourceTable {
  return {
    owners: fillMaglev(members, sourceSlotCount),
    seeds: Int32Array.from(members, (member) => hashText(member.address)),
  };
}

const scratch = new Uint8Array(16);

/** The slot of a client's address; of text that is no address, the slot of 0.0.0.0. */
export function sourceSlot(clientAddress: string): number {
  const length = readAddress(clientAddress, scratch);
  if (length === 16) return scaleHash(jhashAddress(scratch, 16, sourceSeed), sourceSlotCount);
  if (length === 0) scratch.fill(0, 0, 4);
  return scaleHash(jhashAddress(scratch, 4, sourceSeed), sourceSlotCount);
}

/**
 * The member that stands in for a slot's owner while that takes no work: weighted rendezvous of the slot among those that
 * do, so that slots of others stay where they are, and the owner's spread over all by weight and come back to it.
 * `nobody` when none takes work. Looks at every member: 20 ns each.
 */
export function standIn(
  table: SourceTable,
  members: readonly SlotMember[],
  slot: number,
  takes: (index: number) => boolean,
): number {
  const drawnBy = mix(slot ^ sourceSeed);
  let best = nobody;
  let bestArrival = Number.POSITIVE_INFINITY;
  for (let index = 0; index < members.length; index++) {
    const { weight } = members[index]!;
    if (weight <= 0 || !takes(index)) continue;
    const drawn = (mix(drawnBy ^ table.seeds[index]!) >>> 0) + 0.5;
    const arrival = -Math.log(drawn / 4294967296) / weight;
    // Two that draw alike (one hash of two addresses) must not be told apart by their order.
    const tie = arrival === bestArrival && members[index]!.address < members[best]!.address;
    if (arrival < bestArrival || tie) {
      bestArrival = arrival;
      best = index;
    }
  }
  return best;
}
