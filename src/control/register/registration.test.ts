import assert from "node:assert/strict";
import { test } from "node:test";
import type { Milliseconds } from "../../core/clock.ts";
import {
  initialRegistration,
  killGrace,
  type RegistrationEffect,
  type RegistrationInput,
  type RegistrationState,
  type Rules,
  type RunEnd,
  removeTimeout,
  stepRegistration,
} from "./registration.ts";

const rules: Rules = { drainTimeout: 30_000, stopTimeout: 10_000, restart: undefined };
const restarting: Rules = { ...rules, restart: { first: 1_000, most: 60_000 } };
const exited = (code: number): RunEnd => ({ code, signal: undefined, signalNumber: 0, error: undefined });
const endedBy = (signal: string, signalNumber: number): RunEnd => ({
  code: undefined,
  signal,
  signalNumber,
  error: undefined,
});

/** A registration whose service, boards and time the test plays. What it did comes as short words. */
function world(own: Rules = rules) {
  let state: RegistrationState = initialRegistration(own);
  let now: Milliseconds = 0;
  const step = (input: RegistrationInput): string[] => {
    const result = stepRegistration(own, state, input, now);
    state = result.state;
    return result.effects.filter(({ type }) => type !== "tell" && type !== "unwatch").map(wordOf);
  };
  return {
    state: () => state,
    now: () => now,
    step,
    begin: () => step({ type: "begin" }),
    judged: (healthy: boolean, run = state.run) => step({ type: "judged", run, healthy, text: "refused" }),
    ended: (end: RunEnd, run = state.run) => step({ type: "ended", run, end }),
    stop: () => step({ type: "stop", signal: "SIGTERM" }),
    settled: () => step({ type: "settled" }),
    ring() {
      assert.notEqual(state.timer, undefined, "a timer is set");
      now = state.timer ?? now;
      return step({ type: "tick" });
    },
    pass(span: Milliseconds) {
      now += span;
    },
  };
}

function wordOf(effect: RegistrationEffect): string {
  switch (effect.type) {
    case "start":
      return `start ${effect.run}`;
    case "signal":
      return effect.signal;
    case "want":
      return effect.wanted;
    case "exit":
      return `exit ${effect.code}`;
    case "unwatch":
    case "tell":
      return effect.type;
    default:
      return effect satisfies never;
  }
}

test("it is put up when its check passes for the first time, and not before", () => {
  const { begin, judged } = world();
  assert.deepEqual(begin(), ["start 1"]);
  assert.deepEqual(judged(false), [], "there is nothing to be taken out of");
  assert.deepEqual(judged(true), ["up"]);
});

test("a check that flaps takes it out and in, and says nothing twice", () => {
  const { begin, judged } = world();
  begin();
  assert.deepEqual([judged(true), judged(true)], [["up"], []]);
  for (let turn = 0; turn < 5; turn++) {
    assert.deepEqual([judged(false), judged(false), judged(true)], [["down"], [], ["up"]]);
  }
});

test("a stop drains, stops when nothing is left, removes, and exits with 0", () => {
  const { begin, judged, stop, settled, ended, state, step } = world();
  begin();
  judged(true);
  assert.deepEqual(stop(), ["drain"]);
  assert.deepEqual(judged(false), [], "its check is of no use any more");
  assert.deepEqual(step({ type: "tick" }), [], "its time is not up");
  assert.deepEqual(settled(), ["SIGTERM"]);
  assert.deepEqual(settled(), [], "the drain is over once");
  assert.deepEqual(ended(endedBy("SIGTERM", 15)), ["out"]);
  assert.deepEqual(settled(), ["exit 0"]);
  assert.equal(state().timer, undefined);
});

test("one that is out because its check fails is drained all the same: it may have work left", () => {
  const { begin, judged, stop } = world();
  begin();
  judged(true);
  judged(false);
  assert.deepEqual(stop(), ["drain"]);
});

test("one that was never up is stopped at once", () => {
  const { begin, stop, ended, settled } = world();
  begin();
  assert.deepEqual(stop(), ["SIGTERM"]);
  assert.deepEqual(ended(exited(0)), []);
  assert.deepEqual(settled(), ["exit 0"]);
});

