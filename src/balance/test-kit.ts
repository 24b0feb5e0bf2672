// What the tests of the balancers share: members, picks, a seed that is printed. For tests and bench/ only; it stands
// on neither way, and nothing that runs may import it.

import type { Milliseconds } from "../core/clock.ts";
import type { Balance } from "../model/pool.ts";
import type { Balancer, Member, Pick } from "./balancer.ts";

export const policies: readonly Balance[] = [
  { policy: "roundRobin" },
  { policy: "leastConnections" },
  { policy: "random" },
  { policy: "twoChoices" },
  { policy: "ipHash" },
  { policy: "consistentHash", key: { kind: "clientAddress" } },
];

export type MemberOptions = Partial<Omit<Member, "address">> & { readonly latencyMs?: Milliseconds };

export function memberOf(index: number, options: MemberOptions = {}): Member {
  return {
    address: `10.${index >>> 8}.${index & 255}.20:8080`,
    weight: 1,
    share: options.weight ?? 1,
    backup: false,
    maxFails: 1,
    eligible: true,
    active: 0,
    activeMax: Number.POSITIVE_INFINITY,
    latencyMs: 0,
    latencyAtMs: 0,
    ...options,
  };
}

export function membersOf(weights: readonly number[], options: MemberOptions = {}): Member[] {
  return weights.map((weight, index) => memberOf(index, { ...options, weight }));
}

export function equalMembers(count: number): Member[] {
  return membersOf(new Array<number>(count).fill(1));
}

export function pickOf(): Pick & { tried: Member[] } {
  return { nowMs: 0, tried: [], keyHash: 0, clientAddress: "192.0.2.1" };
}

/** How often each member is picked in `picks` picks of one exchange each; nothing is counted as under way. */
export function countPicks(balancer: Balancer, members: readonly Member[], picks: number): number[] {
  const counts = new Array<number>(members.length).fill(0);
  const pick = pickOf();
  for (let done = 0; done < picks; done++) {
    const index = balancer.pick(pick);
    if (index >= 0) counts[index]!++;
  }
  return counts;
}

/** From EVENKEEL_SEED to have a run again, else new each time. */
export function testSeed(): number {
  const given = Number(process.env["EVENKEEL_SEED"]);
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * 0x7ffffffe);
}
