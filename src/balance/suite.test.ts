// One suite over all policies: what every balancer owes the proxy, whatever it chooses by.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../core/random.ts";
import type { Balance } from "../model/pool.ts";
import { type Balancer, type Member, type Pick, takesWork } from "./balancer.ts";
import { mix } from "./hash.ts";
import { createLayer4Picker, createPicker } from "./picker.ts";
import { countPicks, equalMembers, memberOf, membersOf, pickOf, policies, testSeed } from "./test-kit.ts";

const seed = testSeed();

type Variant = { readonly name: string; readonly balance: Balance; readonly create: typeof createPicker };

/** Every policy, and the one that layer 4 does otherwise. */
const all: readonly Variant[] = [
  ...policies.map((balance) => ({ name: balance.policy, balance, create: createPicker })),
  {
    name: "consistentHash of layer 4",
    balance: { policy: "consistentHash", key: { kind: "clientAddress" } },
    create: createLayer4Picker,
  },
];

function pickerOf({ balance, create }: Variant, members: readonly Member[], from = seed): Balancer {
  return create(balance, members, seededRandom(from));
}

/** Many exchanges with different keys and clients, so that every policy has reason to look everywhere. */
function pickMany(balancer: Balancer, count: number): number[] {
  const pick = pickOf();
  return Array.from({ length: count }, (_, index) => {
    pick.keyHash = mix(index);
    pick.clientAddress = `198.${index & 255}.${mix(index) & 255}.7`;
    return balancer.pick(pick);
  });
}

/** The rule for backups, spelled out: the members that a pick may name. */
function allowed(members: readonly Member[], pick: Pick): Set<number> {
  const taking = members.flatMap((member, index) => (takesWork(member, pick) ? [index] : []));
  const primaries = taking.filter((index) => !members[index]!.backup);
  return new Set(primaries.length > 0 ? primaries : taking);
}

const anyMembers = fc
  .array(
    fc.record({
      weight: fc.oneof(fc.constantFrom(0, 1, 1, 1), fc.nat(300)),
      part: fc.oneof(fc.constantFrom(256, 256, 1), fc.integer({ min: 1, max: 256 })),
      backup: fc.boolean(),
      maxFails: fc.nat(4),
      activeMax: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
    }),
    { maxLength: 14, size: "max" },
  )
  .map((all) =>
    all.map(({ part, ...options }, index) => memberOf(index, { ...options, share: (options.weight * part) / 256 })),
  );

const anyEvent = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("exchange" as const),
      key: fc.integer(),
      tries: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("eligible" as const), at: fc.nat(13), value: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("finish" as const), at: fc.nat(13) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.nat(30_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("grow" as const),
      at: fc.nat(13),
      part: fc.integer({ min: 1, max: 256 }),
    }),
  },
);

