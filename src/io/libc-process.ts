// Calls of the C library that say how a process runs: its scheduling, its capabilities, its limits, which signals it
// ignores, the boot-time clock. The change's way; meaning and remedies stand in realtime.ts and privileges.ts. Constants are
// those of Linux. Capabilities and scheduling belong to the calling thread: see privileges.ts for what that means.

import { constants } from "node:os";
import koffi from "koffi";
import { type CallResult, resultOf } from "./libc.ts";

const library = koffi.load(null);

const cPrctl: (option: number, a: number, b: number, c: number, d: number) => number = library.func(
  "int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)",
);
const cCapset: (header: Uint8Array, data: Uint8Array) => number = library.func("int capset(void *, const void *)");
const cSetrlimit: (resource: number, limit: Uint8Array) => number = library.func("int setrlimit(int, const void *)");
const cSignal: (signal: number, action: number) => number | bigint = library.func("intptr_t signal(int, uintptr_t)");
const cClock: (clock: number, into: Uint8Array) => number = library.func("int clock_gettime(int, void *)");
// Through pthreads, since musl's sched_setscheduler refuses; it gives the error itself.
const cSelf: () => number | bigint = library.func("uintptr_t pthread_self()");
const cSchedule: (thread: number | bigint, policy: number, parameters: Uint8Array) => number = library.func(
  "int pthread_setschedparam(uintptr_t, int, const void *)",
);

const prctlOption = {
  parentDeathSignal: 1,
  boundingRead: 23,
  boundingDrop: 24,
  noNewPrivileges: 38,
  ambient: 47,
} as const;
const ambientRaise = 2;
const schedulingFifo = 1;
const resetOnFork = 0x40000000;
const clockBootTime = 7;
const ignoreAction = 1;
const capabilityVersion3 = 0x20080522;

export type Resource = "realtimePriority" | "realtimeMicroseconds";
const resources: Record<Resource, number> = { realtimePriority: 14, realtimeMicroseconds: 15 };

/** The signal that this process gets when the thread that started it ends; 0 none. prctl(2). */
export function setParentDeathSignal(signal: NodeJS.Signals): CallResult {
  return resultOf(cPrctl(prctlOption.parentDeathSignal, constants.signals[signal], 0, 0, 0));
}

/** 1: an exec could still bring this capability back; 0: never; EINVAL: the kernel does not know the number. */
export function readBounding(capability: number): CallResult {
  return resultOf(cPrctl(prctlOption.boundingRead, capability, 0, 0, 0));
}

export function dropBounding(capability: number): CallResult {
  return resultOf(cPrctl(prctlOption.boundingDrop, capability, 0, 0, 0));
}

/** The capability, permitted and inheritable by now, survives an exec of a file without capabilities. */
export function raiseAmbient(capability: number): CallResult {
  return resultOf(cPrctl(prctlOption.ambient, ambientRaise, capability, 0, 0));
}

export function forbidNewPrivileges(): CallResult {
  return resultOf(cPrctl(prctlOption.noNewPrivileges, 1, 0, 0, 0));
}

/** The calling thread's effective, permitted and inheritable set becomes this one. capset(2). */
export function setCapabilities(capabilities: readonly number[]): CallResult {
  const header = new Uint8Array(8);
  new DataView(header.buffer).setUint32(0, capabilityVersion3, true);
  // Twice three words: effective, permitted, inheritable, for capabilities 0 to 31 and 32 to 63.
  const data = new Uint8Array(24);
  const view = new DataView(data.buffer);
  for (const capability of capabilities) {
    for (let set = 0; set < 3; set++) {
      const at = (capability >> 5) * 12 + set * 4;
      view.setUint32(at, view.getUint32(at, true) | (1 << (capability & 31)), true);
    }
  }
  return resultOf(cCapset(header, data));
}

/** Soft and hard limit alike. setrlimit(2). */
export function limitResource(resource: Resource, value: number): CallResult {
  const limit = new Uint8Array(new BigUint64Array([BigInt(value), BigInt(value)]).buffer);
  return resultOf(cSetrlimit(resources[resource], limit));
}

/** Whatever Node does with it: it has no handler of ours, and a handler of its own is replaced. signal(2). */
export function ignoreSignal(signal: NodeJS.Signals): CallResult {
  return resultOf(Number(cSignal(constants.signals[signal], ignoreAction)));
}

/** The calling thread runs before all others of lower or no real-time priority (1 to 99); its children do not. */
export function scheduleFifo(priority: number): CallResult {
  const parameters = new Uint8Array(new Int32Array([priority]).buffer);
  const errno = cSchedule(cSelf(), schedulingFifo | resetOnFork, parameters);
  return errno === 0 ? { ok: true, value: 0 } : { ok: false, errno, name: nameOf(errno) };
}

function nameOf(errno: number): string {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
}

/** struct timespec of CLOCK_BOOTTIME into 16 bytes. clock_gettime(2). */
export function readBootTime(into: Uint8Array): CallResult {
  return resultOf(cClock(clockBootTime, into));
}
