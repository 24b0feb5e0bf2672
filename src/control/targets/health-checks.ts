// Drives the health checks of the node: starts probes when the schedule says so, gives their outcomes and the workers'
// reports to each target's judge, and tells what changes: once to the log, to the workers, and to whoever else gives work
// (the kernel engine). The change's way, in the supervisor. It decides nothing itself and touches neither intent nor weight.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import {
  answer,
  intervalOf,
  type JudgeChange,
  type JudgeState,
  judgeState,
  takePassive,
  takeProbe,
  takeReport,
  takesWork,
} from "../../health/judge.ts";
import {
  again,
  createSchedule,
  type Entry,
  enter,
  leave,
  nextDueAt,
  postpone,
  takeDue,
} from "../../health/schedule.ts";
import type { Prober, ProbeTarget } from "../../io/probe.ts";
import type { HealthCheck, ProbeOutcome, ProbePlan } from "../../model/health-check.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { TargetHealth } from "../../state/worker-protocol.ts";
import {
  type Calendar,
  createCalendar,
  explainTarget,
  type JudgedTarget,
  summarizeJudgement,
  type TargetExplanation,
} from "./target-explanation.ts";

export type HealthChecksOptions = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  /** Milliseconds since 1970, for people only. */
  readonly wallClock: () => Milliseconds;
  readonly random: Random;
  readonly createProber: (plan: ProbePlan, target: ProbeTarget) => Prober;
  /** What has changed for those who give work, since it was last called. */
  readonly publish: (changes: readonly TargetHealth[]) => void;
};

/** Probes that may be under way at a time: each has a descriptor. What is due beyond it waits. */
export const probesUnderWayMax = 16_384;
/** Of those, processes of command checks. */
export const commandsUnderWayMax = 64;
/** Probes started before others have their turn. */
const startsPerTurn = 64;
const heldBackFor: Milliseconds = 20;
const heldBackLogInterval: Milliseconds = 60_000;

/** What the metrics say of one target. */
export type TargetFigures = {
  readonly healthy: boolean;
  /** Times that it was taken out or let in again. */
  readonly changes: number;
  /** Its pool has a check. */
  readonly checked: boolean;
  readonly probes: number;
  readonly probesFailed: number;
  readonly probesUnable: number;
  readonly reports: number;
};

/** One target of one pool, for as long as the configuration names it. */
type Watched = {
  readonly pool: string;
  target: Target;
  readonly check: HealthCheck | undefined;
  /** The check as text: by it an unchanged one is known. */
  readonly checkText: string;
  readonly judge: JudgeState;
  /** As the judge was seen last, and how often that has changed. */
  healthy: boolean;
  changes: number;
  readonly prober: Prober | undefined;
  entry: Entry<Watched> | undefined;
  underWay: boolean;
};

