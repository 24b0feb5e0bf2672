// What each policy promises for itself, beside the suite over all of them (suite.test.ts), the order of real nginx
// (test/oracles/) and the two that have a file of their own (two choices, consistent hash).

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../core/random.ts";
import { createIpHash } from "./ip-hash.ts";
import { createLeastConnections } from "./least-connections.ts";
import { createPicker } from "./picker.ts";
import { createRandom } from "./random.ts";
import { createSmoothRoundRobin } from "./smooth-round-robin.ts";
import { countPicks, equalMembers, memberOf, membersOf, pickOf, testSeed } from "./test-kit.ts";
import { createSampler, indexAt, runningSums } from "./weighted-sample.ts";

const seed = testSeed();

describe("smooth weighted round robin", () => {
  const order = (balancer: ReturnType<typeof createSmoothRoundRobin>, picks: number): string => {
    const pick = pickOf();
    return Array.from({ length: picks }, () => balancer.pick(pick)).join("");
  };

  test("the heavy one is interleaved, not served in a burst", () => {
    assert.equal(order(createSmoothRoundRobin(membersOf([5, 1, 1])), 14), "00102000010200");
  });

  test("who rests takes up again where it stood", () => {
    const members = membersOf([1, 1, 1]);
    const balancer = createSmoothRoundRobin(members);
    assert.equal(order(balancer, 1), "0");
    members[1]!.eligible = false;
    assert.equal(order(balancer, 4), "2202");
    members[1]!.eligible = true;
    assert.equal(order(balancer, 3), "102", "the one that rested has waited longest, and not four turns long");
  });

  test("a failure costs weight / maxFails of the next picks, and one pick gives back one", () => {
    const members = membersOf([60, 60], { maxFails: 2 });
    const balancer = createSmoothRoundRobin(members);
    balancer.report(0, false);
    // 30 of 60 at first, back at 60 after 30 picks: about 13 of them in all.
    const failed = countPicks(balancer, members, 30);
    assert.ok(failed[0]! >= 12 && failed[0]! <= 14, String(failed));
    assert.deepEqual(countPicks(balancer, members, 200), [100, 100]);
    for (let failures = 0; failures < 9; failures++) balancer.report(0, false);
    assert.equal(order(balancer, 4), "1111", "two failures and more leave nothing");
  });

  test("a success changes nothing, nor does a failure with maxFails 0", () => {
    const members = membersOf([3, 2, 1], { maxFails: 0 });
    const untouched = createSmoothRoundRobin(membersOf([3, 2, 1]));
    const reported = createSmoothRoundRobin(members);
    for (let index = 0; index < 3; index++) reported.report(index, index > 0);
    assert.equal(order(reported, 30), order(untouched, 30));
  });

  test("members that all failed down to weight 0 are still picked", () => {
    const balancer = createSmoothRoundRobin(membersOf([1, 1]));
    balancer.report(0, false);
    balancer.report(1, false);
    assert.equal(order(balancer, 5), "00101");
  });
});

describe("least connections", () => {
  test("active per weight decides, without rounding", () => {
    const members = [
      memberOf(0, { weight: 3, active: 4 }),
      memberOf(1, { weight: 300_001, active: 400_000 }),
      memberOf(2, { weight: 1, active: 2 }),
    ];
    assert.equal(createLeastConnections(members).pick(pickOf()), 1);
  });

  test("a long exchange keeps new ones away from its target", () => {
    const members = equalMembers(3);
    members[1]!.active = 1;
    assert.deepEqual(countPicks(createLeastConnections(members), members, 100), [50, 0, 50]);
  });

  test("members that tie take turns by weight", () => {
    const members = membersOf([3, 1, 2]);
    assert.deepEqual(countPicks(createLeastConnections(members), members, 600), [300, 100, 200]);
  });
});

