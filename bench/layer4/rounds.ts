// Runs one layer-4 workload over all systems in interleaved rounds. Each round begins with plain routing, and what that took
// for a unit of work is taken from the figure of every other system in the same round.

import { runWrk, wrkProblems } from "../load/wrk.ts";
import type { Round, SystemRounds } from "../rounds.ts";
import type { Stage } from "../stage.ts";
import type { Figure } from "../workloads.ts";
import { datagramProblems, openDatagrams, shareProblems } from "./datagrams.ts";
import { type Layer4Reading, meterMachine } from "./meter.ts";
import { forgetConnections, type Network, targetCount } from "./network.ts";
import type { Running } from "./system.ts";
import { ports } from "./targets.ts";
import {
  datagramBytes,
  freshFlowsMax,
  type Layer4Workload,
  type TcpWorkload,
  type TrafficWorkload,
  type UdpWorkload,
} from "./workloads.ts";

const MB = 1_000_000;

export type Layer4Bench = {
  readonly stage: Stage;
  readonly network: Network;
  /** Plain routing first, if it runs. */
  readonly systems: readonly Running[];
  readonly loadCores: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
};

export type Layer4Rounds = {
  readonly workload: Layer4Workload;
  readonly systems: readonly SystemRounds[];
};

/** Throws when the benchmark itself fails; a system's failures are problems of its rounds. */
export async function runTraffic(bench: Layer4Bench, workload: TrafficWorkload): Promise<Layer4Rounds> {
  const running = bench.systems.filter(({ system }) => takesPart(system, workload));
  for (const one of running) await oneRound(bench, workload, one, bench.warmSeconds);
  const rows = running.map((): Round[] => []);
  for (let index = 0; index < bench.rounds; index++) {
    let routed: number | undefined;
    for (const [at, one] of running.entries()) {
      const round = await oneRound(bench, workload, one, bench.seconds);
      if (one.started === undefined) routed = round.problems.length > 0 ? undefined : round.figures.systemUs;
      rows[at]?.push(one.started === undefined ? round : deductRouting(round, routed));
    }
  }
  const systems = running.map(({ system, unequal }, at) => ({
    system: system.name,
    rounds: rows[at] ?? [],
    problems: unequal,
  }));
  return { workload, systems };
}

export function takesPart(
  system: { readonly udp: boolean; readonly bulkOnly: boolean },
  workload: TrafficWorkload,
): boolean {
  if (workload.kind === "udp") return system.udp && !system.bulkOnly;
  return workload.per === "MB" || !system.bulkOnly;
}

/** With the figure that is compared; without it when plain routing did not work or did not run. */
export function deductRouting(round: Round, routedUs: number | undefined): Round {
  const { systemUs } = round.figures;
  if (systemUs === undefined || routedUs === undefined) return round;
  return { ...round, figures: { ...round.figures, netUs: systemUs - routedUs } };
}

async function oneRound(bench: Layer4Bench, workload: TrafficWorkload, one: Running, seconds: number): Promise<Round> {
  // What it fails at was found before; load generators would only fail at it as well.
  if (one.unequal.length > 0) return { figures: {}, problems: [] };
  if (one.system.tracked) forgetConnections(one.place);
  return workload.kind === "tcp" ? tcpRound(bench, workload, one, seconds) : udpRound(bench, workload, one, seconds);
}

async function tcpRound(bench: Layer4Bench, workload: TcpWorkload, one: Running, seconds: number): Promise<Round> {
  const { stage, network, loadCores: cores } = bench;
  const { request, connections } = workload;
  const load = {
    host: one.called[0] ?? "",
    port: ports.tcp,
    namespace: network.clients,
    request,
    connections,
    seconds,
  };
  const reading = await meterMachine(stage, one.started, () => runWrk(stage, { ...load, cores }));
  const { requests, bytes, durationUs, p50Us, p99Us } = reading.result;
  const units = workload.per === "response" ? requests : bytes / MB;
  // A download is not over at the end of the round: what came of it counts, so whole responses say nothing.
  const problems = wrkProblems(workload.per === "MB" ? { ...reading.result, requests: 1 } : reading.result, 1);
  const figures = { ...readingFigures(reading, units), perSecond: (units * 1_000_000) / durationUs, p50Us, p99Us };
  return { figures, problems: [...problems, ...readingProblems(reading)] };
}

async function udpRound(bench: Layer4Bench, workload: UdpWorkload, one: Running, seconds: number): Promise<Round> {
  const { stage, network, loadCores: cores } = bench;
  const { fresh, connections: lanes } = workload;
  const client = await openDatagrams(stage, {
    ...{ namespace: network.clients, cores, targets: one.called, lanes, fresh, seconds },
    port: fresh ? one.freshPort : ports.udp,
    first: one.place.addresses.flowFirst,
    flowsMax: freshFlowsMax,
    bytes: datagramBytes,
  });
  try {
    const reading = await meterMachine(stage, one.started, () => client.work());
    const totals = reading.result;
    const perSecond = (totals.answered * 1_000_000) / totals.durationUs;
    const shares = fresh ? shareProblems(totals, targetCount) : [];
    const problems = [...datagramProblems(totals), ...shares, ...readingProblems(reading)];
    return { figures: { ...readingFigures(reading, totals.answered), perSecond }, problems };
  } finally {
    await client.end();
  }
}

function readingFigures(reading: Layer4Reading<unknown>, units: number): Partial<Record<Figure, number>> {
  const { systemUs, cpuUs, rssBytes, ownShare, foreignShare } = reading;
  return { systemUs: systemUs / units, cpuUs: cpuUs / units, rssBytes, ownShare, foreignShare };
}

function readingProblems(reading: Layer4Reading<unknown>): string[] {
  return reading.restarted ? ["a process of the balancer ended or started during the round"] : [];
}
