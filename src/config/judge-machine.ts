// Whether this machine has what a configuration asks of it. On the change's way, after decoding, at every start and reload and
// by `evenkeel validate`. Pure: what the machine has is data, gathered by src/control/machine-facts.ts. keepalived leaves
// out what it does not find, with a line in its log: a node that looks like a backup and is none.

import { parseIp } from "../core/address.ts";
import type { MachineWant } from "./machine-wants.ts";
import { nearest } from "./nearest.ts";
import { addProblem, type Complaint, type Problem } from "./problem.ts";

export type ProgramFact = "fine" | "missing" | "directory" | "notExecutable" | "forbidden";

/** What on the way to a program somebody other than root can change, and by which right. */
export type InsecurePath = { readonly path: string; readonly why: "owner" | "group" | "others" };

/** Of a file to be read by this user. */
export type FileFact = "fine" | "missing" | "directory" | "forbidden";

export type MachineFacts = {
  /** Its own addresses by interface, canonical; without those that this program has put there. */
  readonly interfaces: ReadonlyMap<string, readonly string[]>;
  /** Of the programs that were asked for; one that is not here is not judged. */
  readonly programs: ReadonlyMap<string, ProgramFact>;
  readonly users: ReadonlyMap<string, boolean>;
  readonly files: ReadonlyMap<string, FileFact>;
  /** By insecureKey: commands that run as root, and that others can change. */
  readonly insecure: ReadonlyMap<string, InsecurePath>;
};

export type MachineJudgement = { readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

export function judgeMachine(wants: readonly MachineWant[], facts: MachineFacts): MachineJudgement {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const want of wants) {
    const verdict = judge(want, facts);
    if (verdict === undefined) continue;
    const { severity, ...complaint } = verdict;
    addProblem(severity === "problem" ? problems : warnings, complaint, want.place);
  }
  return { problems, warnings };
}

type Verdict = Complaint & { readonly severity: "problem" | "warning" };

function judge(want: MachineWant, facts: MachineFacts): Verdict | undefined {
  switch (want.kind) {
    case "interface":
      return judgeInterface(want.interface, want.speaks, facts);
    case "virtualAddress":
      return judgeVirtual(want.address, want.owner, facts);
    case "ownAddress":
      return judgeOwn(want.address, want.interface, facts);
    case "peer": {
      const at = holderOf(want.address, facts);
      if (at === undefined) return undefined;
      return problem("peer", `\`${want.address}\` is an address of this machine, on ${at}`, "the other nodes only");
    }
    case "program":
      return judgeProgram(want.program, facts.programs.get(want.program));
    case "user":
      if (facts.users.get(want.user) !== false) return undefined;
      return problem("user", `there is no user \`${want.user}\` on this machine`, "a user that exists");
    case "rootOnly":
      return judgeSafety(want, facts.insecure.get(insecureKey(want)));
    case "file":
      return judgeFile(want.path, facts.files.get(want.path));
    default:
      return want satisfies never;
  }
}

function problem(code: string, message: string, expected: string, suggestion?: string): Verdict {
  return { severity: "problem", code: `machine.${code}`, message, expected, suggestion };
}

function holderOf(address: string, facts: MachineFacts): string | undefined {
  for (const [name, addresses] of facts.interfaces) if (addresses.includes(address)) return name;
  return undefined;
}

const namedMax = 20;

function judgeInterface(name: string, speaks: 4 | 6 | undefined, facts: MachineFacts): Verdict | undefined {
  const addresses = facts.interfaces.get(name);
  if (addresses === undefined) {
    const names = [...facts.interfaces.keys()];
    const list = names.slice(0, namedMax).map((one) => `\`${one}\``);
    const expected = `one of ${list.join(", ")}, or \`waitForInterface: true\``;
    return problem("interface", `there is no interface \`${name}\` on this machine`, expected, nearest(name, names));
  }
  if (speaks === undefined || addresses.some((address) => canSpeak(address, speaks))) return undefined;
  const what = speaks === 4 ? "IPv4 address" : "link-local address";
  const message = `interface \`${name}\` has no ${what} to speak from, so this node takes no part until it has one`;
  return { severity: "warning", code: "machine.source", message };
}

