// Finds the processes that a test file has left behind, however far they went (another session, another parent): every
// test file runs with a mark in its environment that its children inherit. A program that has overwritten its
// environment with its title, as nginx does, is known by the process group instead. Linux only; elsewhere it finds none.
// It must never name a process that the test file did not start.

import { readdirSync, readFileSync } from "node:fs";

/** The environment variable that carries the mark. */
export const markName = "EVENKEEL_TEST_FILE";

export type Leftover = { readonly pid: number; readonly command: string };

/** Ids of the processes in the group of this one; to be taken before the test file starts. */
export function groupMembers(): ReadonlySet<number> {
  const group = statOf(process.pid)?.group;
  return new Set(processIds().filter((pid) => group !== undefined && statOf(pid)?.group === group));
}

/**
 * Living processes that carry the mark, and, when `before` is given, those that joined our group since and have no
 * readable environment any more. Give `before` only while no other test file is running.
 */
export function findLeftovers(mark: string, before: ReadonlySet<number> | undefined): readonly Leftover[] {
  const group = statOf(process.pid)?.group;
  const entry = `${markName}=${mark}`;
  const left: Leftover[] = [];
  for (const pid of processIds()) {
    if (pid === process.pid) continue;
    const stat = statOf(pid);
    if (stat === undefined || stat.state === "Z" || stat.state === "X") continue;
    const environment = read(`/proc/${pid}/environ`);
    if (environment === undefined) continue;
    const marked = environment.split("\0").includes(entry);
    const wiped = before !== undefined && stat.group === group && !before.has(pid) && !environment.includes("=");
    if (marked || wiped) left.push({ pid, command: commandOf(pid) });
  }
  return left;
}

function processIds(): readonly number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^[0-9]+$/.test(name))
      .map(Number);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** State letter and process group, or undefined when the process is gone. */
function statOf(pid: number): { readonly state: string; readonly group: number } | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The name in brackets may hold anything, brackets too; the fields follow the last one (proc(5)).
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields?.[0];
  const group = fields?.[2];
  return state === undefined || group === undefined ? undefined : { state, group: Number(group) };
}

function commandOf(pid: number): string {
  const line = read(`/proc/${pid}/cmdline`) ?? "";
  return line.replaceAll("\0", " ").trim().slice(0, 200);
}

/** Undefined when the process has ended in between or belongs to somebody else. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM" || code === "ENOTDIR";
}
