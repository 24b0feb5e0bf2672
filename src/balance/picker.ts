// The balancer of a pool, made once per change of the pool and asked once per try: the policy over the primaries, and
// the same policy over the backups for as long as no primary takes work. Indexes are into the members as they were
// handed in. It adds two array look-ups to a pick, and nothing at all to a pool without backups. It must not look at
// health itself.

import type { Random } from "../core/random.ts";
import type { Balance } from "../model/pool.ts";
import { type Balancer, type Member, noStandings, type Pick, type Standing } from "./balancer.ts";
import { createConsistentHash } from "./consistent-hash.ts";
import { createIpHash } from "./ip-hash.ts";
import { createLeastConnections } from "./least-connections.ts";
import { createRandom } from "./random.ts";
import { createSmoothRoundRobin } from "./smooth-round-robin.ts";
import { createSourceHash } from "./source-hash.ts";
import { createTwoChoices } from "./two-choices.ts";

/**
 * The members stay the caller's, who changes `eligible`, `share`, `active` and the latency between picks; which
 * members there are, their weights and who is a backup must not change: make a new picker, and give it the standings of the
 * one before. Primaries and backups each form a pool of their own for the policy, as in nginx.
 */
export function createPicker(
  policy: Balance,
  members: readonly Member[],
  random: Random,
  before: readonly Standing[] = noStandings,
): Balancer {
  return pickInGroups(members, (group) => createBalancer(policy, group, random, before));
}

/**
 * The same for clients of a layer-4 listener. Where their address alone decides, it decides as in the kernel: a client
 * meets the same target whichever engine carries the listener.
 */
export function createLayer4Picker(policy: Balance, members: readonly Member[], random: Random): Balancer {
  if (policy.policy !== "consistentHash") return createPicker(policy, members, random);
  return pickInGroups(members, createSourceHash);
}

function pickInGroups(members: readonly Member[], create: (group: readonly Member[]) => Balancer): Balancer {
  const primaries: number[] = [];
  const backups: number[] = [];
  const place = new Int32Array(members.length);
  for (const [index, member] of members.entries()) {
    const group = member.backup ? backups : primaries;
    place[index] = group.length;
    group.push(index);
  }
  if (backups.length === 0) return create(members);

  const first = create(pickOut(members, primaries));
  const second = create(pickOut(members, backups));
  return {
    standings: [...first.standings, ...second.standings],
    pick(pick: Pick): number {
      const primary = first.pick(pick);
      if (primary >= 0) return primaries[primary]!;
      const backup = second.pick(pick);
      return backup >= 0 ? backups[backup]! : -1;
    },
    report(index: number, ok: boolean): void {
      if (members[index]!.backup) second.report(place[index]!, ok);
      else first.report(place[index]!, ok);
    },
  };
}

function pickOut(members: readonly Member[], indexes: readonly number[]): Member[] {
  return indexes.map((index) => members[index]!);
}

function createBalancer(
  balance: Balance,
  members: readonly Member[],
  random: Random,
  before: readonly Standing[],
): Balancer {
  switch (balance.policy) {
    case "roundRobin":
      return createSmoothRoundRobin(members, before);
    case "leastConnections":
      return createLeastConnections(members, before);
    case "random":
      return createRandom(members, random);
    case "twoChoices":
      return createTwoChoices(members, random);
    case "ipHash":
      return createIpHash(members, before);
    case "consistentHash":
      return createConsistentHash(members);
    default:
      return balance satisfies never;
  }
}
