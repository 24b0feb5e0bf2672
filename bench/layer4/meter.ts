// Meters the whole machine, and the processes of one balancer apart, while some work runs. The machine's figure holds what
// no process of the balancer was charged with: forwarding in softirqs, and what the balancer makes client and targets do.

import { readIdleTime, readUsage, sameProcesses } from "../measure/processes.ts";
import type { Running } from "./system.ts";

const TICK_MS = 10;

export type Layer4Reading<T> = {
  readonly result: T;
  /** CPU time of all cores, and of the balancer's processes, in microseconds. */
  readonly systemUs: number;
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** CPU time of the balancer's processes over the time that passed. */
  readonly ownShare: number;
  /** The balancer lost or gained a process meanwhile: its CPU time is not whole. */
  readonly restarted: boolean;
};

/** Runs `work` between two readings. Throws what `work` throws. */
export async function meterMachine<T>(
  started: Running["started"],
  work: () => Promise<T>,
): Promise<Layer4Reading<T>> {
  const before = started === undefined ? undefined : readUsage(started.pid);
  const machine = watchMachine();
  const result = await work();
  const { systemUs, elapsedUs } = machine();
  const after = started === undefined ? undefined : readUsage(started.pid);
  if (before === undefined || after === undefined)
    return { result, systemUs, cpuUs: 0, rssBytes: 0, ownShare: 0, restarted: false };
  const nanoseconds = after.workerCpuNs - before.workerCpuNs + after.supervisorCpuNs - before.supervisorCpuNs;
  const cpuUs = nanoseconds / 1000;
  const restarted = !sameProcesses(before, after);
  return { result, systemUs, cpuUs, rssBytes: after.rssBytes, ownShare: cpuUs / elapsedUs, restarted };
}

/** Call the result to know what all cores have done since. */
export function watchMachine(): () => { readonly systemUs: number; readonly elapsedUs: number; readonly share: number } {
  const before = readIdleTime();
  const startMs = performance.now();
  return () => {
    const elapsedUs = (performance.now() - startMs) * 1000;
    const idleUs = (readIdleTime().ticks - before.ticks) * TICK_MS * 1000;
    const systemUs = Math.max(0, elapsedUs * before.cores - idleUs);
    return { systemUs, elapsedUs, share: systemUs / (elapsedUs * before.cores) };
  };
}
