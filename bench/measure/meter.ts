// Meters one proxy while some work runs: CPU time of its processes, its memory at the end, and what else ran on its core.

import type { Running } from "../systems/system.ts";
import { readCoreTime, readUsage, sameProcesses } from "./processes.ts";

const TICK_MS = 10;

export type Reading<T> = {
  readonly result: T;
  /** CPU time in microseconds of all processes, and of those among them that only supervise. */
  readonly cpuUs: number;
  readonly supervisorUs: number;
  readonly rssBytes: number;
  /** CPU time of the proxy over the time that passed. */
  readonly ownShare: number;
  /** Share of the core that anything but the proxy took; undefined when the proxy has several cores. */
  readonly foreignShare: number | undefined;
  /** The proxy lost or gained a process meanwhile: its CPU time is not whole. */
  readonly restarted: boolean;
};

/** Runs `work` between two readings of the proxy's usage. Throws what `work` throws. */
export async function meter<T>(running: Running, cores: string, work: () => Promise<T>): Promise<Reading<T>> {
  const core = /^\d+$/.test(cores) ? Number(cores) : undefined;
  const startMs = performance.now();
  const coreBefore = core === undefined ? undefined : readCoreTime(core);
  const before = readUsage(running.started.pid);
  const result = await work();
  const after = readUsage(running.started.pid);
  const elapsedMs = performance.now() - startMs;
  const supervisorUs = (after.supervisorCpuNs - before.supervisorCpuNs) / 1000;
  const cpuUs = (after.workerCpuNs - before.workerCpuNs) / 1000 + supervisorUs;
  const ownShare = cpuUs / 1000 / elapsedMs;
  let foreignShare: number | undefined;
  if (core !== undefined && coreBefore !== undefined) {
    const coreAfter = readCoreTime(core);
    const ticks = coreAfter.busyTicks - coreBefore.busyTicks + coreAfter.stolenTicks - coreBefore.stolenTicks;
    foreignShare = Math.max(0, (ticks * TICK_MS - cpuUs / 1000) / elapsedMs);
  }
  const restarted = !sameProcesses(before, after);
  return { result, cpuUs, supervisorUs, rssBytes: after.rssBytes, ownShare, foreignShare, restarted };
}
