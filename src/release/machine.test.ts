import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReleaseState, ReleaseStep } from "../model/release.ts";
import { type GateAsked, judgePause } from "./gate.ts";
import {
  guardCode,
  initialRelease,
  nextStep,
  type ReleaseEffect,
  type ReleaseRules,
  type StepOutcome,
  settleInterrupted,
  stepRelease,
  turnBack,
} from "./machine.ts";

const rules: ReleaseRules = {
  steps: {
    forward: ["guard", "out", "drained", "stop", "deploy", "start", "healthy", "in", "eligible"],
    back: ["guard", "out", "drained", "stop", "rollback", "start", "healthy", "in", "eligible"],
    abort: ["in"],
  },
};

/** Drives a machine as the driver does; what each step gives, a script says. */
class Play {
  state: ReleaseState;
  readonly log: string[] = [];
  /** By `step address`; well by default. */
  readonly script: Record<string, StepOutcome | "hang"> = {};
  gate: "goOn" | "pause" | "rollback" = "goOn";
  now = 1_000;

  constructor(state: ReleaseState) {
    this.state = state;
  }

  /** Until nothing is left to do, or everything hangs. */
  run(): this {
    const todo: ReleaseEffect[] = [];
    this.#step({ type: "go" }, todo);
    for (let effect = todo.shift(); effect !== undefined; effect = todo.shift()) {
      if (effect.type === "perform") this.#perform(effect.address, effect.step, todo);
      else if (effect.type === "gate") this.#judge(todo);
      else if (effect.type === "tell")
        this.log.push(`${effect.event.type}${effect.event.target === undefined ? "" : ` ${effect.event.target}`}`);
    }
    return this;
  }

  performed(): readonly string[] {
    return this.log.filter((line) => line.startsWith("> ")).map((line) => line.slice(2));
  }

  #perform(address: string, step: ReleaseStep, todo: ReleaseEffect[]): void {
    this.log.push(`> ${step} ${address}`);
    const outcome = this.script[`${step} ${address}`] ?? {
      type: "done",
      ...(step === "guard" ? { before: { lb: "" } } : {}),
    };
    if (outcome === "hang") return;
    this.#step({ type: "ended", address, outcome }, todo);
    this.#step({ type: "go" }, todo);
  }

  #judge(todo: ReleaseEffect[]): void {
    const verdict = {
      goOn: { type: "goOn" },
      pause: { type: "pause", why: "the operator wants to look" },
      rollback: { type: "abort", why: "too many errors", next: "rollback" },
    } as const;
    this.#step({ type: "gate", verdict: verdict[this.gate] }, todo);
    this.gate = "goOn";
    this.#step({ type: "go" }, todo);
  }

  #step(input: Parameters<typeof stepRelease>[2], todo: ReleaseEffect[]): void {
    const before = this.state;
    const { state, effects } = stepRelease(rules, before, input, this.now++);
    this.state = state;
    todo.push(...effects);
    if (state !== before && input.type === "go" && effects.every(({ type }) => type === "tell")) {
      this.#step({ type: "go" }, todo);
    }
  }
}

const forward = (address: string) => rules.steps.forward.map((step) => `${step} ${address}`);
const back = (address: string) => rules.steps.back.map((step) => `${step} ${address}`);
const bad: StepOutcome = { type: "failed", code: "x", detail: "no" };

test("targets have their turns one after the other, each with all its steps", () => {
  const play = new Play(initialRelease([["a"], ["b"]])).run();
  assert.deepEqual(play.performed(), [...forward("a"), ...forward("b")]);
  assert.equal(play.state.phase, "done");
  assert.equal(play.log.at(-1), "release.done");
});

test("targets of one batch have their turns at the same time", () => {
  const play = new Play(initialRelease([["a", "b"], ["c"]])).run();
  assert.deepEqual(play.performed().slice(0, 4), ["guard a", "guard b", "out a", "out b"]);
  assert.equal(play.performed().indexOf("guard c"), 18);
});

