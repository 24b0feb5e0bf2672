// The passive judge with virtual time. What it shares with nginx is also compared with real nginx, in test/oracles/.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  abandoned,
  admits,
  begun,
  cleared,
  isOut,
  noTrial,
  type PassiveConfig,
  passiveState,
  reportFailure,
  reportSuccess,
  type Trial,
  trialTimeMax,
  verdict,
} from "./passive.ts";

const config: PassiveConfig = { maxFails: 3, failTimeout: 10_000, onlyTarget: false };
const strict: PassiveConfig = { ...config, maxFails: 1 };

/** One exchange that fails at once. */
function fail(state: ReturnType<typeof passiveState>, rule: PassiveConfig, nowMs: number) {
  begun(state, rule, nowMs);
  return reportFailure(state, rule, nowMs);
}

function succeed(state: ReturnType<typeof passiveState>, rule: PassiveConfig, nowMs: number) {
  return reportSuccess(state, rule, begun(state, rule, nowMs));
}

for (const start of [0, 1, 9_999, 1_000_000]) {
  describe(`with a clock that begins at ${start}`, () => {
    test("a target is healthy until maxFails failures, then out for failTimeout, then on probation", () => {
      const state = passiveState();
      assert.equal(fail(state, config, start), "none");
      assert.equal(fail(state, config, start + 1), "none");
      assert.ok(admits(state, config, start + 1));
      assert.deepEqual(verdict(state, config, start + 1), { kind: "healthy" });
      assert.equal(fail(state, config, start + 2), "out");
      assert.ok(!admits(state, config, start + 2));
      const code = "target.passive.maxFails";
      assert.deepEqual(verdict(state, config, start + 2), { kind: "unhealthy", code, fails: 3, outForMs: 10_000 });
      assert.ok(!admits(state, config, start + 10_001));
      assert.deepEqual(verdict(state, config, start + 10_001), { kind: "unhealthy", code, fails: 3, outForMs: 1 });
      assert.ok(admits(state, config, start + 10_002));
      const probation = { kind: "probation", code: "target.passive.probation", trialUnderWay: false };
      assert.deepEqual(verdict(state, config, start + 10_002), probation);
    });

    test("exactly one exchange tries a target on probation, and its success makes it healthy", () => {
      const state = passiveState();
      fail(state, strict, start);
      const trial = begun(state, strict, start + 10_000);
      assert.notEqual(trial, noTrial);
      assert.ok(!admits(state, strict, start + 10_000));
      assert.ok(!admits(state, strict, start + 60_000));
      assert.equal(verdict(state, strict, start + 60_000).kind, "probation");
      assert.equal(reportSuccess(state, strict, trial), "healthy");
      assert.ok(admits(state, strict, start + 60_000));
      assert.equal(begun(state, strict, start + 60_000), noTrial);
    });

    test("a trial that fails takes it out for failTimeout again", () => {
      const state = passiveState();
      fail(state, strict, start);
      begun(state, strict, start + 12_000);
      assert.equal(reportFailure(state, strict, start + 15_000), "out");
      assert.ok(!admits(state, strict, start + 24_999));
      assert.ok(admits(state, strict, start + 25_000));
    });

    test("a trial that ends without an outcome is free for the next exchange", () => {
      const state = passiveState();
      fail(state, strict, start);
      const trial = begun(state, strict, start + 10_000);
      abandoned(state, trial);
      assert.ok(admits(state, strict, start + 10_000));
      const second = begun(state, strict, start + 10_001);
      assert.notEqual(second, trial);
      abandoned(state, trial);
      assert.ok(!admits(state, strict, start + 10_001), "only the trial under way can be given back");
    });
  });
}

