// A client's network always to the same target, on the request's way: the choice of nginx's ip_hash
// (ngx_http_upstream_ip_hash_module.c), so that clients stay where they are when nginx is replaced. IPv4 counts by its
// first three bytes, IPv6 by all; where the hash leads to a member that takes no work it is hashed again, and after 20
// such steps smooth weighted round robin decides. Costs 0.1 us for any number of members; removing a target moves most
// clients, which is what consistentHash is for, and of more than 6,271 targets some get none.

import { readAddress } from "./address-bytes.ts";
import { type Balancer, type Member, noStandings, type Pick, takesWork, wasTried } from "./balancer.ts";
import { createSmoothRoundRobin } from "./smooth-round-robin.ts";
import { indexAt, runningSums } from "./weighted-sample.ts";

const hashStart = 89;
const hashFactor = 113;
const hashModulus = 6271;
/** Hashes that led to a member without room, before round robin takes over. */
const rehashesMax = 20;

/**
 * Picks as nginx's ip_hash does, for retries too: the members that one exchange has tried are those of the same chain
 * of hashes. Two differences: backups are allowed (nginx refuses them), and an IPv4 client on an IPv6 socket
 * (`::ffff:192.0.2.1`) counts by its IPv4 address. Text that is no address counts as 0.0.0.
 */
export function createIpHash(members: readonly Member[], before = noStandings): Balancer {
  const roundRobin = createSmoothRoundRobin(members, before);
  const sums = runningSums(members);
  const count = members.length;
  const total = count === 0 ? 0 : sums[count - 1]!;
  const address = new Uint8Array(16);
  // In which pick a tried member was last met: nginx goes on with the chain where an exchange's last try stood, here it
  // is walked again, and the first meeting with a tried member is that try, which nginx doesn't count as a step.
  const metInPick = new Int32Array(count);
  let picks = 0;

  /** How many bytes of `address` count. */
  function readKey(clientAddress: string): number {
    const length = readAddress(clientAddress, address);
    if (length === 0) address.fill(0, 0, 3);
    return length === 16 ? 16 : 3;
  }

  return {
    standings: roundRobin.standings,
    pick(pick: Pick): number {
      if (count < 2 || total === 0) return roundRobin.pick(pick);
      picks = (picks + 1) | 0;
      const length = readKey(pick.clientAddress);
      let hash = hashStart;
      for (let rehashes = 0; rehashes <= rehashesMax; ) {
        for (let i = 0; i < length; i++) hash = (hash * hashFactor + address[i]!) % hashModulus;
        const index = indexAt(sums, hash % total);
        const member = members[index]!;
        if (takesWork(member, pick)) return index;
        if (wasTried(member, pick) && metInPick[index] !== picks) metInPick[index] = picks;
        else rehashes++;
      }
      return roundRobin.pick(pick);
    },
    report: (index: number, ok: boolean): void => roundRobin.report(index, ok),
  };
}