describe("random", () => {
  test("shares follow weights among those that take work, in a tiny pool and in a large one with most of it out", (t) => {
    t.diagnostic(`seed ${seed}`);
    for (const size of [4, 400]) {
      const members = equalMembers(size).map((_, index) => memberOf(index, { weight: 1 + (index % 2) }));
      for (const member of members.slice(3)) member.eligible = false;
      members[0] = memberOf(0, { weight: 5 });
      members[1] = memberOf(1, { weight: 2 });
      members[2] = memberOf(2, { weight: 3 });
      const counts = countPicks(createRandom(members, seededRandom(seed)), members, 20_000);
      for (const [index, share] of [0.5, 0.2, 0.3].entries()) {
        assert.ok(Math.abs(counts[index]! / 20_000 - share) < 0.02, `${size} members: ${counts.slice(0, 3)}`);
      }
    }
  });

  test("the largest number that chance can give is still a member", () => {
    const largest = () => 1 - 2 ** -32;
    for (const size of [1, 3, 8, 9, 1_000]) {
      const members = membersOf(Array.from({ length: size }, (_, index) => (index === size - 1 ? 0 : 7)));
      const last = size === 1 ? -1 : size - 2;
      assert.equal(createSampler(members, largest, "share").sample(pickOf(), -1), last);
      const full = equalMembers(size);
      assert.equal(createSampler(full, largest, "share").sample(pickOf(), -1), size - 1);
    }
  });

  test("an exception is never drawn", () => {
    const members = equalMembers(20);
    const sampler = createSampler(members, seededRandom(seed), "share");
    for (let i = 0; i < 500; i++) assert.notEqual(sampler.sample(pickOf(), 13), 13);
  });

  test("a place in the running sums is found at and between their steps", () => {
    const sums = runningSums(membersOf([0, 2, 0, 3]));
    assert.deepEqual([...sums], [0, 2, 2, 5]);
    assert.deepEqual(
      [0, 1.99, 2, 4.99].map((value) => indexAt(sums, value)),
      [1, 1, 3, 3],
    );
  });
});

describe("ip hash", () => {
  const members = equalMembers(5);
  const balancer = createIpHash(members);
  const indexOf = (clientAddress: string): number => balancer.pick({ ...pickOf(), clientAddress });

  test("the clients of one IPv4 network of 256 share a target", () => {
    for (let host = 0; host < 256; host++) assert.equal(indexOf(`203.0.113.${host}`), indexOf("203.0.113.0"));
  });

  test("IPv6 clients count by the whole address", () => {
    const indexes = new Set(Array.from({ length: 64 }, (_, host) => indexOf(`2001:db8::${host.toString(16)}`)));
    assert.equal(indexes.size, 5);
  });

  test("an IPv4 client is the same on an IPv6 socket", () => {
    for (let net = 0; net < 50; net++) assert.equal(indexOf(`::ffff:198.51.${net}.9`), indexOf(`198.51.${net}.9`));
  });

  test("text that is no address counts as 0.0.0", () => {
    assert.equal(indexOf("unix:"), indexOf("0.0.0.200"));
    indexOf("2001:db8::ffff");
    assert.equal(indexOf(""), indexOf("0.0.0.1"));
  });
});

describe("picker", () => {
  test("reports reach the group of the member, by its own index there", () => {
    // 0 and 2 are backups; the failure of member 3 must lower 3 and nobody else.
    const members = [0, 1, 2, 3, 4].map((index) =>
      memberOf(index, { backup: index % 2 === 0 && index < 4, weight: 10 }),
    );
    const picker = createPicker({ policy: "roundRobin" }, members, seededRandom(seed));
    picker.report(3, false);
    const counts = countPicks(picker, members, 10);
    assert.ok(counts[3]! < counts[1]! && counts[3]! < counts[4]!, String(counts));
    for (const index of [1, 3, 4]) members[index]!.eligible = false;
    picker.report(2, false);
    const backups = countPicks(picker, members, 10);
    assert.ok(backups[2]! < backups[0]!, String(backups));
  });

  test("primaries go on where they stood after the backups had the work", () => {
    const members = [memberOf(0), memberOf(1), memberOf(2, { backup: true })];
    const picker = createPicker({ policy: "roundRobin" }, members, seededRandom(seed));
    const pick = pickOf();
    assert.equal(picker.pick(pick), 0);
    for (const member of members.slice(0, 2)) member.eligible = false;
    assert.equal(picker.pick(pick), 2);
    for (const member of members) member.eligible = true;
    assert.equal(picker.pick(pick), 1);
  });
});
