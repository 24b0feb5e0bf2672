import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog, eventsKeptMax, type NodeEvent } from "./event-log.ts";

const happening = {
  type: "target.changed",
  who: "file",
  subject: { pool: "app" },
  before: undefined,
  after: undefined,
};

function logOf(count: number): EventLog {
  const log = new EventLog(() => Date.UTC(2026, 2, 4, 5, 6, 7, 89));
  for (let told = 0; told < count; told++) log.tell(happening);
  return log;
}

function idsOf(events: readonly NodeEvent[]): readonly number[] {
  return events.map(({ id }) => id);
}

test("an event has its number, its time in UTC and what its cause said", () => {
  const log = logOf(0);
  log.tell({
    type: "target.added",
    who: "api unix:root",
    subject: { pool: "app", target: "10.0.0.1:80" },
    before: undefined,
    after: { weight: 2 },
  });
  assert.deepEqual(log.since(0).events, [
    {
      id: 1,
      at: "2026-03-04T05:06:07.089Z",
      type: "target.added",
      who: "api unix:root",
      subject: { pool: "app", target: "10.0.0.1:80" },
      before: undefined,
      after: { weight: 2 },
    },
  ]);
});

test("who has seen an event is given those after it, and misses nothing while they are kept", () => {
  const log = logOf(5);
  assert.deepEqual(log.since(0), { events: log.since(0).events, missed: false });
  assert.deepEqual(idsOf(log.since(0).events), [1, 2, 3, 4, 5]);
  assert.deepEqual(idsOf(log.since(3).events), [4, 5]);
  assert.deepEqual(log.since(5), { events: [], missed: false });
  assert.deepEqual(logOf(0).since(0), { events: [], missed: false });
});

test("the newest are kept, and who comes later than that is told that some are gone", () => {
  for (const more of [0, 1, 1_023, 1_024, 5_000]) {
    const log = logOf(eventsKeptMax + more);
    const { events, missed } = log.since(0);
    assert.equal(events.length, eventsKeptMax, `${more} more`);
    assert.equal(events.at(-1)?.id, eventsKeptMax + more);
    assert.equal(missed, more > 0);
    assert.deepEqual(log.since(more), { events, missed: false }, "the first that is kept comes right after");
    if (more > 0) assert.equal(log.since(more - 1).missed, true);
  }
});

test("a number that was not given yet is one of the program before: all of ours, and some of its own may be missing", () => {
  const log = logOf(3);
  const { events, missed } = log.since(4_711);
  assert.deepEqual(idsOf(events), [1, 2, 3]);
  assert.equal(missed, true);
  assert.deepEqual(log.since(4), { events, missed: true });
  assert.deepEqual(logOf(0).since(9), { events: [], missed: true });
});

test("a follower is told each event from then on, until it leaves, also in the midst of being told", () => {
  const log = logOf(2);
  const [first, second]: number[][] = [[], []];
  const leaveFirst = log.follow(({ id }) => {
    first?.push(id);
    if (id === 4) leaveFirst();
  });
  log.tell(happening);
  const leaveSecond = log.follow(({ id }) => second?.push(id));
  log.tell(happening);
  log.tell(happening);
  leaveSecond();
  leaveSecond();
  log.tell(happening);
  assert.deepEqual(
    [first, second],
    [
      [3, 4],
      [4, 5],
    ],
  );
  assert.equal(log.since(0).events.length, 6);
});
