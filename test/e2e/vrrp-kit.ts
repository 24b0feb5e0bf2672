// Nodes that share a virtual address, for tests of evenkeel beside real keepalived: machines on a switch, a client that calls
// the address every two milliseconds, and what the calls say of a failover: the longest silence, and who answered when.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "../../src/control/node-status.ts";
import type { RouterStatus } from "../../src/state/vrrp-protocol.ts";
import { type Answer, ask, evenkeel, type Program, type Scope, temporaryDirectory, until } from "./kit.ts";
import { type Agent, type Machine, machine, noMachines, noProgram, plug, startAgent, switches } from "./netns-kit.ts";

export const servicePort = 7_777;
/** What all tests move. */
export const vip4 = "10.46.0.100";
export const vip6 = "fd46::100";
export const linkLocalVip = "fe80::100";

export const needsKeepalived: string | false = noMachines || noProgram("keepalived", "keepalived");

export type SharedNode = {
  readonly name: string;
  readonly machine: Machine;
  readonly host: number;
  /** The link's hardware address. */
  readonly mac: string;
  readonly service: Agent;
};

export type Site = {
  readonly nodes: readonly SharedNode[];
  readonly client: Agent;
  readonly clientMachine: Machine;
  /** The bridge is here; node N is on port `pN` of it. */
  readonly holder: Machine;
  /** Pulls a node's cable, or plugs it in again. */
  link(index: number, state: "up" | "down"): void;
};

const ports: string[] = [];

/** So many nodes and one client on a switch: 10.46.0.1 and up, fd46::1, fe80::1; the client is .200. */
export async function site(t: Scope, count = 2): Promise<Site> {
  const holder = switches(t, ["lan"]);
  const made: { name: string; machine: Machine; host: number; mac: string; port: string }[] = [];
  for (let index = 0; index < count; index++) {
    const host = index + 1;
    const name = `node${host}`;
    const one = machine(t, name);
    const mac = `02:00:00:46:00:0${host}`;
    const port = await attach(t, holder, one);
    one.ip(`link set eth0 address ${mac}`, ...addresses(host));
    made.push({ name, machine: one, host, mac, port });
  }
  const clientMachine = machine(t, "client");
  await attach(t, holder, clientMachine);
  clientMachine.ip(...addresses(200));
  const nodes = await Promise.all(
    made.map(async ({ name, machine: at, host, mac }) => {
      const service = await startAgent(t, at, "vip-agent.ts");
      await service.ask("serve", { name, port: servicePort });
      return { name, machine: at, host, mac, service };
    }),
  );
  const client = await startAgent(t, clientMachine, "vip-agent.ts");
  return {
    nodes,
    client,
    clientMachine,
    holder,
    link: (index, state) => holder.ip(`link set ${made[index]?.port} ${state}`),
  };
}

/** Gives the name of the bridge's port. */
async function attach(t: Scope, holder: Machine, one: Machine): Promise<string> {
  plug(holder, "lan", { machine: one, device: "eth0" });
  const shown = await holder.run(t, "ip", ["-o", "link", "show", "master", "lan"]);
  const names = [...shown.stdout.matchAll(/^\d+: ([^@:]+)/gm)].map(([, name]) => name ?? "");
  const port = names.find((name) => !ports.includes(`${holder.namespace} ${name}`));
  if (port === undefined) throw new Error(`no new port in ${shown.stdout}`);
  ports.push(`${holder.namespace} ${port}`);
  return port;
}

function addresses(host: number): string[] {
  return [
    `addr add 10.46.0.${host}/24 dev eth0`,
    `addr add fd46::${host}/64 dev eth0 nodad`,
    `addr add fe80::${host}/64 dev eth0 nodad`,
  ];
}

/** A client that sends to one node whoever has the address: by it one sees whether two nodes answer at once. */
export async function pinnedClient(t: Scope, of: Site, to: SharedNode): Promise<Agent> {
  const at = machine(t, `pinned${to.host}`);
  await attach(t, of.holder, at);
  at.ip(...addresses(200 + to.host), `neigh replace ${vip4} lladdr ${to.mac} dev eth0 nud permanent`);
  return startAgent(t, at, "vip-agent.ts");
}

export type Heard = { readonly at: number; readonly by: string };

export async function call(client: Agent, address: string): Promise<void> {
  await client.ask("call", { address, port: servicePort });
}

