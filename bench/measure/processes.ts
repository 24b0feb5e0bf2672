// What Linux says in /proc about the processes of a proxy: the tree below a process id, the CPU time of all its threads
// in nanoseconds, its resident memory. Parsers take text and are pure; readers open files. A process that ends between
// two looks is left out, so a caller compares the lists of process ids of two readings (`sameProcesses`).

import { readdirSync, readFileSync } from "node:fs";

const TICK_MS = 10;
/** kthreadd, the parent of the kernel's threads. */
const KERNEL_THREADS = 2;

export type Usage = {
  /** CPU time of the processes that carry traffic, all threads, in nanoseconds. */
  readonly workerCpuNs: number;
  /** CPU time of those that only supervise, in nanoseconds. */
  readonly supervisorCpuNs: number;
  /** Resident memory of all of them, in bytes. */
  readonly rssBytes: number;
  readonly pids: readonly number[];
};

/**
 * The usage of the process tree below `root`. A leaf of the tree carries traffic (a worker; or the one process of a
 * proxy that has no supervisor); a process with children supervises.
 */
export function readUsage(root: number): Usage {
  const children = readChildren();
  const pids = walk(root, children);
  let workerCpuNs = 0;
  let supervisorCpuNs = 0;
  let rssBytes = 0;
  for (const pid of pids) {
    const cpuNs = readCpuNs(pid);
    if (children.has(pid)) supervisorCpuNs += cpuNs;
    else workerCpuNs += cpuNs;
    rssBytes += parseRssBytes(readIfThere(`/proc/${pid}/status`) ?? "");
  }
  return { workerCpuNs, supervisorCpuNs, rssBytes, pids };
}

/** False when a process ended, or a new one came, between the two readings: CPU time was lost and the round is void. */
export function sameProcesses(before: Usage, after: Usage): boolean {
  return before.pids.join() === after.pids.join();
}

/** `root` and everything below it, parents first, in ascending order among siblings. */
export function listTree(root: number): number[] {
  return walk(root, readChildren());
}

/** CPU time of every thread of a process, in nanoseconds, from /proc/PID/task/TID/schedstat. 0 for a process that is gone. */
export function readCpuNs(pid: number): number {
  let sum = 0;
  for (const task of listIfThere(`/proc/${pid}/task`)) {
    const text = readIfThere(`/proc/${pid}/task/${task}/schedstat`);
    if (text !== undefined) sum += parseSchedstat(text);
  }
  return sum;
}

/** The first number of a schedstat line: time spent on a CPU, in nanoseconds (kernel, sched-stats.rst). */
export function parseSchedstat(text: string): number {
  const found = /^(\d+) \d+ \d+\s*$/.exec(text);
  if (found === null) throw new Error(`not a schedstat line: ${JSON.stringify(text)}`);
  return Number(found[1]);
}

/** VmRSS of a /proc/PID/status in bytes; 0 where there is none (a process that has ended, a kernel thread). */
export function parseRssBytes(text: string): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(text);
  return found === null ? 0 : Number(found[1]) * 1024;
}

/** The parent of a process from its /proc/PID/stat. The name in parentheses may itself hold parentheses and blanks (proc(5)). */
export function parseParent(text: string): number {
  const afterName = text.slice(text.lastIndexOf(")") + 2);
  const parent = Number(afterName.split(" ")[1]);
  if (!Number.isInteger(parent)) throw new Error(`not a stat line: ${JSON.stringify(text)}`);
  return parent;
}

export type CoreTime = {
  /** Clock ticks (10 ms) since boot in which the core did anything, and in which it waited for its hypervisor. */
  readonly busyTicks: number;
  readonly stolenTicks: number;
};

/** The time of one core from /proc/stat: user, nice, system, irq, softirq are busy; idle and iowait are not (proc(5)). */
export function parseCoreTime(text: string, core: number): CoreTime {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`cpu${core} `));
  if (line === undefined) throw new Error(`/proc/stat has no core ${core}`);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(" ").slice(1).map(Number);
  return { busyTicks: user + nice + system + irq + softirq, stolenTicks: steal };
}

export function readCoreTime(core: number): CoreTime {
  return parseCoreTime(readFileSync("/proc/stat", "utf8"), core);
}

export type IdleTime = {
  /** Clock ticks (10 ms) since boot in which the cores did nothing, or the hypervisor did not let them; over all cores. */
  readonly ticks: number;
  readonly cores: number;
};

/**
 * What is left when everything that ran is taken away, softirqs included, whatever process they were charged to. A kernel
 * with NO_HZ counts idle time exactly, while busy time may be sampled once a tick (proc(5), kernel/time/tick-sched.c).
 */
export function parseIdleTime(text: string): IdleTime {
  const lines = text.split("\n").filter((line) => /^cpu\d/.test(line));
  let ticks = 0;
  for (const line of lines) {
    const [, , , idle = 0, iowait = 0, , , steal = 0] = line.split(" ").slice(1).map(Number);
    ticks += idle + iowait + steal;
  }
  if (lines.length === 0) throw new Error("/proc/stat names no core");
  return { ticks, cores: lines.length };
}

export function readIdleTime(): IdleTime {
  return parseIdleTime(readFileSync("/proc/stat", "utf8"));
}

/** CPU time in clock ticks (10 ms) of a process, and of its children that have ended, from its /proc/PID/stat (proc(5)). */
export function parseTicks(text: string): { readonly own: number; readonly ended: number } {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const own = Number(fields[11]) + Number(fields[12]);
  const ended = Number(fields[13]) + Number(fields[14]);
  if (!Number.isInteger(own + ended)) throw new Error(`not a stat line: ${JSON.stringify(text)}`);
  return { own, ended };
}

/**
 * CPU time in milliseconds of every process but those at or below the given ones and the kernel's own threads: what had
 * nothing to do with what is measured. Short-lived ones count by way of who waited for them.
 */
export function readOthersCpuMs(ours: readonly number[]): number {
  const children = readChildren();
  const known = new Set([...ours, KERNEL_THREADS].flatMap((pid) => walk(pid, children)));
  let ticks = 0;
  for (const pid of [...children.values()].flat()) {
    if (known.has(pid)) continue;
    const text = readIfThere(`/proc/${pid}/stat`);
    if (text === undefined) continue;
    const { own, ended } = parseTicks(text);
    // Our own load programs end during a round, and this process is who waits for them.
    ticks += pid === process.pid ? own : own + ended;
  }
  return ticks * TICK_MS;
}

/** CPU time of a process tree in milliseconds, what has ended in it included: to the nanosecond but for the ended. */
export function readTreeCpuMs(root: number): number {
  let sum = 0;
  for (const pid of listTree(root)) {
    const stat = readIfThere(`/proc/${pid}/stat`);
    sum += readCpuNs(pid) / 1_000_000 + (stat === undefined ? 0 : parseTicks(stat).ended * TICK_MS);
  }
  return sum;
}

function readChildren(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of listIfThere("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = readIfThere(`/proc/${name}/stat`);
    if (text === undefined) continue;
    const parent = parseParent(text);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  return children;
}

function walk(root: number, children: ReadonlyMap<number, readonly number[]>): number[] {
  const found = [root];
  for (const child of [...(children.get(root) ?? [])].sort((a, b) => a - b)) found.push(...walk(child, children));
  return found;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isGone(cause)) return undefined;
    throw cause;
  }
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (cause) {
    if (isGone(cause)) return [];
    throw cause;
  }
}

function isGone(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ESRCH");
}
