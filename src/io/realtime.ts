// Runs a process before the others where the machine allows it, and reads the clock that also counts while the machine
// sleeps. The change's way, for the processes that send advertisements and guard addresses: under load an ordinary process
// waits up to 150 ms for its turn, one of SCHED_FIFO less than one. Must not be used by a worker that carries traffic.

import { readFileSync, writeFileSync } from "node:fs";
import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { limitResource, readBootTime, scheduleFifo } from "./libc-process.ts";

/**
 * How long a real-time thread may run without waiting for anything, in CPU time: one that runs in circles would keep the
 * whole machine from work. Beyond it the kernel ends the process, and the lease and the guardian do the rest.
 */
export const REALTIME_RUN_MS_MAX = 2_000;
/** Above what most programs use, below the kernel's own threads (50 and up). */
export const realtimePriority = 20;

/**
 * What such a process is started with: V8's helper threads have ordinary priority, and when collection or compilation waits
 * for one of them, the real-time thread waits too. Measured with three busy processes on two cores, 10 ms intervals: up to
 * 70 ms late with the helpers, 0.3 ms without.
 */
export const realtimeNodeFlags: readonly string[] = ["--v8-pool-size=0", "--single-threaded-gc"];

/**
 * SCHED_FIFO for the calling thread, which must be the only one with work. Threads and processes that it starts have
 * ordinary priority. Fails with `realtime.denied`; then the process runs as any other, and intervals under 100 ms are not
 * to be relied on.
 */
export function requestRealtime(priority: number = realtimePriority): Result<true> {
  // Before it is granted: a limit that cannot be set is no reason to go on without one.
  const limited = limitResource("realtimeMicroseconds", REALTIME_RUN_MS_MAX * 1000);
  const granted = limited.ok ? scheduleFifo(priority) : limited;
  if (granted.ok) return good(true);
  const remedy =
    "run as root, give the service AmbientCapabilities=CAP_SYS_NICE or LimitRTPRIO=20 (in a container: --cap-add SYS_NICE); " +
    "on a kernel with CONFIG_RT_GROUP_SCHED its control group needs cpu.rt_runtime_us above 0";
  const detail = `no real-time priority (${granted.name}): ${remedy}`;
  return bad({ code: "realtime.denied", origin: "self", retrySafe: false, detail });
}

/** Points on a clock that runs on while the process is stopped and while the machine is suspended. CLOCK_BOOTTIME. */
export function bootClock(): () => Milliseconds {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  return () => {
    // Fails for an unknown clock only, and this one is older than any Node that we run on.
    readBootTime(bytes);
    return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1e6;
  };
}

const outOfMemoryFile = "/proc/self/oom_score_adj";
/** Nearly never; -1000 is never, which is for the kernel's own. */
const outOfMemoryScore = -900;

/**
 * Lets the kernel end other processes first when memory runs out; children inherit it. Fails with `outOfMemory.denied`.
 */
export function protectFromOutOfMemory(score: number = outOfMemoryScore): Result<true> {
  try {
    if (Number(readFileSync(outOfMemoryFile, "utf8")) <= score) return good(true);
    writeFileSync(outOfMemoryFile, `${score}`);
    return good(true);
  } catch (error) {
    const name = error instanceof Error && "code" in error ? String(error.code) : "an error";
    const detail = `${outOfMemoryFile} could not be written (${name}): run as root or set OOMScoreAdjust=${score} in the service`;
    return bad({ code: "outOfMemory.denied", origin: "self", retrySafe: false, detail });
  }
}
