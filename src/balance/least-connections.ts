// Least connections, on the request's way: the member with the fewest exchanges under way for its weight, as nginx's
// least_conn (ngx_http_upstream_least_conn_module.c). active / weight is compared by cross multiplication, so there is
// no division and no rounding; members that tie take turns by smooth weighted round robin among themselves. While a slow
// start lasts its share stands for the weight: one exchange at a time at first, and in an idle pool its share of the ties. Two passes
// at most, no allocation: up to 9 ns a member (bench/balance.ts), so 0.1 us for 10 and 9 us for 1,000, where twoChoices
// does nearly as well for 0.2. `active` is counted by the caller, never here.

import { type Balancer, type Member, noStandings, type Pick, takesWork } from "./balancer.ts";
import { lowerStanding, standingOf } from "./smooth-round-robin.ts";

export function createLeastConnections(members: readonly Member[], before = noStandings): Balancer {
  const standing = standingOf(members, before);
  const { current, lowered } = standing;
  const count = members.length;

  /** `first` is the first of those that tie; only they rise, and the one picked pays. */
  function pickAmongTied(first: number, pick: Pick): number {
    const { active, share: shareOfFirst } = members[first]!;
    let best = first;
    let bestValue = 0;
    let total = 0;
    for (let index = first; index < count; index++) {
      const member = members[index]!;
      if (!takesWork(member, pick) || member.active * shareOfFirst !== active * member.share) continue;
      let { share } = member;
      const missing = lowered[index]!;
      if (missing > 0) {
        share = Math.max(share - missing, 0);
        lowered[index] = missing - 1;
      }
      const value = current[index]! + share;
      current[index] = value;
      total += share;
      if (index === first || value > bestValue) {
        best = index;
        bestValue = value;
      }
    }
    current[best] = bestValue - total;
    return best;
  }

  return {
    standings: [standing],
    pick(pick: Pick): number {
      let best = -1;
      let bestActive = 0;
      let bestShare = 1;
      let tied = false;
      for (let index = 0; index < count; index++) {
        const member = members[index]!;
        if (!takesWork(member, pick)) continue;
        const here = member.active * bestShare;
        const there = bestActive * member.share;
        if (best < 0 || here < there) {
          best = index;
          bestActive = member.active;
          bestShare = member.share;
          tied = false;
        } else if (here === there) {
          tied = true;
        }
      }
      return tied ? pickAmongTied(best, pick) : best;
    },
    report(index: number, ok: boolean): void {
      if (!ok) lowerStanding(standing, index);
    },
  };
}
