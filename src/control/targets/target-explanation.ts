// One target's health as an operator asks for it: who took it out, when, why, and what the last probe said. Pure; the
// change's way. The shape is the body of GET /v1/pools/{pool}/targets/{target} and what `evenkeel explain target` tells, so
// it only grows.

import type { Milliseconds } from "../../core/clock.ts";
import { type Answer, answer, type JudgeState, type SeenOutcome, type TakenOutBy } from "../../health/judge.ts";
import type { HealthCheck } from "../../model/health-check.ts";
import type { Intent, Target } from "../../model/pool.ts";

export type ProbeSeen = {
  /** ISO 8601, UTC, as every time here. */
  readonly at: string;
  readonly verdict: "passed" | "failed" | "unable";
  readonly code: string;
  readonly text: string;
};

/** The judge's answer, for the status of the whole node. */
export type JudgedTarget = {
  readonly health: Answer["health"];
  readonly by: TakenOutBy | undefined;
  readonly since: string;
  readonly code: string | undefined;
  readonly text: string | undefined;
  /** What the last probe said. */
  readonly lastOutput: string | undefined;
};

export type TargetExplanation = JudgedTarget & {
  readonly pool: string;
  readonly address: string;
  readonly intent: Intent;
  readonly weight: number;
  readonly backup: boolean;
  /** Intent is up and health is not unhealthy. */
  readonly eligible: boolean;
  readonly check:
    | {
        readonly type: string;
        readonly standing: JudgeState["standing"];
        readonly passedInRow: number;
        readonly failedInRow: number;
        readonly rise: number;
        readonly fall: number;
        readonly intervalMs: Milliseconds;
        readonly timeoutMs: Milliseconds;
        readonly probes: number;
        readonly probesFailed: number;
        readonly probesUnable: number;
        readonly last: ProbeSeen | undefined;
        readonly lastFailed: ProbeSeen | undefined;
      }
    | undefined;
  /** Failed reports of live traffic. */
  readonly reports: {
    readonly count: number;
    readonly last: { readonly at: string; readonly code: string; readonly worker: number } | undefined;
    /** Workers whose passive judge has it out. */
    readonly outWorkers: readonly number[];
  };
  /** All of it in one sentence. */
  readonly sentence: string;
};

/** How points of the monotonic clock are told to people. */
export type Calendar = (at: Milliseconds) => string;

/** `clock` is monotonic, `wallClock` milliseconds since 1970. */
export function createCalendar(clock: () => Milliseconds, wallClock: () => Milliseconds): Calendar {
  return (at) => new Date(wallClock() - (clock() - at)).toISOString();
}

export function summarizeJudgement(judge: JudgeState, calendar: Calendar): JudgedTarget {
  const { health, by, sinceMs, code, text } = answer(judge);
  return { health, by, since: calendar(sinceMs), code, text, lastOutput: judge.last?.outcome.text };
}

export type ExplainedParts = {
  readonly pool: string;
  readonly target: Target;
  readonly check: HealthCheck | undefined;
  readonly judge: JudgeState;
};

export function explainTarget({ pool, target, check, judge }: ExplainedParts, calendar: Calendar): TargetExplanation {
  const judged = summarizeJudgement(judge, calendar);
  const { address, intent, weight, backup } = target;
  const { lastReport } = judge;
  const explanation = {
    ...judged,
    pool,
    address,
    intent,
    weight,
    backup,
    eligible: intent === "up" && judged.health !== "unhealthy",
    check: check === undefined ? undefined : explainCheck(check, judge, calendar),
    reports: {
      count: judge.reports,
      last: lastReport && { at: calendar(lastReport.atMs), code: lastReport.code, worker: lastReport.worker },
      outWorkers: [...judge.outWorkers].sort((a, b) => a - b),
    },
  };
  return { ...explanation, sentence: sentenceOf(explanation) };
}

function explainCheck(check: HealthCheck, judge: JudgeState, calendar: Calendar): TargetExplanation["check"] {
  const { probe } = check;
  return {
    type: probe.kind === "http" && probe.tls !== undefined ? "https" : probe.kind,
    standing: judge.standing,
    passedInRow: judge.passed,
    failedInRow: judge.failed,
    rise: check.rise,
    fall: check.fall,
    intervalMs: check.interval,
    timeoutMs: check.timeout,
    probes: judge.probes,
    probesFailed: judge.probesFailed,
    probesUnable: judge.probesUnable,
    last: seen(judge.last, calendar),
    lastFailed: seen(judge.lastFailed, calendar),
  };
}

function seen(one: SeenOutcome | undefined, calendar: Calendar): ProbeSeen | undefined {
  return one === undefined ? undefined : { at: calendar(one.atMs), ...one.outcome };
}

type Told = Pick<
  TargetExplanation,
  "pool" | "address" | "intent" | "weight" | "health" | "by" | "since" | "code" | "text" | "check"
>;

function sentenceOf(told: Told): string {
  const name = `target ${told.address} of pool ${told.pool}`;
  if (told.intent === "down") return `${name} is out: its intent is down`;
  if (told.intent === "drain") return `${name} takes no new work: its intent is drain`;
  if (told.by !== undefined) {
    const who = { probes: "its health check", reports: "live traffic", initial: "its initial state" }[told.by];
    return `${name} is out since ${told.since} by ${who}: ${told.code ?? ""} (${told.text ?? ""})`;
  }
  if (told.weight === 0) return `${name} takes no work: its weight is 0`;
  if (told.check === undefined) return `${name} is in; no health check, and live traffic does not speak against it`;
  if (told.health === "healthy") return `${name} is in: its health check finds it healthy since ${told.since}`;
  return `${name} is in, though its health check has not decided yet`;
}
