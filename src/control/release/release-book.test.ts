import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { bad, good } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { type ReleaseRecord, recordFormat } from "../../model/release.ts";
import { initialRelease } from "../../release/machine.ts";
import { decodeRecord, encodeRecord } from "../../release/record.ts";
import { EventLog } from "../event-log.ts";
import { apiKeep } from "./api-store.ts";
import { Balancer } from "./balancer.ts";
import { keptReleasesMax, ReleaseBook, type ReleaseOrder } from "./release-book.ts";
import { lockTtl } from "./store.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

class Time {
  now = 1_000;
}

function record(fence: number, revision: number, more: Partial<ReleaseRecord> = {}): ReleaseRecord {
  return {
    format: recordFormat,
    id: "r1",
    pool: "app",
    version: "v2",
    fence,
    revision,
    by: "root@lb/1/2/3",
    startedMs: 1_000,
    changedMs: 1_000 + revision,
    digest: "d",
    state: initialRelease([["10.0.0.1:80"]]),
    ...more,
  };
}

/** As it goes over the wire. */
function data(of: ReleaseRecord): unknown {
  const text = encodeRecord(of);
  assert.ok(text.ok);
  return JSON.parse(text.value);
}

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ek-releases-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function openBook(directory: string, time = new Time()) {
  const events = new EventLog(() => 0);
  const book = new ReleaseBook({ log: quiet, events, clock: () => time.now, wallClock: () => 0 });
  const opened = await book.open(directory);
  assert.ok(opened.ok);
  return { book, events, time };
}

const acquire = (holder: string, more: { fence?: number; instead?: string } = {}): ReleaseOrder => ({
  type: "acquire",
  holder,
  ttlMs: 10_000,
  fence: more.fence ?? 0,
  instead: more.instead,
});

test("one holder at a time, each with a greater fencing number, until it is given back or runs out", async (t) => {
  const { book, time } = await openBook(directoryOf(t));
  const first = await book.order("app", acquire("a"), "x");
  assert.equal(first.ok && first.value.fence, 1);
  const second = await book.order("app", acquire("b"), "x");
  assert.equal(!second.ok && second.failure.code, "release.held");
  time.now += 9_000;
  assert.ok((await book.order("app", { type: "renew", holder: "a" }, "x")).ok);
  time.now += 9_000;
  assert.equal((await book.order("app", acquire("b"), "x")).ok, false);
  time.now += 1_001;
  const third = await book.order("app", acquire("b"), "x");
  assert.equal(third.ok && third.value.fence, 2);
  const late = await book.order("app", { type: "renew", holder: "a" }, "x");
  assert.equal(!late.ok && late.failure.code, "release.lost");
  const instead = await book.order("app", acquire("c", { instead: "b", fence: 9 }), "x");
  assert.equal(instead.ok && instead.value.fence, 9);
});

test("only the holder writes, and nobody writes over a later fencing number", async (t) => {
  const { book, events, time } = await openBook(directoryOf(t));
  const written = await book.order("app", { type: "keep", holder: "a", record: data(record(1, 1)) }, "x");
  assert.equal(!written.ok && written.failure.code, "release.lost");
  await book.order("app", acquire("a"), "x");
  assert.ok((await book.order("app", { type: "keep", holder: "a", record: data(record(1, 1)) }, "x")).ok);
  time.now += 10_001;
  await book.order("app", acquire("b"), "x");
  const stale = await book.order("app", { type: "keep", holder: "a", record: data(record(1, 2)) }, "x");
  assert.equal(!stale.ok && stale.failure.code, "release.lost");
  const older = await book.order("app", { type: "keep", holder: "b", record: data(record(1, 3)) }, "x");
  assert.equal(!older.ok && older.failure.code, "release.lost");
  const other = await book.order(
    "app",
    { type: "keep", holder: "b", record: data(record(2, 1, { pool: "web" })) },
    "x",
  );
  assert.equal(!other.ok && other.failure.code, "release.record");
  assert.deepEqual(
    events.since(0).events.map(({ type }) => type),
    ["release.began"],
  );
});

test("what was kept is there after a restart, the lock with its whole time", async (t) => {
  const directory = directoryOf(t);
  const { book } = await openBook(directory);
  await book.order("app", acquire("a"), "x");
  await book.order("app", { type: "keep", holder: "a", record: data(record(1, 5)) }, "x");
  const time = new Time();
  const again = await openBook(directory, time);
  assert.equal(again.book.find("app")?.record?.revision, 5);
  assert.equal(again.book.find("app")?.lease?.holder, "a");
  assert.equal((await again.book.order("app", acquire("b"), "x")).ok, false);
  time.now += 10_001;
  const next = await again.book.order("app", acquire("b"), "x");
  assert.equal(next.ok && next.value.fence, 2);
});

