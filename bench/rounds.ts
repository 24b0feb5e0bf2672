// Runs one workload over all systems in interleaved rounds, A B C A B C, so that a slow minute of the machine is shared.
// A round in which anything went wrong keeps its problems; nothing is run again until it fits.

import { statSync, truncateSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { holdIdle } from "./load/idle.ts";
import { runPaced } from "./load/paced.ts";
import { runWrk, wrkProblems } from "./load/wrk.ts";
import { meter, type Reading } from "./measure/meter.ts";
import { readUsage } from "./measure/processes.ts";
import type { Stage } from "./stage.ts";
import { median } from "./statistics.ts";
import { type Running, type System, startSystem, type Terms } from "./systems/system.ts";
import type { Targets } from "./systems/targets.ts";
import {
  type Figure,
  type IdleWorkload,
  type PacedWorkload,
  type SaturatedWorkload,
  small,
  type Workload,
} from "./workloads.ts";

const MIB = 1024 * 1024;
/** Every round of the idle workload starts its proxy anew: fewer of them, they differ little. */
const IDLE_ROUNDS_MAX = 3;
const SETTLE_MS = 2_000;
const LOG_DEADLINE_MS = 4_000;
/** No access-log line of any format is shorter. */
const LOG_LINE_BYTES_MIN = 40;

/** Stands for the paced client straight at a target, without a proxy. */
export const DIRECT = "direct";

export type Contender = {
  readonly system: System;
  readonly running: Running;
  /** What `verifyTerms` found: such a system's figures are never compared. */
  readonly unequal: readonly string[];
};

export type Bench = {
  readonly stage: Stage;
  readonly terms: Terms;
  readonly targets: Targets;
  readonly contenders: readonly Contender[];
  readonly loadCores: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
};

export type Round = {
  readonly figures: Readonly<Partial<Record<Figure, number>>>;
  readonly problems: readonly string[];
};

export type SystemRounds = {
  readonly system: string;
  readonly rounds: readonly Round[];
  readonly problems: readonly string[];
};

export type WorkloadRounds = {
  readonly workload: Workload;
  /** Requests a second of a paced workload. */
  readonly rate: number | undefined;
  readonly systems: readonly SystemRounds[];
};

/** Throws when the benchmark itself fails (a load generator that does not run); a proxy's failures are problems of its rounds. */
export async function runWorkload(bench: Bench, workload: Workload): Promise<WorkloadRounds> {
  switch (workload.kind) {
    case "saturated":
      return runSaturated(bench, workload);
    case "paced":
      return runHalfLoad(bench, workload);
    case "idle":
      return runIdle(bench, workload);
    default:
      return workload satisfies never;
  }
}

async function runSaturated(bench: Bench, workload: SaturatedWorkload): Promise<WorkloadRounds> {
  const contenders = bench.contenders.filter(({ system }) => workload.bodies || !system.bodiesOnly);
  const load = (running: Running, seconds: number) =>
    runWrk(bench.stage, { ...workload, port: running.port, seconds, cores: bench.loadCores });
  for (const { running } of contenders) await load(running, bench.warmSeconds);
  const logs = contenders.map(({ running }) => new LogWatch(running.logPath));
  const rows = contenders.map((): Round[] => []);
  for (let index = 0; index < bench.rounds; index++) {
    for (const [at, { running }] of contenders.entries()) {
      const reading = await meter(running, bench.terms.cores, () => load(running, bench.seconds));
      logs[at]?.expect(reading.result.requests);
      rows[at]?.push(saturatedRound(workload, reading));
    }
  }
  return { workload, rate: undefined, systems: await gather(contenders, rows, logs) };
}

function saturatedRound(workload: SaturatedWorkload, reading: Reading<Awaited<ReturnType<typeof runWrk>>>): Round {
  const totals = reading.result;
  const units = workload.unit === "request" ? totals.requests : totals.bytes / MIB;
  const problems = [...wrkProblems(totals, workload.responseBytes), ...meterProblems(reading)];
  const figures = {
    ...meterFigures(reading, units),
    perSecond: (units * 1_000_000) / totals.durationUs,
    p50Us: totals.p50Us,
    p99Us: totals.p99Us,
  };
  return { figures, problems };
}

async function runHalfLoad(bench: Bench, workload: PacedWorkload): Promise<WorkloadRounds> {
  const contenders = bench.contenders.filter(({ system }) => !system.bodiesOnly);
  const rate = await halfRate(bench, contenders);
  const load = (port: number) =>
    runPaced(bench.stage, { ...workload, port, rate, seconds: bench.seconds, cores: bench.loadCores });
  const logs = contenders.map(({ running }) => new LogWatch(running.logPath));
  const rows = contenders.map((): Round[] => []);
  const direct: Round[] = [];
  for (let index = 0; index < bench.rounds; index++) {
    for (const [at, { running }] of contenders.entries()) {
      const reading = await meter(running, bench.terms.cores, () => load(running.port));
      logs[at]?.expect(reading.result.requests);
      const { p50Us, p99Us, lateUs, requests, problems } = reading.result;
      const figures = { ...meterFigures(reading, requests), p50Us, p99Us, lateUs, perSecond: rate };
      rows[at]?.push({ figures, problems: [...problems, ...meterProblems(reading)] });
    }
    const { p50Us, p99Us, lateUs, problems } = await load(Number(bench.targets.addresses[0]?.split(":")[1]));
    direct.push({ figures: { p50Us, p99Us, lateUs, perSecond: rate }, problems });
  }
  const systems = await gather(contenders, rows, logs);
  return { workload, rate, systems: [...systems, { system: DIRECT, rounds: direct, problems: [] }] };
}

/** Half of the requests a second that nginx (or the first system, where nginx does not run) answers when saturated. */
async function halfRate(bench: Bench, contenders: readonly Contender[]): Promise<number> {
  const base = contenders.find(({ system }) => system.name === "nginx") ?? contenders[0];
  if (base === undefined) throw new Error("no system to take the rate of");
  const rates: number[] = [];
  for (let index = 0; index < 3; index++) {
    const load = { ...small, port: base.running.port, seconds: bench.warmSeconds, cores: bench.loadCores };
    const totals = await runWrk(bench.stage, load);
    rates.push((totals.requests * 1_000_000) / totals.durationUs);
  }
  return Math.round(median(rates) / 2);
}

async function runIdle(bench: Bench, workload: IdleWorkload): Promise<WorkloadRounds> {
  const contenders = bench.contenders.filter(({ system }) => !system.bodiesOnly);
  const rows = contenders.map((): Round[] => []);
  for (let index = 0; index < Math.min(bench.rounds, IDLE_ROUNDS_MAX); index++) {
    for (const [at, { system }] of contenders.entries()) rows[at]?.push(await idleRound(bench, workload, system));
  }
  return { workload, rate: undefined, systems: await gather(contenders, rows, []) };
}

/** A proxy started anew and warmed up, so that memory it grew for other work does not hide what connections take. */
async function idleRound(bench: Bench, workload: IdleWorkload, system: System): Promise<Round> {
  const { stage, loadCores } = bench;
  const running = await startSystem(stage, system, bench.terms);
  try {
    await runWrk(stage, { ...small, port: running.port, seconds: bench.warmSeconds, cores: loadCores });
    await delay(SETTLE_MS);
    const before = readUsage(running.started.pid);
    const held = await holdIdle(stage, { ...workload, port: running.port, cores: loadCores });
    await delay(SETTLE_MS);
    const after = readUsage(running.started.pid);
    const lost = await held.release();
    const problems = [...held.problems];
    if (held.idle < workload.connections) problems.push(`${held.idle} of ${workload.connections} connections`);
    if (lost > 0) problems.push(`${lost} connections closed by the proxy`);
    const idleBytes = (after.rssBytes - before.rssBytes) / workload.connections;
    return { figures: { idleBytes, rssBytes: after.rssBytes }, problems };
  } finally {
    await stage.stop(running.started);
  }
}

function meterFigures(reading: Reading<unknown>, units: number): Partial<Record<Figure, number>> {
  const { cpuUs, supervisorUs, rssBytes, ownShare, foreignShare } = reading;
  const perUnit = { cpuUs: cpuUs / units, supervisorUs: supervisorUs / units, rssBytes, ownShare };
  return foreignShare === undefined ? perUnit : { ...perUnit, foreignShare };
}

function meterProblems(reading: Reading<unknown>): string[] {
  return reading.restarted ? ["a process of the proxy ended or started during the round"] : [];
}

async function gather(
  contenders: readonly Contender[],
  rows: readonly (readonly Round[])[],
  logs: readonly LogWatch[],
): Promise<SystemRounds[]> {
  const found: SystemRounds[] = [];
  for (const [at, { system, unequal }] of contenders.entries()) {
    const logProblem = await logs[at]?.settle();
    const problems = logProblem === undefined ? unequal : [...unequal, logProblem];
    found.push({ system: system.name, rounds: rows[at] ?? [], problems });
  }
  return found;
}

/** Sees that a proxy really writes its access log, and keeps the file from filling the memory it lies in. */
class LogWatch {
  readonly #path: string;
  readonly #sizeBefore: number;
  #lines = 0;

  constructor(path: string) {
    this.#path = path;
    this.#sizeBefore = sizeOf(path);
  }

  expect(lines: number): void {
    this.#lines += lines;
  }

  /** Waits for what the proxy still buffers. A sentence when the log is too small for its requests. */
  async settle(): Promise<string | undefined> {
    const least = this.#sizeBefore + this.#lines * LOG_LINE_BYTES_MIN;
    const deadline = performance.now() + LOG_DEADLINE_MS;
    while (sizeOf(this.#path) < least && performance.now() < deadline) await delay(50);
    const grown = sizeOf(this.#path) - this.#sizeBefore;
    if (grown < least - this.#sizeBefore) return `the access log grew by ${grown} bytes for ${this.#lines} requests`;
    truncateSync(this.#path, 0);
    return undefined;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
