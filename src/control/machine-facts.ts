// Looks at this machine for what a configuration asks of it: interfaces, addresses, programs, users. The change's way, after
// decoding; src/config/judge-machine.ts says what it means. Reads only. Addresses that this program has put there itself
// are left out, or a reload on the active node would take them for the machine's own.

import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type InsecurePath, insecureKey, type MachineFacts, type ProgramFact } from "../config/judge-machine.ts";
import type { MachineWant } from "../config/machine-wants.ts";
import { formatIp, parseIp } from "../core/address.ts";
import { good, type Result } from "../core/failure.ts";
import { commandEnvironment } from "../io/bounded-command.ts";
import { readAddresses, readLinks, routeExchange } from "../io/netlink-route.ts";
import { ownerMark } from "../io/owned-addresses.ts";
import { findAccount } from "../io/user-account.ts";
import { type AddressEntry, addressFlag } from "../wire/netlink/route.ts";
import { findInsecure, runsAsRoot } from "./program-safety.ts";

/** All but files, which are file-facts.ts. Fails where the kernel cannot be asked (netlink.*, address.refused). */
export async function gatherFacts(wants: readonly MachineWant[]): Promise<Result<Omit<MachineFacts, "files">>> {
  const interfaces = readInterfaces();
  if (!interfaces.ok) return interfaces;
  const programs = new Map<string, ProgramFact>();
  const users = new Map<string, boolean>();
  const insecure = new Map<string, InsecurePath>();
  for (const want of wants) {
    if (want.kind === "program" && !programs.has(want.program)) programs.set(want.program, await lookAt(want.program));
    if (want.kind === "user" && !users.has(want.user)) users.set(want.user, (await findAccount(want.user)).ok);
  }
  for (const want of wants) {
    if (want.kind !== "rootOnly") continue;
    const path = await pathOf(want.program);
    const found = path !== undefined && (await runsAsRoot(path, want.user)) ? await findInsecure(path) : undefined;
    if (found !== undefined) insecure.set(insecureKey(want), found);
  }
  return good({ interfaces: interfaces.value, programs, users, insecure });
}

function readInterfaces(): Result<ReadonlyMap<string, readonly string[]>> {
  const exchange = routeExchange();
  try {
    const links = readLinks(exchange);
    if (!links.ok) return links;
    const addresses = readAddresses(exchange);
    if (!addresses.ok) return addresses;
    const own = addresses.value.filter((entry) => !isOurs(entry, addresses.value));
    return good(
      new Map(
        links.value.map(({ name, index }) => [
          name,
          own.filter(({ interfaceIndex }) => interfaceIndex === index).map(({ address }) => canonical(address)),
        ]),
      ),
    );
  } finally {
    exchange.close();
  }
}

type Marked = Pick<AddressEntry, "protocol" | "flags">;

/** Since Linux 5.18 an address carries who set it, the kernel's own first of all; before, ours are those with an end. */
export function isOurs(entry: Marked, all: readonly Marked[]): boolean {
  const marks = all.some(({ protocol }) => protocol !== 0);
  return marks ? entry.protocol === ownerMark : (entry.flags & addressFlag.permanent) === 0;
}

function canonical(text: string): string {
  const address = parseIp(text);
  return address === undefined ? text : formatIp(address);
}

/** As execvp finds it: a path as it is, a name in PATH. The first that can be run; else why the last one cannot. */
async function lookAt(program: string): Promise<ProgramFact> {
  if (program.includes("/")) return lookAtFile(program);
  let found: ProgramFact = "missing";
  for (const folder of (commandEnvironment()["PATH"] ?? "").split(":")) {
    const fact = await lookAtFile(join(folder, program));
    if (fact === "fine") return fact;
    if (fact !== "missing") found = fact;
  }
  return found;
}

/** Where it is run from; undefined when it cannot be run. */
async function pathOf(program: string): Promise<string | undefined> {
  if (program.includes("/")) return program;
  for (const folder of (commandEnvironment()["PATH"] ?? "").split(":")) {
    if ((await lookAtFile(join(folder, program))) === "fine") return join(folder, program);
  }
  return undefined;
}

async function lookAtFile(path: string): Promise<ProgramFact> {
  let stats: Stats;
  try {
    stats = await stat(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "EACCES" ? "forbidden" : "missing";
  }
  if (stats.isDirectory()) return "directory";
  // Root may run what has any of the three bits; a command's own user may need another one, which its first run tells.
  return (stats.mode & 0o111) === 0 ? "notExecutable" : "fine";
}
