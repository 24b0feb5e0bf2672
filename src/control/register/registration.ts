// One service that registers itself: when it is started, put up, taken out, drained, stopped, started again, given up. Pure:
// inputs and the time go in, the next state and the effects come out, and its one timer is a number in the state. The
// change's way. It knows no board: it says what is wanted on all of them, and hears when all have it.
//
//   running --stop--> draining --settled or late--> stopping --ended--> removing --settled or late--> over
//   running --ended by itself--> removing, or (restart) waiting --its time comes--> running

import type { Milliseconds } from "../../core/clock.ts";
import type { Wanted } from "./board-entry.ts";

export type Rules = {
  /** How long a drain may take. */
  readonly drainTimeout: Milliseconds;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeout: Milliseconds;
  /** Waits before a service that ended by itself is started again: the first, doubled up to the most; undefined: never. */
  readonly restart: { readonly first: Milliseconds; readonly most: Milliseconds } | undefined;
};

/** How long the boards have to remove the target at the end: then its leases are left to run out. */
export const removeTimeout: Milliseconds = 5_000;
/** How long a process may take to end after SIGKILL: longer, and the kernel holds it. */
export const killGrace: Milliseconds = 5_000;

/** How a run of the service ended. `error`: it was never started. */
export type RunEnd = {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** The signal's number; 0 without one. */
  readonly signalNumber: number;
  readonly error: string | undefined;
};

export type RegistrationState = {
  readonly phase: "new" | "running" | "waiting" | "draining" | "stopping" | "removing" | "over";
  readonly wanted: Wanted;
  /** Number of the run, from 1. */
  readonly run: number;
  readonly startedAt: Milliseconds;
  readonly timer: Milliseconds | undefined;
  /** Before the next restart. */
  readonly delay: Milliseconds;
  /** SIGKILL was sent. */
  readonly killed: boolean;
  /** What did not go as it should at the end: the exit code tells. */
  readonly flaws: number;
  readonly exitCode: number;
};

export type RegistrationInput =
  | { readonly type: "begin" }
  /** The check has decided, in this run. */
  | { readonly type: "judged"; readonly run: number; readonly healthy: boolean; readonly text: string }
  | { readonly type: "ended"; readonly run: number; readonly end: RunEnd }
  /** SIGTERM or SIGINT; a second one hurries. */
  | { readonly type: "stop"; readonly signal: string }
  /** Every board has what is wanted. */
  | { readonly type: "settled" }
  | { readonly type: "tick" };

export type RegistrationEffect =
  | { readonly type: "start"; readonly run: number }
  | { readonly type: "signal"; readonly run: number; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly type: "want"; readonly wanted: Wanted }
  /** The check's verdicts are of use no more. */
  | { readonly type: "unwatch" }
  | { readonly type: "tell"; readonly text: string }
  | { readonly type: "exit"; readonly code: number };

export type RegistrationStep = { readonly state: RegistrationState; readonly effects: readonly RegistrationEffect[] };

export function initialRegistration(rules: Rules): RegistrationState {
  return {
    phase: "new",
    wanted: "out",
    run: 0,
    startedAt: 0,
    timer: undefined,
    delay: rules.restart?.first ?? 0,
    killed: false,
    flaws: 0,
    exitCode: 0,
  };
}

export function stepRegistration(
  rules: Rules,
  state: RegistrationState,
  input: RegistrationInput,
  now: Milliseconds,
): RegistrationStep {
  switch (input.type) {
    case "begin":
      return state.phase === "new" ? start(state, now) : { state, effects: [] };
    case "judged":
      return input.run === state.run && state.phase === "running" ? takeVerdict(state, input) : { state, effects: [] };
    case "ended":
      return input.run === state.run ? takeEnd(rules, state, input.end, now) : { state, effects: [] };
    case "stop":
      return takeStop(rules, state, input.signal, now);
    case "settled":
      if (state.phase === "draining") return stop(rules, state, [tell("no work is left")], now);
      return state.phase === "removing" ? exit(state, []) : { state, effects: [] };
    case "tick":
      return state.timer !== undefined && now >= state.timer ? fire(rules, state, now) : { state, effects: [] };
    default:
      return input satisfies never;
  }
}

function tell(text: string): RegistrationEffect {
  return { type: "tell", text };
}

/** With nothing to do when that is wanted already. */
function want(state: RegistrationState, wanted: Wanted): RegistrationStep {
  if (state.wanted === wanted) return { state, effects: [] };
  return { state: { ...state, wanted }, effects: [{ type: "want", wanted }] };
}

function start(before: RegistrationState, now: Milliseconds): RegistrationStep {
  const run = before.run + 1;
  const state: RegistrationState = { ...before, phase: "running", run, startedAt: now, timer: undefined };
  return { state, effects: [{ type: "start", run }] };
}

function takeVerdict(
  before: RegistrationState,
  { healthy, text }: { readonly healthy: boolean; readonly text: string },
): RegistrationStep {
  // One that has never been up has nothing to be taken out of.
  const { state, effects } = want(before, healthy ? "up" : before.wanted === "out" ? "out" : "down");
  const what = healthy ? "the check passes" : `the check fails: ${text}`;
  return { state, effects: [tell(what), ...effects] };
}