test("every wait has an end: of the drain, of the service, of the kernel, of the boards; and the exit code tells", () => {
  const { begin, judged, stop, ring, now } = world();
  begin();
  judged(true);
  stop();
  assert.deepEqual([ring(), now()], [["SIGTERM"], rules.drainTimeout]);
  assert.deepEqual([ring(), now()], [["SIGKILL"], rules.drainTimeout + rules.stopTimeout]);
  assert.deepEqual(ring(), ["out"]);
  assert.deepEqual(ring(), ["exit 1"]);
  assert.equal(now(), rules.drainTimeout + rules.stopTimeout + killGrace + removeTimeout);
});

test("work that was left, and a service that had to be killed, make it exit 2", () => {
  const late = world();
  late.begin();
  late.judged(true);
  late.stop();
  late.ring();
  late.ended(exited(0));
  assert.deepEqual(late.settled(), ["exit 2"]);
  const killed = world();
  killed.begin();
  killed.stop();
  killed.ring();
  killed.ended(endedBy("SIGKILL", 9));
  assert.deepEqual(killed.settled(), ["exit 2"]);
  const left = world();
  left.begin();
  left.judged(true);
  left.ended(exited(0));
  assert.deepEqual(left.ring(), ["exit 2"]);
});

test("the service's own code goes before: also after a stop, but for the signal that we sent", () => {
  for (const [end, code] of [
    [exited(3), 3],
    [exited(143), 0],
    [endedBy("SIGTERM", 15), 0],
    [endedBy("SIGSEGV", 11), 139],
  ] as const) {
    const { begin, stop, ended, settled } = world();
    begin();
    stop();
    ended(end);
    assert.deepEqual(settled(), [`exit ${code}`]);
  }
});

test("a second signal hurries in every phase", () => {
  const { begin, judged, stop, ended, state } = world();
  begin();
  judged(true);
  assert.deepEqual(stop(), ["drain"]);
  assert.deepEqual(stop(), ["SIGTERM"]);
  assert.deepEqual(stop(), ["SIGKILL"]);
  assert.deepEqual(stop(), [], "it cannot be killed more than once");
  assert.deepEqual(ended(endedBy("SIGKILL", 9)), ["out"]);
  assert.deepEqual(stop(), ["exit 2"]);
  assert.deepEqual(stop(), []);
  assert.equal(state().phase, "over");
});

test("a service that ends by itself is removed at once and its code passed on", () => {
  const { begin, judged, ended, settled } = world();
  begin();
  judged(true);
  assert.deepEqual(ended(endedBy("SIGKILL", 9)), ["out"]);
  assert.deepEqual(settled(), ["exit 137"]);
});

test("a service that ends while it drains is removed then", () => {
  const { begin, judged, stop, ended, settled } = world();
  begin();
  judged(true);
  stop();
  assert.deepEqual(ended(exited(0)), ["out"]);
  assert.deepEqual(settled(), ["exit 0"]);
});

test("with restart it starts again after ever longer waits, out meanwhile; who ran for long begins anew", () => {
  const { begin, judged, ended, ring, now, pass } = world(restarting);
  begin();
  judged(true);
  assert.deepEqual(ended(exited(1)), ["out"]);
  assert.deepEqual([ring(), now()], [["start 2"], 1_000]);
  assert.deepEqual(judged(true, 1), [], "a verdict on the run before says nothing");
  const waits: number[] = [];
  for (let turn = 0; turn < 8; turn++) {
    const before = now();
    assert.deepEqual(ended(exited(1)), []);
    ring();
    waits.push(now() - before);
  }
  assert.deepEqual(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(judged(true), ["up"]);
  pass(60_000);
  const before = now();
  ended(exited(1));
  ring();
  assert.equal(now() - before, 1_000);
});

test("a stop while a restart is waited for ends it", () => {
  const { begin, ended, stop, settled } = world(restarting);
  begin();
  ended(exited(1));
  assert.deepEqual(stop(), []);
  assert.deepEqual(settled(), ["exit 0"]);
});

test("a command that cannot be started is an error, also with restart; later it may be in the middle of an update", () => {
  const missing: RunEnd = { ...exited(0), code: undefined, error: "ENOENT" };
  const { begin, ended, settled } = world(restarting);
  begin();
  ended(missing);
  assert.deepEqual(settled(), ["exit 1"]);
  const later = world(restarting);
  later.begin();
  later.ended(exited(1));
  later.ring();
  later.ended(missing);
  assert.equal(later.state().phase, "waiting");
});