test("the release that ended longest ago goes when there are too many, one that stands never", async (t) => {
  const { book } = await openBook(directoryOf(t));
  for (let number = 0; number <= keptReleasesMax; number++) {
    const pool = `p${number}`;
    const state = {
      ...initialRelease([["10.0.0.1:80"]]),
      phase: number === 0 ? ("failed" as const) : ("done" as const),
    };
    const copy = record(1, number + 1, { pool, state });
    assert.ok((await book.order(pool, { type: "copy", from: "consul", record: data(copy) }, "x")).ok);
  }
  assert.equal(book.list().length, keptReleasesMax);
  assert.ok(book.find("p0") !== undefined);
  assert.equal(book.find("p1"), undefined);
});

/** Balancers that can be cut off, each with a book of its own. */
async function cluster(t: TestContext, count: number) {
  const time = new Time();
  const nodes = [];
  for (let number = 0; number < count; number++) {
    const { book } = await openBook(directoryOf(t), time);
    const node = { book, isAway: false };
    const balancer = new Balancer({
      name: `lb-${number + 1}`,
      ask: async ({ method, path, body }) => {
        if (node.isAway) return bad({ code: "admin.unreachable", origin: "self", retrySafe: false, detail: "away" });
        const { holder = "", ttl, fence = 0, instead, record: kept } = Object(body);
        const word = path.split(":")[1];
        const order: ReleaseOrder | undefined =
          method === "PUT"
            ? { type: "keep", holder, record: kept }
            : word === "acquire"
              ? { type: "acquire", holder, ttlMs: Number.parseInt(ttl, 10) * 1_000, fence, instead }
              : word === "renew" || word === "leave"
                ? { type: word, holder }
                : undefined;
        const found = order === undefined ? undefined : await book.order("app", order, "x");
        if (found?.ok === false) {
          const { code, detail } = found.failure;
          return good({ status: 409, headers: {}, body: { code, detail } });
        }
        const shown = found?.value ?? book.find("app");
        if (shown === undefined)
          return good({ status: 404, headers: {}, body: { code: "release.unknown", detail: "" } });
        return good({ status: 200, headers: {}, body: JSON.parse(JSON.stringify(shown)) });
      },
    });
    nodes.push({ node, balancer });
  }
  const keep = apiKeep(
    "app",
    nodes.map(({ balancer }) => balancer),
  );
  return { keep, nodes: nodes.map(({ node }) => node), time };
}

const never = () => false;
const textOf = (of: ReleaseRecord) => JSON.stringify(data(of));

test("most balancers must give the lock and keep the record; the last record is found by whoever comes next", async (t) => {
  const { keep, nodes, time } = await cluster(t, 3);
  const [one, two, three] = nodes;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const first = await keep.acquire({ holder: "a", isGone: never });
  assert.ok(first.ok);
  three.isAway = true;
  assert.ok((await first.value.keep(textOf(record(first.value.fence, 1)))).ok);
  two.isAway = true;
  const few = await first.value.keep(textOf(record(first.value.fence, 2)));
  assert.equal(!few.ok && few.failure.code, "release.store");
  assert.equal((await keep.acquire({ holder: "b", isGone: never })).ok, false);
  // The one that has written alone is gone now; what most have kept is there.
  Object.assign(two, { isAway: false });
  Object.assign(three, { isAway: false });
  one.isAway = true;
  time.now += lockTtl + 1;
  const second = await keep.acquire({ holder: "b", isGone: never });
  assert.ok(second.ok);
  assert.ok(second.value.fence > first.value.fence);
  const found = decodeRecord(second.value.text ?? "");
  assert.equal(found.ok && found.value.revision, 1);
});

test("of two who ask at once at most one has the lock, and a holder that is gone is not waited for", async (t) => {
  const { keep } = await cluster(t, 2);
  const both = await Promise.all(["a", "b"].map((holder) => keep.acquire({ holder, isGone: never })));
  assert.ok(both.filter(({ ok }) => ok).length <= 1);
  for (const lock of both) if (lock.ok) await lock.value.leave();
  const first = await keep.acquire({ holder: "c", isGone: never });
  assert.ok(first.ok);
  const held = await keep.acquire({ holder: "d", isGone: never });
  assert.equal(!held.ok && held.failure.code, "release.held");
  const next = await keep.acquire({ holder: "d", isGone: (holder) => holder === "c" });
  assert.ok(next.ok && next.value.fence > first.value.fence);
  const lost = await first.value.keep(textOf(record(first.value.fence, 9)));
  assert.equal(!lost.ok && lost.failure.code, "release.lost");
});