/** RFC 9568 section 5.1.2.1: over IPv6 from a link-local address. */
function canSpeak(text: string, family: 4 | 6): boolean {
  const address = parseIp(text);
  if (address?.family !== family) return false;
  return family === 4 || (address.bytes[0] === 0xfe && ((address.bytes[1] ?? 0) & 0xc0) === 0x80);
}

function judgeVirtual(address: string, owner: boolean, facts: MachineFacts): Verdict | undefined {
  const at = holderOf(address, facts);
  if (owner && at === undefined) {
    const message = `\`${address}\` is on no interface of this machine, and \`priority: 255\` says that it is this node's own`;
    return { severity: "warning", code: "machine.owner", message, expected: "a priority of at most 254" };
  }
  if (owner || at === undefined) return undefined;
  const message = `\`${address}\` is this machine's own address on ${at}, so it would not move`;
  return problem("address", message, "an address of no machine, or `priority: 255` on the one that owns it");
}

function judgeOwn(address: string, name: string, facts: MachineFacts): Verdict | undefined {
  const addresses = facts.interfaces.get(name);
  // A missing interface is told by itself.
  if (addresses === undefined || addresses.includes(address)) return undefined;
  const family = parseIp(address)?.family;
  const list = addresses.filter((one) => parseIp(one)?.family === family).slice(0, namedMax);
  const expected = list.length === 0 ? "" : `one of ${list.map((one) => `\`${one}\``).join(", ")}`;
  return problem("source", `interface \`${name}\` has no address \`${address}\``, expected, nearest(address, list));
}

function judgeProgram(program: string, fact: ProgramFact | undefined): Verdict | undefined {
  switch (fact) {
    case undefined:
    case "fine":
      return undefined;
    case "missing": {
      const where = program.includes("/") ? "" : " in PATH";
      return problem("program", `there is no program \`${program}\`${where}`, "a program that exists");
    }
    case "directory":
      return problem("program", `\`${program}\` is a directory`, "a program");
    case "notExecutable":
      return problem("program", `\`${program}\` is not executable`, `a program: chmod +x ${program}`);
    case "forbidden":
      return problem("program", `this user may not look at \`${program}\``, "a program that can be run");
    default:
      return fact satisfies never;
  }
}

export function insecureKey({
  program,
  user,
}: {
  readonly program: string;
  readonly user: string | undefined;
}): string {
  return `${user ?? ""} ${program}`;
}

const insecureWords = {
  owner: "belongs to another user",
  group: "may be changed by its group",
  others: "may be changed by everybody",
} as const satisfies Record<InsecurePath["why"], string>;

function judgeSafety(
  { program, refused }: { readonly program: string; readonly refused: boolean },
  found: InsecurePath | undefined,
): Verdict | undefined {
  if (found === undefined) return undefined;
  const what = found.path === program ? "which" : `and \`${found.path}\``;
  const message = `\`${program}\` would run as root, ${what} ${insecureWords[found.why]}`;
  if (!refused) return { severity: "warning", code: "machine.insecure", message };
  return problem(
    "insecure",
    message,
    `\`chown root\` and \`chmod go-w\` of ${found.path}, another \`user\`, or \`insecureCommands: warn\``,
  );
}

function judgeFile(path: string, fact: FileFact | undefined): Verdict | undefined {
  switch (fact) {
    case undefined:
    case "fine":
      return undefined;
    case "missing":
      return problem("file", `there is no file \`${path}\``, "a file that exists");
    case "directory":
      return problem("file", `\`${path}\` is a directory`, "a file");
    case "forbidden":
      return problem("file", `this user may not read \`${path}\``, "a file that can be read");
    default:
      return fact satisfies never;
  }
}
