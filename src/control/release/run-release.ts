// One run of the release command from the lock to its end: begins a release, or goes on with the one that is kept (resume,
// rollback, abort), and says what became of it. The change's way; everything of the world is handed in.

import { randomBytes } from "node:crypto";
import type { Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import {
  commandSteps,
  isEnd,
  type ReleaseEvent,
  type ReleaseRecord,
  type ReleaseState,
  type ReleaseStep,
  recordFormat,
  releaseSteps,
} from "../../model/release.ts";
import { type Gate, judgePause } from "../../release/gate.ts";
import { guardCode, initialRelease, type ReleaseRules, settleInterrupted, turnBack } from "../../release/machine.ts";
import { decodeRecord } from "../../release/record.ts";
import type { Balancer } from "./balancer.ts";
import { checkPlan, type PlanFinding } from "./check-plan.ts";
import { type DriverMeans, ReleaseDriver } from "./driver.ts";
import { describeHolder, describeSelf, type HolderPlace, isGone } from "./holder.ts";
import { type NoticeMeans, tellNotices } from "./notices.ts";
import { type PerformMeans, performStep } from "./perform.ts";
import { type Lock, lockTtl, type ReleaseStoreMeans } from "./store.ts";

export type ReleaseOrderName = "run" | "resume" | "rollback" | "abort";

export type ReleaseMeans = Pick<DriverMeans, "clock" | "wallClock" | "sleep"> &
  Pick<PerformMeans, "plan" | "balancers" | "run" | "openProber" | "environment" | "directory"> & {
    readonly store: ReleaseStoreMeans;
    readonly place: HolderPlace;
    /** Of the release file's text. */
    readonly digest: string;
    /** undefined: a release that is kept has one. */
    readonly version: string | undefined;
    readonly told: (event: ReleaseEvent, record: ReleaseRecord) => void;
    /** For people: what is no event of the release. */
    readonly warn: (text: string) => void;
    /** What becomes of commands that were under way when the release was killed, whose `onInterrupted` asks. */
    readonly interrupted: (turns: readonly InterruptedCommand[]) => Promise<"rerun" | "done" | undefined>;
    /** In front of the pause between two batches. */
    readonly judge?: Gate;
    readonly abort: AbortController;
    /** Called with the driver once it drives. */
    readonly driving: (driver: ReleaseDriver) => void;
  };

export type InterruptedCommand = {
  readonly address: string;
  readonly step: ReleaseStep;
  readonly asks: "ask" | "fail";
};

export type ReleaseEnd =
  /** The release has ended, or stands: `phase` and `why` tell. */
  | { readonly type: "over"; readonly record: ReleaseRecord; readonly isRefused: boolean }
  /** Nothing was changed: a guard or a lock forbids it. */
  | { readonly type: "refused"; readonly findings: readonly PlanFinding[] }
  | { readonly type: "failed"; readonly findings: readonly PlanFinding[] };

/** How long `resume` waits for the lock of a driver that was killed on another machine: Consul may take twice the time. */
const lockPatience: Milliseconds = 2 * lockTtl + 5_000;
const lockLookInterval: Milliseconds = 500;

export async function runRelease(order: ReleaseOrderName, means: ReleaseMeans): Promise<ReleaseEnd> {
  const lock = await acquire(order, means);
  if (!lock.ok) return ended(lock.failure);
  const begun = await begin(order, means, lock.value);
  if (!("first" in begun)) {
    await lock.value.leave();
    return begun;
  }
  const over = await drive(means, lock.value, begun);
  await lock.value.leave();
  if (!over.ok) return ended(over.failure);
  const { state } = over.value;
  const isRefused = state.phase === "paused" && state.targets.some(({ failure }) => failure?.code === guardCode);
  return { type: "over", record: over.value, isRefused };
}

function ended(failure: Failure): ReleaseEnd {
  const { code, detail } = failure;
  const isRefusal = code === "release.held" || code === "release.unfinished" || code === guardCode;
  return { type: isRefusal ? "refused" : "failed", findings: [{ code, detail }] };
}

async function acquire(order: ReleaseOrderName, means: ReleaseMeans): Promise<Result<Lock>> {
  const { store, place, clock, sleep, abort, warn } = means;
  const asked = { holder: describeSelf(place), isGone: (holder: string) => isGone(holder, place) };
  const deadline = clock() + (order === "run" ? 0 : lockPatience);
  let told = false;
  for (;;) {
    const lock = await store.keep.acquire(asked);
    if (lock.ok || lock.failure.code !== "release.held" || clock() >= deadline || abort.signal.aborted) return lock;
    if (!told) warn(`${lock.failure.detail}; waiting for its end, ${Math.round(lockPatience / 1000)} s at most`);
    told = true;
    await sleep(lockLookInterval, abort.signal);
  }
}

type Begun = { readonly record: ReleaseRecord; readonly first: ReleaseEvent };

async function begin(order: ReleaseOrderName, means: ReleaseMeans, lock: Lock): Promise<Begun | ReleaseEnd> {
  const kept = lock.text === undefined ? undefined : decodeRecord(lock.text);
  if (kept?.ok === false) return ended(kept.failure);
  const known = kept?.value;
  if (order === "run") return beginNew(means, lock, known);
  if (known === undefined || isEnd(known.state.phase)) {
    const last = known === undefined ? "there never was one" : `the last, ${known.id}, is ${known.state.phase}`;
    const detail = `pool ${means.plan.pool} has no unfinished release: ${last}`;
    return { type: "failed", findings: [{ code: "release.none", detail }] };
  }
  return beginAgain(order, means, { ...known, fence: lock.fence });
}

async function beginNew(
  means: ReleaseMeans,
  lock: Lock,
  known: ReleaseRecord | undefined,
): Promise<Begun | ReleaseEnd> {
  const { plan, balancers, run, environment, directory, abort, wallClock, digest, place, version } = means;
  if (known !== undefined && !isEnd(known.state.phase)) {
    const who = describeHolder(known.by);
    const detail = `pool ${plan.pool} has an unfinished release ${known.id} of version ${known.version} (${known.state.phase}, last driven by ${who}): resume, rollback or abort it`;
    return { type: "refused", findings: [{ code: "release.unfinished", detail }] };
  }
  if (version === undefined) {
    const detail = "no version: `version` in the file, or --version";
    return { type: "failed", findings: [{ code: "release.version", detail }] };
  }
  const { signal } = abort;
  const checked = await checkPlan({ plan, version, balancers, run, environment, directory, signal });
  if (checked.findings.length > 0) return found(checked.findings);
  const now = wallClock();
  const id = `${new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${randomBytes(3).toString("hex")}`;
  const record: ReleaseRecord = {
    format: recordFormat,
    id,
    pool: plan.pool,
    version,
    fence: lock.fence,
    revision: 1,
    by: describeSelf(place),
    startedMs: now,
    changedMs: now,
    digest,
    state: initialRelease(checked.batches),
  };
  return { record, first: { type: "release.began", detail: `version ${version}` } };
}

/** Nothing was changed. A refusal by the guard alone is one; anything else is an error. */
export function found(findings: readonly PlanFinding[]): ReleaseEnd {
  return { type: findings.every(({ code }) => code === guardCode) ? "refused" : "failed", findings };
}

const againEvents = {
  resume: "release.resumed",
  rollback: "release.rollingBack",
  abort: "release.aborting",
} as const;

async function beginAgain(
  order: Exclude<ReleaseOrderName, "run">,
  means: ReleaseMeans,
  known: ReleaseRecord,
): Promise<Begun | ReleaseEnd> {
  const { plan, digest, place, wallClock, warn, version } = means;
  if (version !== undefined && version !== known.version) {
    const detail = `the unfinished release ${known.id} is of version ${known.version}, not ${version}`;
    return { type: "failed", findings: [{ code: "release.version", detail }] };
  }
  if (order === "rollback" && plan.commands.rollback === undefined) {
    return { type: "failed", findings: [{ code: "release.rollback", detail: "the file has no `rollback` command" }] };
  }
  if (digest !== known.digest)
    warn("the release file is not the one that the release began with: what is left goes by this one");
  const asking = order === "abort" ? good(known.state) : await judgeInterrupted(means, known.state);
  if (!asking.ok) return { type: "refused", findings: [{ code: asking.failure.code, detail: asking.failure.detail }] };
  const { phase, gate, why } = known.state;
  const passGate = phase === "paused" && gate !== undefined && gate.why === why;
  const how = order === "resume" ? ({ type: "resume", passGate } as const) : ({ type: order } as const);
  const state = turnBack(asking.value, how);
  const changed = { revision: 1, by: describeSelf(place), changedMs: wallClock(), digest, state };
  return {
    record: { ...known, ...changed },
    first: { type: againEvents[order], detail: `${known.id}, version ${known.version}` },
  };
}

/** Commands whose end nobody knows, and that the file does not want to be run again without a word. */
async function judgeInterrupted(means: ReleaseMeans, state: ReleaseState): Promise<Result<ReleaseState>> {
  const { commands } = means.plan;
  const asked = state.targets.flatMap(({ address, underWay }): InterruptedCommand[] => {
    const step = commandSteps.find((one) => one === underWay?.step);
    const asks = step === undefined ? undefined : commands[step]?.onInterrupted;
    return step === undefined || asks === undefined || asks === "rerun" ? [] : [{ address, step, asks }];
  });
  if (asked.length === 0) return good(state);
  const answer = await means.interrupted(asked);
  if (answer === "rerun") return good(state);
  if (answer === "done") return good(settleInterrupted(state, means.wallClock()));
  const which = asked.map(({ step, address }) => `${step} of ${address}`).join(", ");
  const detail = `${which} was under way when the release was killed, and nobody knows its end: look, then --interrupted rerun or --interrupted done`;
  return bad({ code: "release.interrupted", origin: "client", retrySafe: false, detail });
}

async function drive(means: ReleaseMeans, lock: Lock, { record, first }: Begun): Promise<Result<ReleaseRecord>> {
  const { plan, balancers, store, run, environment, directory, abort, clock, wallClock, sleep, judge, told } = means;
  const { signal } = abort;
  const performing: PerformMeans = {
    ...{ plan, balancers, run, environment, directory, clock, sleep, signal },
    openProber: means.openProber,
    boards: store.boards,
    version: record.version,
    id: record.id,
    state: () => driver.state,
  };
  const notices: NoticeMeans = { plan, run, environment, directory, signal, failed: means.warn };
  const driver = new ReleaseDriver({
    ...{ lock, record, clock, wallClock, sleep, abort },
    rules: rulesOf(plan),
    perform: (asked) => performStep(performing, asked),
    gate: async (asked) => {
      const judged = judge === undefined ? undefined : await judge(asked);
      return judged === undefined || judged.type === "goOn" ? judgePause(plan.pause, asked) : judged;
    },
    tell: (event, now) => {
      told(event, now);
      return tellNotices(notices, event, now);
    },
    kept: (text) => copyTo(plan, balancers, store, text),
  });
  means.driving(driver);
  return driver.run(first);
}

/** Steps whose command the file does not have are left out. */
function rulesOf({ commands, healthCheck }: ReleaseMeans["plan"]): ReleaseRules {
  const isThere = (step: ReleaseStep) => {
    const command = commandSteps.find((one) => one === step);
    if (command !== undefined) return commands[command] !== undefined;
    return step !== "healthy" || healthCheck !== undefined;
  };
  const steps = releaseSteps.filter(isThere);
  const of = (other: ReleaseStep) => steps.filter((step) => step !== other);
  return { steps: { forward: of("rollback"), back: of("deploy"), abort: ["in"] } };
}

/** Balancers show what is kept in a store as well; whether they have it, nobody waits for. */
function copyTo(
  plan: ReleaseMeans["plan"],
  balancers: readonly Balancer[],
  store: ReleaseStoreMeans,
  text: string,
): void {
  if (plan.store.type === "api") return;
  const path = `/v1/releases/${encodeURIComponent(plan.pool)}`;
  const body = { copyOf: store.keep.name, record: JSON.parse(text) };
  for (const balancer of balancers) void balancer.call({ method: "PUT", path, body, timeoutMs: 5_000 });
}
