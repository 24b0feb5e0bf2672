// Peak EWMA by its numbers, and the policy by the shares it gives in a minute of virtual time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../core/random.ts";
import type { Member } from "./balancer.ts";
import {
  expectedWait,
  failureFactor,
  latencyCeilingMs,
  latencyDecayMs,
  latencyFloorMs,
  latencyUnknownMs,
  observeFailure,
  observeLatency,
} from "./peak-ewma.ts";
import { countPicks, equalMembers, memberOf, membersOf, pickOf, testSeed } from "./test-kit.ts";
import { createTwoChoices } from "./two-choices.ts";

const seed = testSeed();

describe("peak EWMA", () => {
  test("a peak counts at once, what is faster comes in slowly", () => {
    const member = memberOf(0);
    observeLatency(member, 20, 1_000);
    assert.equal(member.latencyMs, 20);
    observeLatency(member, 900, 1_001);
    assert.equal(member.latencyMs, 900);
    observeLatency(member, 20, 1_002);
    assert.ok(member.latencyMs > 899);
    observeLatency(member, 20, 1_002 + latencyDecayMs);
    assert.ok(Math.abs(member.latencyMs - (20 + 880 / Math.E)) < 1, String(member.latencyMs));
  });

  test("it works from a clock at 0 and with two latencies at one time", () => {
    const member = memberOf(0);
    observeLatency(member, 5, 0);
    observeLatency(member, 3, 0);
    assert.equal(member.latencyMs, 5);
    assert.equal(member.latencyAtMs, 0);
  });

  test("a latency of 0 is known, not unknown", () => {
    const member = memberOf(0);
    observeLatency(member, 0, 0);
    assert.equal(member.latencyMs, latencyFloorMs);
    member.active = 1;
    assert.equal(expectedWait(member, 0), latencyFloorMs * 2);
  });

  test("an idle target's latency fades, down to the floor", () => {
    const member = memberOf(0);
    observeLatency(member, 5_000, 0);
    assert.ok(Math.abs(expectedWait(member, latencyDecayMs) - 5_000 / Math.E) < 1);
    assert.equal(expectedWait(member, 100 * latencyDecayMs), latencyFloorMs);
  });

  test("a target that failed counts as slower, and never beyond the ceiling", () => {
    const member = memberOf(0);
    observeLatency(member, 10, 0);
    observeFailure(member, 0);
    assert.equal(member.latencyMs, 10 * failureFactor);
    for (let failures = 0; failures < 30; failures++) observeFailure(member, 0);
    assert.equal(member.latencyMs, latencyCeilingMs);
    const unknown = memberOf(1);
    observeFailure(unknown, 0);
    assert.equal(unknown.latencyMs, latencyUnknownMs);
  });

  test("the wait grows with work and falls with weight", () => {
    const member = memberOf(0, { weight: 4, active: 7 });
    observeLatency(member, 10, 0);
    assert.equal(expectedWait(member, 0), (10 * 8) / 4);
  });
});

/** A minute of virtual time, one exchange every `everyMs` of them; returns each member's share. */
function serve(members: readonly Member[], latencies: readonly number[], everyMs: number, startMs = 0): number[] {
  const balancer = createTwoChoices(members, seededRandom(seed));
  const counts = members.map(() => 0);
  const ends: { atMs: number; index: number; tookMs: number }[] = [];
  const pick = pickOf();
  const rounds = Math.ceil(60_000 / everyMs);
  for (let round = 0; round < rounds; round++) {
    pick.nowMs = startMs + round * everyMs;
    for (let i = ends.length - 1; i >= 0; i--) {
      const end = ends[i]!;
      if (end.atMs > pick.nowMs) continue;
      members[end.index]!.active--;
      observeLatency(members[end.index]!, end.tookMs, end.atMs);
      ends.splice(i, 1);
    }
    const index = balancer.pick(pick);
    counts[index]!++;
    members[index]!.active++;
    ends.push({ atMs: pick.nowMs + latencies[index]!, index, tookMs: latencies[index]! });
  }
  for (const end of ends) members[end.index]!.active--;
  return counts.map((count) => count / rounds);
}

describe("two choices", () => {
  test("a slow target among fast ones gets little, and is not forgotten", (t) => {
    t.diagnostic(`seed ${seed}`);
    const shares = serve(equalMembers(5), [10, 10, 400, 10, 10], 5);
    assert.ok(shares[2]! < 0.06, `the slow one had ${shares[2]}`);
    assert.ok(shares[2]! > 0, "the slow one was never asked again");
    for (const index of [0, 1, 3, 4]) assert.ok(shares[index]! > 0.15, String(shares));
  });

  test("a target that was slow and is well again gets its share back", (t) => {
    t.diagnostic(`seed ${seed}`);
    const members = equalMembers(4);
    for (const member of members) observeLatency(member, 10, 0);
    observeLatency(members[1]!, 3_000, 0);
    const during = serve(members, [10, 10, 10, 10], 5, 0);
    assert.ok(during[1]! < 0.1, String(during));
    serve(members, [10, 10, 10, 10], 5, 60_000);
    const after = serve(members, [10, 10, 10, 10], 5, 120_000);
    assert.ok(after[1]! > 0.2, String(after));
  });

  test("a new target gets one exchange at once and no flood before it has answered", () => {
    const members = equalMembers(4);
    for (const member of members.slice(0, 3)) observeLatency(member, 10, 0);
    const balancer = createTwoChoices(members, seededRandom(seed));
    const pick = pickOf();
    let first = -1;
    let toNew = 0;
    for (let exchange = 1; exchange <= 200; exchange++) {
      if (balancer.pick(pick) !== 3) continue;
      toNew++;
      members[3]!.active++;
      if (first < 0) first = exchange;
    }
    assert.ok(first > 0 && first <= 30, `first asked at ${first}`);
    assert.equal(toNew, 1);
    members[3]!.active = 0;
    observeLatency(members[3]!, 10, 0);
    const share = countPicks(balancer, members, 4_000)[3]! / 4_000;
    assert.ok(share > 0.2, `share after its answer: ${share}`);
  });

  test("one that fails fast does not look fast", () => {
    const members = equalMembers(3);
    for (const member of members) observeLatency(member, 10, 0);
    const balancer = createTwoChoices(members, seededRandom(seed));
    observeFailure(members[0]!, 0);
    assert.equal(countPicks(balancer, members, 1_000)[0], 0);
  });

  test("under load the shares follow the weights", (t) => {
    t.diagnostic(`seed ${seed}`);
    const shares = serve(membersOf([4, 2, 1, 1]), [50, 50, 50, 50], 0.5);
    for (const [index, share] of [0.5, 0.25, 0.125, 0.125].entries()) {
      assert.ok(Math.abs(shares[index]! - share) < 0.03, String(shares));
    }
  });

  test("the longest queue stays far shorter than one random choice lets it grow", () => {
    const members = equalMembers(100);
    for (const member of members) observeLatency(member, 10, 0);
    const balancer = createTwoChoices(members, seededRandom(seed));
    const pick = pickOf();
    for (let exchange = 1; exchange <= 1_000; exchange++) {
      members[balancer.pick(pick)]!.active++;
    }
    assert.ok(Math.max(...members.map((member) => member.active)) <= 14);
  });
});
