// What each step of a release does, performed on the real balancers, stores and targets: one function a step, each with its
// deadline. The change's way, a driver. Which step comes when is the machine's business (src/release/machine.ts); every step
// here can be performed once more from its beginning without harm, but for the operator's own commands.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Failure, Result } from "../../core/failure.ts";
import type { Prober } from "../../io/probe.ts";
import type {
  CommandStep,
  IntentsBefore,
  ReleasePlan,
  ReleaseState,
  ReleaseStep,
  TargetTurn,
} from "../../model/release.ts";
import { judgeGuard } from "../../release/batches.ts";
import type { StepOutcome } from "../../release/machine.ts";
import type { Balancer, TargetSeen } from "./balancer.ts";
import { type CommandNames, type CommandValues, type RunCommand, runStepCommand, wordsOf } from "./command.ts";
import { waitUntilHealthy } from "./health-wait.ts";
import type { IntentBoard } from "./store.ts";

export type PerformMeans = {
  readonly plan: ReleasePlan;
  readonly version: string;
  readonly id: string;
  readonly balancers: readonly Balancer[];
  readonly boards: readonly IntentBoard[];
  readonly run: RunCommand;
  readonly openProber: (check: NonNullable<ReleasePlan["healthCheck"]>, address: string) => Prober;
  readonly state: () => ReleaseState;
  /** Monotonic. */
  readonly clock: Clock;
  /** Resolves at the latest when the signal says so. */
  readonly sleep: (time: Milliseconds, signal: AbortSignal) => Promise<void>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Ends every wait and every command. */
  readonly signal: AbortSignal;
};

export type StepAsked = { readonly address: string; readonly step: ReleaseStep; readonly attempt: number };

const lookInterval: Milliseconds = 200;
/** How long the balancers may take to answer the guard. */
const guardPatience: Milliseconds = 10_000;
/** Beside `slowStart` itself, until a balancer gives the target its whole share. */
const slowStartMargin: Milliseconds = 15_000;

export function performStep(means: PerformMeans, asked: StepAsked): Promise<StepOutcome> {
  switch (asked.step) {
    case "guard":
      return guard(means, asked.address);
    case "out":
      return takeOut(means, asked.address);
    case "drained":
      return drained(means, asked.address);
    case "stop":
    case "deploy":
    case "rollback":
    case "start":
      return runCommand(means, { ...asked, step: asked.step });
    case "healthy":
      return healthy(means, asked.address);
    case "in":
      return putIn(means, asked.address);
    case "eligible":
      return eligible(means, asked.address);
    default:
      return asked.step satisfies never;
  }
}

function failedBy({ code, detail }: Failure): StepOutcome {
  return { type: "failed", code, detail };
}

/** Goes on asking until it is good, or the time is over, or it will never be. */
async function insist<T>(means: PerformMeans, time: Milliseconds, ask: () => Promise<Result<T>>): Promise<Result<T>> {
  const deadline = means.clock() + time;
  for (;;) {
    const said = await ask();
    if (said.ok || !mayPass(said.failure) || means.clock() >= deadline || means.signal.aborted) return said;
    await means.sleep(lookInterval, means.signal);
  }
}

function mayPass({ code, retrySafe }: Failure): boolean {
  return retrySafe || code === "admin.unreachable" || code === "admin.timeout" || code === "admin.reply";
}

async function guard(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { plan, balancers, boards } = means;
  const seen: { balancer: string; eligible: readonly string[] }[] = [];
  const before: Record<string, string> = Object.create(null);
  for (const balancer of balancers) {
    const pool = await insist(means, guardPatience, () => balancer.pool(plan.pool));
    if (!pool.ok) return failedBy(pool.failure);
    const target = pool.value.targets.find((one) => one.address === address);
    if (target === undefined) {
      return {
        type: "failed",
        code: "release.target",
        detail: `${balancer.name} has no target ${address} in pool ${plan.pool}`,
      };
    }
    if (plan.slowStart !== undefined) before[slowStartName(balancer)] = ownWord(target, "slowStart", target.slowStart);
    const eligibleNow = pool.value.targets.filter((one) => one.eligible).map((one) => one.address);
    seen.push({ balancer: balancer.name, eligible: eligibleNow });
  }
  for (const board of boards) {
    const said = await insist(means, guardPatience, () => board.read(address));
    if (!said.ok) return failedBy(said.failure);
    before[board.name] = said.value.before;
  }
  const refusal = judgeGuard(address, leavingBefore(means.state(), address), seen, plan.minEligible);
  if (refusal !== undefined) return { type: "refused", detail: refusal };
  const counts = seen.map(({ eligible: all }) => all.length);
  return { type: "done", note: `${Math.min(...counts)} eligible`, before: { ...before } };
}

