// Meters the whole machine, and the processes of one balancer apart, while some work runs. The machine's figure holds what
// no process of the balancer was charged with: forwarding in softirqs, and what the balancer makes client and targets do.
// What processes did that this benchmark has not started is taken from it, as far as /proc tells.

import { readIdleTime, readOthersCpuMs, readUsage, sameProcesses } from "../measure/processes.ts";
import type { Stage, Started } from "../stage.ts";

const TICK_MS = 10;

export type Layer4Reading<T> = {
  readonly result: T;
  /** CPU time of all cores less that of foreign processes, and of the balancer's processes, in microseconds. */
  readonly systemUs: number;
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** CPU time of the balancer's processes over the time that passed. */
  readonly ownShare: number;
  /** Of all cores, taken by foreign processes. */
  readonly foreignShare: number;
  /** The balancer lost or gained a process meanwhile: its CPU time is not whole. */
  readonly restarted: boolean;
};

/** Runs `work` between two readings. `started` is undefined for plain routing. Throws what `work` throws. */
export async function meterMachine<T>(
  stage: Stage,
  started: Started | undefined,
  work: () => Promise<T>,
): Promise<Layer4Reading<T>> {
  const usage = () => (started === undefined ? undefined : readUsage(started.pid));
  const before = usage();
  const othersBefore = readOthersCpuMs(stage.pids());
  const idleBefore = readIdleTime();
  const startMs = performance.now();
  const result = await work();
  const elapsedUs = (performance.now() - startMs) * 1000;
  const idleUs = (readIdleTime().ticks - idleBefore.ticks) * TICK_MS * 1000;
  const othersUs = Math.max(0, readOthersCpuMs(stage.pids()) - othersBefore) * 1000;
  const after = usage();
  const systemUs = Math.max(0, elapsedUs * idleBefore.cores - idleUs - othersUs);
  const foreignShare = othersUs / (elapsedUs * idleBefore.cores);
  const machine = { result, systemUs, foreignShare };
  if (before === undefined || after === undefined)
    return { ...machine, cpuUs: 0, rssBytes: 0, ownShare: 0, restarted: false };
  const cpuNs = after.workerCpuNs - before.workerCpuNs + after.supervisorCpuNs - before.supervisorCpuNs;
  const ownShare = cpuNs / 1000 / elapsedUs;
  return {
    ...machine,
    cpuUs: cpuNs / 1000,
    rssBytes: after.rssBytes,
    ownShare,
    restarted: !sameProcesses(before, after),
  };
}
