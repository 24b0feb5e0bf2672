// The release machine: which step of which target comes next. Pure: a state that is plain data (model/release.ts), an input and
// the time go in, the next state and the effects come out. The change's way. Whoever drives it keeps each state before he
// performs its effects, so that the record tells of every step that may have begun; and says `go` only when the end of the
// last step is kept too, so that no finished step is ever begun again.
//
//   targets of the present batch, each by itself:  step --ended well--> next step ... --all done--> over
//   batch over --gate--> next batch; any step failed: the others of the batch go on to their end, then the release is failed

import type { Milliseconds } from "../core/clock.ts";
import type {
  Direction,
  IntentsBefore,
  ReleaseEvent,
  ReleaseEventType,
  ReleasePhase,
  ReleaseState,
  ReleaseStep,
  StepDone,
  StepFailure,
  TargetTurn,
} from "../model/release.ts";
import { commandSteps, isEnd } from "../model/release.ts";
import type { GateVerdict } from "./gate.ts";

export type ReleaseRules = {
  /** Which steps there are, in order; those whose command the file does not have are left out. */
  readonly steps: Readonly<Record<Direction, readonly ReleaseStep[]>>;
};

/** Of a target that the guard did not let out. */
export const guardCode = "release.guard";

/** What became of a step. */
export type StepOutcome =
  | { readonly type: "done"; readonly note?: string | undefined; readonly before?: IntentsBefore }
  | { readonly type: "failed"; readonly code: string; readonly detail: string; readonly output?: string | undefined }
  /** The guard: nothing was touched. */
  | { readonly type: "refused"; readonly detail: string };

export type ReleaseInput =
  /** What is due may begin. */
  | { readonly type: "go" }
  | { readonly type: "ended"; readonly address: string; readonly outcome: StepOutcome }
  | { readonly type: "gate"; readonly verdict: GateVerdict }
  /** Somebody wants it to stop: nobody else is taken out, and those who are out come back first. */
  | { readonly type: "stop"; readonly why: string };

export type ReleaseEffect =
  | { readonly type: "perform"; readonly address: string; readonly step: ReleaseStep; readonly attempt: number }
  /** Ask whether the next batch may begin. */
  | { readonly type: "gate"; readonly batch: number; readonly atMs: Milliseconds | undefined }
  | { readonly type: "tell"; readonly event: ReleaseEvent }
  /** Nothing is under way any more, and nothing begins. */
  | { readonly type: "over" };

export type ReleaseTransition = { readonly state: ReleaseState; readonly effects: readonly ReleaseEffect[] };

/** A release that has not begun. `batches`: addresses in the order of their turns (batches.ts). */
export function initialRelease(batches: readonly (readonly string[])[]): ReleaseState {
  const targets = batches.flatMap((addresses, batch) =>
    addresses.map((address): TargetTurn => ({ address, batch, ...untouched })),
  );
  return {
    phase: "running",
    direction: "forward",
    why: undefined,
    targets,
    batch: 0,
    gate: undefined,
    stopping: undefined,
  };
}

export const untouched = { done: [], underWay: undefined, failure: undefined, before: undefined } as const;

export function stepRelease(
  rules: ReleaseRules,
  state: ReleaseState,
  input: ReleaseInput,
  now: Milliseconds,
): ReleaseTransition {
  if (state.phase !== "running") return { state, effects: [] };
  switch (input.type) {
    case "go":
      return go(rules, state, now);
    case "ended":
      return takeEnd(state, input, now);
    case "gate":
      return takeVerdict(state, input.verdict, now);
    case "stop":
      return { state: { ...state, stopping: state.stopping ?? input.why }, effects: [] };
    default:
      return input satisfies never;
  }
}

/** The step of a target that comes next; undefined: its turn is over. */
export function nextStep(rules: ReleaseRules, direction: Direction, turn: TargetTurn): ReleaseStep | undefined {
  return rules.steps[direction].find((step) => !turn.done.some((one) => one.step === step));
}

function go(rules: ReleaseRules, state: ReleaseState, now: Milliseconds): ReleaseTransition {
  const present = state.targets.filter(({ batch }) => batch === state.batch);
  if (state.gate !== undefined) {
    if (state.stopping !== undefined) return rest(state, "paused", state.stopping);
    const { batch, untilMs } = state.gate;
    return { state, effects: [{ type: "gate", batch, atMs: untilMs }] };
  }
  const effects: ReleaseEffect[] = [];
  const targets = state.targets.map((turn) => {
    if (turn.batch !== state.batch || turn.underWay !== undefined || turn.failure !== undefined) return turn;
    const step = nextStep(rules, state.direction, turn);
    // After a failure nobody else is taken out; who is out already goes on, to serve again.
    if (step === undefined || (isBefore(turn) && (state.stopping !== undefined || hasFailed(present)))) return turn;
    const attempt = (lastAttempt(turn, step) ?? 0) + 1;
    effects.push({ type: "tell", event: { type: "step.begun", target: turn.address, step, attempt } });
    effects.push({ type: "perform", address: turn.address, step, attempt });
    return { ...turn, underWay: { step, atMs: now, attempt } };
  });
  if (effects.length > 0) return { state: { ...state, targets }, effects };
  if (present.some(({ underWay }) => underWay !== undefined)) return { state, effects };
  return endBatch(state, present, now);
}