test("after a failed step the others of the batch come back, nobody else is taken out", () => {
  const play = new Play(initialRelease([["a", "b"], ["c"]]));
  play.script["deploy a"] = bad;
  play.run();
  assert.equal(play.state.phase, "failed");
  assert.equal(play.state.why, "deploy of a failed: no");
  assert.ok(play.performed().includes("eligible b"));
  assert.ok(!play.performed().some((line) => line.endsWith(" c") || line === "start a"));
});

test("a batch mate that has not been taken out when a step fails stays in", () => {
  const play = new Play(initialRelease([["a", "b"]]));
  play.script["guard a"] = bad;
  play.run();
  // b asked at the same time and was let out by its guard, but not taken out yet.
  assert.deepEqual(play.performed(), ["guard a", "guard b"]);
  assert.equal(play.state.phase, "failed");
});

test("what the guard refuses stands, and goes on with resume", () => {
  const play = new Play(initialRelease([["a"], ["b"]]));
  play.script["guard b"] = { type: "refused", detail: "too few" };
  play.run();
  assert.equal(play.state.phase, "paused");
  assert.equal(play.state.targets[1]?.failure?.code, guardCode);
  const again = new Play(turnBack(play.state, { type: "resume", passGate: false })).run();
  assert.deepEqual(again.performed(), forward("b"));
  assert.equal(again.state.phase, "done");
});

test("a resumed release never begins a finished step again, and the unfinished one a second time", () => {
  for (const step of rules.steps.forward) {
    const play = new Play(initialRelease([["a"]]));
    play.script[`${step} a`] = "hang";
    play.run();
    const again = new Play(turnBack(play.state, { type: "resume", passGate: false })).run();
    const from = rules.steps.forward.indexOf(step === "out" ? "guard" : step);
    assert.deepEqual(again.performed(), forward("a").slice(from), step);
    const done = again.state.targets[0]?.done.find((one) => one.step === step);
    assert.equal(done?.attempts, 2, step);
    assert.deepEqual(again.state.targets[0]?.before, { lb: "" });
  }
});

test("a failed step is tried again with resume, with its attempts counted on", () => {
  const play = new Play(initialRelease([["a"]]));
  play.script["healthy a"] = bad;
  play.run();
  const second = new Play(turnBack(play.state, { type: "resume", passGate: false }));
  second.script["healthy a"] = bad;
  second.run();
  assert.equal(second.state.targets[0]?.failure?.attempt, 2);
  const third = new Play(turnBack(second.state, { type: "resume", passGate: false })).run();
  assert.deepEqual(third.performed(), ["healthy a", "in a", "eligible a"]);
});

test("what an intent was before is what the first guard saw, not what our own drain made of it", () => {
  const play = new Play(initialRelease([["a"]]));
  play.script["out a"] = "hang";
  play.run();
  const again = new Play(turnBack(play.state, { type: "resume", passGate: false }));
  again.script["guard a"] = { type: "done", before: { lb: "drain" } };
  again.run();
  assert.deepEqual(again.state.targets[0]?.before, { lb: "" });
});

test("rollback goes back over what was touched, the last one first, and spares what was only taken out", () => {
  const play = new Play(initialRelease([["a"], ["b"], ["c"], ["d"]]));
  play.script["drained c"] = bad;
  play.run();
  const again = new Play(turnBack(play.state, { type: "rollback" })).run();
  assert.deepEqual(again.performed(), ["in c", "eligible c", ...back("b"), ...back("a")]);
  assert.equal(again.state.phase, "rolledBack");
});

