import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { ListenerCounters, TargetCounters } from "../../state/counters.ts";
import { overflowLabel, RowKind, slotOf } from "../../state/slot-layout.ts";
import { formatRegion, SlotRows } from "../../state/slot-rows.ts";
import { Ledger, LedgerRegion, type Series } from "./ledger.ts";

const exchanges = slotOf(RowKind.target, "exchanges");
const idle = slotOf(RowKind.target, "connectionsIdle");
const open = slotOf(RowKind.listener, "connectionsOpen");
const accepted = slotOf(RowKind.listener, "connectionsAccepted");

/** A worker with its memory, as far as the books see it. */
function worker(ledger: Ledger, slot = 0, bytes = 256 * 1024) {
  const memory = new ArrayBuffer(bytes);
  formatRegion(memory);
  const region = new LedgerRegion(memory, slot);
  ledger.add(region);
  return { memory, region, rows: new SlotRows(memory, { shared: true }) };
}

function find(ledger: Ledger, kind: RowKind, ...labels: string[]): Series | undefined {
  return [...ledger.sum()].find((one) => one.kind === kind && one.labels.join(" ") === labels.join(" "));
}

test("what several workers count for one target is one line", () => {
  const ledger = new Ledger();
  for (const count of [3, 4]) {
    const target = new TargetCounters(worker(ledger).rows, "app", "10.0.0.1:80");
    target.exchanges += count;
    target.connectionsIdle = 1;
  }
  const line = find(ledger, RowKind.target, "app", "10.0.0.1:80");
  assert.deepEqual([line?.figures[exchanges], line?.figures[idle]], [7, 2]);
});

test("a worker that ends leaves what it counted and takes with it what it had under way", () => {
  const ledger = new Ledger();
  const dead = worker(ledger);
  const web = new ListenerCounters(dead.rows, "web");
  web.connectionsAccepted += 5;
  web.connectionsOpen += 2;
  ledger.sum();
  web.connectionsAccepted += 1;
  ledger.end(dead.region);
  web.connectionsAccepted += 100; // it is dead: its memory is another's by now
  const line = find(ledger, RowKind.listener, "web");
  assert.deepEqual([line?.figures[accepted], line?.figures[open]], [6, 0]);
  const next = new ListenerCounters(worker(ledger).rows, "web");
  next.connectionsAccepted += 1;
  assert.equal(find(ledger, RowKind.listener, "web")?.figures[accepted], 7);
});

test("a row that was given back and not yet looked at when its worker died is counted once", () => {
  const ledger = new Ledger();
  const { rows, region } = worker(ledger);
  const target = new TargetCounters(rows, "app", "10.0.0.1:80");
  target.exchanges += 9;
  target.giveBack();
  ledger.end(region);
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.1:80")?.figures[exchanges], 9);
});

test("a row that has another owner by now counts for that one", () => {
  const ledger = new Ledger();
  const { rows } = worker(ledger);
  const gone = new TargetCounters(rows, "app", "10.0.0.1:80");
  gone.exchanges += 1;
  ledger.sum();
  gone.giveBack();
  ledger.reclaim();
  const next = new TargetCounters(rows, "app", "10.0.0.2:80");
  next.exchanges += 20;
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.1:80")?.figures[exchanges], 1);
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.2:80")?.figures[exchanges], 20);
});

test("a line is forgotten when nobody counts on it and it is not wanted", () => {
  const ledger = new Ledger();
  const { rows } = worker(ledger);
  const gone = new TargetCounters(rows, "app", "10.0.0.1:80");
  const kept = new TargetCounters(rows, "app", "10.0.0.2:80");
  ledger.sum();
  assert.equal(ledger.idle, false);
  gone.giveBack();
  kept.giveBack();
  ledger.reclaim();
  assert.equal(ledger.idle, true);
  ledger.forget(({ labels }) => labels[1] === "10.0.0.2:80");
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.1:80"), undefined);
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.2:80")?.figures[exchanges], 0);
});

test("a worker's own row is told by the worker's place", () => {
  const ledger = new Ledger();
  const { rows } = worker(ledger, 3);
  rows.worker.slots[rows.worker.base + slotOf(RowKind.worker, "cpuSeconds")] = 1.5;
  assert.equal(find(ledger, RowKind.worker, "3")?.figures[slotOf(RowKind.worker, "cpuSeconds")], 1.5);
});

test("what is no count does not spoil the sum", () => {
  const ledger = new Ledger();
  const good = new TargetCounters(worker(ledger).rows, "app", "10.0.0.1:80");
  const wild = worker(ledger);
  const bad = new TargetCounters(wild.rows, "app", "10.0.0.1:80");
  good.exchanges += 5;
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -3]) {
    bad.exchanges = value;
    assert.equal(find(ledger, RowKind.target, "app", "10.0.0.1:80")?.figures[exchanges], 5);
  }
  ledger.end(wild.region);
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.1:80")?.figures[exchanges], 5);
});

test("memory that was scribbled on is noted, and the other workers' figures are right", () => {
  const ledger = new Ledger();
  const { memory, rows } = worker(ledger);
  new TargetCounters(rows, "app", "10.0.0.1:80");
  new TargetCounters(worker(ledger).rows, "app", "10.0.0.9:80").exchanges += 4;
  new Int32Array(memory).fill(-1, 16);
  assert.equal(find(ledger, RowKind.target, "app", "10.0.0.9:80")?.figures[exchanges], 4);
  assert.equal(ledger.damaged, 1);
});

test("totals never go back and never miss one, whatever workers and targets do", (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const ledger = new Ledger();
  type Living = ReturnType<typeof worker> & { targets: Map<string, TargetCounters> };
  const start = (slot: number): Living => ({ ...worker(ledger, slot, 24 * 1024), targets: new Map() });
  const workers = [start(0), start(1), start(2)];
  const expected = new Map<string, number>();
  const before = new Map<string, number>();
  for (let step = 0; step < 20_000; step++) {
    const slot = below(workers.length);
    const one = workers[slot]!;
    const address = `10.0.0.${below(30)}:80`;
    const what = random();
    const target = one.targets.get(address);
    if (what < 0.003) {
      ledger.end(one.region);
      workers[slot] = start(slot);
    } else if (what < 0.1) {
      target?.giveBack();
      one.targets.delete(address);
    } else if (what < 0.2) {
      ledger.reclaim();
    } else if (what < 0.25) {
      let sum = 0;
      for (const { kind, labels, figures } of ledger.sum()) {
        if (kind !== RowKind.target) continue;
        const name = labels[1] ?? "";
        const count = figures[exchanges]!;
        assert(count >= (before.get(name) ?? 0), `${name} went back`);
        before.set(name, count);
        sum += count;
        if (name !== overflowLabel) assert(count <= (expected.get(name) ?? 0), `${name} was counted twice`);
      }
      assert.equal(
        sum,
        [...expected.values()].reduce((all, count) => all + count, 0),
      );
    } else {
      const known = target ?? new TargetCounters(one.rows, "app", address);
      one.targets.set(address, known);
      known.exchanges += 1;
      expected.set(address, (expected.get(address) ?? 0) + 1);
    }
  }
});
