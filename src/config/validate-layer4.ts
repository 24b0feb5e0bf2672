// What must hold within a layer-4 listener and between it and its pools: a pool or routes, hosts that a TLS client can
// name, and an engine that can do what is asked of it. On the change's way, third stage of decoding; sees every part
// that was right by itself. What the machine allows is not known here.

import { parseIp } from "../core/address.ts";
import {
  findKernelObstacles,
  type KernelCandidate,
  type KernelObstacle,
  type KernelPool,
} from "../model/kernel-obstacles.ts";
import type { HostMatch } from "../model/listener.ts";
import { responsesMaxOf } from "./build-layer4.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { type TcpListenerShell, tcpListenerShell, tcpRouteFile } from "./layer4-schema.ts";
import type { Part } from "./part.ts";
import type { Path } from "./problem.ts";
import type { Draft, PoolPart, TcpListenerPart, UdpListenerPart } from "./shape.ts";
import { hasSource } from "./validate-pools.ts";
import { checkNames, checkReach } from "./validate-routes.ts";

type Layer4Part = TcpListenerPart | UdpListenerPart;

/** `pools` are those that the listener names and that exist. */
export function validateLayer4(draft: Draft, listener: Layer4Part, pools: readonly PoolPart[]): void {
  if (listener.protocol === "tcp") {
    checkDestination(draft, listener);
    checkHosts(draft, listener);
    checkNames(draft, listener.routes);
    checkReach(draft, listener.routes, (part) => {
      const match = { host: hostOf(part.value), path: everyPath };
      return hasUnknownKey(part, tcpRouteFile.shape) ? undefined : match;
    });
    if (listener.value !== undefined) checkProxyProtocol(draft, listener, listener.value.proxyProtocol);
  }
  checkEngine(draft, listener, pools);
}

const everyPath = { kind: "prefix", path: "/" } as const;

function hostOf(route: { readonly host?: HostMatch | undefined }): HostMatch {
  return route.host ?? { kind: "any" };
}

function hasUnknownKey(part: Part<unknown>, shape: object): boolean {
  return [...part.broken].some((key) => !Object.hasOwn(shape, key));
}

function checkDestination(draft: Draft, listener: TcpListenerPart): void {
  const { path, name } = listener;
  const [pool, routes] = [draft.has([...path, "pool"]), draft.has([...path, "routes"])];
  const complaint = { code: "config.listener.pool", expected: "`pool`, or `routes` by TLS server name", atKey: true };
  // What is no mapping at all, or has a mistyped key, is told already.
  if (!pool && !routes && !hasUnknownKey(listener, tcpListenerShell.shape)) {
    draft.complain(path, { ...complaint, message: `listener \`${name}\` has no pool` });
  } else if (pool && routes) {
    draft.complain([...path, "routes"], {
      ...complaint,
      message: `listener \`${name}\` has both \`pool\` and \`routes\``,
    });
  }
}

/** RFC 6066 section 3: a server name is a name of the DNS, never an address. */
function checkHosts(draft: Draft, listener: TcpListenerPart): void {
  for (const { path, value } of listener.routes) {
    if (value?.host?.kind !== "exact") continue;
    const { name } = value.host;
    if (!name.startsWith("[") && parseIp(name) === undefined) continue;
    draft.complain([...path, "host"], {
      code: "config.host",
      message: `host: \`${name}\` is an address, which no client sends as TLS server name`,
      expected: "a host name, or no `host` at all, which matches clients without one",
    });
  }
}

function checkProxyProtocol(draft: Draft, listener: TcpListenerPart, file: TcpListenerShell["proxyProtocol"]): void {
  if (file.receive || file.trustedProxies.length === 0 || listener.broken.has("proxyProtocol")) return;
  draft.complain([...listener.path, "proxyProtocol", "trustedProxies"], {
    code: "config.proxyProtocol.trusted",
    message: "`trustedProxies` means nothing where no PROXY header is received",
    expected: "it beside `receive: true`",
    atKey: true,
  });
}

function checkEngine(draft: Draft, listener: Layer4Part, pools: readonly PoolPart[]): void {
  const { path, value, broken } = listener;
  if (value === undefined || broken.has("engine")) return;
  const keeps = value.preserveClientAddress;
  const place = [...path, "preserveClientAddress"];
  const code = "config.engine.preserveClientAddress";
  if (value.engine === "proxy") {
    const message = "preserveClientAddress: `engine: proxy` connects from an address of its own";
    if (keeps) draft.complain(place, { code, message, expected: "it with `engine: kernel` or `engine: auto`" });
    return;
  }
  const { candidate, routePaths } = candidateOf(listener);
  const obstacles = candidate === undefined ? [] : findKernelObstacles(candidate, pools.map(kernelPool));
  if (value.engine === "kernel") {
    for (const obstacle of obstacles) complainObstacle(draft, listener, obstacle, routePaths);
    warnIdle(draft, listener);
  }
  const [first] = obstacles;
  if (value.engine === "kernel" || first === undefined) {
    warnUnchecked(draft, { listener, pools, engine: value.engine });
    return;
  }
  if (!keeps) return;
  const message = `preserveClientAddress: \`engine: auto\` comes to \`proxy\` here, for ${first.reason}`;
  draft.complain(place, { code, message, expected: `${first.instead}, or no \`preserveClientAddress\`` });
}

