// Three machines on one, in network namespaces: clients, targets, and between them a balancer of its own for each system, so
// that the rules and the connection tracking of one are met by no other's traffic. All networks are alike; the balancer's
// is the only way between clients and targets. Needs root and `ip`. It must not touch the namespace of this process.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { enter, type Stage } from "../stage.ts";

const prefix = "ek-bench";
const namespacesPath = "/run/netns";
/** Debian keeps ip and sysctl where a user's PATH does not lead. */
const environment = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };

/** First octets 10.20 to 10.99: one network a balancer. */
const networkFirst = 20;
const balancersMax = 80;
export const targetCount = 4;

export type Addresses = {
  /** The client machine, and the network of addresses from which it sends flows: all of them its own. */
  readonly client: string;
  readonly flowNetwork: string;
  /** First address of it that is used. */
  readonly flowFirst: string;
  readonly front: string;
  /** What clients call. */
  readonly virtual: string;
  readonly back: string;
  readonly targets: readonly string[];
  /** The target machine's own. */
  readonly targetMachine: string;
};

/** The addresses of a balancer's network by its number from 0. */
export function addressesOf(index: number): Addresses {
  if (index >= balancersMax) throw new Error(`at most ${balancersMax} balancers`);
  const network = `10.${networkFirst + index}`;
  return {
    client: `${network}.1.2`,
    flowNetwork: `${network}.128.0/17`,
    flowFirst: `${network}.128.1`,
    front: `${network}.1.1`,
    virtual: `${network}.1.100`,
    back: `${network}.2.1`,
    targets: Array.from({ length: targetCount }, (_, at) => `${network}.2.${11 + at}`),
    targetMachine: `${network}.2.2`,
  };
}

/** One balancer's machine in its network. */
export type Place = { readonly namespace: string; readonly addresses: Addresses };

export type Network = {
  readonly clients: string;
  readonly targets: string;
  /** The machine of the balancer with that name, made now and forwarding packets. */
  addBalancer(name: string): Place;
};

/** Makes the machines of clients and targets; all are removed with the stage. Throws with `ip`'s words. */
export function layNetwork(stage: Stage): Network {
  removeStale();
  const clients = makeMachine(stage, "clients");
  const targets = makeMachine(stage, "targets");
  let count = 0;
  return {
    clients,
    targets,
    addBalancer: (name) => {
      const addresses = addressesOf(count);
      const namespace = makeMachine(stage, name);
      join({ clients, targets, namespace, addresses, device: `n${count}` });
      count += 1;
      return { namespace, addresses };
    },
  };
}

type Joint = {
  readonly clients: string;
  readonly targets: string;
  readonly namespace: string;
  readonly addresses: Addresses;
  readonly device: string;
};

function join({ clients, targets, namespace, addresses, device }: Joint): void {
  const { client, flowNetwork, front, virtual, back, targetMachine } = addresses;
  ip(namespace, [
    `link add front type veth peer name ${device} netns ${clients}`,
    `link add back type veth peer name ${device} netns ${targets}`,
    `addr add ${front}/24 dev front`,
    `addr add ${virtual}/32 dev front`,
    `addr add ${back}/24 dev back`,
    "link set front up",
    "link set back up",
  ]);
  ip(clients, [
    `addr add ${client}/24 dev ${device}`,
    `link set ${device} up`,
    `route add local ${flowNetwork} dev lo`,
    ...addresses.targets.map((target) => `route add ${target}/32 via ${front}`),
  ]);
  ip(namespace, [`route add ${flowNetwork} via ${client}`]);
  ip(targets, [
    `addr add ${targetMachine}/24 dev ${device}`,
    ...addresses.targets.map((target) => `addr add ${target}/24 dev ${device}`),
    `link set ${device} up`,
    `route add ${client}/32 via ${back}`,
    `route add ${flowNetwork} via ${back}`,
  ]);
}

function makeMachine(stage: Stage, name: string): string {
  const namespace = `${prefix}-${process.pid}-${name}`;
  must(["ip", "netns", "add", namespace], "");
  stage.atStrike(() => removeMachine(namespace));
  ip(namespace, ["link set lo up"]);
  // Ports and backlogs as a load generator needs them, the same everywhere; no packet is dropped for the way it came.
  const settings = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.tcp_tw_reuse": 1,
    "net.core.somaxconn": 4096,
    "net.ipv4.tcp_max_syn_backlog": 8192,
    "net.ipv4.tcp_max_tw_buckets": 300_000,
  };
  const assignments = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  must([...enter(namespace), "sysctl", "-qw", ...assignments], "");
  return namespace;
}

function ip(namespace: string, lines: readonly string[]): void {
  must(["ip", "-n", namespace, "-batch", "-"], lines.join("\n"));
}

/** Runs a command to its end. Throws with its own words. */
export function must([command = "", ...args]: readonly string[], input: string): string {
  const ran = spawnSync(command, args, { env: environment, encoding: "utf8", input });
  if (ran.status === 0) return ran.stdout;
  throw new Error(`${command} ${args.join(" ")}: ${ran.error?.message ?? ran.stderr.trim()}\n${input}`);
}

function removeMachine(namespace: string): void {
  if (existsSync(`${namespacesPath}/${namespace}`)) must(["ip", "netns", "del", namespace], "");
}

/** What runs that were killed have left behind. */
function removeStale(): void {
  if (!existsSync(namespacesPath)) return;
  for (const name of readdirSync(namespacesPath)) {
    const pid = staleOwner(name);
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeMachine(name);
  }
}

/** The process that made a machine of that name; undefined for what no run of this benchmark made. */
export function staleOwner(name: string): number | undefined {
  const found = /^ek-bench-(\d+)-/.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Forgets the connections that a balancer's kernel tracks, so that every round begins with none. */
export function forgetConnections({ namespace }: Place): void {
  must([...enter(namespace), "conntrack", "-F"], "");
}
