// Why the kernel engine cannot carry a listener, by its configuration alone: nftables rewrites addresses and sees neither
// what a connection says nor how it goes. Validation refuses `engine: kernel` by this list, the control plane chooses
// for `engine: auto` by the same one. On the change's way; pure. Must not ask what the machine can do: that is found
// out where the rules are applied.

import type { HostMatch, TcpListener, UdpListener } from "./listener.ts";
import type { Balance, Pool, Target } from "./pool.ts";

export type KernelRoute = { readonly host: HostMatch; readonly pool: string };

/** What counts of a listener; every Layer4Listener has it. */
export type KernelCandidate =
  | (Pick<TcpListener, "protocol" | "bind" | "proxyProtocol"> & { readonly routes: readonly KernelRoute[] })
  | Pick<UdpListener, "protocol" | "bind" | "pool" | "responsesMax">;

/** What counts of a pool. */
export type KernelPool = Pick<Pool, "name" | "balance" | "slowStart"> & {
  readonly targets: readonly Pick<Target, "address" | "host" | "connectionsMax" | "slowStart">[];
};

export type KernelObstacle = {
  /** What must change for the kernel to carry the listener; a route by its index, a target by its address (none: the pool's own). */
  readonly at:
    | { readonly part: "listener"; readonly keys: readonly string[] }
    | { readonly part: "route"; readonly index: number }
    | { readonly part: "balance"; readonly pool: string }
    | { readonly part: "target"; readonly pool: string; readonly address: string }
    | { readonly part: "slowStart"; readonly pool: string; readonly address: string | undefined };
  /** A clause: `the kernel counts no connections under way, as `leastConnections` of pool `a` needs`. */
  readonly reason: string;
  /** What it could carry instead. */
  readonly instead: string;
};

/**
 * One clause for each reason why the kernel cannot carry the listener; none when it can, as far as configuration tells.
 * `pools` are those of the configuration; one that is not among them is passed over.
 */
export function kernelObstacles(listener: KernelCandidate, pools: readonly KernelPool[]): readonly string[] {
  return findKernelObstacles(listener, pools).map((obstacle) => obstacle.reason);
}

/** Whether packets of the listener's clients can be led to the target at all. */
export function reachesTarget(bindHost: string, { host }: Pick<Target, "host">): boolean {
  return host.includes(":") === bindHost.includes(":") && host !== "::1";
}

/** The same with the places. Of routes, and of each pool's targets, the first of a kind stands for all. */
export function findKernelObstacles(listener: KernelCandidate, pools: readonly KernelPool[]): KernelObstacle[] {
  const obstacles = listener.protocol === "tcp" ? ofTcp(listener) : ofUdp(listener);
  if (listener.bind.host === "::1") {
    obstacles.push({
      at: { part: "listener", keys: ["bind"] },
      reason: "the kernel lets no packet of `::1` leave the loopback interface",
      instead: "an address of another interface",
    });
  }
  const used = new Set(listener.protocol === "tcp" ? listener.routes.map((route) => route.pool) : [listener.pool]);
  for (const pool of pools) if (used.has(pool.name)) obstacles.push(...ofPool(pool, listener.bind.host));
  return obstacles;
}

function ofTcp(listener: Extract<KernelCandidate, { protocol: "tcp" }>): KernelObstacle[] {
  const obstacles: KernelObstacle[] = [];
  const index = listener.routes.findIndex((route) => route.host.kind !== "any");
  if (index >= 0) {
    obstacles.push({
      at: { part: "route", index },
      reason: "the kernel reads no TLS server name, so it cannot route by `host`",
      instead: "one `pool` for every client",
    });
  }
  const { receive, send } = listener.proxyProtocol;
  if (receive) {
    obstacles.push({
      at: { part: "listener", keys: ["proxyProtocol", "receive"] },
      reason: "the kernel reads no PROXY header (`proxyProtocol.receive`)",
      instead: "`false`",
    });
  }
  if (send !== "off") {
    obstacles.push({
      at: { part: "listener", keys: ["proxyProtocol", "send"] },
      reason: "the kernel writes no PROXY header (`proxyProtocol.send`)",
      instead: "`off`, with `preserveClientAddress` if targets must know the client",
    });
  }
  return obstacles;
}

