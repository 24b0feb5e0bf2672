// Whether somebody other than root can change what root is to run: the program, or a folder or link on the way to it. The
// change's way, for machine-facts.ts. keepalived's rule (lib/notify.c, check_script_secure), which keepalived only tells of
// unless enable_script_security is set; looked at along symbolic links as well, each link and where it leads. Reads only.

import type { Stats } from "node:fs";
import { lstat, readlink, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { InsecurePath } from "../config/judge-machine.ts";
import { findAccount } from "../io/user-account.ts";

const linksMax = 40;
const sticky = 0o1000;
const [setUser, setGroup] = [0o4000, 0o2000];
const [groupWrites, othersWrite] = [0o020, 0o002];

/** Undefined: nobody but root can. `program` is a path; one that cannot be looked at is for others to complain of. */
export async function findInsecure(program: string): Promise<InsecurePath | undefined> {
  const parts = resolve(program).split("/").slice(1);
  let at = "/";
  let links = 0;
  const root = await look(at);
  const wrong = root === undefined ? undefined : judge(at, root);
  if (wrong !== undefined) return wrong;
  while (parts.length > 0) {
    const next = join(at, parts.shift() ?? "");
    const stats = await look(next);
    if (stats === undefined) return undefined;
    if (!stats.isSymbolicLink()) {
      const found = judge(next, stats);
      if (found !== undefined) return found;
      at = next;
      continue;
    }
    if (stats.uid !== 0) return { path: next, why: "owner" };
    if (++links > linksMax) return undefined;
    const target = resolve(dirname(next), await readlink(next));
    parts.unshift(...target.split("/").slice(1));
    at = "/";
  }
  return undefined;
}

async function look(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch {
    // Missing, or not ours to look at: told of as such by who asks for the program itself.
    return undefined;
  }
}

function judge(path: string, { uid, gid, mode }: Stats): InsecurePath | undefined {
  if (uid !== 0) return { path, why: "owner" };
  // In a sticky folder, as /tmp is, nobody may replace what is not theirs.
  if ((mode & sticky) !== 0 && isFolder(mode)) return undefined;
  if ((mode & othersWrite) !== 0) return { path, why: "others" };
  return gid !== 0 && (mode & groupWrites) !== 0 ? { path, why: "group" } : undefined;
}

const typeMask = 0o170000;
const folderType = 0o040000;

function isFolder(mode: number): boolean {
  return (mode & typeMask) === folderType;
}

/** True when what runs would have root's user or group, by who runs it or by the file's own bits. */
export async function runsAsRoot(program: string, user: string | undefined): Promise<boolean> {
  if (await raises(program)) return true;
  if (user === undefined) return process.getuid?.() === 0;
  const account = await findAccount(user);
  return account.ok && (account.value.uid === 0 || account.value.gid === 0);
}

async function raises(program: string): Promise<boolean> {
  const stats = await stat(program).catch(() => undefined);
  if (stats === undefined) return false;
  return (stats.uid === 0 && (stats.mode & setUser) !== 0) || (stats.gid === 0 && (stats.mode & setGroup) !== 0);
}