function takeEnd(rules: Rules, before: RegistrationState, end: RunEnd, now: Milliseconds): RegistrationStep {
  switch (before.phase) {
    case "running": {
      const told = tell(describeEnd(end));
      // What could not be started at all was asked for wrongly; later it may be in the middle of an update.
      const hopeless = before.run === 1 && end.error !== undefined;
      const restarted = rules.restart !== undefined && !hopeless;
      if (!restarted) return remove({ ...before, exitCode: codeOf(end) }, [told], now);
      return restartLater(rules, before, told, now);
    }
    case "draining":
      return remove({ ...before, exitCode: codeOf(end) }, [tell(describeEnd(end))], now);
    case "stopping":
      return remove({ ...before, exitCode: codeOfStopped(end, before.killed) }, [tell(describeEnd(end))], now);
    case "new":
    case "waiting":
    case "removing":
    case "over":
      return { state: before, effects: [] };
    default:
      return before.phase satisfies never;
  }
}

/** It is started again later; who ran for long begins with the first wait again. */
function restartLater(
  rules: Rules,
  before: RegistrationState,
  told: RegistrationEffect,
  now: Milliseconds,
): RegistrationStep {
  const { first = 0, most = 0 } = rules.restart ?? {};
  const ranLong = now - before.startedAt >= most;
  const delay = ranLong ? first : before.delay;
  const { state, effects } = want(before, "out");
  const next = { ...state, phase: "waiting" as const, timer: now + delay, delay: Math.min(most, delay * 2) };
  const again = tell(`starting it again in ${Math.round(delay)} ms`);
  return { state: next, effects: [{ type: "unwatch" }, told, again, ...effects] };
}

function takeStop(rules: Rules, state: RegistrationState, signal: string, now: Milliseconds): RegistrationStep {
  switch (state.phase) {
    case "new":
      return exit(state, []);
    case "running": {
      if (state.wanted === "out") return stop(rules, state, [tell(`${signal}: stopping the service`)], now);
      const { state: next, effects } = want(state, "drain");
      const draining = { ...next, phase: "draining" as const, timer: now + rules.drainTimeout };
      return { state: draining, effects: [{ type: "unwatch" }, tell(`${signal}: draining`), ...effects] };
    }
    case "waiting":
      return remove(state, [tell(`${signal}: the service does not run`)], now);
    case "draining":
      return stop(
        rules,
        { ...state, flaws: state.flaws + 1 },
        [tell(`${signal} again: not waiting for its work`)],
        now,
      );
    case "stopping":
      return state.killed ? { state, effects: [] } : kill(state, tell(`${signal} again: SIGKILL`), now);
    case "removing":
      return exit({ ...state, flaws: state.flaws + 1 }, [tell(`${signal} again: the leases are left to run out`)]);
    case "over":
      return { state, effects: [] };
    default:
      return state.phase satisfies never;
  }
}

function stop(
  rules: Rules,
  state: RegistrationState,
  told: readonly RegistrationEffect[],
  now: Milliseconds,
): RegistrationStep {
  return {
    state: { ...state, phase: "stopping", timer: now + rules.stopTimeout },
    effects: [{ type: "unwatch" }, ...told, { type: "signal", run: state.run, signal: "SIGTERM" }],
  };
}

function kill(before: RegistrationState, told: RegistrationEffect, now: Milliseconds): RegistrationStep {
  const state = { ...before, killed: true, flaws: before.flaws + 1, timer: now + killGrace };
  return { state, effects: [told, { type: "signal", run: state.run, signal: "SIGKILL" }] };
}

function remove(before: RegistrationState, told: readonly RegistrationEffect[], now: Milliseconds): RegistrationStep {
  const { state, effects } = want(before, "out");
  return {
    state: { ...state, phase: "removing", timer: now + removeTimeout },
    effects: [{ type: "unwatch" }, ...told, ...effects],
  };
}

function exit(before: RegistrationState, told: readonly RegistrationEffect[]): RegistrationStep {
  // The service's own code goes before ours.
  const code = before.exitCode === 0 && before.flaws > 0 ? 2 : before.exitCode;
  const state: RegistrationState = { ...before, phase: "over", timer: undefined };
  return { state, effects: [...told, { type: "exit", code }] };
}

function fire(rules: Rules, before: RegistrationState, now: Milliseconds): RegistrationStep {
  const state = { ...before, timer: undefined };
  const flawed = { ...state, flaws: state.flaws + 1 };
  switch (state.phase) {
    case "waiting":
      return start(state, now);
    case "draining":
      return stop(rules, flawed, [tell("the drain's time is up: work is left, or not every board could say")], now);
    case "stopping":
      if (!state.killed) return kill(state, tell("the service did not end in time: SIGKILL"), now);
      return remove({ ...state, exitCode: 1 }, [tell("the service cannot be killed: the kernel holds it")], now);
    case "removing":
      return exit(flawed, [tell("not every board has removed it: there its lease runs out")]);
    case "new":
    case "running":
    case "over":
      return { state, effects: [] };
    default:
      return state.phase satisfies never;
  }
}

function describeEnd({ code, signal, error }: RunEnd): string {
  if (error !== undefined) return `the service could not be run: ${error}`;
  return signal === undefined ? `the service exited with ${code ?? 0}` : `the service was ended by ${signal}`;
}

/** As a shell has it. */
function codeOf({ code, signalNumber, error }: RunEnd): number {
  if (error !== undefined) return 1;
  return signalNumber > 0 ? 128 + signalNumber : (code ?? 0);
}

const terminated = 15;

/** That it ended by our own signal, or says so itself (143), is no error. */
function codeOfStopped(end: RunEnd, killed: boolean): number {
  const code = codeOf(end);
  return killed || code === 128 + terminated ? 0 : code;
}
