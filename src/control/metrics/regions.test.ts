import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { bad } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { type createSharedMemory, openSharedMemory } from "../../io/shared-memory.ts";
import { ListenerCounters, TargetCounters } from "../../state/counters.ts";
import { RowKind, slotOf } from "../../state/slot-layout.ts";
import { privateRows, SlotRows } from "../../state/slot-rows.ts";
import type { Snapshot } from "../../state/snapshot.ts";
import type { WorkerStatus } from "../../state/worker-protocol.ts";
import { CounterRegions, wantedBy } from "./regions.ts";

const snapshot: Snapshot = {
  generation: 1,
  node: "lb-1",
  workerCount: 2,
  accessLog: undefined,
  listeners: [],
  pools: [],
  virtualRouters: [],
};
const accepted = slotOf(RowKind.listener, "connectionsAccepted");

function logOf(lines: string[]): Log {
  const quiet = () => {};
  return { debug: quiet, info: quiet, error: quiet, warn: (message) => lines.push(message) };
}

function acceptedOf(regions: CounterRegions, name: string): number | undefined {
  for (const { kind, labels, figures } of regions.sums()) {
    if (kind === RowKind.listener && labels[0] === name) return figures[accepted];
  }
  return undefined;
}

test("the memory of a worker that has ended is its successor's, empty, and its counts stay", () => {
  const lines: string[] = [];
  const listening = { ...snapshot, listeners: [{ name: "web", protocol: "udp" }] } as unknown as Snapshot;
  const regions = new CounterRegions({ log: logOf(lines), snapshot: () => listening });
  const fd = regions.begin(0);
  assert(fd !== undefined);
  assert.equal(regions.stale, true, "no worker has claimed a row yet");
  for (let life = 1; life <= 3; life++) {
    const copy = openSharedMemory(duplicateOf(fd));
    assert(copy.ok);
    const web = new ListenerCounters(new SlotRows(copy.value, { shared: true }), "web");
    assert.equal(regions.stale, false);
    assert.equal(web.connectionsAccepted, 0, "it begins at nothing");
    web.connectionsAccepted += 10;
    assert.equal(acceptedOf(regions, "web"), 10 * life);
    regions.ended(0);
    assert.equal(acceptedOf(regions, "web"), 10 * life);
    assert.equal(regions.begin(0), fd);
  }
  assert.deepEqual(lines, []);
});

test("where memory cannot be shared the figures come with the status answers, and that is said once", () => {
  const lines: string[] = [];
  const listening = { ...snapshot, listeners: [{ name: "web", protocol: "udp" }] } as unknown as Snapshot;
  const createMemory: typeof createSharedMemory = () =>
    bad({ code: "memory.shared.create", origin: "self", retrySafe: false, detail: "memfd_create: ENOSYS" });
  const regions = new CounterRegions({ log: logOf(lines), snapshot: () => listening, createMemory });
  assert.deepEqual([regions.begin(0), regions.begin(1)], [undefined, undefined]);
  assert.equal(lines.length, 1);
  assert.equal(regions.stale, true);
  const rows = privateRows(64 * 1024);
  const web = new ListenerCounters(rows, "web");
  const answer = () => {
    const status = { rows: Buffer.from(rows.used()).toString("base64") } as unknown as WorkerStatus;
    rows.taken();
    regions.answered(0, status);
  };
  web.connectionsAccepted += 3;
  answer();
  assert.equal(acceptedOf(regions, "web"), 3);
  web.giveBack();
  answer();
  const again = new ListenerCounters(rows, "web");
  again.connectionsAccepted += 1;
  answer();
  assert.equal(acceptedOf(regions, "web"), 4, "what was given back between two answers is counted once");
  regions.ended(0);
  assert.equal(acceptedOf(regions, "web"), 4, "as far as it was told, a dead worker's count stays");
  assert.equal(regions.stale, true, "the other one is still there");
});

test("what is too large to be a worker's rows is not taken for them", () => {
  const regions = new CounterRegions({ log: logOf([]), snapshot: () => snapshot });
  const fd = regions.begin(0);
  regions.answered(0, { rows: "A".repeat(100 * 1024 * 1024) } as unknown as WorkerStatus);
  assert.equal(regions.health.damaged, 1);
  if (fd !== undefined) closeSync(fd);
});

test("a snapshot wants the lines of all that it names, and of nothing else", () => {
  const route = { name: "web[0]" };
  const named = {
    ...snapshot,
    listeners: [
      { name: "web", protocol: "http", routes: [route] },
      { name: "dns", protocol: "udp" },
    ],
    pools: [{ name: "app", targets: [{ address: "10.0.0.1:80" }] }],
  } as unknown as Snapshot;
  const wants = wantedBy(named);
  const is = (kind: RowKind, ...labels: string[]) => wants({ kind, labels });
  assert.deepEqual([is(RowKind.worker, "1"), is(RowKind.worker, "2")], [true, false]);
  assert.deepEqual([is(RowKind.listener, "dns"), is(RowKind.limit, "gone", "pool.allOut")], [true, false]);
  assert.deepEqual([is(RowKind.target, "app", "10.0.0.1:80"), is(RowKind.target, "app", "10.0.0.2:80")], [true, false]);
  assert.deepEqual([is(RowKind.exchangeRoute, "web", "web[0]"), is(RowKind.exchangeRoute, "web", "x")], [true, false]);
  assert.equal(is(RowKind.exchangeRoute, "web", ""), true, "what came to no route");
  assert.equal(is(RowKind.exchanges, "web", "web[0]", "app", "10.0.0.1:80"), true);
  assert.equal(is(RowKind.exchanges, "web", "web[0]", "app", ""), true);
  assert.equal(is(RowKind.exchanges, "web", "web[0]", "old", ""), false);
  assert.equal(is(RowKind.exchanges, "web", "", "", ""), true);
  assert.equal(is(RowKind.flows, "dns", "", "app", "10.0.0.2:80"), false);
});

test("a target that leaves disappears only when no worker counts for it any more", () => {
  const regions = new CounterRegions({ log: logOf([]), snapshot: () => snapshot });
  const rowsOf = (slot: number) => {
    const copy = openSharedMemory(duplicateOf(regions.begin(slot) ?? -1));
    assert(copy.ok);
    return new SlotRows(copy.value, { shared: true });
  };
  const [first, second] = [rowsOf(0), rowsOf(1)].map((rows) => new TargetCounters(rows, "app", "10.0.0.1:80"));
  first!.exchanges += 1;
  second!.exchanges += 2;
  const targets = () =>
    [...regions.sums()].filter(({ kind, labels }) => kind === RowKind.target && labels[0] === "app");
  first!.giveBack();
  assert.equal(
    targets()[0]?.figures[slotOf(RowKind.target, "exchanges")],
    3,
    "one worker has it still: nothing is missing",
  );
  second!.giveBack();
  regions.reclaim();
  assert.deepEqual(targets(), []);
});

/** The opener closes what it is given. */
function duplicateOf(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, "r+");
}