test("as in nginx a success clears the failures only when it began more than failTimeout after the last of them", () => {
  const state = passiveState();
  fail(state, config, 0);
  succeed(state, config, 5_000);
  succeed(state, config, 10_000);
  fail(state, config, 10_000);
  assert.equal(fail(state, config, 10_001), "out", "the success at 10,000 hid nothing");

  const rested = passiveState();
  fail(rested, config, 0);
  fail(rested, config, 1);
  succeed(rested, config, 10_002);
  fail(rested, config, 10_003);
  assert.equal(fail(rested, config, 10_004), "none", "the success at 10,002 cleared two");
  assert.equal(fail(rested, config, 10_005), "out");
});

test("as in nginx failures far apart add up when no success came between them", () => {
  const state = passiveState();
  fail(state, config, 0);
  fail(state, config, 100_000);
  assert.equal(fail(state, config, 200_000), "out");
});

test("maxFails 0 never takes a target out", () => {
  const state = passiveState();
  const never = { ...config, maxFails: 0 };
  for (let nowMs = 0; nowMs < 100; nowMs++) assert.equal(fail(state, never, nowMs), "none");
  assert.ok(admits(state, never, 100));
});

test("the only target of a pool is never taken out, and is back at once when it becomes the only one", () => {
  const state = passiveState();
  const alone = { ...config, onlyTarget: true };
  for (let nowMs = 0; nowMs < 100; nowMs++) assert.equal(fail(state, alone, nowMs), "none");
  assert.ok(admits(state, alone, 100));
  assert.ok(admits(state, config, 100), "what it did alone is not held against it later");

  for (let nowMs = 0; nowMs < 3; nowMs++) fail(state, config, nowMs);
  assert.ok(!admits(state, config, 3));
  assert.ok(admits(state, alone, 3));
});

test("a configuration with a higher maxFails lets the target back at once", () => {
  const state = passiveState();
  for (let nowMs = 0; nowMs < 3; nowMs++) fail(state, config, nowMs);
  assert.ok(!admits(state, config, 3));
  assert.ok(admits(state, { ...config, maxFails: 4 }, 3));
});

test("exchanges begun before the target was taken out: a success changes nothing, a failure begins the time out anew", () => {
  const state = passiveState();
  const early = [begun(state, strict, 0), begun(state, strict, 0), begun(state, strict, 0)];
  reportFailure(state, strict, 100);
  assert.equal(reportSuccess(state, strict, early[1]!), "none");
  assert.ok(!admits(state, strict, 10_099));
  assert.equal(reportFailure(state, strict, 5_000), "none", "it was out already");
  assert.ok(!admits(state, strict, 14_999));
  assert.ok(admits(state, strict, 15_000));
});

test("a failure that overtakes a trial makes the trial worthless: its success heals nothing, its end frees nothing", () => {
  const state = passiveState();
  fail(state, strict, 0);
  const trial = begun(state, strict, 10_000);
  assert.equal(reportFailure(state, strict, 10_500), "out");
  assert.equal(reportSuccess(state, strict, trial), "none");
  assert.ok(!admits(state, strict, 20_499));
  const second = begun(state, strict, 20_500);
  abandoned(state, trial);
  assert.ok(!admits(state, strict, 20_500));
  assert.equal(reportSuccess(state, strict, second), "healthy");
});

test("a failure on probation before anyone has tried is news: the target is out again", () => {
  const state = passiveState();
  fail(state, strict, 0);
  assert.ok(admits(state, strict, 10_000));
  assert.equal(reportFailure(state, strict, 10_000), "out");
  assert.ok(!admits(state, strict, 19_999));
});

test("a trial that nobody ends counts as lost after trialTimeMax, and its late success still heals", () => {
  const state = passiveState();
  fail(state, strict, 0);
  const lost = begun(state, strict, 10_000);
  assert.ok(!admits(state, strict, 10_000 + trialTimeMax - 1));
  assert.ok(admits(state, strict, 10_000 + trialTimeMax));
  begun(state, strict, 10_000 + trialTimeMax);
  assert.ok(!admits(state, strict, 10_000 + trialTimeMax));
  assert.equal(reportSuccess(state, strict, lost), "healthy");
});

const anyEvent = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("begin" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom("failure", "success", "abandon", "forget"), which: fc.nat() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("otherWorker" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.oneof(fc.nat(50), fc.nat(20_000)) }) },
);

