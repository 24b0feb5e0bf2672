// Several machines on one: network namespaces joined by cables (veth) and switches (bridges), for tests of layer 4 and of
// failover. A machine is removed when its scope ends, also when the test has failed or the test process goes down; what a
// killed run left is removed by the next. The namespace of the test process itself is never touched. Needs root and `ip`.
//
// A netlink socket, an address and a sysctl belong to the namespace in which a process was started: whatever a test wants
// to know of a machine it must ask from inside, with run, start or an agent (fixtures/agent.ts).

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import {
  atEnd,
  isAlive,
  type Program,
  type ProgramOptions,
  type Ran,
  root,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

const namespacesPath = "/run/netns";
const prefix = "ekt";
/** Where Debian keeps ip, nft and conntrack; a user's PATH lacks them. */
const environment = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };

/** Why no machine can be made here, for node:test's `skip`; false when it can. */
export const noMachines: string | false = judgeMachine();

function judgeMachine(): string | false {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const ran = spawnSync("ip", ["netns", "list"], { env: environment, encoding: "utf8" });
  if (ran.error !== undefined) return "the program ip is missing (Debian package iproute2)";
  const name = `${prefix}-${process.pid}-trial`;
  if (spawnSync("ip", ["netns", "add", name], { env: environment }).status !== 0) {
    return "this kernel or container makes no network namespaces";
  }
  removeNamespace(name);
  removeStale();
  return false;
}

/** Why a program that a test compares with is not there, for node:test's `skip`. */
export function noProgram(program: string, debianPackage: string): string | false {
  const ran = spawnSync(program, ["--version"], { env: environment });
  return ran.error === undefined ? false : `the program ${program} is missing (Debian package ${debianPackage})`;
}

function removeNamespace(name: string): void {
  spawnSync("ip", ["netns", "del", name], { env: environment });
}

/** Ours of test processes that are gone: they were killed before they could clean up. */
function removeStale(): void {
  for (const name of readdirSync(namespacesPath)) {
    const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeNamespace(name);
  }
}

const made = new Set<string>();
process.on("exit", () => {
  for (const name of made) removeNamespace(name);
});
let machinesMade = 0;