/** Others of the batch that are about to go, and of those who ask at the same time the ones before. */
function leavingBefore(state: ReleaseState, address: string): readonly string[] {
  const present = state.targets.filter(({ batch }) => batch === state.batch);
  const own = present.findIndex((turn) => turn.address === address);
  const leaves = (turn: TargetTurn, index: number) => {
    if (turn.address === address || turn.failure !== undefined) return false;
    const asks = turn.underWay?.step === "guard";
    return asks ? index < own : turn.done.some(({ step }) => step === "guard");
  };
  return present.filter(leaves).map((turn) => turn.address);
}

function slowStartName({ name }: Balancer): string {
  return `${name} slowStart`;
}

/** What the API itself says of a field; empty where it says nothing. */
function ownWord({ owner, patched }: TargetSeen, field: string, value: string): string {
  return owner === "api" || patched.includes(field) ? value : "";
}

function turnOf(means: PerformMeans, address: string): TargetTurn | undefined {
  return means.state().targets.find((turn) => turn.address === address);
}

function beforeOf(means: PerformMeans, address: string): IntentsBefore {
  return turnOf(means, address)?.before ?? {};
}

/** Somebody had taken it out before the release did, at this board. */
function wasOut(before: string | undefined): boolean {
  return before === "drain" || before === "down" || before === "1";
}

async function takeOut(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { plan, boards } = means;
  const before = beforeOf(means, address);
  for (const board of boards.filter(({ name }) => !wasOut(before[name]))) {
    const done = await insist(means, plan.applyTimeout, () => board.set(address, plan.drain.intent));
    if (!done.ok) return failedBy(done.failure);
  }
  return seenByAll(means, address, {
    time: plan.applyTimeout,
    wanted: "takes the target for out",
    judge: ({ intent, settled }) => (intent !== "up" && settled === true ? undefined : `its intent is ${intent} there`),
    how: { settled: true },
  });
}

type Wanted = {
  readonly time: Milliseconds;
  readonly wanted: string;
  /** undefined: it is so. */
  readonly judge: (seen: TargetSeen) => string | undefined;
  readonly how: { readonly work?: true; readonly settled?: true };
};

/** Waits until every balancer finds the target so. */
async function seenByAll(
  means: PerformMeans,
  address: string,
  { time, wanted, judge, how }: Wanted,
): Promise<StepOutcome> {
  const { plan, balancers, clock, sleep, signal } = means;
  const deadline = clock() + time;
  const waits = await Promise.all(
    balancers.map(async (balancer) => {
      for (;;) {
        const seen = await balancer.target(plan.pool, address, how);
        const why = seen.ok ? judge(seen.value) : seen.failure.detail;
        if (why === undefined) return undefined;
        if (signal.aborted || clock() >= deadline) return `${balancer.name}: ${why}`;
        await sleep(lookInterval, signal);
      }
    }),
  );
  const late = waits.filter((why) => why !== undefined);
  if (late.length === 0) return { type: "done" };
  const detail = `not within ${time / 1000} s that every balancer ${wanted}: ${late.join("; ")}`;
  return { type: "failed", code: signal.aborted ? "release.interrupted" : "release.wait", detail };
}

async function drained(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { timeout, onTimeout } = means.plan.drain;
  const ended = await seenByAll(means, address, {
    time: timeout,
    wanted: "has no work for it any more",
    judge: ({ work }) => (work === undefined ? "it does not say what is left" : describeLeft(work)),
    how: { work: true },
  });
  if (ended.type !== "failed" || ended.code === "release.interrupted" || onTimeout === "fail") return ended;
  return { type: "done", note: `not drained: ${ended.detail}` };
}

function describeLeft(work: NonNullable<TargetSeen["work"]>): string | undefined {
  const counts = [
    [work.exchanges, "exchanges"],
    [work.tunnels, "tunnels"],
    [work.flows, "flows"],
    [work.silentWorkers, "silent workers"],
  ] as const;
  const left = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return left.length === 0 ? undefined : `${left.join(", ")} left`;
}

