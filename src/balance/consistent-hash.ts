// Consistent hash, on the request's way: a key stays with its target, whoever else comes and goes. A table of slots
// (see slot-table.ts and docs/decisions/0004-consistent-hash.md) gives the owner in one look-up; a key whose owner
// takes no work goes on to another slot of its own sequence, so it alone moves, the keys of one lost target spread over
// all others by weight, and they return when it does. A pick costs 15 ns for any number of members, the table 128 KiB
// and 15 ms each time the pool changes. It must not remember keys.

import { type Balancer, type Member, noStandings, type Pick, takesWork } from "./balancer.ts";
import { hashText, mix } from "./hash.ts";
import { fillSlots } from "./slot-table.ts";

const slotBits = 16;
/** A share strays from its weight by about sqrt(members / slots): 1.2 % for 10 members, 3.9 % for 100. */
export const slotCount = 2 ** slotBits;
/** Slots a key looks at before all members are weighed. With 3 of 4 members out, 1 key in 10,000 comes that far. */
const probesMax = 32;
const golden = 0x9e3779b9 | 0;

export function createConsistentHash(members: readonly Member[]): Balancer {
  const filled = fillSlots(members, slotCount);
  const possible = filled[0]! >= 0;
  const owners = members.length < 65_536 ? Uint16Array.from(filled) : filled;
  const seeds = Int32Array.from(members, (member) => hashText(member.address));

  /** Weighted rendezvous of the key itself among those that take work: needed only where most of the pool is out. */
  function pickAmongAll(pick: Pick): number {
    let best = -1;
    let bestArrival = Number.POSITIVE_INFINITY;
    for (let index = 0; index < seeds.length; index++) {
      const member = members[index]!;
      if (!takesWork(member, pick)) continue;
      const drawn = (mix(mix(pick.keyHash ^ golden) ^ seeds[index]!) >>> 0) + 0.5;
      const arrival = -Math.log(drawn / 4294967296) / member.weight;
      if (arrival < bestArrival) {
        bestArrival = arrival;
        best = index;
      }
    }
    return best;
  }

  return {
    standings: noStandings,
    pick(pick: Pick): number {
      if (!possible) return -1;
      let probe = pick.keyHash;
      for (let probes = 0; probes < probesMax; probes++) {
        const owner = owners[probe >>> (32 - slotBits)]!;
        if (takesWork(members[owner]!, pick)) return owner;
        probe = mix(probe + golden);
      }
      return pickAmongAll(pick);
    },
    // A failed target keeps its keys until health takes it out.
    report: () => {},
  };
}
