// Who carries each layer-4 listener: the kernel where its configuration and this machine allow it, else the proxy, with the
// reason for the log and `evenkeel status`. Pure; the change's way, once for each configuration. A listener that asks for
// the kernel and cannot have it is refused: it never falls back in silence. What configuration alone rules out is told by
// src/model/kernel-obstacles.ts, what the machine lacks by src/io/kernel-capabilities.ts.

import { parseIp } from "../../core/address.ts";
import type { Failure } from "../../core/failure.ts";
import type { KernelCapabilities } from "../../io/kernel-capabilities.ts";
import type { Config } from "../../model/config.ts";
import { kernelObstacles, reachesTarget } from "../../model/kernel-obstacles.ts";
import type { Layer4Listener, Listener } from "../../model/listener.ts";
import type { Pool } from "../../model/pool.ts";
import { poolOf } from "./plan.ts";

export type EngineChosen = {
  readonly listener: string;
  readonly engine: "proxy" | "kernel";
  /** A clause: `asked for`, `the kernel can carry it`, or what stands in the way. */
  readonly reason: string;
  /** The proxy only because this machine cannot do what the configuration would allow. */
  readonly fellBack: boolean;
  /** Addresses that the kernel gets no client for, since it cannot lead any there; absent where there are none. */
  readonly leftOut?: readonly string[];
};

export type EngineChoices =
  | { readonly ok: true; readonly chosen: readonly EngineChosen[] }
  | { readonly ok: false; readonly failures: readonly Failure[] };

/** What counts of the machine; the rest of the capabilities is for `doctor`. */
export type Machine = Pick<KernelCapabilities, "obstacles" | "sysctls">;

/** True when the machine must be asked: some listener wants the kernel, or would take it. */
export function asksForKernel(config: Pick<Config, "listeners">): boolean {
  return layer4Of(config).some((listener) => listener.engine !== "proxy");
}

export function layer4Of(config: Pick<Config, "listeners">): Layer4Listener[] {
  return config.listeners.filter((listener) => listener.protocol !== "http");
}

/** The listeners that the workers carry. */
export function proxied({ listeners }: Pick<Config, "listeners">, chosen: readonly EngineChosen[]): Listener[] {
  const kernel = new Set(chosen.filter(({ engine }) => engine === "kernel").map(({ listener }) => listener));
  return listeners.filter(({ name }) => !kernel.has(name));
}

/**
 * One choice for each layer-4 listener, in the order of the configuration. `machine` may be undefined when nobody asks for
 * the kernel. A target that the kernel asked for cannot reach is left out: validation has refused such a one of the file, and
 * one of a source or the API must not take the listener along. Code: kernel.impossible, one failure for each listener that
 * asked in vain.
 */
export function chooseEngines(
  config: Pick<Config, "listeners" | "pools">,
  machine: Machine | undefined,
): EngineChoices {
  const chosen: EngineChosen[] = [];
  const failures: Failure[] = [];
  for (const listener of layer4Of(config)) {
    const { name } = listener;
    if (listener.engine === "proxy") {
      chosen.push({ listener: name, engine: "proxy", reason: "asked for", fellBack: false });
      continue;
    }
    const leftOut = listener.engine === "kernel" ? unreached(listener, config.pools) : [];
    const pools = leftOut.length === 0 ? config.pools : config.pools.map((pool) => without(pool, leftOut));
    const configured = kernelObstacles(listener, pools);
    const lacking = machine === undefined ? [] : machineObstacles(listener, pools, machine);
    const obstacles = [...configured, ...lacking];
    if (obstacles.length === 0) {
      const reason = listener.engine === "kernel" ? "asked for" : "the kernel can carry it";
      chosen.push({
        listener: name,
        engine: "kernel",
        reason,
        fellBack: false,
        ...(leftOut.length === 0 ? {} : { leftOut }),
      });
    } else if (listener.engine === "auto") {
      const fellBack = configured.length === 0;
      chosen.push({ listener: name, engine: "proxy", reason: obstacles.join("; "), fellBack });
    } else {
      failures.push(impossible(name, obstacles));
    }
  }
  return failures.length > 0 ? { ok: false, failures } : { ok: true, chosen };
}

function unreached(listener: Layer4Listener, pools: readonly Pool[]): readonly string[] {
  const pool = pools.find(({ name }) => name === poolOf(listener));
  const targets = pool?.targets.filter((target) => !reachesTarget(listener.bind.host, target)) ?? [];
  return targets.map(({ address }) => address);
}

function without(pool: Pool, addresses: readonly string[]): Pool {
  return { ...pool, targets: pool.targets.filter(({ address }) => !addresses.includes(address)) };
}

function impossible(listener: string, obstacles: readonly string[]): Failure {
  const detail = `listener ${listener}: \`engine: kernel\` is impossible here: ${obstacles.join("; ")}`;
  return { code: "kernel.impossible", origin: "self", retrySafe: false, detail };
}

function machineObstacles(listener: Layer4Listener, pools: readonly Pool[], machine: Machine): string[] {
  // What follows from a missing right or command would only hide it.
  if (machine.obstacles.length > 0) return machine.obstacles.map((failure) => failure.detail);
  const { sysctls } = machine;
  const obstacles: string[] = [];
  const ipv4 = !listener.bind.host.includes(":");
  const forwarding = ipv4 ? sysctls.ipv4Forwarding : sysctls.ipv6Forwarding;
  if (forwarding !== 1) {
    const name = ipv4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    obstacles.push(`this machine forwards no packets: set it with \`sysctl -w ${name}=1\``);
  }
  const local = pools
    .find((pool) => pool.name === poolOf(listener))
    ?.targets.find((target) => isLoopback(target.host))?.address;
  const called = isLoopback(listener.bind.host) ? listener.bind.host : undefined;
  if ((called ?? local) !== undefined && !routesLocalnet(machine)) {
    const what = called === undefined ? `to target ${local}` : `of ${called}`;
    obstacles.push(
      `no packet ${what} passes between interfaces: allow it with \`sysctl -w net.ipv4.conf.all.route_localnet=1\``,
    );
  }
  if (called !== undefined && listener.preserveClientAddress) {
    obstacles.push(`no target could answer a client of ${called}: it needs \`preserveClientAddress: false\``);
  }
  return obstacles;
}

/** True when 127.0.0.1 may leave and enter by any interface. */
export function routesLocalnet(machine: Machine): boolean {
  return machine.sysctls.routeLocalnet.get("all") === 1;
}

function isLoopback(host: string): boolean {
  const address = parseIp(host);
  return address?.family === 4 && address.bytes[0] === 127;
}
