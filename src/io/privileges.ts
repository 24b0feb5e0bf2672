// Takes from a process all rights but the few that it needs. The change's way, for the processes that speak VRRP: they are
// open to every packet of the link. Linux keeps capabilities by thread, and Node has threads before our first line runs, so
// a drop in a running process would leave them to the others: instead the process drops them from what an exec can give,
// and becomes a new image of itself, in which no thread ever had them. Must run before the process has opened anything.

import { readFileSync } from "node:fs";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { CallResult } from "./libc.ts";
import {
  dropBounding,
  forbidNewPrivileges,
  ignoreSignal,
  limitResource,
  raiseAmbient,
  readBounding,
  setCapabilities,
  setParentDeathSignal,
} from "./libc-process.ts";
import { keepOnExec } from "./libc-sockets.ts";
import { capabilityRemedy } from "./socket-failure.ts";

/** linux/capability.h. */
export const capability = { netAdmin: 12, netRaw: 13, sysNice: 23 } as const;
const names: readonly (readonly [number, string])[] = [
  [capability.netAdmin, "CAP_NET_ADMIN"],
  [capability.netRaw, "CAP_NET_RAW"],
  [capability.sysNice, "CAP_SYS_NICE"],
];
const capabilitiesMax = 64;

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

/** The capabilities in effect for this process's main thread, from the text of /proc/self/status. */
export function parseCapabilities(status: string): ReadonlySet<number> {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  const bits = BigInt(`0x${hex}`);
  const held = new Set<number>();
  for (let index = 0; index < capabilitiesMax; index++) if ((bits >> BigInt(index)) & 1n) held.add(index);
  return held;
}

export function heldCapabilities(): ReadonlySet<number> {
  return parseCapabilities(readFileSync("/proc/self/status", "utf8"));
}

/** Fails with `privilege.missing`, naming what is missing and how to give it. */
export function requireCapabilities(wanted: readonly number[]): Result<true> {
  const held = heldCapabilities();
  const missing = wanted.filter((each) => !held.has(each));
  if (missing.length === 0) return good(true);
  const listed = missing.map((each) => names.find(([number]) => number === each)?.[1] ?? `capability ${each}`);
  return bad(failure("privilege.missing", `this process lacks ${listed.join(" and ")}: ${capabilityRemedy}`));
}

export type Confinement = {
  readonly keep: readonly number[];
  /**
   * Up to which real-time priority the process and what it starts may still go, though CAP_SYS_NICE is gone. 0: none. To
   * grant it takes CAP_SYS_RESOURCE; a priority that the calling thread has already stays with it in any case.
   */
  readonly realtimePriorityMax: number;
};

/**
 * What an exec gives from now on, to this process and all that it starts, is at most `keep`, and for ever. The limit of
 * the real-time priority stays as it was where it may not be raised; requestRealtime will tell.
 * Fails with `privilege.missing` and `privilege.failed`.
 */
export function confine(confinement: Confinement): Result<true> {
  const { keep, realtimePriorityMax } = confinement;
  const held = requireCapabilities(keep);
  if (!held.ok) return held;
  limitResource("realtimePriority", realtimePriorityMax);
  for (let each = 0; each < capabilitiesMax; each++) {
    if (keep.includes(each) || !isInBounds(each)) continue;
    const dropped = dropBounding(each);
    // Without CAP_SETPCAP, that is not as root, there are no capabilities that an exec could bring.
    if (!dropped.ok && dropped.name !== "EPERM") return refused("PR_CAPBSET_DROP", dropped);
  }
  const reduced = setCapabilities(keep);
  if (!reduced.ok) return refused("capset", reduced);
  for (const each of keep) {
    const raised = raiseAmbient(each);
    if (!raised.ok) return refused("PR_CAP_AMBIENT_RAISE", raised);
  }
  const forbidden = forbidNewPrivileges();
  return forbidden.ok ? good(true) : refused("PR_SET_NO_NEW_PRIVS", forbidden);
}

function isInBounds(each: number): boolean {
  const read = readBounding(each);
  return read.ok && read.value === 1;
}

function refused(call: string, result: CallResult & { readonly ok: false }) {
  return bad(failure("privilege.failed", `${call} failed with ${result.name}`));
}

/**
 * Becomes the same program again with these arguments and this environment, keeping its process id and these descriptors
 * beside the standard ones. Returns only what went wrong: `privilege.exec`. execve(2).
 */
export function becomeConfined(image: {
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly descriptors: readonly number[];
}): Failure {
  for (const fd of image.descriptors) {
    const kept = keepOnExec(fd);
    if (!kept.ok) return failure("privilege.exec", `descriptor ${fd} cannot be kept: ${kept.name}`);
  }
  if (process.execve === undefined) return failure("privilege.exec", "this Node has no process.execve");
  try {
    return process.execve(process.execPath, [process.execPath, ...image.args], image.environment);
  } catch (error) {
    return failure("privilege.exec", `execve failed: ${String(error)}`);
  }
}

/**
 * Ends this process with the signal when its parent ends, also when that was killed. `parent` is who it should be: one
 * that is gone already sends nothing any more. Fails with `privilege.orphan` and `privilege.failed`.
 */
export function endWithParent(parent: number, signal: NodeJS.Signals): Result<true> {
  const set = setParentDeathSignal(signal);
  if (!set.ok) return refused("PR_SET_PDEATHSIG", set);
  if (process.ppid === parent) return good(true);
  return bad(failure("privilege.orphan", `the parent ${parent} has ended already`));
}

/** For a process that is told when to end: signals to its group or service are not for it. Fails with `privilege.failed`. */
export function ignoreSignals(signals: readonly NodeJS.Signals[]): Result<true> {
  for (const signal of signals) {
    const ignored = ignoreSignal(signal);
    if (!ignored.ok) return refused(`signal(${signal})`, ignored);
  }
  return good(true);
}