test("a rollback that was killed goes on where it was, asked by either word", () => {
  for (const type of ["resume", "rollback"] as const) {
    const play = new Play(initialRelease([["a"], ["b"]]));
    play.script["start b"] = bad;
    play.run();
    const turned = new Play(turnBack(play.state, { type: "rollback" }));
    turned.script["rollback a"] = "hang";
    turned.run();
    const again = type === "resume" ? ({ type, passGate: false } as const) : ({ type } as const);
    const last = new Play(turnBack(turned.state, again)).run();
    assert.deepEqual(last.performed(), back("a").slice(4));
    assert.equal(last.state.phase, "rolledBack");
  }
});

test("abort puts the intents of those back that are out, and runs nothing", () => {
  const play = new Play(initialRelease([["a"], ["b"], ["c"]]));
  play.script["deploy b"] = bad;
  play.run();
  const again = new Play(turnBack(play.state, { type: "abort" })).run();
  assert.deepEqual(again.performed(), ["in b"]);
  assert.equal(again.state.phase, "aborted");
  assert.equal(turnBack(again.state, { type: "resume", passGate: true }), again.state);
});

test("a gate that pauses is passed by resume, and asked again when the release was killed", () => {
  const play = new Play(initialRelease([["a"], ["b"]]));
  play.gate = "pause";
  play.run();
  assert.equal(play.state.phase, "paused");
  const passed = new Play(turnBack(play.state, { type: "resume", passGate: true })).run();
  assert.deepEqual(passed.performed(), forward("b"));
  const asked = new Play(turnBack(play.state, { type: "resume", passGate: false }));
  asked.gate = "pause";
  asked.run();
  assert.equal(asked.state.phase, "paused");
  assert.deepEqual(asked.performed(), []);
});

test("a gate that aborts turns the release back by itself", () => {
  const play = new Play(initialRelease([["a"], ["b"]]));
  play.gate = "rollback";
  play.run();
  assert.deepEqual(play.performed(), [...forward("a"), ...back("a")]);
  assert.equal(play.state.phase, "rolledBack");
});

test("asked to stop it takes nobody else out, and those who are out come back first", () => {
  let state = initialRelease([["a"], ["b"]]);
  ({ state } = stepRelease(rules, state, { type: "go" }, 1));
  ({ state } = stepRelease(rules, state, { type: "ended", address: "a", outcome: { type: "done", before: {} } }, 2));
  ({ state } = stepRelease(rules, state, { type: "go" }, 3));
  ({ state } = stepRelease(rules, state, { type: "ended", address: "a", outcome: { type: "done" } }, 4));
  ({ state } = stepRelease(rules, state, { type: "stop", why: "stopped by SIGINT" }, 5));
  const play = new Play(state).run();
  assert.deepEqual(play.performed(), forward("a").slice(2));
  assert.equal(play.state.phase, "paused");
  assert.equal(play.state.why, "stopped by SIGINT");
  const again = new Play(turnBack(play.state, { type: "resume", passGate: false })).run();
  assert.deepEqual(again.performed(), forward("b"));
});

test("a command that the operator takes for done is not run again", () => {
  const play = new Play(initialRelease([["a"]]));
  play.script["deploy a"] = "hang";
  play.run();
  const settled = settleInterrupted(play.state, 9_000);
  const turn = settled.targets[0];
  assert.ok(turn !== undefined);
  assert.equal(nextStep(rules, "forward", turn), "start");
});

test("a pause waits what is left of it, and nobody waits on the way back", () => {
  const state = initialRelease([["a"], ["b"]]);
  const gate = { batch: 0, sinceMs: 10_000, untilMs: undefined, why: "" };
  const asked: GateAsked = { gate, state, nowMs: 12_000 };
  const time = { kind: "time", time: 30_000 } as const;
  const verdict = judgePause(time, asked);
  assert.equal(verdict.type === "wait" && verdict.untilMs, 40_000);
  assert.equal(judgePause(time, { ...asked, nowMs: 40_000 }).type, "goOn");
  assert.equal(judgePause({ kind: "resume" }, asked).type, "pause");
  assert.equal(judgePause({ kind: "resume" }, { ...asked, state: { ...state, direction: "back" } }).type, "goOn");
});
