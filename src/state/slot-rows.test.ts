import assert from "node:assert/strict";
import { test } from "node:test";
import { ListenerCounters, TargetCounters } from "./counters.ts";
import { bucketOf, countDuration, durationBounds, durationBuckets, durationSlots } from "./slot-durations.ts";
import { everyRowKind, labelBytesMax, overflowLabel, RowKind, rowKinds, slotOf } from "./slot-layout.ts";
import { SlotReader } from "./slot-reader.ts";
import { RouteCounters } from "./slot-routes.ts";
import { formatRegion, isRegion, SlotRows } from "./slot-rows.ts";
import { WorkerCounters } from "./slot-worker.ts";

type Seen = {
  readonly kind: RowKind;
  readonly labels: readonly string[];
  readonly live: boolean;
  readonly base: number;
};

function world(bytes = 64 * 1024) {
  const memory = new ArrayBuffer(bytes);
  formatRegion(memory);
  const reader = new SlotReader(memory);
  const rows = new SlotRows(memory, { shared: true });
  const look = (kind: RowKind): Seen[] => {
    const seen: Seen[] = [];
    const whole = reader.walk((row) => {
      if (row.kind !== kind) return;
      seen.push({ kind: row.kind, labels: reader.labels(row) ?? [], live: row.live, base: row.base });
    });
    assert(whole, "all rows are rows");
    return seen.filter(({ labels }) => labels[0] !== overflowLabel);
  };
  const takeAll = () =>
    reader.walk((row) => {
      if (!row.live) reader.take(row);
    });
  return { memory, reader, rows, look, takeAll };
}

test("a reader finds each row that a worker claimed, with its labels and its figures", () => {
  const { rows, reader, look } = world();
  const web = new ListenerCounters(rows, "web");
  const first = new TargetCounters(rows, "app", "10.0.0.1:80");
  new TargetCounters(rows, "app", "[2001:db8::1]:8080");
  web.connectionsAccepted += 2;
  web.countClass(4);
  first.failures += 3;
  const [listener] = look(RowKind.listener);
  assert.deepEqual(listener?.labels, ["web"]);
  assert.equal(reader.slots[listener.base + slotOf(RowKind.listener, "connectionsAccepted")], 2);
  assert.equal(reader.slots[listener.base + slotOf(RowKind.listener, "class4")], 1);
  const targets = look(RowKind.target);
  assert.deepEqual(
    targets.map(({ labels }) => labels),
    [
      ["app", "10.0.0.1:80"],
      ["app", "[2001:db8::1]:8080"],
    ],
  );
  assert.equal(reader.slots[targets[0]!.base + slotOf(RowKind.target, "failures")], 3);
});

test("each figure has a slot of its own", () => {
  for (const kind of everyRowKind) {
    const names = rowKinds[kind].fields.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length, `kind ${kind}`);
  }
  const { rows } = world();
  const target = new TargetCounters(rows, "app", "10.0.0.1:80");
  const names = ["connectionsOpened", "connectionsIdle", "exchanges", "failures", "retries", "bytesToTarget"] as const;
  for (const [index, name] of names.entries()) target[name] = index + 1;
  for (const [index, name] of names.entries()) assert.equal(target[name], index + 1, name);
});

test("a row that was given back is used again once its last figures were taken, and not before", () => {
  const { rows, look, takeAll } = world();
  const gone = new TargetCounters(rows, "app", "10.0.0.1:80");
  const { base } = gone;
  gone.exchanges += 7;
  gone.giveBack();
  assert.deepEqual(
    look(RowKind.target).map(({ live }) => live),
    [false],
  );
  const early = new TargetCounters(rows, "app", "10.0.0.2:80");
  assert.notEqual(early.base, base, "its figures were still to be taken");
  takeAll();
  const late = new TargetCounters(rows, "app", "10.0.0.3:80");
  assert.equal(late.base, base);
  assert.equal(late.exchanges, 0, "nothing is left of what another one counted");
  assert.deepEqual(
    look(RowKind.target)
      .map(({ labels }) => labels[1])
      .sort(),
    ["10.0.0.2:80", "10.0.0.3:80"],
  );
});

