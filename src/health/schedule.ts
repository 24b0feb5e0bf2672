// When which probe is due: a binary heap by time, as plain data, with time and chance handed in. Pure; the change's way.
// Every entry keeps its own beat (start to start), a little shorter each time by chance, so that targets drift apart and
// stay apart; an interval is never longer than asked for. A machine that stood still does not make up for it in a burst:
// what it missed is laid out anew over its interval. It must not know what an entry stands for.

import type { Milliseconds } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

export type Entry<Subject> = {
  readonly subject: Subject;
  dueAtMs: Milliseconds;
  /** The interval that led to dueAtMs: by it lateness is judged. */
  intervalMs: Milliseconds;
  /** Its place in the heap; -1 while it is out of it (its probe is under way, or it has left). */
  place: number;
  /** It was laid out anew: next time it starts however late it is, so that nobody is put off for ever. */
  putOff: boolean;
};

export type Schedule<Subject> = {
  readonly heap: Entry<Subject>[];
  readonly random: Random;
  /** Entries made so far: it spreads first probes evenly. */
  serial: number;
  /** For those who measure: entries that were laid out anew, and the worst lateness of a started one since asked last. */
  putOffs: number;
  latenessMaxMs: Milliseconds;
  /** Of `takeDue`; and the last time in which nobody looked for too long. */
  lookedAtMs: Milliseconds;
  stillFromMs: Milliseconds;
  stillToMs: Milliseconds;
};

/** First probes come at most so close to each other, as long as the interval has room for it. */
export const firstSpacing: Milliseconds = 2;
/**
 * Nobody looked for so long: the machine stood still. One that is merely too slow looks often, and is better served by
 * starting what is due in its order.
 */
const standstillMin: Milliseconds = 500;

/** By how much of its interval a probe may follow sooner because the one before was late. */
const forgivenShare = 0.05;

/** Successive multiples of it, modulo 1, fall evenly however many there are. */
const goldenFraction = 0.6180339887498949;

export function createSchedule<Subject>(random: Random): Schedule<Subject> {
  const never = Number.NEGATIVE_INFINITY;
  const looks = { lookedAtMs: never, stillFromMs: never, stillToMs: never };
  return { heap: [], random, serial: 0, putOffs: 0, latenessMaxMs: 0, ...looks };
}

/**
 * A new entry, due within the interval, or sooner when `together` (how many are entered with it) are few: a pool of
 * three need not wait a minute for its first verdict.
 */
export function enter<Subject>(
  schedule: Schedule<Subject>,
  subject: Subject,
  timing: { readonly intervalMs: Milliseconds; readonly together: number },
  now: Milliseconds,
): Entry<Subject> {
  const window = Math.min(timing.intervalMs, timing.together * firstSpacing);
  schedule.serial++;
  const dueAtMs = now + ((schedule.serial * goldenFraction) % 1) * window;
  const entry = { subject, dueAtMs, intervalMs: timing.intervalMs, place: -1, putOff: false };
  push(schedule, entry);
  return entry;
}

/** It is never due again; also for one whose probe is under way. */
export function leave<Subject>(schedule: Schedule<Subject>, entry: Entry<Subject>): void {
  const { heap } = schedule;
  const { place } = entry;
  if (place < 0) return;
  entry.place = -1;
  const last = heap.pop();
  if (last === undefined || last === entry) return;
  heap[place] = last;
  last.place = place;
  sink(heap, place);
  rise(heap, place);
}

/** When the first one is due; undefined when none waits. */
export function nextDueAt<Subject>(schedule: Schedule<Subject>): Milliseconds | undefined {
  return schedule.heap[0]?.dueAtMs;
}

/**
 * The next one whose time has come, out of the heap until `again`; undefined when none is due. To be asked until then.
 */
export function takeDue<Subject>(schedule: Schedule<Subject>, now: Milliseconds): Entry<Subject> | undefined {
  if (now - schedule.lookedAtMs > standstillMin) {
    schedule.stillFromMs = schedule.lookedAtMs;
    schedule.stillToMs = now;
  }
  schedule.lookedAtMs = now;
  for (;;) {
    const entry = schedule.heap[0];
    if (entry === undefined || entry.dueAtMs > now) return undefined;
    const late = now - entry.dueAtMs;
    const missed = entry.dueAtMs > schedule.stillFromMs && entry.dueAtMs < schedule.stillToMs - standstillMin / 2;
    if (entry.putOff || !missed) {
      leave(schedule, entry);
      entry.putOff = false;
      if (late > schedule.latenessMaxMs) schedule.latenessMaxMs = late;
      // The beat forgives a late timer; who is later than that has lost the time, and must not be asked twice to catch up.
      entry.dueAtMs = Math.max(entry.dueAtMs, now - entry.intervalMs * forgivenShare);
      return entry;
    }
    entry.putOff = true;
    schedule.putOffs++;
    // Later than now in any case, so that this ends.
    entry.dueAtMs = now + (1 - schedule.random()) * entry.intervalMs;
    sink(schedule.heap, 0);
  }
}

/** Its probe has ended: it is due again an interval after it was due, or at once when that has passed already. */
export function again<Subject>(
  schedule: Schedule<Subject>,
  entry: Entry<Subject>,
  timing: { readonly intervalMs: Milliseconds; readonly jitterPercent: number },
  now: Milliseconds,
): void {
  const shorter = (schedule.random() * timing.jitterPercent) / 100;
  entry.dueAtMs = Math.max(now, entry.dueAtMs + timing.intervalMs * (1 - shorter));
  entry.intervalMs = timing.intervalMs;
  push(schedule, entry);
}

/** It could not start (too many are under way): once more after this time. */
export function postpone<Subject>(
  schedule: Schedule<Subject>,
  entry: Entry<Subject>,
  byMs: Milliseconds,
  now: Milliseconds,
): void {
  entry.dueAtMs = now + byMs;
  push(schedule, entry);
}

function push<Subject>(schedule: Schedule<Subject>, entry: Entry<Subject>): void {
  entry.place = schedule.heap.push(entry) - 1;
  rise(schedule.heap, entry.place);
}

function rise<Subject>(heap: Entry<Subject>[], from: number): void {
  let place = from;
  while (place > 0) {
    const parent = (place - 1) >> 1;
    if (heap[parent]!.dueAtMs <= heap[place]!.dueAtMs) return;
    swap(heap, place, parent);
    place = parent;
  }
}

function sink<Subject>(heap: Entry<Subject>[], from: number): void {
  let place = from;
  for (;;) {
    const left = place * 2 + 1;
    if (left >= heap.length) return;
    const right = left + 1;
    const least = right < heap.length && heap[right]!.dueAtMs < heap[left]!.dueAtMs ? right : left;
    if (heap[place]!.dueAtMs <= heap[least]!.dueAtMs) return;
    swap(heap, place, least);
    place = least;
  }
}

function swap<Subject>(heap: Entry<Subject>[], one: number, other: number): void {
  const entry = heap[one]!;
  heap[one] = heap[other]!;
  heap[other] = entry;
  heap[one]!.place = one;
  entry.place = other;
}
