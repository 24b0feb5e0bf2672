import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeOutcome } from "../../model/health-check.ts";
import type { ReleaseHealthCheck } from "../../model/release.ts";
import { waitUntilHealthy } from "./health-wait.ts";

/** Probes that take no time and give these verdicts in turn, the last one for good. */
async function play(verdicts: readonly ProbeOutcome["verdict"][], more: Partial<ReleaseHealthCheck> = {}) {
  let now = 0;
  const startedAt: number[] = [];
  const check = {
    probe: { kind: "tcp" },
    port: undefined,
    within: 120_000,
    every: 10_000,
    timeout: 5_000,
    rise: 1,
    ...more,
  } as const;
  const prober = {
    start(_timeout: number, end: (outcome: ProbeOutcome) => void) {
      const verdict = verdicts[Math.min(startedAt.length, verdicts.length - 1)] ?? "failed";
      startedAt.push(now);
      end({ verdict, code: "x", text: `probe ${startedAt.length} ${verdict}` });
    },
    close() {},
  };
  const sleep = (time: number) => {
    now += time;
    return Promise.resolve();
  };
  const outcome = await waitUntilHealthy({
    check,
    prober,
    clock: () => now,
    sleep,
    signal: new AbortController().signal,
  });
  return { outcome, startedAt };
}

test("one that is well at once is not asked again", async () => {
  const { outcome, startedAt } = await play(["passed"]);
  assert.deepEqual(outcome, { type: "done", note: "probe 1 passed" });
  assert.deepEqual(startedAt, [0]);
});

test("it is asked every 10 s for up to 120 s, and the last answer is told", async () => {
  const { outcome, startedAt } = await play(["failed"]);
  assert.equal(startedAt.length, 12);
  assert.equal(startedAt.at(-1), 110_000);
  assert.ok(outcome.type === "failed" && outcome.code === "release.unhealthy");
  assert.match(outcome.detail, /not healthy within 120 s \(12 probes\); the last: probe 12 failed/);
});

test("so many passed probes in a row are wanted; one that could not be made says nothing", async () => {
  const { outcome, startedAt } = await play(["passed", "failed", "passed", "unable", "passed"], { rise: 2 });
  assert.equal(outcome.type, "done");
  assert.equal(startedAt.length, 5);
});
