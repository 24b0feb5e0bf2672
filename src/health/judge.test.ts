import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import type { HealthCheck, ProbeOutcome } from "../model/health-check.ts";
import {
  answer,
  intervalOf,
  type JudgeState,
  judgeState,
  takePassive,
  takeProbe,
  takeReport,
  takesWork,
} from "./judge.ts";

const check: HealthCheck = {
  probe: { kind: "tcp" },
  port: undefined,
  interval: 1_000,
  fastInterval: 200,
  jitterPercent: 10,
  timeout: 500,
  rise: 2,
  fall: 3,
  initial: "healthy",
};
const passed: ProbeOutcome = { verdict: "passed", code: "probe.passed", text: "status 200" };
const failed: ProbeOutcome = { verdict: "failed", code: "probe.connect.refused", text: "connection refused" };
const unable: ProbeOutcome = { verdict: "unable", code: "probe.self.EMFILE", text: "no descriptors" };
const outcomes = { p: passed, f: failed, u: unable };

/** Feeds outcomes one a second from `from` on; what changed, as `h` and `u` at their place. */
function feed(state: JudgeState, word: string, from = 0, of = check): string {
  return [...word]
    .map((letter, index) => {
      const change = takeProbe(state, of, outcomes[letter as keyof typeof outcomes], from + index * 1_000);
      return change === undefined ? "." : change.to === "healthy" ? "h" : "u";
    })
    .join("");
}

test("rise passed probes in a row make it healthy and fall failed ones unhealthy, each told once", () => {
  const state = judgeState(check, undefined, 0);
  assert.equal(feed(state, "pppfffffppp"), ".h...u...h.");
});

test("a streak that breaks begins anew", () => {
  const state = judgeState(check, undefined, 0);
  assert.equal(feed(state, "ppffpffpfff"), ".h........u");
  assert.equal(feed(state, "pfpfpfpp"), ".......h");
});

test("a probe that we were unable to make neither counts nor breaks a streak", () => {
  const state = judgeState(check, undefined, 0);
  assert.equal(feed(state, "ppfufuuf"), ".h.....u");
  assert.deepEqual([state.probes, state.probesFailed, state.probesUnable], [8, 3, 3]);
  assert.equal(feed(state, "pup"), "..h");
});

test("until its probes have decided, a new target takes work as `initial` says", () => {
  const trusted = judgeState(check, undefined, 0);
  assert.deepEqual([takesWork(trusted), answer(trusted).health], [true, "unknown"]);
  const doubted = judgeState({ ...check, initial: "unhealthy" }, undefined, 7);
  assert.equal(takesWork(doubted), false);
  assert.deepEqual(answer(doubted), {
    health: "unhealthy",
    by: "initial",
    sinceMs: 7,
    code: "target.health.initial",
    text: "new, and its check says `initial: unhealthy`",
  });
  assert.equal(feed(doubted, "pp"), ".h");
  assert.equal(takesWork(doubted), true);
});

test("the answer names who, when and why, and outlives later failures with other words", () => {
  const state = judgeState(check, undefined, 0);
  feed(state, "ppfff", 10_000);
  const since = { health: "unhealthy", by: "probes", sinceMs: 14_000 };
  assert.deepEqual(answer(state), { ...since, code: failed.code, text: failed.text });
  takeProbe(state, check, { ...failed, code: "probe.timeout", text: "silent" }, 20_000);
  assert.deepEqual(answer(state), { ...since, code: failed.code, text: failed.text });
  assert.equal(state.last?.outcome.text, "silent");
});

test("a target whose check has changed takes work as before until the new check has decided", () => {
  const out = judgeState(check, undefined, 0);
  feed(out, "fff");
  const other = { ...check, initial: "healthy" as const, rise: 1 };
  const next = judgeState(other, out, 5_000);
  assert.equal(takesWork(next), false);
  assert.deepEqual([answer(next).by, answer(next).code], ["probes", failed.code]);
  assert.equal(feed(next, "p", 6_000, other), "h");

  const inUse = judgeState(check, undefined, 0);
  feed(inUse, "pp");
  const doubting = judgeState({ ...check, initial: "unhealthy" }, inUse, 5_000);
  assert.equal(takesWork(doubting), true, "a reload is no reason to take every target out");
  assert.equal(takesWork(judgeState(undefined, out, 5_000)), true, "without a check only live traffic tells");
});

test("the interval is the fast one unless it is healthy and the last probes passed", () => {
  const state = judgeState(check, undefined, 0);
  const seen = [...".ppfpfffpp"].map((letter) => {
    if (letter !== ".") feed(state, letter);
    return intervalOf(state, check) === check.interval ? "s" : "f";
  });
  assert.equal(seen.join(""), "ffsfsffffs");
});

test("live traffic's word is its own part: the first worker that has it out tells, the last that lets it in tells", () => {
  const state = judgeState(undefined, undefined, 0);
  takeReport(state, 1, "target.connect.refused", 100);
  assert.deepEqual(takePassive(state, 1, true, 100), { part: "reports", to: "unhealthy" });
  assert.equal(takePassive(state, 0, true, 101), undefined);
  const told = answer(state);
  assert.deepEqual(
    [told.health, told.by, told.sinceMs, told.code],
    ["unhealthy", "reports", 100, "target.connect.refused"],
  );
  assert.match(told.text ?? "", /out in 2 workers/);
  assert.equal(takesWork(state), true, "the workers' judges speak for themselves");
  assert.equal(takePassive(state, 1, false, 200), undefined);
  assert.deepEqual(takePassive(state, 0, false, 300), { part: "reports", to: "healthy" });
  assert.equal(answer(state).by, undefined);
});

test("when both have it out, whoever was first is named", () => {
  const state = judgeState(check, undefined, 0);
  feed(state, "pp");
  takePassive(state, 0, true, 5_000);
  feed(state, "fff", 6_000);
  assert.deepEqual([answer(state).by, answer(state).sinceMs], ["reports", 5_000]);
  takePassive(state, 0, false, 9_000);
  assert.deepEqual([answer(state).by, answer(state).sinceMs], ["probes", 8_000]);
  takePassive(state, 0, true, 10_000);
  assert.equal(answer(state).by, "probes");
});

test("whatever comes, it is healthy after rise and unhealthy after fall in a row, by a count made apart", () => {
  const seed = Date.now() >>> 0;
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round++) {
    const of = { ...check, rise: 1 + Math.floor(random() * 4), fall: 1 + Math.floor(random() * 4) };
    const state = judgeState(of, undefined, 0);
    const bias = random();
    let standing: string = "undecided";
    let streak = "";
    for (let n = 0; n < 60; n++) {
      const letter = random() < 0.1 ? "u" : random() < bias ? "p" : "f";
      feed(state, letter, n * 1_000, of);
      if (letter !== "u") streak = streak.endsWith(letter) ? streak + letter : letter;
      if (streak.startsWith("p") && streak.length >= of.rise) standing = "healthy";
      if (streak.startsWith("f") && streak.length >= of.fall) standing = "unhealthy";
      assert.equal(state.standing, standing, `round ${round}, probe ${n}`);
    }
  }
});