/** It has not been taken out yet. */
function isBefore(turn: TargetTurn): boolean {
  return turn.done.every(({ step }) => step === "guard");
}

function hasFailed(turns: readonly TargetTurn[]): boolean {
  return turns.some(({ failure }) => failure !== undefined);
}

function lastAttempt(turn: TargetTurn, step: ReleaseStep): number | undefined {
  return turn.failure?.step === step ? turn.failure.attempt : turn.attempts?.[step];
}

function takeEnd(
  state: ReleaseState,
  { address, outcome }: Extract<ReleaseInput, { readonly type: "ended" }>,
  now: Milliseconds,
): ReleaseTransition {
  const turn = state.targets.find((one) => one.address === address);
  const underWay = turn?.underWay;
  if (turn === undefined || underWay === undefined) return { state, effects: [] };
  const { step, atMs, attempt } = underWay;
  const tookMs = Math.max(0, now - atMs);
  const about = { target: address, step, attempt, tookMs };
  switch (outcome.type) {
    case "done": {
      const { note } = outcome;
      const done: StepDone = { step, atMs, tookMs, attempts: attempt, note };
      const next = { ...turn, done: [...turn.done, done], underWay: undefined, before: turn.before ?? outcome.before };
      const event: ReleaseEvent = { type: "step.done", ...about, detail: note };
      return { state: withTurn(state, next), effects: [{ type: "tell", event }] };
    }
    case "failed": {
      const { code, detail, output } = outcome;
      const failure: StepFailure = { step, atMs, attempt, code, detail, output };
      const event: ReleaseEvent = { type: "step.failed", ...about, detail, output };
      const next = withTurn(state, { ...turn, underWay: undefined, failure });
      return { state: next, effects: [{ type: "tell", event }] };
    }
    case "refused": {
      const { detail } = outcome;
      const failure: StepFailure = { step, atMs, attempt, code: guardCode, detail, output: undefined };
      const next = withTurn(state, { ...turn, underWay: undefined, failure });
      return { state: next, effects: [{ type: "tell", event: { type: "release.refused", target: address, detail } }] };
    }
    default:
      return outcome satisfies never;
  }
}

function withTurn(state: ReleaseState, turn: TargetTurn): ReleaseState {
  return { ...state, targets: state.targets.map((one) => (one.address === turn.address ? turn : one)) };
}

function endBatch(state: ReleaseState, present: readonly TargetTurn[], now: Milliseconds): ReleaseTransition {
  const failed = present.filter(({ failure }) => failure !== undefined);
  // What the guard has refused has not failed: nothing of it was touched.
  const worst = failed.find(({ failure }) => failure?.code !== guardCode) ?? failed[0];
  if (worst?.failure !== undefined) {
    const { step, detail, code } = worst.failure;
    if (code === guardCode) return rest(state, "paused", `${worst.address} is not taken out: ${detail}`);
    return rest(state, "failed", `${step} of ${worst.address} failed: ${detail}`);
  }
  if (state.stopping !== undefined && present.some(isBefore)) return rest(state, "paused", state.stopping);
  if (!state.targets.some(({ batch }) => batch > state.batch)) return rest(state, endOf(state.direction), undefined);
  const event: ReleaseEvent = { type: "batch.done", detail: `batch ${state.batch + 1} of ${batchesOf(state)}` };
  if (state.direction === "abort") return { state: { ...state, batch: state.batch + 1 }, effects: [] };
  const gate = { batch: state.batch, sinceMs: now, untilMs: undefined, why: "" };
  return { state: { ...state, gate }, effects: [{ type: "tell", event }] };
}

function batchesOf(state: ReleaseState): number {
  return 1 + Math.max(0, ...state.targets.map(({ batch }) => batch));
}

function endOf(direction: Direction): "done" | "rolledBack" | "aborted" {
  return ({ forward: "done", back: "rolledBack", abort: "aborted" } as const)[direction];
}

function takeVerdict(state: ReleaseState, verdict: GateVerdict, now: Milliseconds): ReleaseTransition {
  const { gate } = state;
  if (gate === undefined) return { state, effects: [] };
  switch (verdict.type) {
    case "goOn":
      return { state: { ...state, gate: undefined, batch: gate.batch + 1 }, effects: [] };
    case "wait": {
      const { untilMs, why } = verdict;
      const isNew = why !== gate.why;
      const effects: ReleaseEffect[] = isNew ? [{ type: "tell", event: { type: "release.waits", detail: why } }] : [];
      return { state: { ...state, gate: { ...gate, untilMs: Math.max(now, untilMs), why } }, effects };
    }
    case "pause":
      return rest({ ...state, gate: { ...gate, why: verdict.why } }, "paused", verdict.why);
    case "abort": {
      const failed = rest(state, "failed", verdict.why);
      if (verdict.next === "stop") return failed;
      const back = turnBack(failed.state, { type: "rollback" });
      return { state: back, effects: [{ type: "tell", event: { type: "release.rollingBack", detail: verdict.why } }] };
    }
    default:
      return verdict satisfies never;
  }
}