test("what is counted for a target after its row was given back counts for nobody", () => {
  const { rows, takeAll } = world();
  const gone = new TargetCounters(rows, "app", "10.0.0.1:80");
  gone.giveBack();
  takeAll();
  const next = new TargetCounters(rows, "app", "10.0.0.2:80");
  gone.bytesFromTarget += 1_000;
  gone.countAnswer(3);
  assert.equal(next.bytesFromTarget, 0);
  assert.equal(next.slots[next.base + slotOf(RowKind.target, "duration2")], 0);
});

test("rows come and go in their thousands without the memory growing", () => {
  const { rows, takeAll } = world(256 * 1024);
  const used = () => rows.used().length;
  let before = 0;
  for (let round = 0; round < 50; round++) {
    const targets = Array.from({ length: 100 }, (_, index) => new TargetCounters(rows, "app", `10.0.${index}.1:80`));
    for (const target of targets) target.giveBack();
    takeAll();
    if (round === 1) before = used();
  }
  assert.equal(used(), before);
});

test("without room everything is counted in one row of its kind, and that there was none is counted", () => {
  const { rows, reader } = world(16 * 1024);
  const targets = Array.from({ length: 60 }, (_, index) => new TargetCounters(rows, "app", `10.0.0.${index}:80`));
  const own = targets.filter(({ own }) => own);
  const others = targets.filter(({ own }) => !own);
  assert(own.length > 10 && others.length > 10, `${own.length} with a row`);
  for (const target of targets) target.exchanges += 1;
  assert.equal(others[0]!.exchanges, others.length);
  const { slots, base } = rows.worker;
  assert.equal(slots[base + slotOf(RowKind.worker, "rowsRefused")], others.length);
  assert.equal(slots[base + slotOf(RowKind.worker, "rowsUsed")], own.length);
  let sum = 0;
  reader.walk((row) => {
    if (row.kind === RowKind.target) sum += reader.slots[row.base + slotOf(RowKind.target, "exchanges")]!;
  });
  assert.equal(sum, 60, "nothing is lost");
  for (const target of others) target.giveBack();
  assert.equal(new TargetCounters(rows, "app", "10.0.1.1:80").own, false, "the common row is nobody's to give back");
});

test("labels that are longer than any name may be are cut, not written over the next row", () => {
  const { rows, look } = world();
  new TargetCounters(rows, "p".repeat(labelBytesMax), "10.0.0.1:80");
  new TargetCounters(rows, "app", "10.0.0.2:80");
  assert.deepEqual(
    look(RowKind.target).map(({ labels }) => labels[1]),
    [undefined, "10.0.0.2:80"],
  );
});

test("memory of another layout is not counted in", () => {
  const memory = new ArrayBuffer(4096);
  assert.equal(isRegion(memory), false);
  formatRegion(memory);
  assert.equal(isRegion(memory), true);
  new Int32Array(memory)[1] = 99;
  assert.equal(isRegion(memory), false);
  assert.throws(() => new SlotRows(memory, { shared: true }));
});

test("a walk over memory that was scribbled on ends, says so, and stays inside", () => {
  const { memory, reader, rows } = world(8 * 1024);
  new ListenerCounters(rows, "web");
  const words = new Int32Array(memory);
  const sound = Int32Array.from(words);
  for (let word = 3; word < 200; word++) {
    for (const wild of [0, -1, 1, 0x7fffffff, 0x00010000, 0x7fff0000, 12]) {
      words.set(sound);
      words[word] = wild;
      let visits = 0;
      reader.walk((row) => {
        visits += 1;
        reader.labels(row);
      });
      assert(visits < 1_000, `word ${word} as ${wild}`);
    }
  }
});