export type Machine = {
  readonly name: string;
  /** As `ip netns` knows it; unique on this machine. */
  readonly namespace: string;
  /** Lines for `ip -batch` inside, without the leading `ip`: `addr add 10.0.0.1/24 dev eth0`. Throws with ip's words. */
  ip(...lines: readonly string[]): void;
  /** `net.ipv4.ip_forward` to its value. */
  sysctl(values: Readonly<Record<string, number | string>>): void;
  /** Runs a program inside to its end. */
  run(scope: Scope, command: string, args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Starts a program inside; its process id is the program's own. Ended with the scope. */
  start(scope: Scope, command: string, args: readonly string[], options?: ProgramOptions): Program;
};

type RunOptions = ProgramOptions & { readonly timeoutMs?: number };

/** A machine with nothing but its loopback, which is up. */
export function machine(scope: Scope, name: string): Machine {
  const namespace = `${prefix}-${process.pid}-${++machinesMade}-${name}`;
  must(["netns", "add", namespace]);
  made.add(namespace);
  atEnd(scope, () => {
    removeNamespace(namespace);
    made.delete(namespace);
  });
  const inside = (command: string, args: readonly string[]) => ["netns", "exec", namespace, command, ...args];
  const withPath = <T extends ProgramOptions>(options: T | undefined) => ({
    ...options,
    env: { PATH: environment.PATH, ...options?.env },
  });
  const result: Machine = {
    name,
    namespace,
    ip: (...lines) => must(["-n", namespace, "-batch", "-"], lines.join("\n")),
    sysctl: (values) => {
      const settings = Object.entries(values).map(([key, value]) => `${key}=${value}`);
      must(inside("sysctl", ["-qw", ...settings]));
    },
    run: (at, command, args, options) => runProgram(at, "ip", inside(command, args), withPath(options)),
    start: (at, command, args, options) => startProgram(at, "ip", inside(command, args), withPath(options)),
  };
  // An address is there at once: a test does not wait for the detection of duplicates.
  result.sysctl({ "net.ipv6.conf.default.accept_dad": 0, "net.ipv6.conf.all.accept_dad": 0 });
  result.ip("link set lo up");
  return result;
}

function must(args: readonly string[], input?: string): void {
  const ran = spawnSync("ip", [...args], { env: environment, encoding: "utf8", input: input ?? "" });
  if (ran.status === 0) return;
  throw new Error(`ip ${args.join(" ")}${input === undefined ? "" : `\n${input}`}\n${ran.stderr}${ran.error ?? ""}`);
}

export type Plug = { readonly machine: Machine; readonly device: string };

/** A cable between two machines, both ends up, without addresses. */
export function cable(one: Plug, other: Plug): void {
  const far = `peer name ${other.device} netns ${other.machine.namespace}`;
  one.machine.ip(`link add ${one.device} type veth ${far}`, `link set ${one.device} up`);
  other.machine.ip(`link set ${other.device} up`);
}

/** Switches: each a bridge of this machine. Plug machines in with `plug`. */
export function switches(scope: Scope, names: readonly string[]): Machine {
  const holder = machine(scope, "switch");
  // Without snooping: a switch that has not heard who listens drops the first neighbour solicitations.
  for (const name of names) {
    holder.ip(`link add ${name} type bridge forward_delay 0 mcast_snooping 0`, `link set ${name} up`);
  }
  return holder;
}

let cables = 0;

export function plug(holder: Machine, bridge: string, end: Plug): void {
  const device = `p${++cables}`;
  cable(end, { machine: holder, device });
  holder.ip(`link set ${device} master ${bridge}`);
}

/** One host in both families: literals without prefix length. */
export type Addresses = { readonly v4: string; readonly v6: string };

export type Layer4Topology = {
  /** On the front network, at `clientAddress`; reaches the target side by way of `virtualAddress`. */
  readonly client: Machine;
  readonly clientAddress: Addresses;
  /** Each with devices `front` and `back`; forwards. The first holds the two shared addresses. */
  readonly balancers: readonly [Machine, Machine];
  readonly balancerAddresses: readonly { readonly front: Addresses; readonly back: Addresses }[];
  /** On the back network; their way out is `gateway`, so that a client's address may be preserved. */
  readonly targets: readonly [Machine, Machine, Machine];
  readonly targetAddresses: readonly [Addresses, Addresses, Addresses];
  /** What clients call, on the front network. */
  readonly virtualAddress: Addresses;
  /** What targets send to, on the back network. */
  readonly gateway: Addresses;
  /** The bridges `front` and `back` are here: for cutting a cable. */
  readonly switches: Machine;
};

const front = (host: number): Addresses => ({ v4: `10.45.1.${host}`, v6: `fd45:1::${host}` });
const back = (host: number): Addresses => ({ v4: `10.45.2.${host}`, v6: `fd45:2::${host}` });

/** A client, two balancers, three targets; IPv4 and IPv6. */
export function layer4Topology(scope: Scope): Layer4Topology {
  const holder = switches(scope, ["front", "back"]);
  const virtualAddress = front(100);
  const gateway = back(100);
  const client = machine(scope, "client");
  plug(holder, "front", { machine: client, device: "eth0" });
  client.ip(
    ...addressLines(front(2), "eth0"),
    `route add 10.45.2.0/24 via ${virtualAddress.v4}`,
    `route add fd45:2::/64 via ${virtualAddress.v6} dev eth0`,
  );
  const balancer = (index: number): Machine => {
    const one = machine(scope, `balancer${index}`);
    plug(holder, "front", { machine: one, device: "front" });
    plug(holder, "back", { machine: one, device: "back" });
    one.ip(...addressLines(front(10 + index), "front"), ...addressLines(back(10 + index), "back"));
    one.sysctl(balancerSysctls);
    return one;
  };
  const target = (index: number): Machine => {
    const one = machine(scope, `target${index}`);
    plug(holder, "back", { machine: one, device: "eth0" });
    one.ip(
      ...addressLines(back(20 + index), "eth0"),
      `route add default via ${gateway.v4}`,
      `route add default via ${gateway.v6} dev eth0`,
    );
    return one;
  };
  const balancers = [balancer(1), balancer(2)] as const;
  balancers[0].ip(...addressLines(virtualAddress, "front", "host"), ...addressLines(gateway, "back", "host"));
  return {
    client,
    clientAddress: front(2),
    balancers,
    balancerAddresses: [
      { front: front(11), back: back(11) },
      { front: front(12), back: back(12) },
    ],
    targets: [target(1), target(2), target(3)],
    targetAddresses: [back(21), back(22), back(23)],
    virtualAddress,
    gateway,
    switches: holder,
  };
}

const balancerSysctls = {
  "net.ipv4.ip_forward": 1,
  "net.ipv6.conf.all.forwarding": 1,
  "net.ipv4.conf.all.rp_filter": 0,
  "net.ipv4.conf.default.rp_filter": 0,
  "net.ipv4.conf.front.rp_filter": 0,
  "net.ipv4.conf.back.rp_filter": 0,
  "net.ipv4.ip_nonlocal_bind": 1,
  "net.ipv6.ip_nonlocal_bind": 1,
};

/** For Machine.ip: both addresses on the device; as "host", without the network around them. */
export function addressLines(address: Addresses, device: string, width: "network" | "host" = "network"): string[] {
  const [v4, v6] = width === "network" ? [24, 64] : [32, 128];
  return [`addr add ${address.v4}/${v4} dev ${device}`, `addr add ${address.v6}/${v6} dev ${device} nodad`];
}

export type EchoTarget = { readonly program: Program; readonly port: number };

/** `evenkeel echo` inside the machine, TCP and UDP on every address of both families; ready when this returns. */
export async function echoTarget(scope: Scope, at: Machine, port: number): Promise<EchoTarget> {
  const args = [join(root, "src/cli/main.ts"), "echo", "--tcp", `[::]:${port}`, "--udp", `[::]:${port}`];
  const program = at.start(scope, process.execPath, [...args, "--name", at.name]);
  await until(`the echo servers of ${at.name}`, () => program.stdout().split("\n").length > 2, {
    onTimeout: program.stderr,
  });
  return { program, port };
}

export type Agent = {
  readonly program: Program;
  /** Runs one of the agent's commands and gives what it gave. Rejects with the agent's own error. */
  ask<Answer>(command: string, argument?: unknown, timeoutMs?: number): Promise<Answer>;
};

/** Starts test/e2e/fixtures/FILE inside the machine, which serves commands (fixtures/agent.ts). */
export async function startAgent(
  scope: Scope,
  at: Machine,
  file: string,
  options: { readonly under?: readonly string[] } = {},
): Promise<Agent> {
  // The path of a unix socket leads from one namespace to the other: only networks are apart.
  const path = join(temporaryDirectory(scope), "agent");
  const script = join(root, "test/e2e/fixtures", file);
  const [command = "", ...args] = [...(options.under ?? []), process.execPath, script, path];
  const program = at.start(scope, command, args);
  await until(`the agent ${file}`, () => program.stdout().includes("ready"), { onTimeout: program.stderr });
  const socket = createConnection(path);
  atEnd(scope, () => {
    socket.destroy();
  });
  const answers = new Map<number, { readonly value?: unknown; readonly error?: string }>();
  let held = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (held + text).split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) {
      const answer = JSON.parse(line);
      answers.set(answer.id, answer);
    }
  });
  socket.on("error", (error) => answers.set(-1, { error: String(error) }));
  socket.on("close", () => answers.set(-1, { error: `the agent is gone\n${program.stderr()}` }));
  let asked = 0;
  return {
    program,
    ask: async (what, argument, timeoutMs) => {
      const id = ++asked;
      socket.write(`${JSON.stringify({ id, command: what, argument })}\n`);
      const answer = await until(`an answer to ${what}`, () => answers.get(id) ?? answers.get(-1), {
        everyMs: 2,
        onTimeout: program.stderr,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
      answers.delete(id);
      if (answer.error !== undefined) throw new Error(`${what}: ${answer.error}`);
      // The caller says what its own command gives.
      return JSON.parse(JSON.stringify(answer.value ?? null));
    },
  };
}
