// The judge of one target: probes, and what the workers' passive judges say, come in; out comes one answer: is it healthy,
// who took it out, when, why, and what the last probe said. Pure, with time as a number; one record per target that is
// changed in place. The change's way. It must not know the operator's intent, and it must not end a passive judge's time
// out: that is health/passive.ts' rule, in the workers.

import type { Milliseconds } from "../core/clock.ts";
import type { HealthCheck, ProbeOutcome } from "../model/health-check.ts";

/** Of the probes alone. `none`: the pool has no check. `undecided`: neither rise nor fall has been reached yet. */
export type ProbeStanding = "none" | "undecided" | "healthy" | "unhealthy";

export type SeenOutcome = { readonly atMs: Milliseconds; readonly outcome: ProbeOutcome };

/** Read it with `answer` and `takesWork`; the fields are the judge's own. */
export type JudgeState = {
  standing: ProbeStanding;
  /** Whether it takes work while undecided. */
  trusted: boolean;
  standingSinceMs: Milliseconds;
  /** The outcome that took it out last, by which it is still out. */
  decidedBy: ProbeOutcome | undefined;
  /** In a row. */
  passed: number;
  failed: number;
  last: SeenOutcome | undefined;
  lastFailed: SeenOutcome | undefined;
  probes: number;
  probesFailed: number;
  probesUnable: number;
  /** Failed reports of live traffic, over all workers. */
  reports: number;
  lastReport: { readonly atMs: Milliseconds; readonly code: string; readonly worker: number } | undefined;
  /** Workers whose passive judge has it out; `reportsOutSinceMs` is when the first of them did. */
  readonly outWorkers: Set<number>;
  reportsOutSinceMs: Milliseconds;
};

/** What an input changed, of the probes' part (`probes`) or the passive judges' part (`reports`). */
export type JudgeChange = { readonly part: "probes" | "reports"; readonly to: "healthy" | "unhealthy" } | undefined;

/** Who took it out; `initial` is the check's own setting, before any probe has decided. */
export type TakenOutBy = "probes" | "reports" | "initial";

export type JudgedHealth = "unknown" | "healthy" | "unhealthy";

export type Answer = {
  readonly health: JudgedHealth;
  /** undefined while it is not out. When probes and reports agree, whoever was first. */
  readonly by: TakenOutBy | undefined;
  /** When the present health began. */
  readonly sinceMs: Milliseconds;
  /** Stable; undefined while it is not out. */
  readonly code: string | undefined;
  readonly text: string | undefined;
};

/**
 * The record of a target. `before` is its record under another check (or none), when the target stays and its check has
 * changed: it goes on taking work, or not, until the new check has decided.
 */
export function judgeState(
  check: HealthCheck | undefined,
  before: JudgeState | undefined,
  now: Milliseconds,
): JudgeState {
  const trusted = before === undefined ? check?.initial !== "unhealthy" : takesWork(before);
  return {
    standing: check === undefined ? "none" : "undecided",
    trusted: check === undefined || trusted,
    standingSinceMs: now,
    decidedBy: check === undefined || trusted ? undefined : before?.decidedBy,
    passed: 0,
    failed: 0,
    last: undefined,
    lastFailed: undefined,
    probes: 0,
    probesFailed: 0,
    probesUnable: 0,
    reports: before?.reports ?? 0,
    lastReport: before?.lastReport,
    outWorkers: new Set(before?.outWorkers),
    reportsOutSinceMs: before?.reportsOutSinceMs ?? now,
  };
}

/** What the probes say to everybody who gives work: not unhealthy. Passive judges have their say besides. */
export function takesWork(state: JudgeState): boolean {
  return state.standing === "undecided" ? state.trusted : state.standing !== "unhealthy";
}

/** A probe has ended. One that we were unable to make is kept as the last one and decides nothing. */
export function takeProbe(
  state: JudgeState,
  check: HealthCheck,
  outcome: ProbeOutcome,
  now: Milliseconds,
): JudgeChange {
  state.last = { atMs: now, outcome };
  state.probes++;
  switch (outcome.verdict) {
    case "unable":
      state.probesUnable++;
      return undefined;
    case "passed":
      state.failed = 0;
      if (state.passed < check.rise) state.passed++;
      if (state.standing === "healthy" || state.passed < check.rise) return undefined;
      return decide(state, "healthy", outcome, now);
    case "failed":
      state.lastFailed = state.last;
      state.probesFailed++;
      state.passed = 0;
      if (state.failed < check.fall) state.failed++;
      if (state.standing === "unhealthy" || state.failed < check.fall) return undefined;
      return decide(state, "unhealthy", outcome, now);
    default:
      return outcome.verdict satisfies never;
  }
}

function decide(state: JudgeState, to: "healthy" | "unhealthy", outcome: ProbeOutcome, now: Milliseconds): JudgeChange {
  state.standing = to;
  state.standingSinceMs = now;
  state.decidedBy = to === "unhealthy" ? outcome : undefined;
  return { part: "probes", to };
}

/** A worker saw it fail. Whether that takes it out there is the worker's to say, with `takePassive`. */
export function takeReport(state: JudgeState, worker: number, code: string, now: Milliseconds): void {
  state.reports++;
  state.lastReport = { atMs: now, code, worker };
}

/** The passive judge of a worker took it out, or found it healthy again. Told as a change: the first out, the last back. */
export function takePassive(state: JudgeState, worker: number, out: boolean, now: Milliseconds): JudgeChange {
  const before = state.outWorkers.size;
  if (out) state.outWorkers.add(worker);
  else state.outWorkers.delete(worker);
  const after = state.outWorkers.size;
  if (before === 0 && after > 0) {
    state.reportsOutSinceMs = now;
    return { part: "reports", to: "unhealthy" };
  }
  return before > 0 && after === 0 ? { part: "reports", to: "healthy" } : undefined;
}

/** The one answer. */
export function answer(state: JudgeState): Answer {
  const probesOut = !takesWork(state);
  const reportsOut = state.outWorkers.size > 0;
  if (probesOut && !(reportsOut && state.reportsOutSinceMs < state.standingSinceMs)) return answerOfProbes(state);
  if (reportsOut) {
    const code = state.lastReport?.code ?? "target.passive.maxFails";
    const workers = state.outWorkers.size === 1 ? "1 worker" : `${state.outWorkers.size} workers`;
    const text = `live traffic failed (last ${code}), out in ${workers}`;
    return { health: "unhealthy", by: "reports", sinceMs: state.reportsOutSinceMs, code, text };
  }
  const health = state.standing === "healthy" ? "healthy" : "unknown";
  return { health, by: undefined, sinceMs: state.standingSinceMs, code: undefined, text: undefined };
}

function answerOfProbes(state: JudgeState): Answer {
  const { decidedBy, standingSinceMs: sinceMs } = state;
  if (decidedBy !== undefined) {
    return { health: "unhealthy", by: "probes", sinceMs, code: decidedBy.code, text: decidedBy.text };
  }
  const text = "new, and its check says `initial: unhealthy`";
  return { health: "unhealthy", by: "initial", sinceMs, code: "target.health.initial", text };
}

/** How long from the last probe's start to the next's. */
export function intervalOf(state: JudgeState, check: HealthCheck): Milliseconds {
  const steady = state.standing === "healthy" && state.failed === 0;
  return steady ? check.interval : check.fastInterval;
}