export class HealthChecks {
  readonly #options: HealthChecksOptions;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #calendar: Calendar;
  readonly #schedule;
  readonly #watchers = new Set<(change: TargetHealth) => void>();
  readonly #pools = new Map<string, ReadonlyMap<string, Watched>>();
  #changes = new Map<Watched, TargetHealth>();
  #publishing = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt: Milliseconds = Number.POSITIVE_INFINITY;
  #turning = false;
  #stopped = false;
  #underWay = 0;
  #commandsUnderWay = 0;
  #heldBack = 0;
  #heldBackLoggedAt: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(options: HealthChecksOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#calendar = createCalendar(options.clock, options.wallClock);
    this.#schedule = createSchedule<Watched>(options.random);
  }

  /**
   * Takes a configuration up. A target that stays keeps its health: with its check unchanged all of its record, with
   * another one whether it takes work, until the new check has decided.
   */
  apply(pools: readonly Pool[]): void {
    if (this.#stopped) return;
    const named = new Set(pools.map(({ name }) => name));
    for (const [name, targets] of this.#pools) {
      if (named.has(name)) continue;
      for (const watched of targets.values()) this.#drop(watched);
      this.#pools.delete(name);
    }
    this.applyPools(pools);
  }

  /** The same for these pools alone; the others stay as they are. */
  applyPools(pools: readonly Pool[]): void {
    if (this.#stopped) return;
    const fresh: Watched[] = [];
    for (const pool of pools) this.#applyPool(pool, fresh);
    this.#enter(fresh);
  }

  #applyPool(pool: Pool, fresh: Watched[]): void {
    const checkText = JSON.stringify(pool.healthCheck) ?? "";
    const before = this.#pools.get(pool.name);
    const targets = new Map<string, Watched>();
    for (const target of pool.targets) {
      const known = before?.get(target.address);
      const watched = known?.checkText === checkText ? known : this.#watch(pool, target, checkText, known);
      if (watched !== known) fresh.push(watched);
      watched.target = target;
      targets.set(target.address, watched);
    }
    for (const watched of before?.values() ?? []) {
      if (targets.get(watched.target.address) !== watched) this.#drop(watched);
    }
    this.#pools.set(pool.name, targets);
  }

  /** Called with every change of what the probes say, at once; what they say by now is told by `takesWork`. */
  watch(watcher: (change: TargetHealth) => void): void {
    this.#watchers.add(watcher);
  }

  /** What the probes say of a target; true for one that is unknown or has no check. */
  takesWork(pool: string, address: string): boolean {
    const watched = this.#pools.get(pool)?.get(address);
    return watched === undefined || takesWork(watched.judge);
  }

  /** Every target that its probes have out now: the state that a worker starts with. */
  unhealthy(): TargetHealth[] {
    const out: TargetHealth[] = [];
    for (const targets of this.#pools.values()) {
      for (const watched of targets.values()) if (!takesWork(watched.judge)) out.push(healthOf(watched));
    }
    return out;
  }

  /** A worker saw a target fail in live traffic. */
  takeReport(worker: number, report: { readonly pool: string; readonly target: string; readonly code: string }): void {
    const watched = this.#pools.get(report.pool)?.get(report.target);
    if (watched !== undefined) takeReport(watched.judge, worker, report.code, this.#clock());
  }

  /** The passive judge of a worker took a target out or let it in again. */
  takePassive(worker: number, told: { readonly pool: string; readonly target: string; readonly out: boolean }): void {
    const watched = this.#pools.get(told.pool)?.get(told.target);
    if (watched !== undefined) this.#tell(watched, takePassive(watched.judge, worker, told.out, this.#clock()), true);
  }

  /** What that worker thought of targets went with it. */
  workerEnded(worker: number): void {
    for (const targets of this.#pools.values()) {
      for (const watched of targets.values()) {
        if (!watched.judge.outWorkers.has(worker)) continue;
        this.#tell(watched, takePassive(watched.judge, worker, false, this.#clock()), true);
      }
    }
  }

  judged(pool: string, address: string): JudgedTarget | undefined {
    const watched = this.#pools.get(pool)?.get(address);
    return watched === undefined ? undefined : summarizeJudgement(watched.judge, this.#calendar);
  }

  figures(pool: string, address: string): TargetFigures | undefined {
    const watched = this.#pools.get(pool)?.get(address);
    if (watched === undefined) return undefined;
    const { judge, changes, check } = watched;
    const { probes, probesFailed, probesUnable, reports } = judge;
    const healthy = answer(judge).health !== "unhealthy";
    return { healthy, changes, checked: check !== undefined, probes, probesFailed, probesUnable, reports };
  }

  explain(pool: string, address: string): TargetExplanation | undefined {
    const watched = this.#pools.get(pool)?.get(address);
    return watched === undefined ? undefined : explainTarget(watched, this.#calendar);
  }

  /** Ends every probe; nothing starts any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const targets of this.#pools.values()) for (const watched of targets.values()) this.#drop(watched);
  }

  #watch(pool: Pool, target: Target, checkText: string, before: Watched | undefined): Watched {
    const check = pool.healthCheck;
    const { host, port, address } = target;
    const at: ProbeTarget = { pool: pool.name, address, host, port: check?.port ?? port };
    const judge = judgeState(check, before?.judge, this.#clock());
    return {
      pool: pool.name,
      target,
      check,
      checkText,
      judge,
      healthy: answer(judge).health !== "unhealthy",
      changes: before?.changes ?? 0,
      prober: check === undefined ? undefined : this.#options.createProber(check.probe, at),
      entry: undefined,
      underWay: false,
    };
  }

  #drop(watched: Watched): void {
    if (watched.entry !== undefined) leave(this.#schedule, watched.entry);
    watched.entry = undefined;
    if (watched.underWay) this.#count(watched, -1);
    watched.prober?.close();
    this.#changes.delete(watched);
  }

  #enter(fresh: readonly Watched[]): void {
    const now = this.#clock();
    const together = fresh.reduce((count, { check }) => (check === undefined ? count : count + 1), 0);
    for (const watched of fresh) {
      if (watched.check === undefined) continue;
      const intervalMs = intervalOf(watched.judge, watched.check);
      watched.entry = enter(this.#schedule, watched, { intervalMs, together }, now);
    }
    this.#arm();
  }

  #arm(): void {
    const due = nextDueAt(this.#schedule);
    if (due === undefined || due >= this.#timerAt || this.#turning || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timerAt = due;
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, Math.ceil(due - this.#clock())));
  }

  // A few at a time, so that what comes back, and everything else that the supervisor does, has its turn between.
  #turn(): void {
    if (this.#stopped) return;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock();
    for (let started = 0; started < startsPerTurn; started++) {
      const entry = takeDue(this.#schedule, now);
      if (entry === undefined) {
        this.#turning = false;
        this.#arm();
        return;
      }
      this.#start(entry, now);
    }
    this.#turning = true;
    setImmediate(() => this.#turn());
  }

  #start(entry: Entry<Watched>, now: Milliseconds): void {
    const watched = entry.subject;
    const { check, prober } = watched;
    if (check === undefined || prober === undefined) return;
    const isCommand = check.probe.kind === "command";
    if (this.#underWay >= probesUnderWayMax || (isCommand && this.#commandsUnderWay >= commandsUnderWayMax)) {
      postpone(this.#schedule, entry, heldBackFor, now);
      this.#tellHeldBack(now);
      return;
    }
    this.#count(watched, 1);
    prober.start(check.timeout, (outcome) => this.#ended(watched, check, outcome));
  }

  #ended(watched: Watched, check: HealthCheck, outcome: ProbeOutcome): void {
    const { entry, judge } = watched;
    if (entry === undefined) return;
    this.#count(watched, -1);
    const now = this.#clock();
    const before = takesWork(judge);
    const change = takeProbe(judge, check, outcome, now);
    const { jitterPercent } = check;
    again(this.#schedule, entry, { intervalMs: intervalOf(judge, check), jitterPercent }, now);
    this.#arm();
    if (outcome.verdict === "unable") this.#tellUnable(watched, outcome);
    this.#tell(watched, change, before !== takesWork(judge));
    if (before !== takesWork(judge)) this.#spread(watched);
  }

  #count(watched: Watched, by: 1 | -1): void {
    watched.underWay = by > 0;
    this.#underWay += by;
    if (watched.check?.probe.kind === "command") this.#commandsUnderWay += by;
  }

  #tell(watched: Watched, change: JudgeChange, matters: boolean): void {
    if (change === undefined) return;
    const healthy = answer(watched.judge).health !== "unhealthy";
    if (healthy !== watched.healthy) watched.changes++;
    watched.healthy = healthy;
    const fields = { pool: watched.pool, target: watched.target.address, by: change.part };
    if (change.to === "unhealthy") {
      const { code, text } = answer(watched.judge);
      this.#log.warn("target unhealthy", { ...fields, code, reason: text });
    } else if (matters) this.#log.info("target healthy", { ...fields, ...this.#stillOut(watched) });
    else this.#log.debug("target healthy", fields);
  }

  // One of the two judges lets it in, the other may not.
  #stillOut(watched: Watched): { readonly stillOutBy?: string } {
    const { by } = answer(watched.judge);
    return by === undefined ? {} : { stillOutBy: by };
  }

  #tellUnable(watched: Watched, outcome: ProbeOutcome): void {
    // The first of each target and every thousandth: a lack of descriptors hits them all at once.
    if (watched.judge.probesUnable % 1000 !== 1) return;
    const { code, text } = outcome;
    this.#log.warn("probe not made", { pool: watched.pool, target: watched.target.address, code, reason: text });
  }

  #tellHeldBack(now: Milliseconds): void {
    this.#heldBack++;
    if (now - this.#heldBackLoggedAt < heldBackLogInterval) return;
    this.#heldBackLoggedAt = now;
    const { probes, commands } = { probes: this.#underWay, commands: this.#commandsUnderWay };
    this.#log.warn("probes held back: as many are under way as may be", { probes, commands, heldBack: this.#heldBack });
  }

  // Watchers at once, workers in one message for all that changes within an event.
  #spread(watched: Watched): void {
    const change = healthOf(watched);
    for (const watcher of this.#watchers) watcher(change);
    this.#changes.set(watched, change);
    if (this.#publishing) return;
    this.#publishing = true;
    setImmediate(() => {
      this.#publishing = false;
      const changes = [...this.#changes.values()];
      this.#changes.clear();
      if (changes.length > 0 && !this.#stopped) this.#options.publish(changes);
    });
  }
}

function healthOf(watched: Watched): TargetHealth {
  const healthy = takesWork(watched.judge);
  const { pool, judge } = watched;
  const code = judge.decidedBy?.code ?? "target.health.initial";
  return { pool, target: watched.target.address, healthy, reason: healthy ? undefined : code };
}
