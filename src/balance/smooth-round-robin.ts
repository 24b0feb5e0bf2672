// Smooth weighted round robin, on the request's way: the order that nginx 1.22 gives (ngx_http_upstream_round_robin.c),
// so that heavy targets are interleaved with light ones instead of served in bursts. Every pick raises each member that
// takes work by its effective weight; the highest is picked (the first of equals) and pays back the sum of the raises.
// A member that takes no work neither rises nor pays, and goes on where it stood. One pass, no allocation: 4.5 ns a
// member (bench/balance.ts), so 53 ns for 10 and 4.6 us for 1,000. It must not decide who is eligible, that is health's
// business.

import { type Balancer, type Member, type Pick, takesWork } from "./balancer.ts";

/** The standing of every member; also what least connections breaks its ties with. Doubles hold integers up to 2^53. */
export type Standing = {
  readonly current: Float64Array;
  readonly effective: Float64Array;
};

export function standingOf(members: readonly Member[]): Standing {
  return {
    current: new Float64Array(members.length),
    effective: Float64Array.from(members, (member) => member.weight),
  };
}

/**
 * After a failed exchange the member gets less of the next picks: its effective weight falls by weight / maxFails
 * (integer division, not below 0) and regains 1 with every pick it takes part in. As nginx, maxFails 0 changes nothing.
 */
export function lowerStanding(standing: Standing, members: readonly Member[], index: number): void {
  const member = members[index]!;
  const maxFails = member.maxFails ?? 1;
  if (maxFails <= 0) return;
  const lowered = standing.effective[index]! - Math.floor(member.weight / maxFails);
  standing.effective[index] = Math.max(lowered, 0);
}

/**
 * Picks in nginx's order. Over any number of consecutive picks equal to the sum of weights each healthy member gets
 * exactly its weight.
 */
export function createSmoothRoundRobin(members: readonly Member[]): Balancer {
  const standing = standingOf(members);
  const { current, effective } = standing;
  const count = members.length;

  return {
    pick(pick: Pick): number {
      let best = -1;
      let bestValue = 0;
      let total = 0;
      for (let index = 0; index < count; index++) {
        const member = members[index]!;
        if (!takesWork(member, pick)) continue;
        const share = effective[index]!;
        const value = current[index]! + share;
        current[index] = value;
        total += share;
        if (share < member.weight) effective[index] = share + 1;
        if (best < 0 || value > bestValue) {
          best = index;
          bestValue = value;
        }
      }
      if (best >= 0) current[best] = bestValue - total;
      return best;
    },
    report(index: number, ok: boolean): void {
      if (!ok) lowerStanding(standing, members, index);
    },
  };
}