export async function answeredBy(client: Agent, name: string): Promise<void> {
  await until(`answers of ${name}`, async () => (await client.ask<Heard | null>("last"))?.by === name, {
    timeoutMs: 30_000,
  });
}

/** The longest time between two answers, in milliseconds. */
export function longestSilence(heard: readonly Heard[]): number {
  let longest = 0;
  for (let index = 1; index < heard.length; index++) {
    longest = Math.max(longest, (heard[index]?.at ?? 0) - (heard[index - 1]?.at ?? 0));
  }
  return longest;
}

export type KeepalivedOptions = {
  readonly priority: number;
  readonly version?: 2 | 3;
  /** Seconds, as its configuration has it. */
  readonly interval?: number;
  readonly family?: 4 | 6;
  readonly password?: string;
  readonly peers?: readonly string[];
  readonly source?: string;
  readonly preempt?: boolean;
  readonly addresses?: readonly string[];
  readonly vrid?: number;
};

export function startKeepalived(t: Scope, at: SharedNode, options: KeepalivedOptions): Program {
  const { priority, version = 2, interval = 1, family = 4, password, peers, source, preempt = true } = options;
  const moved = options.addresses ?? (family === 4 ? [`${vip4}/32`] : [`${linkLocalVip}/64`, `${vip6}/128`]);
  const lines = [
    `global_defs { router_id ${at.name}\n vrrp_version ${version}\n }`,
    "vrrp_instance VI_1 {",
    "state BACKUP",
    "interface eth0",
    `virtual_router_id ${options.vrid ?? 51}`,
    `priority ${priority}`,
    `advert_int ${interval}`,
    preempt ? "" : "nopreempt",
    family === 6 ? "native_ipv6" : "",
    password === undefined ? "" : `authentication { auth_type PASS\n auth_pass ${password}\n }`,
    source === undefined ? "" : `${source.includes(":") ? "" : ""}unicast_src_ip ${source}`,
    peers === undefined ? "" : `unicast_peer { ${peers.join("\n")}\n }`,
    `virtual_ipaddress { ${moved.join("\n")}\n }`,
    "}",
  ];
  return startKeepalivedWith(t, at, lines.filter((line) => line !== "").join("\n"));
}

/** Under a configuration of its own words. */
export function startKeepalivedWith(t: Scope, at: SharedNode, text: string): Program {
  const directory = temporaryDirectory(t);
  const file = join(directory, "keepalived.conf");
  writeFileSync(file, `${text}\n`);
  const pids = ["-p", "-r", "-c"].flatMap((flag) => [flag, join(directory, `pid${flag}`)]);
  return at.machine.start(t, "keepalived", ["-n", "-l", "-D", "-P", "-f", file, ...pids]);
}