function ofUdp(listener: Extract<KernelCandidate, { protocol: "udp" }>): KernelObstacle[] {
  if (listener.responsesMax === undefined) return [];
  const obstacle: KernelObstacle = {
    at: { part: "listener", keys: ["responses"] },
    reason: "the kernel counts no datagrams of a flow (`responses`)",
    instead: "`unlimited`",
  };
  return [obstacle];
}

function ofPool(pool: KernelPool, bindHost: string): KernelObstacle[] {
  const obstacles: KernelObstacle[] = [];
  const missing = missingFor(pool.balance);
  if (missing !== undefined) {
    obstacles.push({
      at: { part: "balance", pool: pool.name },
      reason: `the kernel ${missing}, as \`${pool.balance.policy}\` of pool \`${pool.name}\` needs`,
      instead: "`roundRobin`, `random` or `consistentHash` by `clientAddress`",
    });
  }
  const slow = slowStartOf(pool);
  if (slow !== undefined) obstacles.push(slow);
  const family = bindHost.includes(":") ? "IPv6" : "IPv4";
  const ofTargets = (broken: (target: KernelPool["targets"][number]) => boolean, said: string, instead: string) => {
    const found = pool.targets.filter(broken);
    const [first] = found;
    if (first === undefined) return;
    const more = found.length === 1 ? "" : ` (and ${found.length - 1} more)`;
    const reason = `${said}: target \`${first.address}\` of pool \`${pool.name}\`${more}`;
    obstacles.push({ at: { part: "target", pool: pool.name, address: first.address }, reason, instead });
  };
  ofTargets(
    (target) => target.host.includes(":") !== bindHost.includes(":"),
    `the kernel cannot pass ${family} clients on to another address family`,
    `${family} targets, as the listener's \`bind\` is`,
  );
  ofTargets(
    (target) => target.host === "::1",
    "the kernel lets no packet to `::1` in from another interface",
    "an address of another interface",
  );
  ofTargets(
    (target) => target.connectionsMax > 0,
    "the kernel holds no target to `maxConnections`",
    "no `maxConnections`",
  );
  return obstacles;
}

/** A map of the kernel shares new connections out by whole weights, until another map takes its place. */
function slowStartOf(pool: KernelPool): KernelObstacle | undefined {
  // Where the client's address decides there is none, whoever carries the listener.
  if (pool.balance.policy === "consistentHash") return undefined;
  const target = pool.targets.find(({ slowStart }) => slowStart > 0);
  if (pool.slowStart === 0 && target === undefined) return undefined;
  const address = pool.slowStart > 0 ? undefined : target?.address;
  const whose = address === undefined ? `pool \`${pool.name}\`` : `target \`${address}\` of pool \`${pool.name}\``;
  return {
    at: { part: "slowStart", pool: pool.name, address },
    reason: `the kernel lets no target's share grow, as \`slowStart\` of ${whose} wants`,
    instead: "no `slowStart`",
  };
}

/** What a policy asks of its engine and the kernel does not do; undefined when it does. */
function missingFor(balance: Balance): string | undefined {
  switch (balance.policy) {
    case "roundRobin":
    case "random":
      return undefined;
    case "leastConnections":
      return "does not pick by connections under way";
    case "twoChoices":
      return "does not pick by load and latency";
    case "ipHash":
      return "does not hash as nginx does";
    case "consistentHash":
      return balance.key.kind === "clientAddress" ? undefined : "sees no more of a client than its address";
    default:
      return balance satisfies never;
  }
}
