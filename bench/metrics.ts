// What metrics cost the supervisor: one scrape of a node with many targets, each of which has answered on one route in each of
// several workers. `node bench/metrics.ts [targets] [workers]`. The median of some rounds; the longest piece is how long
// others of the supervisor wait at most while the text is written.

import { metricsPieces } from "../src/admin/metrics.ts";
import { collectMetrics } from "../src/control/metrics/collect.ts";
import { Ledger, LedgerRegion } from "../src/control/metrics/ledger.ts";
import { metricsParts, testConfig, testPool, testTarget } from "../src/control/metrics/test-metrics.ts";
import { createSharedMemory } from "../src/io/shared-memory.ts";
import { TargetCounters } from "../src/state/counters.ts";
import { regionBytesMax } from "../src/state/slot-layout.ts";
import { RouteCounters } from "../src/state/slot-routes.ts";
import { formatRegion, SlotRows } from "../src/state/slot-rows.ts";

const [targetCount = 10_000, workerCount = 4] = process.argv.slice(2).map(Number);
const rounds = 9;

const addresses = Array.from(
  { length: targetCount },
  (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:8080`,
);
const ledger = new Ledger();
let rowBytes = 0;
for (let slot = 0; slot < workerCount; slot++) {
  const made = createSharedMemory("evenkeel-bench", regionBytesMax);
  if (!made.ok) throw new Error(made.failure.detail);
  const { memory } = made.value;
  formatRegion(memory);
  ledger.add(new LedgerRegion(memory, slot));
  const rows = new SlotRows(memory, { shared: true });
  const route = new RouteCounters(rows, "http", { listener: "web", route: "web[0]" });
  for (const [index, address] of addresses.entries()) {
    const target = new TargetCounters(rows, "app", address);
    for (let count = 0; count < 3; count++) {
      route.begin();
      target.exchanges += 1;
      target.bytesFromTarget += 1_000 + index;
      target.countAnswer(index % 700);
      target.countClass(2);
      route.end(target, "app", 2, index % 700);
    }
  }
  rowBytes = rows.used().length;
}
const config = {
  ...testConfig,
  pools: [
    testPool(
      "app",
      addresses.map((address) => testTarget(address)),
    ),
  ],
};

function median(times: readonly number[]): string {
  return ([...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0).toFixed(1);
}

function time<T>(times: number[], work: () => T): T {
  const start = performance.now();
  const result = work();
  times.push(performance.now() - start);
  return result;
}

const sums: number[] = [];
const collects: number[] = [];
const texts: number[] = [];
const reclaims: number[] = [];
let longest = 0;
let length = 0;
let lines = 0;
for (let round = 0; round < rounds; round++) {
  const counted = [...time(sums, () => ledger.sum())];
  const metrics = time(collects, () => collectMetrics(metricsParts({ config, counted })));
  const pieces = metricsPieces(metrics);
  let whole = 0;
  longest = 0;
  length = 0;
  lines = 0;
  for (;;) {
    const piece: number[] = [];
    const next = time(piece, () => pieces.next());
    whole += piece[0] ?? 0;
    longest = Math.max(longest, piece[0] ?? 0);
    if (next.done === true) break;
    length += Buffer.byteLength(next.value);
    lines += next.value.split("\n").length - 1;
  }
  texts.push(whole);
  time(reclaims, () => ledger.reclaim());
}
console.log(`${targetCount} targets, ${workerCount} workers, ${rowBytes} bytes of rows a worker`);
console.log(`sum of all rows         ${median(sums)} ms (first ${(sums[0] ?? 0).toFixed(1)} ms)`);
console.log(`collect                 ${median(collects)} ms`);
console.log(
  `text                    ${median(texts)} ms, ${lines} lines, ${length} bytes, longest piece ${longest.toFixed(1)} ms`,
);
console.log(`reclaim, each 5 s       ${median(reclaims)} ms`);