test("whatever happens, one trial at a time, and no target stays out for ever", (t) => {
  const seed = Number(process.env["EVENKEEL_SEED"]) || 1 + Math.floor(Math.random() * 0x7ffffffe);
  t.diagnostic(`seed ${seed}`);
  const property = fc.property(fc.nat(4), fc.array(anyEvent, { maxLength: 150, size: "max" }), (maxFails, events) => {
    const rule = { ...config, maxFails };
    const state = passiveState();
    const underWay: { trial: Trial; sinceMs: number }[] = [];
    let nowMs = 0;
    for (const event of events) {
      if (event.kind === "time") nowMs += event.ms;
      if (event.kind === "otherWorker") reportFailure(state, rule, nowMs);
      if (event.kind === "begin" && admits(state, rule, nowMs)) {
        underWay.push({ trial: begun(state, rule, nowMs), sinceMs: nowMs });
      }
      if (!("which" in event) || underWay.length === 0) continue;
      const [exchange] = underWay.splice(event.which % underWay.length, 1);
      if (event.kind === "failure") reportFailure(state, rule, nowMs);
      if (event.kind === "success") reportSuccess(state, rule, exchange!.trial);
      if (event.kind === "abandon") abandoned(state, exchange!.trial);
      // Of "forget" nobody hears: the caller's mistake that must not cost us the target.
      const live = underWay.filter(({ trial, sinceMs }) => trial > state.trialsVoid && nowMs - sinceMs < trialTimeMax);
      assert.ok(live.length <= 1, `${live.length} trials at a time`);
      const judged = verdict(state, rule, nowMs);
      const free = judged.kind === "healthy" || (judged.kind === "probation" && !judged.trialUnderWay);
      assert.equal(admits(state, rule, nowMs), free);
    }
    // Every exchange that is left ends without an outcome, but for the forgotten ones; then time passes.
    for (const exchange of underWay) abandoned(state, exchange.trial);
    nowMs += rule.failTimeout + trialTimeMax;
    assert.ok(admits(state, rule, nowMs), "out for ever");
    reportSuccess(state, rule, begun(state, rule, nowMs));
    assert.deepEqual(verdict(state, rule, nowMs), { kind: "healthy" });
  });
  fc.assert(property, { seed, numRuns: 500 });
});

test("when every exchange is ended properly, a target is tried again failTimeout after its last failure", (t) => {
  const seed = Number(process.env["EVENKEEL_SEED"]) || 1 + Math.floor(Math.random() * 0x7ffffffe);
  t.diagnostic(`seed ${seed}`);
  const outcomes = fc.array(fc.constantFrom("failure", "success", "abandon"), { maxLength: 60 });
  const property = fc.property(outcomes, fc.integer({ min: 1, max: 4 }), (all, maxFails) => {
    const rule = { ...config, maxFails };
    const state = passiveState();
    let nowMs = 0;
    for (const outcome of all) {
      if (!admits(state, rule, nowMs)) nowMs += rule.failTimeout;
      assert.ok(admits(state, rule, nowMs));
      const trial = begun(state, rule, nowMs);
      nowMs += 7;
      if (outcome === "failure") reportFailure(state, rule, nowMs);
      if (outcome === "success") reportSuccess(state, rule, trial);
      if (outcome === "abandon") abandoned(state, trial);
    }
    assert.ok(admits(state, rule, nowMs + rule.failTimeout));
  });
  fc.assert(property, { seed, numRuns: 300 });
});

test("once cleared by somebody else it is in at once, and a trial of before proves nothing any more", () => {
  const state = passiveState();
  reportFailure(state, strict, 0);
  const trial = begun(state, strict, 10_000);
  cleared(state);
  assert.equal(isOut(state, strict), false);
  assert.equal(admits(state, strict, 10_001), true);
  reportFailure(state, strict, 10_002);
  reportSuccess(state, strict, trial);
  assert.equal(isOut(state, strict), true);
});
