// What this machine and this process offer to the kernel engine: the right, the nft command, a kernel that takes tables and
// answers about connections, and the sysctls on which it depends, as data. The change's way, once at start and for
// `doctor`. It judges nothing but what is impossible; which sysctl a listener needs is decided by its engine. It changes
// nothing.

import { readdirSync, readFileSync } from "node:fs";
import type { Failure, Result } from "../core/failure.ts";
import { netAdminRemedy, tryConnectionTracking, tryTable } from "./netfilter.ts";
import { nftVersion } from "./nft-command.ts";

export type KernelSysctls = {
  readonly ipv4Forwarding: number | undefined;
  readonly ipv6Forwarding: number | undefined;
  /** Entries; undefined until the connection tracking module is there. */
  readonly conntrackMax: number | undefined;
  readonly conntrackTcpLoose: number | undefined;
  readonly conntrackTcpBeLiberal: number | undefined;
  /** By interface, and `all` and `default`. What holds for an interface: the larger of its own and `all`. */
  readonly routeLocalnet: ReadonlyMap<string, number>;
  /** 0 off, 1 strict, 2 loose. */
  readonly reversePathFilter: ReadonlyMap<string, number>;
};

export type KernelCapabilities = {
  /** CAP_NET_ADMIN is effective in this process. */
  readonly netAdmin: boolean;
  /** The version of the nft command. */
  readonly nft: Result<string>;
  /** The kernel takes a table of family inet with a nat chain. */
  readonly tables: Result<true>;
  readonly connectionTracking: Result<true>;
  readonly sysctls: KernelSysctls;
  /**
   * Why the kernel engine is impossible here, the cause before what follows from it; none: it is possible. Codes:
   * kernel.netAdmin, and those of nft-command.ts and netfilter.ts.
   */
  readonly obstacles: readonly Failure[];
};

/** Where the questions are answered; a test brings its own. */
export type CapabilitySources = {
  readonly procPath: string;
  readonly nftVersion: () => Result<string>;
  readonly tryTable: () => Result<true>;
  readonly tryConnectionTracking: () => Result<true>;
};

const machine: CapabilitySources = {
  procPath: "/proc",
  nftVersion,
  tryTable: () => tryTable(`evenkeel-trial-${process.pid}`),
  tryConnectionTracking,
};

/** Takes about 10 ms. It looks into the network namespace of this process. */
export function readKernelCapabilities(sources: CapabilitySources = machine): KernelCapabilities {
  const netAdmin = hasNetAdmin(readText(`${sources.procPath}/self/status`) ?? "");
  const nft = sources.nftVersion();
  const tables = sources.tryTable();
  // Asked second: making the trial's nat chain loads the connection tracking, and with it the sysctls.
  const connectionTracking = sources.tryConnectionTracking();
  const obstacles: Failure[] = netAdmin ? [] : [withoutNetAdmin];
  for (const answer of [nft, tables, connectionTracking]) {
    // That the kernel denies it is told once, with its cause.
    if (!answer.ok && (netAdmin || answer.failure.code !== "netfilter.denied")) obstacles.push(answer.failure);
  }
  return { netAdmin, nft, tables, connectionTracking, sysctls: readSysctls(sources.procPath), obstacles };
}

const withoutNetAdmin: Failure = {
  code: "kernel.netAdmin",
  origin: "self",
  retrySafe: false,
  detail: `this process may not change the network: ${netAdminRemedy}`,
};

/** linux/capability.h */
const capNetAdmin = 12;

/** Reads the effective set of /proc/PID/status. capabilities(7). */
export function hasNetAdmin(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> BigInt(capNetAdmin)) & 1n) === 1n;
}

function readSysctls(procPath: string): KernelSysctls {
  const net = `${procPath}/sys/net`;
  return {
    ipv4Forwarding: readNumber(`${net}/ipv4/ip_forward`),
    ipv6Forwarding: readNumber(`${net}/ipv6/conf/all/forwarding`),
    conntrackMax: readNumber(`${net}/netfilter/nf_conntrack_max`),
    conntrackTcpLoose: readNumber(`${net}/netfilter/nf_conntrack_tcp_loose`),
    conntrackTcpBeLiberal: readNumber(`${net}/netfilter/nf_conntrack_tcp_be_liberal`),
    routeLocalnet: readPerInterface(`${net}/ipv4/conf`, "route_localnet"),
    reversePathFilter: readPerInterface(`${net}/ipv4/conf`, "rp_filter"),
  };
}

function readPerInterface(folder: string, name: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const each of readFolder(folder)) {
    const value = readNumber(`${folder}/${each}/${name}`);
    if (value !== undefined) values.set(each, value);
  }
  return values;
}

function readNumber(path: string): number | undefined {
  const text = readText(path)?.trim();
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** Undefined where the file is not there or may not be read: the module is not loaded, /proc is restricted. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function readFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    // As above: nothing is known about the interfaces.
    return [];
  }
}
