// Who drives a release, as one word without blanks that says enough to tell whether he is gone: user, host, process, when it
// was started, and the machine with its process namespace, since a number alone may be another one's by now. The change's
// way, an edge. Of a process of another machine nothing can be told: there the lock's time must run out.

import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, userInfo } from "node:os";

export type HolderPlace = { readonly place: string; readonly startOf: (pid: number) => string | undefined };

/** This machine: its boot and the process namespace that we see. */
export function thisPlace(): HolderPlace {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  const namespace = readlinkSync("/proc/self/ns/pid");
  const place = createHash("sha256").update(`${boot} ${namespace}`).digest("hex").slice(0, 12);
  return { place, startOf };
}

/** In clock ticks since the boot, the 22nd field of /proc/PID/stat (proc(5)); undefined: there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // A zombie drives nothing.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    // ENOENT, or ESRCH when it ended while we read: the answer that was asked for.
    return undefined;
  }
}

/** `root@lb-1/1234/5678/0123456789ab`. */
export function describeSelf({ place, startOf: start }: HolderPlace, pid = process.pid): string {
  const clean = (text: string) => text.replaceAll(/[^!-.0-~]/g, "-");
  const who = `${clean(userName())}@${clean(hostname())}`.slice(0, 60);
  return `${who}/${pid}/${start(pid) ?? "0"}/${place}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A number without a name in the system's list of users.
    return String(process.getuid?.() ?? "somebody");
  }
}

/** It was a process of this machine, and is not any more. */
export function isGone(holder: string, { place, startOf: start }: HolderPlace): boolean {
  const [, pid = "", started, where] = holder.split("/");
  return where === place && /^\d+$/.test(pid) && start(Number(pid)) !== started;
}

/** For people: `root@lb-1 (process 1234)`. */
export function describeHolder(holder: string): string {
  const [who, pid] = holder.split("/");
  return pid === undefined ? holder : `${who} (process ${pid})`;
}