/** What stands for the placeholders, and in the environment. */
export function namesOf(
  { plan, version, id }: Pick<PerformMeans, "plan" | "version" | "id">,
  address: string,
): { readonly values: CommandValues; readonly names: CommandNames } {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return {
    values: { host: bare, port, address, version, pool: plan.pool, release: id },
    names: {
      EVENKEEL_RELEASE_ID: id,
      EVENKEEL_RELEASE_POOL: plan.pool,
      EVENKEEL_RELEASE_VERSION: version,
      EVENKEEL_RELEASE_TARGET: address,
      EVENKEEL_RELEASE_HOST: bare,
      EVENKEEL_RELEASE_PORT: port,
    },
  };
}

async function runCommand(
  means: PerformMeans,
  { address, step, attempt }: StepAsked & { readonly step: CommandStep },
): Promise<StepOutcome> {
  const { plan, run, environment, directory, signal } = means;
  const command = plan.commands[step];
  if (command === undefined) return { type: "done", note: "no command" };
  const { values, names: target } = namesOf(means, address);
  const { direction } = means.state();
  const names = {
    ...target,
    EVENKEEL_RELEASE_STEP: step,
    EVENKEEL_RELEASE_ATTEMPT: String(attempt),
    EVENKEEL_RELEASE_DIRECTION: direction,
  };
  const words = wordsOf(command, { ssh: plan.ssh, values, names });
  return runStepCommand({ run, words, names, environment, directory, timeout: command.timeout, signal });
}

async function healthy(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { plan, openProber, clock, sleep, signal } = means;
  const { healthCheck: check } = plan;
  if (check === undefined) return { type: "done", note: "no health check" };
  const prober = openProber(check, address);
  const ended = await waitUntilHealthy({ check, prober, clock, sleep, signal });
  prober.close();
  return ended;
}

async function putIn(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { plan, boards, balancers } = means;
  const before = beforeOf(means, address);
  if (plan.slowStart !== undefined && means.state().direction !== "abort") {
    for (const balancer of balancers) {
      const slowStart = `${Math.round(plan.slowStart)}ms`;
      const done = await insist(means, plan.applyTimeout, () => balancer.patch(plan.pool, address, { slowStart }));
      if (!done.ok) return failedBy(done.failure);
    }
  }
  // The last that was told is taken back first.
  for (const board of boards.toReversed()) {
    const word = before[board.name];
    if (word === undefined || wasOut(word)) continue;
    const done = await insist(means, plan.applyTimeout, () => board.restore(address, word));
    if (!done.ok) return failedBy(done.failure);
  }
  return { type: "done" };
}

async function eligible(means: PerformMeans, address: string): Promise<StepOutcome> {
  const { plan, boards } = means;
  const before = beforeOf(means, address);
  if (boards.some(({ name }) => wasOut(before[name]))) {
    return { type: "done", note: "stays out, as it was before the release" };
  }
  const ended = await seenByAll(means, address, {
    time: plan.eligibleTimeout,
    wanted: "finds it eligible",
    judge: ({ eligible: takesWork, settled, sentence }) => (takesWork && settled === true ? undefined : sentence),
    how: { settled: true },
  });
  if (ended.type !== "done" || plan.slowStart === undefined) return ended;
  return slowStarted(means, address, plan.slowStart);
}

/** Waits until every balancer gives it its whole share, then takes the word on it back. */
async function slowStarted(means: PerformMeans, address: string, slowStart: Milliseconds): Promise<StepOutcome> {
  const { plan, balancers, clock, sleep, signal } = means;
  const before = beforeOf(means, address);
  const deadline = clock() + slowStart + slowStartMargin;
  for (const balancer of balancers) {
    for (;;) {
      const target = await balancer.target(plan.pool, address);
      const share = await balancer.share(plan.pool, address);
      if (target.ok && share.ok && (share.value ?? 0) >= target.value.weight) break;
      if (signal.aborted || clock() >= deadline) {
        return {
          type: "failed",
          code: "release.wait",
          detail: `${balancer.name} does not give it its whole share in time`,
        };
      }
      await sleep(lookInterval, signal);
    }
    const word = before[slowStartName(balancer)] ?? "";
    const fields = { slowStart: word === "" ? null : word };
    const done = await insist(means, plan.applyTimeout, () => balancer.patch(plan.pool, address, fields));
    if (!done.ok) return failedBy(done.failure);
  }
  return { type: "done", note: "has its whole share" };
}
