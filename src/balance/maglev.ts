// A table of slots shared out by Maglev (Eisenbud et al., NSDI 2016, section 3.4): members take turns, each claims the next
// free slot of a sequence of its own, so shares follow the weights to a slot or so, and a member that comes or goes moves few
// slots of the others. Used where slots are few (the kernel's map of 4,099), which rendezvous fills unevenly: see
// docs/decisions/0007-kernel-engine.md. On the change's way. The table depends on addresses and weights alone,
// and must stay the same over releases and nodes: a failover leads clients to the targets they had.

import { hashText, mix } from "./hash.ts";
import { nobody, type SlotMember } from "./slot-table.ts";

const golden = 0x9e3779b9 | 0;

/**
 * Owner of each slot as an index into `members`; `nobody` everywhere when no member has a weight. `slotCount` must be prime,
 * so that every sequence meets every slot. About slotCount * members steps at worst (weights of 1 beside one of 65,535).
 */
export function fillMaglev(members: readonly SlotMember[], slotCount: number): Int32Array {
  const owners = new Int32Array(slotCount).fill(nobody);
  const turns = sortedTurns(members);
  if (turns.length === 0) return owners;
  let heaviest = 0;
  for (const index of turns) heaviest = Math.max(heaviest, members[index]!.weight);
  const next = Int32Array.from(turns, (index) => sequenceStart(members[index]!.address, slotCount));
  const steps = Int32Array.from(turns, (index) => sequenceStep(members[index]!.address, slotCount));
  // A member of the heaviest weight claims one in each round, the others as often as their weight says: whole numbers
  // only, so that no rounding tells two machines apart.
  const credit = new Float64Array(turns.length);
  for (let taken = 0; ; ) {
    for (const [turn, index] of turns.entries()) {
      credit[turn]! += members[index]!.weight;
      if (credit[turn]! < heaviest) continue;
      credit[turn]! -= heaviest;
      let slot = next[turn]!;
      while (owners[slot] !== nobody) slot = (slot + steps[turn]!) % slotCount;
      owners[slot] = index;
      next[turn] = (slot + steps[turn]!) % slotCount;
      taken += 1;
      if (taken === slotCount) return owners;
    }
  }
}

/** Who takes part, in an order that is the same however the operator wrote them down. */
function sortedTurns(members: readonly SlotMember[]): number[] {
  const turns = members.flatMap((member, index) => (member.weight > 0 ? [index] : []));
  return turns.sort((a, b) => (members[a]!.address < members[b]!.address ? -1 : 1));
}

function sequenceStart(address: string, slotCount: number): number {
  return (hashText(address) >>> 0) % slotCount;
}

/** 1 .. slotCount - 1. */
function sequenceStep(address: string, slotCount: number): number {
  return ((mix(hashText(address) ^ golden) >>> 0) % (slotCount - 1)) + 1;
}
