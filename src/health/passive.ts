// The passive judge: what the outcomes of live exchanges say of one target. Pure and without a clock; one record per
// target that the request's way changes in place, without allocation. It counts as nginx does with max_fails and
// fail_timeout (ngx_http_upstream_round_robin.c, 1.22), and lets exactly one exchange at a time try a target whose time
// out is over. It must not know active probes or the operator's intent: whoever owns the target joins the three.

import type { Milliseconds } from "../core/clock.ts";

export type PassiveConfig = {
  /** Failures that take the target out; 0: never. */
  readonly maxFails: number;
  /** How long failures are remembered, and how long the target is then out. */
  readonly failTimeout: Milliseconds;
  /** The pool has no other target, backups included: it is never taken out, for there is nothing better to try. */
  readonly onlyTarget: boolean;
};

declare const trial: unique symbol;
/** Which trial an exchange is; `noTrial` for an ordinary one. The exchange keeps it until its outcome. */
export type Trial = number & { readonly [trial]: true };
export const noTrial = 0 as Trial; // the one place, with startTrial below, where a plain number becomes one

/**
 * A trial whose outcome nobody reports counts as lost after this long, so that no mistake can keep a target out for
 * ever.
 */
export const trialTimeMax: Milliseconds = 600_000;

/** A record begins healthy, whatever the clock shows. Read it with `verdict`; the fields are the judge's own. */
export type PassiveState = {
  fails: number;
  /** Of the last failure. */
  failedAtMs: Milliseconds;
  /**
   * Of the last failure, or of the first exchange begun more than failTimeout after it: a success since then clears the
   * failures.
   */
  checkedAtMs: Milliseconds;
  /** The trial under way, or noTrial. */
  trial: Trial;
  trialAtMs: Milliseconds;
  /** Serial of the last trial given out, and of the last one that a later failure has made worthless. */
  trialsGiven: number;
  trialsVoid: number;
};

/** What a report changed. */
export const PassiveChange = { none: "none", out: "out", healthy: "healthy" } as const;
export type PassiveChange = (typeof PassiveChange)[keyof typeof PassiveChange];

export type PassiveVerdict =
  | { readonly kind: "healthy" }
  | {
      readonly kind: "unhealthy";
      readonly code: "target.passive.maxFails";
      readonly fails: number;
      readonly outForMs: Milliseconds;
    }
  /** Its time out is over: the next exchange, or the one under way, decides. */
  | { readonly kind: "probation"; readonly code: "target.passive.probation"; readonly trialUnderWay: boolean };

export function passiveState(): PassiveState {
  return { fails: 0, failedAtMs: 0, checkedAtMs: 0, trial: noTrial, trialAtMs: 0, trialsGiven: 0, trialsVoid: 0 };
}

/** True when a new exchange may go there: the target is healthy, or its time out is over and nobody is trying it. */
export function admits(state: PassiveState, config: PassiveConfig, nowMs: Milliseconds): boolean {
  if (!isOut(state, config)) return true;
  return nowMs - state.failedAtMs >= config.failTimeout && !trialRuns(state, nowMs);
}

/** True while its failures keep it out and no trial is due. */
export function keptOut(state: PassiveState, config: PassiveConfig, nowMs: Milliseconds): boolean {
  return isOut(state, config) && nowMs - state.failedAtMs < config.failTimeout;
}

/**
 * To be called when an exchange is sent there, after `admits`. What it returns stays with the exchange, which ends in
 * exactly one of reportFailure, reportSuccess and abandoned. Until then a target in probation admits nobody else. After
 * any of the four calls `admits` may have another answer.
 */
export function begun(state: PassiveState, config: PassiveConfig, nowMs: Milliseconds): Trial {
  if (isOut(state, config)) {
    state.checkedAtMs = nowMs;
    return startTrial(state, nowMs);
  }
  if (nowMs - state.checkedAtMs > config.failTimeout) state.checkedAtMs = nowMs;
  return noTrial;
}

/**
 * The target failed (which outcomes are failures is the proxy's rule), or another worker says so. Also for an exchange
 * begun before the target was taken out: it is news all the same, the time out starts anew, as in nginx, and a trial
 * under way has become worthless.
 */
export function reportFailure(state: PassiveState, config: PassiveConfig, nowMs: Milliseconds): PassiveChange {
  if (config.maxFails <= 0 || config.onlyTarget) return PassiveChange.none;
  const wasInUse = state.trial !== noTrial || admits(state, config, nowMs);
  state.fails++;
  state.failedAtMs = nowMs;
  state.checkedAtMs = nowMs;
  state.trial = noTrial;
  state.trialsVoid = state.trialsGiven;
  return wasInUse && isOut(state, config) ? PassiveChange.out : PassiveChange.none;
}

/**
 * The target answered. A trial that no failure has overtaken makes the target healthy; any other success clears the
 * failures only when the last of them is more than failTimeout older than an exchange since begun, so that one success
 * between many failures hides nothing.
 */
export function reportSuccess(state: PassiveState, config: PassiveConfig, of: Trial): PassiveChange {
  if (isOut(state, config)) {
    if (of <= state.trialsVoid) return PassiveChange.none;
    state.fails = 0;
    state.trial = noTrial;
    state.trialsVoid = state.trialsGiven;
    return PassiveChange.healthy;
  }
  if (state.failedAtMs < state.checkedAtMs) state.fails = 0;
  return PassiveChange.none;
}

/**
 * The exchange ended without an outcome (the client went, the work was refused before it was sent): a trial is free
 * again.
 */
export function abandoned(state: PassiveState, of: Trial): void {
  if (of !== noTrial && of === state.trial) state.trial = noTrial;
}

/** Somebody else has found it well after it was found ill: what was counted is explained and over. A trial is an ordinary exchange from now on. */
export function cleared(state: PassiveState): void {
  state.fails = 0;
  state.trial = noTrial;
  state.trialsVoid = state.trialsGiven;
}

/** For status pages; allocates. */
export function verdict(state: PassiveState, config: PassiveConfig, nowMs: Milliseconds): PassiveVerdict {
  if (!isOut(state, config)) return { kind: "healthy" };
  const outForMs = state.failedAtMs + config.failTimeout - nowMs;
  if (outForMs > 0) return { kind: "unhealthy", code: "target.passive.maxFails", fails: state.fails, outForMs };
  return { kind: "probation", code: "target.passive.probation", trialUnderWay: trialRuns(state, nowMs) };
}

/**
 * Out, or in probation: failures speak against it. Asked of the present configuration each time: one that is raised or
 * switched off lets the target back at once.
 */
export function isOut(state: PassiveState, config: PassiveConfig): boolean {
  return config.maxFails > 0 && state.fails >= config.maxFails && !config.onlyTarget;
}

function trialRuns(state: PassiveState, nowMs: Milliseconds): boolean {
  return state.trial !== noTrial && nowMs - state.trialAtMs < trialTimeMax;
}

function startTrial(state: PassiveState, nowMs: Milliseconds): Trial {
  state.trialsGiven++;
  state.trial = state.trialsGiven as Trial;
  state.trialAtMs = nowMs;
  return state.trial;
}