for (const variant of all) {
  const { balance } = variant;
  describe(variant.name, () => {
    test("whatever happens to the members, a pick is one that takes work, and -1 exactly when none does", (t) => {
      t.diagnostic(`seed ${seed}`);
      const property = fc.property(
        anyMembers,
        fc.array(anyEvent, { maxLength: 120, size: "max" }),
        fc.integer(),
        (members, events, chance) => {
          const balancer = pickerOf(variant, members, chance);
          const pick = pickOf();
          for (const event of events) {
            const member = "at" in event ? members[event.at] : undefined;
            if (event.kind === "time") pick.nowMs += event.ms;
            if (event.kind === "eligible" && member) member.eligible = event.value;
            if (event.kind === "grow" && member) member.share = (member.weight * event.part) / 256;
            if (event.kind === "finish" && member && member.active > 0) member.active--;
            if (event.kind !== "exchange") continue;
            pick.tried.length = 0;
            pick.keyHash = event.key;
            pick.clientAddress = `10.${event.key & 255}.${(event.key >>> 8) & 255}.1`;
            for (let tries = 0; tries < event.tries; tries++) {
              const may = allowed(members, pick);
              const index = balancer.pick(pick);
              if (index === -1) {
                assert.equal(may.size, 0, "-1 although a member takes work");
                break;
              }
              assert.ok(may.has(index), `picked ${index}, allowed were ${[...may]}`);
              const last = tries === event.tries - 1;
              pick.tried.push(members[index]!);
              if (last) members[index]!.active++;
              balancer.report(index, last);
            }
          }
        },
      );
      // A consistent hash builds its table each time, 20 ms.
      fc.assert(property, { seed, numRuns: balance.policy === "consistentHash" ? 25 : 200 });
    });

    test("an empty pool gives -1", () => {
      assert.equal(pickerOf(variant, []).pick(pickOf()), -1);
    });

    test("a pool whose weights are all 0 gives -1", () => {
      assert.deepEqual(new Set(pickMany(pickerOf(variant, membersOf([0, 0, 0])), 50)), new Set([-1]));
    });

    test("weight 0 is never picked, its neighbours are", () => {
      const picked = new Set(pickMany(pickerOf(variant, membersOf([0, 1, 0, 1, 1, 0])), 2_000));
      assert.deepEqual([...picked].sort(), [1, 3, 4]);
    });

    test("maxConnections: a full member is passed over until one of its exchanges ends", () => {
      const members = [memberOf(0, { activeMax: 2, active: 2 }), memberOf(1, { activeMax: 5, active: 4 })];
      const balancer = pickerOf(variant, members);
      assert.deepEqual(new Set(pickMany(balancer, 50)), new Set([1]));
      members[1]!.active = 5;
      assert.deepEqual(new Set(pickMany(balancer, 50)), new Set([-1]));
      members[0]!.active = 1;
      assert.deepEqual(new Set(pickMany(balancer, 50)), new Set([0]));
    });

    test("backups are picked only while no primary takes work", () => {
      const members = [memberOf(0, { backup: true }), memberOf(1), memberOf(2, { backup: true }), memberOf(3)];
      const balancer = pickerOf(variant, members);
      assert.deepEqual([...new Set(pickMany(balancer, 500))].sort(), [1, 3]);
      members[1]!.eligible = false;
      assert.deepEqual(new Set(pickMany(balancer, 500)), new Set([3]));
      members[3]!.eligible = false;
      assert.deepEqual([...new Set(pickMany(balancer, 500))].sort(), [0, 2]);
      members[1]!.eligible = true;
      assert.deepEqual(new Set(pickMany(balancer, 500)), new Set([1]));
    });

    test("a pool of backups only serves with them", () => {
      const members = membersOf([1, 1], { backup: true });
      assert.deepEqual([...new Set(pickMany(pickerOf(variant, members), 500))].sort(), [0, 1]);
    });

    test("one exchange tries every member once, backups last, then gets -1", () => {
      const members = [0, 1, 2, 3, 4, 5].map((index) => memberOf(index, { backup: index > 3 }));
      const balancer = pickerOf(variant, members);
      const pick = pickOf();
      const tried = members.map(() => {
        const index = balancer.pick(pick);
        pick.tried.push(members[index]!);
        balancer.report(index, false);
        return index;
      });
      assert.deepEqual(tried.slice(0, 4).sort(), [0, 1, 2, 3]);
      assert.deepEqual(tried.slice(4).sort(), [4, 5]);
      assert.equal(balancer.pick(pick), -1);
      pick.tried.length = 0;
      assert.ok(balancer.pick(pick) >= 0, "the next exchange may try them again");
    });

    test("the same seed gives the same picks", () => {
      const weights = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
      const run = () => pickMany(pickerOf(variant, membersOf(weights)), 1_000);
      assert.deepEqual(run(), run());
    });

    test("every member of a pool of 5,000 can be reached", () => {
      // More clients than ip hash has values for would tell nothing: it knows 6,271.
      const members = equalMembers(5_000);
      const reached = new Set(pickMany(pickerOf(variant, members), 5_000));
      assert.ok(!reached.has(-1));
      assert.ok(reached.size > 1_500, `reached ${reached.size}`);
    });
  });
}

describe("shares follow weights", () => {
  const turns: Variant = { name: "roundRobin", balance: { policy: "roundRobin" }, create: createPicker };
  const weights = [40, 30, 30];
  for (const variant of all) {
    const { balance } = variant;
    if (balance.policy === "ipHash") continue; // its shares are those of the clients' networks
    if (balance.policy === "twoChoices") continue; // its shares are those of load and latency

    test(`${variant.name}: 40, 30, 30`, (t) => {
      t.diagnostic(`seed ${seed}`);
      const members = membersOf(weights);
      const picks = 40_000;
      const picked = pickMany(pickerOf(variant, members), picks);
      for (const [index, weight] of weights.entries()) {
        const share = picked.filter((one) => one === index).length / picks;
        // Four standard deviations of a draw of that size, and what a table of slots strays.
        const exact = balance.policy === "roundRobin" || balance.policy === "leastConnections";
        const off = exact ? 0 : balance.policy === "random" ? 0.0125 : 0.025;
        assert.ok(Math.abs(share - weight / 100) <= off, `member ${index} has ${share}`);
      }
    });
  }

  test("roundRobin: every 100 consecutive picks are exactly 40, 30 and 30", () => {
    const members = membersOf(weights);
    const balancer = pickerOf(turns, members);
    const picked = pickMany(balancer, 1_000);
    for (let start = 0; start + 100 <= picked.length; start++) {
      const window = picked.slice(start, start + 100);
      assert.deepEqual(
        weights.map((_, index) => window.filter((one) => one === index).length),
        weights,
        `picks ${start} to ${start + 99}`,
      );
    }
  });

  test("roundRobin: any weights are exact over a whole cycle, wherever it begins", (t) => {
    t.diagnostic(`seed ${seed}`);
    const property = fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8, size: "max" }),
      fc.nat(200),
      (any, skip) => {
        const members = membersOf(any);
        const balancer = pickerOf(turns, members);
        countPicks(balancer, members, skip);
        const cycle = any.reduce((sum, weight) => sum + weight, 0);
        assert.deepEqual(countPicks(balancer, members, cycle), any);
      },
    );
    fc.assert(property, { seed, numRuns: 200 });
  });
});