export type VrrpNodeProgram = {
  readonly program: Program;
  readonly socketPath: string;
  readonly configFile: string;
  status(): Promise<NodeStatus>;
  /** Of the first virtual router. */
  router(): Promise<RouterStatus>;
  mode(wanted: RouterStatus["mode"], timeoutMs?: number): Promise<RouterStatus>;
  admin(method: string, path: string): Promise<Answer>;
  /** Writes the configuration anew and reloads; throws when that is refused. */
  reload(body: string): Promise<void>;
  run(
    ...args: readonly string[]
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  logged(message: string): readonly Readonly<Record<string, unknown>>[];
  /** Process ids: the supervisor's, that of who speaks VRRP, its guardian's. */
  pids(): Promise<{ readonly supervisor: number; readonly vrrp: number; readonly guardian: number }>;
};

/** `ha` and whatever else, in YAML. */
export async function startEvenkeel(
  t: Scope,
  at: SharedNode,
  body: string,
  options: {
    readonly ready?: boolean;
    readonly directory?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<VrrpNodeProgram> {
  const directory = options.directory ?? temporaryDirectory(t);
  const configFile = join(directory, "evenkeel.yaml");
  const socketPath = join(directory, "admin.sock");
  const state = `stateDirectory: ${join(directory, "state")}\n`;
  const write = (text: string) => {
    const own = `node: ${at.name}\nadmin: { socket: ${socketPath} }\nworkers: 1\n`;
    writeFileSync(configFile, `${own}${text.startsWith("stateDirectory:") ? "" : state}${text}\n`);
  };
  write(body);
  const program = at.machine.start(t, evenkeel, ["run", "-c", configFile], {
    graceMs: 20_000,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const lines = () =>
    program
      .stderr()
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line));
  const status = async (): Promise<NodeStatus> => JSON.parse((await ask({ socketPath, path: "/v1/status" })).body);
  const router = async () => {
    const found = (await status()).ha?.vrrp?.routers[0];
    if (found === undefined) throw new Error("no virtual router");
    return found;
  };
  const node: VrrpNodeProgram = {
    program,
    socketPath,
    configFile,
    status,
    router,
    mode: (wanted, timeoutMs = 20_000) =>
      until(
        `${at.name} is ${wanted}`,
        async () => {
          const found = await router();
          return found.mode === wanted && !found.resigning ? found : undefined;
        },
        { timeoutMs, onTimeout: program.stderr },
      ),
    admin: (method, path) => ask({ socketPath, method, path }),
    reload: async (text) => {
      write(text);
      const answer = await ask({ socketPath, method: "POST", path: "/v1/reload" });
      if (answer.status !== 200) throw new Error(`reload refused: ${answer.body}`);
    },
    run: (...args) => at.machine.run(t, evenkeel, args, { env: { EVENKEEL_SOCKET: socketPath } }),
    logged: (message) => lines().filter((line) => line["message"] === message),
    pids: async () => {
      const vrrp = (await status()).ha?.vrrp;
      if (vrrp === undefined) throw new Error("no process speaks VRRP");
      return { supervisor: (await status()).pid, vrrp: vrrp.pid, guardian: vrrp.guardianPid };
    },
  };
  if (options.ready !== false) {
    await until("the node", () => node.logged("ready").length > 0, { onTimeout: program.stderr, timeoutMs: 30_000 });
  }
  return node;
}

/** `ha` with one virtual router. */
export function routerText(options: {
  readonly priority: number;
  readonly version?: 2 | 3;
  readonly interval?: string;
  readonly family?: 4 | 6;
  readonly more?: string;
  readonly addresses?: readonly string[];
}): string {
  const { priority, version = 2, interval = "1s", family = 4, more = "" } = options;
  const moved = options.addresses ?? (family === 4 ? [`${vip4}/32`] : [`${linkLocalVip}/64`, `${vip6}/128`]);
  const listed = moved.map((address) => `"${address}"`).join(", ");
  return `ha: { virtualRouters: { VI_1: { interface: eth0, vrid: 51, priority: ${priority}, version: ${version}, advertisementInterval: ${interval}, addresses: [${listed}], ${more} } } }`;
}

export type Watch = {
  /** So many advertisements of this address by now. */
  seen(source: string): number;
  /** Those with which tshark is not content: malformed, a bad checksum, any expert's word of warning or worse. */
  complaints(): readonly string[];
};

/** tshark on the switch. Undefined where there is none. */
export async function watchAdvertisements(t: Scope, of: Site): Promise<Watch | undefined> {
  if (noProgram("tshark", "tshark") !== false) return undefined;
  const fields = ["ip.src", "ipv6.src", "vrrp.prio", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message"];
  const shown = fields.flatMap((field) => ["-e", field]);
  const checksums = ["-o", "vrrp.v3_checksum_as_in_v2:FALSE", "-o", "ip.check_checksum:TRUE"];
  const filter = ["-l", "-i", "lan", "-f", "proto 112 or ip6 proto 112"];
  const program = of.holder.start(t, "tshark", [...filter, ...checksums, "-T", "fields", ...shown]);
  await until("tshark", () => program.stderr().includes("Capturing on"), { onTimeout: program.stderr });
  const lines = () => program.stdout().split("\n").slice(0, -1);
  return {
    seen: (source) => lines().filter((line) => line.split("\t").slice(0, 2).includes(source)).length,
    complaints: () =>
      lines().filter((line) =>
        line
          .split("\t")
          .slice(3)
          .some((field) => field !== ""),
      ),
  };
}

export async function hasAddress(t: Scope, at: SharedNode, address = vip4, device = "eth0"): Promise<boolean> {
  const shown = await at.machine.run(t, "ip", ["-o", "addr", "show", "dev", device]);
  return shown.stdout.includes(` ${address}/`);
}

/** All processes below a process, itself included. */
export function familyOf(pid: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended while we looked.
    }
  }
  const family = [pid];
  for (const member of family) for (const [child, parent] of parents) if (parent === member) family.push(child);
  return family;
}
