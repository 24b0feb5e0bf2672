import assert from "node:assert/strict";
import { test } from "node:test";
import type { TargetWork } from "../admin/target-view.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { describeWork, drainLookInterval, watchDrain } from "./drain-watch.ts";

function work(exchanges: number, more: Partial<TargetWork> = {}): TargetWork {
  return { exchanges, tunnels: 0, flows: 0, silentWorkers: 0, ...more };
}

/** Each look finds the next, the last one again and again; time passes by waiting alone. */
async function watch(seen: readonly (TargetWork | undefined)[], timeout: number) {
  let [now, looks] = [0, 0];
  const told: string[] = [];
  const ended = await watchDrain(
    {
      look: () => Promise.resolve(good(seen[Math.min(looks++, seen.length - 1)])),
      tell: (left) => told.push(describeWork(left)),
      wait: (time) => {
        now += time;
        return Promise.resolve();
      },
      clock: () => now,
    },
    timeout,
  );
  return { end: ended.ok ? ended.value : ended.failure.code, told, now };
}

test("it ends when nothing is left, and tells only what has changed", async () => {
  const { end, told, now } = await watch([work(2), work(2), work(1, { tunnels: 1 }), work(0)], 60_000);
  assert.deepEqual([end, now], ["empty", 3 * drainLookInterval]);
  assert.deepEqual(told, [
    "2 exchanges, 0 tunnels, 0 flows left",
    "1 exchange, 1 tunnel, 0 flows left",
    "0 exchanges, 0 tunnels, 0 flows left",
  ]);
});

test("a worker that keeps silent may have work: it is waited for", async () => {
  const { end, told } = await watch([work(0, { silentWorkers: 1 }), work(0)], 60_000);
  assert.equal(end, "empty");
  assert.equal(told[0], "0 exchanges, 0 tunnels, 0 flows left, and 1 worker did not answer");
});

test("at its deadline it looks once more and is late; 0 is no deadline", async () => {
  const late = await watch([work(1)], 1_200);
  assert.deepEqual([late.end, late.now], ["late", 1_200]);
  const last = await watch([work(1), work(1), work(1), work(0)], 1_200);
  assert.deepEqual([last.end, last.now], ["empty", 1_200]);
  const patient = await watch([...Array.from({ length: 1_000 }, () => work(1)), work(0)], 0);
  assert.equal(patient.end, "empty");
});

test("a target that somebody removed is gone, and a failure to look is told at once", async () => {
  assert.equal((await watch([work(1), undefined], 60_000)).end, "gone");
  const failure: Result<TargetWork | undefined> = bad({
    code: "admin.unreachable",
    origin: "self",
    retrySafe: true,
    detail: "no",
  });
  const ended = await watchDrain(
    { look: () => Promise.resolve(failure), tell: () => {}, wait: () => Promise.resolve(), clock: () => 0 },
    1_000,
  );
  assert.deepEqual(ended, failure);
});