test("a cleared region is as one that was never used", () => {
  const { memory, reader, rows } = world(8 * 1024);
  new ListenerCounters(rows, "web").exchanges += 1;
  reader.clear();
  const fresh = new ArrayBuffer(8 * 1024);
  formatRegion(fresh);
  assert.deepEqual(new Uint8Array(memory), new Uint8Array(fresh));
  assert.equal(reader.empty, true);
});

test("a duration falls into the first bucket whose bound is not below it", () => {
  assert.equal(durationBuckets, durationBounds.length + 1);
  for (const [index, bound] of durationBounds.entries()) {
    assert.equal(bucketOf(bound * 1000), index, `${bound} s itself`);
    assert.equal(bucketOf(bound * 1000 + 0.001), index + 1, `just above ${bound} s`);
  }
  assert.equal(bucketOf(0), 0);
  assert.equal(bucketOf(Number.POSITIVE_INFINITY), durationBounds.length);
  const slots = new Float64Array(durationSlots + 4);
  for (const ms of [0.2, 3, 3, 700_000]) countDuration(slots, 2, ms);
  assert.deepEqual([slots[2], slots[4], slots[2 + durationBounds.length]], [1, 2, 1]);
  assert.ok(Math.abs(slots[2 + durationBuckets]! - 700.0062) < 1e-9);
  assert.equal(slots[1]! + slots[2 + durationSlots]!, 0, "its neighbours are untouched");
});

test("a route counts what is under way and where it ended, each pair with a target in a row of its own", () => {
  const { rows, reader, look, takeAll } = world();
  const route = new RouteCounters(rows, "http", { listener: "web", route: "web[0]" });
  const other = new RouteCounters(rows, "http", { listener: "web", route: "web[1]" });
  const target = new TargetCounters(rows, "app", "10.0.0.1:80");
  for (const one of [route, route, other, route]) one.begin();
  assert.equal(route.active, 3);
  route.end(target, "app", 2, 5);
  other.end(target, "app", 5, 5);
  route.end(target, "app", 2, 5);
  route.end(undefined, "app", 5, 1);
  assert.equal(route.active, 0);
  const ended = (): unknown[] =>
    look(RowKind.exchanges)
      .filter(({ live }) => live)
      .map(({ labels, base }) => [labels.slice(1).join(" "), Array.from(reader.slots.subarray(base, base + 6))]);
  assert.deepEqual(ended(), [
    ["web[0] app 10.0.0.1:80", [0, 0, 2, 0, 0, 0]],
    ["web[1] app 10.0.0.1:80", [0, 0, 0, 0, 0, 1]],
    ["web[0] app ", [0, 0, 0, 0, 0, 1]],
  ]);
  target.giveBack();
  assert.deepEqual(ended(), [["web[0] app ", [0, 0, 0, 0, 0, 1]]], "the pairs go with the target");
  const back = new TargetCounters(rows, "app", "10.0.0.1:80");
  route.begin();
  route.end(back, "app", 3, 1);
  route.giveBack();
  assert.deepEqual(ended(), [], "and with the route");
  takeAll();
  other.begin();
  other.end(back, "app", 2, 1);
  assert.deepEqual(ended(), [["web[1] app 10.0.0.1:80", [0, 0, 1, 0, 0, 0]]]);
});

test("a worker's lateness is told for at least one window and forgotten after two", () => {
  const { rows } = world();
  const counters = new WorkerCounters(rows);
  const lag = () => rows.worker.slots[rows.worker.base + slotOf(RowKind.worker, "lagSeconds")];
  counters.late(2, 0);
  counters.late(250, 1_000);
  counters.late(1, 14_000);
  assert.equal(lag(), 0.25);
  counters.late(3, 16_000);
  assert.equal(lag(), 0.25);
  counters.late(3, 32_000);
  assert.equal(lag(), 0.003);
});
