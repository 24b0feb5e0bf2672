// The schedule in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import {
  again,
  createSchedule,
  type Entry,
  enter,
  leave,
  nextDueAt,
  postpone,
  type Schedule,
  takeDue,
} from "./schedule.ts";

const seed = Date.now() >>> 0;
console.log(`seed ${seed}`);

function scheduleOf(
  count: number,
  intervalMs: number,
): { readonly schedule: Schedule<number>; readonly entries: Entry<number>[] } {
  const schedule = createSchedule<number>(seededRandom(seed));
  const entries = Array.from({ length: count }, (_, index) =>
    enter(schedule, index, { intervalMs, together: count }, 0),
  );
  return { schedule, entries };
}

/** Every start from `from` to `to`, looking every `stepMs`, with probes that take no time. */
function run(
  schedule: Schedule<number>,
  span: { readonly from: number; readonly to: number; readonly stepMs: number; readonly intervalMs: number },
  started: (subject: number, at: number) => void,
): void {
  const { intervalMs } = span;
  for (let now = span.from; now < span.to; now += span.stepMs) {
    for (let entry = takeDue(schedule, now); entry !== undefined; entry = takeDue(schedule, now)) {
      started(entry.subject, now);
      again(schedule, entry, { intervalMs, jitterPercent: 10 }, now);
    }
  }
}

test("10,000 targets at 1 s are spread over the second, at the start and for good", () => {
  const { schedule } = scheduleOf(10_000, 1_000);
  const counts = new Map<number, number>();
  run(schedule, { from: 0, to: 20_000, stepMs: 1, intervalMs: 1_000 }, (_, at) => {
    const slot = Math.floor(at / 50);
    counts.set(slot, (counts.get(slot) ?? 0) + 1);
  });
  // 500 is the even pace, and a few percent more for the jitter, which only shortens. Where the first round overlaps with
  // those of the second that are early it is more for a tenth of a second.
  for (const [slot, count] of counts) {
    if (slot < 40) assert.ok(count < 1_000, `${slot}: ${count}`);
    else if (slot < 399) assert.ok(count > 300 && count < 800, `${slot}: ${count}`);
  }
});

test("from start to start it is never longer than the interval, and never shorter by more than the jitter", () => {
  const { schedule } = scheduleOf(50, 1_000);
  const last = new Map<number, number>();
  run(schedule, { from: 0, to: 60_000, stepMs: 1, intervalMs: 1_000 }, (subject, at) => {
    const before = last.get(subject);
    // Looked every millisecond, so seen up to one late.
    if (before !== undefined) assert.ok(at - before <= 1_001 && at - before >= 899, `${at - before} ms`);
    last.set(subject, at);
  });
  assert.equal(last.size, 50);
});

test("a few targets with a long interval have their first probe at once", () => {
  const { schedule } = scheduleOf(3, 60_000);
  let started = 0;
  run(schedule, { from: 0, to: 20, stepMs: 1, intervalMs: 60_000 }, () => started++);
  assert.equal(started, 3);
});

test("a machine that stood still for a minute lays the work out anew instead of starting it in a burst", () => {
  const { schedule } = scheduleOf(10_000, 1_000);
  run(schedule, { from: 0, to: 3_000, stepMs: 1, intervalMs: 1_000 }, () => {});
  const perMs = new Map<number, number>();
  const seen = new Set<number>();
  run(schedule, { from: 63_000, to: 64_001, stepMs: 1, intervalMs: 1_000 }, (subject, at) => {
    perMs.set(at, (perMs.get(at) ?? 0) + 1);
    seen.add(subject);
  });
  assert.ok(schedule.putOffs >= 9_900, `${schedule.putOffs}`);
  assert.ok(Math.max(...perMs.values()) < 50, "10 a millisecond is the even pace");
  assert.equal(seen.size, 10_000, "everyone within an interval");
});

test("a machine that is too slow starts what is due in its order, as fast as it can, and puts nobody off", () => {
  const { schedule } = scheduleOf(1_000, 1_000);
  const last = new Map<number, number>();
  let longest = 0;
  // Half of what is needed: five starts each 10 ms.
  for (let now = 0; now < 30_000; now += 10) {
    for (let n = 0; n < 5; n++) {
      const entry = takeDue(schedule, now);
      if (entry === undefined) break;
      longest = Math.max(longest, now - (last.get(entry.subject) ?? now));
      last.set(entry.subject, now);
      again(schedule, entry, { intervalMs: 1_000, jitterPercent: 10 }, now);
    }
  }
  assert.equal(schedule.putOffs, 0);
  assert.ok(longest > 1_900 && longest < 2_500, `${longest} ms: everyone has the same share`);
});

test("a machine that is always late still probes every target", () => {
  const { schedule } = scheduleOf(100, 1_000);
  const counts = new Array<number>(100).fill(0);
  run(schedule, { from: 0, to: 60_000, stepMs: 3_000, intervalMs: 1_000 }, (subject) => counts[subject]!++);
  assert.ok(Math.min(...counts) >= 5, `${Math.min(...counts)} of 20 looks`);
});

test("a probe that lasts longer than the interval is followed at once, never overlapped", () => {
  const { schedule } = scheduleOf(1, 1_000);
  const entry = takeDue(schedule, 10);
  assert.ok(entry !== undefined);
  assert.equal(takeDue(schedule, 3_000), undefined, "it is out until its end is told");
  again(schedule, entry, { intervalMs: 1_000, jitterPercent: 0 }, 3_010);
  assert.equal(nextDueAt(schedule), 3_010);
});

test("who was probed late is not probed sooner for it than a twentieth of the interval", () => {
  const { schedule } = scheduleOf(200, 1_000);
  const last = new Map<number, number>();
  let shortest = Number.POSITIVE_INFINITY;
  for (const now of [0, 400, 800, 1_200, 1_600, 2_000, 2_400, 2_401, 2_410, 2_500, 2_700, 3_000]) {
    run(schedule, { from: now, to: now + 1, stepMs: 1, intervalMs: 1_000 }, (subject, at) => {
      shortest = Math.min(shortest, at - (last.get(subject) ?? Number.NEGATIVE_INFINITY));
      last.set(subject, at);
    });
  }
  assert.ok(shortest >= 850, `${shortest}`);
});

test("what has left is never due, whoever is between, and what was held back comes in its time", () => {
  const random = seededRandom(seed);
  const { schedule, entries } = scheduleOf(500, 1_000);
  const gone = new Set<number>();
  for (const entry of entries)
    if (random() < 0.5) {
      leave(schedule, entry);
      leave(schedule, entry);
      gone.add(entry.subject);
    }
  let last = 0;
  const due: number[] = [];
  for (let entry = takeDue(schedule, 250); entry !== undefined; entry = takeDue(schedule, 250)) {
    assert.ok(entry.dueAtMs >= last, "in the order of time");
    last = entry.dueAtMs;
    due.push(entry.subject);
    if (due.length === 1) postpone(schedule, entry, 20, 250);
  }
  assert.ok(due.length > 10 && due.every((subject) => !gone.has(subject)));
  assert.equal(takeDue(schedule, 269)?.subject === due[0], false);
});
