// One singleton service: when it is started, asked to end, killed, started again. Pure: inputs and the time go in, the next
// state and the effects come out, and its one timer is a number in the state. The change's way. Two runs of it never overlap
// here: a run must have ended, with its whole process group, before the next one starts.
//
//   idle --activate--> running --ended by itself--> waiting --its time comes--> running
//   running --release: SIGTERM, after stopTimeout SIGKILL--> ending --ended--> idle
//   running --lose: SIGKILL at once--> ending --ended--> idle, or running again when it was activated meanwhile

import type { Milliseconds } from "../../core/clock.ts";
import type { Service } from "../../model/ha.ts";

export type ServiceState = {
  /** The role is here, with the token of its takeover; undefined: it is not. */
  readonly token: number | undefined;
  readonly phase: "idle" | "running" | "ending" | "waiting";
  /** Number of the run; runs are numbered by who performs the effects. */
  readonly run: number | undefined;
  readonly startedAt: Milliseconds;
  /** The SIGKILL of an ending one, the start of a waiting one. */
  readonly timer: Milliseconds | undefined;
  /** Before the next restart. */
  readonly delay: Milliseconds;
  /** Starts after it had ended by itself, since the takeover. */
  readonly restarts: number;
};

export type ServiceInput =
  | { readonly type: "activate"; readonly token: number }
  /** The role is to be given up: the service first. */
  | { readonly type: "release" }
  /** The role is gone. */
  | { readonly type: "lose" }
  | { readonly type: "ended"; readonly run: number; readonly reason: string }
  | { readonly type: "tick" };

export type ServiceEffect =
  | { readonly type: "start"; readonly run: number; readonly token: number }
  | { readonly type: "signal"; readonly run: number; readonly signal: "SIGTERM" | "SIGKILL" }
  /** It ended though nobody asked it to. */
  | { readonly type: "failed"; readonly reason: string; readonly restartIn: Milliseconds };

export type ServiceStep = { readonly state: ServiceState; readonly effects: readonly ServiceEffect[] };

export function initialService(service: Service): ServiceState {
  return {
    token: undefined,
    phase: "idle",
    run: undefined,
    startedAt: 0,
    timer: undefined,
    delay: service.restartDelay,
    restarts: 0,
  };
}

/** `nextRun` is the number that a start takes; it must not have been used. */
export function stepService(
  service: Service,
  state: ServiceState,
  input: ServiceInput,
  at: { readonly now: Milliseconds; readonly nextRun: number },
): ServiceStep {
  switch (input.type) {
    case "activate": {
      if (state.token !== undefined) return { state, effects: [] };
      const active = { ...state, token: input.token, delay: service.restartDelay, restarts: 0 };
      // One that is still ending is waited for.
      return state.phase === "idle" ? start(active, at) : { state: active, effects: [] };
    }
    case "release":
      return end(state, "SIGTERM", at.now + service.stopTimeout);
    case "lose":
      return end(state, "SIGKILL", undefined);
    case "ended":
      return input.run === state.run ? takeEnd(service, state, input.reason, at) : { state, effects: [] };
    case "tick":
      return state.timer !== undefined && at.now >= state.timer ? fire(state, at) : { state, effects: [] };
    default:
      return input satisfies never;
  }
}

function start(
  state: ServiceState & { readonly token: number },
  { now, nextRun: run }: { readonly now: Milliseconds; readonly nextRun: number },
): ServiceStep {
  return {
    state: { ...state, phase: "running", run, startedAt: now, timer: undefined },
    effects: [{ type: "start", run, token: state.token }],
  };
}

function end(state: ServiceState, signal: "SIGTERM" | "SIGKILL", timer: Milliseconds | undefined): ServiceStep {
  const { run } = state;
  if (run === undefined) return { state: { ...state, token: undefined, phase: "idle", timer: undefined }, effects: [] };
  const ending: ServiceState = { ...state, token: undefined, phase: "ending", timer };
  // Asked once: a second release does not give it more time. One that was asked may still have to be killed.
  if (state.phase === "ending" && signal === "SIGTERM") return { state: { ...state, token: undefined }, effects: [] };
  return { state: ending, effects: [{ type: "signal", run, signal }] };
}

function fire(state: ServiceState, at: { readonly now: Milliseconds; readonly nextRun: number }): ServiceStep {
  const { token, run, phase } = state;
  if (phase === "waiting" && token !== undefined) return start({ ...state, token, restarts: state.restarts + 1 }, at);
  const rung = { ...state, timer: undefined };
  if (phase !== "ending" || run === undefined) return { state: rung, effects: [] };
  return { state: rung, effects: [{ type: "signal", run, signal: "SIGKILL" }] };
}

function takeEnd(
  service: Service,
  state: ServiceState,
  reason: string,
  at: { readonly now: Milliseconds; readonly nextRun: number },
): ServiceStep {
  const { token, phase, delay, startedAt } = state;
  const over: ServiceState = { ...state, run: undefined, timer: undefined, phase: "idle" };
  if (token === undefined) return { state: over, effects: [] };
  // It was asked to end, and since then the role has come back.
  if (phase === "ending") return start({ ...over, token }, at);
  const ranLong = at.now - startedAt >= service.restartDelayMax;
  const restartIn = ranLong ? service.restartDelay : delay;
  const next = Math.min(restartIn * 2, service.restartDelayMax);
  return {
    state: { ...over, phase: "waiting", timer: at.now + restartIn, delay: Math.max(next, service.restartDelay) },
    effects: [{ type: "failed", reason, restartIn }],
  };
}
