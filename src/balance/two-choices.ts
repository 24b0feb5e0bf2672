// Power of two choices, on the request's way: two different members are drawn by weight, and the one where a new
// exchange would wait less (peak EWMA latency * (active + 1) / weight) is picked. Two draws make the longest queue
// exponentially shorter than one draw does, and unlike least connections a stale view never sends everyone to the same
// target. The better one while its slow start lasts hands on what is beyond its part to the other: so its work follows the
// line however fast it is and however few it competes with. Costs two draws and two exponentials: 0.1 us for 2 members, 0.35
// for 10,000. It must not feed latencies itself: the proxy calls observeLatency at the first byte and observeFailure for a
// failed exchange (peak-ewma.ts).

import type { Random } from "../core/random.ts";
import { type Balancer, type Member, noStandings, type Pick } from "./balancer.ts";
import { expectedWait } from "./peak-ewma.ts";
import { createSampler } from "./weighted-sample.ts";

export function createTwoChoices(members: readonly Member[], random: Random): Balancer {
  const sampler = createSampler(members, random, "weight");

  /** The part of its weight that the better one has now, beside the other's: as often as that it keeps what it has won. */
  function keeps(better: Member, other: Member): boolean {
    const here = better.share * other.weight;
    const there = other.share * better.weight;
    return here >= there || random() * there < here;
  }

  return {
    standings: noStandings,
    pick(pick: Pick): number {
      const one = sampler.sample(pick, -1);
      if (one < 0) return -1;
      const other = sampler.sample(pick, one);
      if (other < 0) return one;
      const otherWins = expectedWait(members[other]!, pick.nowMs) < expectedWait(members[one]!, pick.nowMs);
      const better = otherWins ? other : one;
      const worse = otherWins ? one : other;
      return keeps(members[better]!, members[worse]!) ? better : worse;
    },
    // What failures say is in the members' latency.
    report: () => {},
  };
}
