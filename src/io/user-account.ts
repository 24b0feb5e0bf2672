// A user of this machine by name: what a command needs to run as somebody else. The change's way. Reads the user file first,
// which costs no process; a user who is kept elsewhere (LDAP, systemd) is asked for with getent. Must not be used for logins:
// nothing here knows of passwords.

import { readFile } from "node:fs/promises";
import { bad, good, type Result } from "../core/failure.ts";
import { runCommand } from "./bounded-command.ts";

export type Account = {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
};

const usersFile = "/etc/passwd";
const askTimeMax = 2_000;
/** What may stand in a name, so that none is taken for an option or a line's end. shadow-utils, and room for domains. */
const namePattern = /^[A-Za-z_][A-Za-z0-9_.@-]{0,255}$/;

/** The account in the text of a user file, or undefined. passwd(5): name, password, uid, gid, comment, home, shell. */
export function parseAccount(text: string, name: string): Account | undefined {
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    const [found, , uid = "", gid = "", , home = "/"] = fields;
    if (found !== name || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue;
    return { name, uid: Number(uid), gid: Number(gid), home };
  }
  return undefined;
}

/** Fails with `user.missing`. */
export async function findAccount(name: string): Promise<Result<Account>> {
  if (!namePattern.test(name)) return missing(name, "that is no user name");
  const known = parseAccount(await readFile(usersFile, "utf8").catch(() => ""), name);
  if (known !== undefined) return good(known);
  const asked = await runCommand({ program: "getent", args: ["passwd", name], input: "", timeMax: askTimeMax });
  const told = asked.kind === "ended" && asked.code === 0 ? parseAccount(asked.stdout, name) : undefined;
  return told === undefined ? missing(name, `neither ${usersFile} nor getent knows it`) : good(told);
}

function missing(name: string, why: string): Result<Account> {
  return bad({ code: "user.missing", origin: "self", retrySafe: true, detail: `there is no user \`${name}\`: ${why}` });
}

/** For node:child_process; empty where no change of user is needed, which any user may do. Drops all other groups. */
export function identityOf(account: Account | undefined): { readonly uid?: number; readonly gid?: number } {
  if (account === undefined || account.uid === process.getuid?.()) return {};
  return { uid: account.uid, gid: account.gid };
}

/** What a login would set. */
export function environmentOf(account: Account | undefined): Readonly<Record<string, string>> {
  return account === undefined ? {} : { USER: account.name, LOGNAME: account.name, HOME: account.home };
}