const restEvents: Readonly<Record<Exclude<ReleasePhase, "running">, ReleaseEventType>> = {
  paused: "release.paused",
  failed: "release.failed",
  done: "release.done",
  aborted: "release.aborted",
  rolledBack: "release.rolledBack",
};

function rest(
  state: ReleaseState,
  phase: Exclude<ReleasePhase, "running">,
  why: string | undefined,
): ReleaseTransition {
  const event: ReleaseEvent = { type: restEvents[phase], detail: why };
  const next = { ...state, phase, why, stopping: undefined };
  return { state: next, effects: [{ type: "tell", event }, { type: "over" }] };
}

export type Again =
  /** On from where it stopped. `passGate`: the pause between two batches is over. */
  { readonly type: "resume"; readonly passGate: boolean } | { readonly type: "rollback" } | { readonly type: "abort" };

/**
 * The state to go on with, of a release that has stopped or whose driver is gone; the same one when it has ended. Steps whose
 * end nobody recorded are begun again; `out` begins with the guard, for others may be out by now.
 */
export function turnBack(state: ReleaseState, how: Again): ReleaseState {
  if (isEnd(state.phase)) return state;
  const on = { ...state, phase: "running" as const, why: undefined, stopping: undefined };
  switch (how.type) {
    case "resume": {
      const targets = state.targets.map(interrupted);
      const gate = how.passGate ? undefined : state.gate;
      const batch = how.passGate && state.gate !== undefined ? state.gate.batch + 1 : state.batch;
      return { ...on, targets, gate, batch };
    }
    case "rollback": {
      const touched = state.targets.filter(isTouched).toReversed();
      const batches = [...new Set(touched.map(({ batch }) => batch))];
      const targets = touched.map((turn): TargetTurn => {
        const { address, before, batch } = turn;
        return { ...untouched, address, before, batch: batches.indexOf(batch), done: wasStopped(turn) ? [] : spared };
      });
      // One that already goes back goes on; nothing that was rolled back is rolled back twice.
      if (state.direction === "back") return { ...on, targets: state.targets.map(interrupted) };
      return { ...on, direction: "back", targets, batch: 0, gate: undefined };
    }
    case "abort": {
      const out = state.targets.filter((turn) => isTouched(turn) && !turn.done.some(({ step }) => step === "eligible"));
      const targets = out.map(({ address, before }): TargetTurn => ({ ...untouched, address, before, batch: 0 }));
      return { ...on, direction: "abort", targets, batch: 0, gate: undefined };
    }
    default:
      return how satisfies never;
  }
}

/** Its intent may have been changed. */
function isTouched(turn: TargetTurn): boolean {
  return turn.before !== undefined;
}

/** Something may have been done to the service itself, which has to be undone. */
function wasStopped({ done, underWay, failure }: TargetTurn): boolean {
  const begun = [...done.map(({ step }) => step), underWay?.step, failure?.step];
  return begun.some((step) => step !== undefined && !["guard", "out", "drained"].includes(step));
}

/** What need not be done to go back with a target that was only taken out. */
const spared: readonly StepDone[] = (["guard", "out", "drained", "stop", "rollback", "start", "healthy"] as const).map(
  (step) => ({ step, atMs: 0, tookMs: 0, attempts: 0, note: "not needed" }),
);

/** With its unfinished step to be begun again. */
function interrupted(turn: TargetTurn): TargetTurn {
  const last = turn.underWay ?? turn.failure;
  if (last === undefined) return turn;
  const attempts = { ...turn.attempts, [last.step]: last.attempt };
  const isOut = last.step === "out";
  const done = isOut ? turn.done.filter(({ step }) => step !== "guard") : turn.done;
  return { ...turn, done, underWay: undefined, failure: undefined, attempts };
}

/** Commands whose end nobody recorded are taken for done: somebody has looked. */
export function settleInterrupted(state: ReleaseState, now: Milliseconds): ReleaseState {
  const targets = state.targets.map((turn): TargetTurn => {
    const { underWay } = turn;
    if (underWay === undefined || !commandSteps.some((step) => step === underWay.step)) return turn;
    const { step, atMs, attempt } = underWay;
    const done = {
      step,
      atMs,
      tookMs: Math.max(0, now - atMs),
      attempts: attempt,
      note: "taken for done by the operator",
    };
    return { ...turn, done: [...turn.done, done], underWay: undefined };
  });
  return { ...state, targets };
}