/** The listener as far as it was read, and where its routes stand. */
function candidateOf(listener: Layer4Part): {
  readonly candidate: KernelCandidate | undefined;
  readonly routePaths: readonly Path[];
} {
  if (listener.value === undefined) return { candidate: undefined, routePaths: [] };
  if (listener.protocol === "udp") {
    const { bind, pool, responses } = listener.value;
    return { candidate: { protocol: "udp", bind, pool, responsesMax: responsesMaxOf(responses) }, routePaths: [] };
  }
  const { bind, pool, proxyProtocol } = listener.value;
  const read = listener.routes.flatMap(({ path, value }) =>
    value === undefined ? [] : [{ path, route: { host: hostOf(value), pool: value.pool } }],
  );
  const routes = read.map(({ route }) => route);
  // Beside routes, which is a problem of its own, `pool` comes last, so that a route keeps its index.
  if (pool !== undefined) routes.push({ host: { kind: "any" }, pool });
  return { candidate: { protocol: "tcp", bind, proxyProtocol, routes }, routePaths: read.map(({ path }) => path) };
}

function kernelPool(part: PoolPart): KernelPool {
  const balance = part.value?.balance ?? "roundRobin";
  return {
    name: part.name,
    slowStart: part.value?.slowStart ?? 0,
    // Any other key is refused for every layer-4 listener already.
    balance:
      typeof balance === "string" ? { policy: balance } : { policy: "consistentHash", key: { kind: "clientAddress" } },
    targets: part.targets.flatMap(({ address, value }) => {
      const reading = readTargetAddress(address);
      if (!reading.ok) return [];
      const { maxConnections: connectionsMax = 0, slowStart = 0 } = value ?? {};
      return [{ address, host: reading.value.host, connectionsMax, slowStart }];
    }),
  };
}

function complainObstacle(
  draft: Draft,
  listener: Layer4Part,
  obstacle: KernelObstacle,
  routePaths: readonly Path[],
): void {
  draft.complain(pathOf(listener, obstacle.at, routePaths), {
    code: "config.engine.kernel",
    message: `${obstacle.reason}, and listener \`${listener.name}\` has \`engine: kernel\``,
    expected: `${obstacle.instead}, or \`engine: proxy\``,
    atKey: obstacle.at.part === "target" || obstacle.at.part === "slowStart",
  });
}

function pathOf(listener: Layer4Part, at: KernelObstacle["at"], routePaths: readonly Path[]): Path {
  switch (at.part) {
    case "listener":
      return [...listener.path, ...at.keys];
    case "route":
      return [...(routePaths[at.index] ?? listener.path), "host"];
    case "balance":
      return ["pools", at.pool, "balance"];
    case "target":
      return ["pools", at.pool, "targets", at.address];
    case "slowStart":
      return ["pools", at.pool, ...(at.address === undefined ? [] : ["targets", at.address]), "slowStart"];
    default:
      return at satisfies never;
  }
}

/** Settings of a connect that we don't make. Warned only: they hold again when the engine is changed back. */
function warnIdle(draft: Draft, listener: Layer4Part): void {
  if (listener.protocol === "udp") return;
  const keys = [["retry"], ["timeouts", "clientHeader"], ["timeouts", "connect"], ["timeouts", "send"]];
  for (const key of keys) {
    const path = [...listener.path, ...key];
    if (!draft.has(path)) continue;
    draft.warn(path, {
      code: "config.engine.idle",
      message: `\`${key.at(-1)}\` means nothing with \`engine: kernel\`, by which clients speak to targets themselves`,
      atKey: true,
    });
  }
}

type OnKernel = { readonly listener: Layer4Part; readonly pools: readonly PoolPart[]; readonly engine: string };

/** Behind the proxy a failed connect takes a target out; behind the kernel nothing but a health check does. */
function warnUnchecked(draft: Draft, { listener, pools, engine }: OnKernel): void {
  for (const pool of pools) {
    const { name, path, targets } = pool;
    if ((targets.length < 2 && !hasSource(draft, pool)) || draft.has([...path, "healthCheck"])) continue;
    draft.warn(path, {
      code: "config.pool.unchecked",
      message: `pool \`${name}\` of listener \`${listener.name}\` (\`engine: ${engine}\`) has no \`healthCheck\`, and the kernel notices no dead target by itself`,
      expected: "a `healthCheck`",
      atKey: true,
    });
  }
}
