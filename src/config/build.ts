// A draft without problems into the configuration that the rest of the program reads: defaults laid below what
// listeners and routes say, keys of the file renamed to the model's, maps turned into lists. On the change's way, last
// stage of decoding. Must not find problems any more: what cannot be here is a broken invariant.

import { formatSocketAddress } from "../core/address.ts";
import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { AccessLogConfig, AdminConfig, Config } from "../model/config.ts";
import type {
  HeaderRules,
  HttpLimits,
  HttpListener,
  HttpTimeouts,
  Listener,
  Route,
  RouteAction,
} from "../model/listener.ts";
import type { Balance, Pool, Target } from "../model/pool.ts";
import { buildHa } from "./build-ha.ts";
import { buildHealthCheck } from "./build-health-check.ts";
import { buildTcpListener, buildUdpListener, type Layer4Defaults } from "./build-layer4.ts";
import { buildSource } from "./build-source.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { workersMax } from "./limits.ts";
import type { PoolShell } from "./pool-schema.ts";
import type { RootShell, RouteFile } from "./schema.ts";
import type { Draft, HttpListenerPart, ListenerPart, PoolPart, TargetPart } from "./shape.ts";
import { hostOf, pathOf } from "./validate-routes.ts";

/** What the machine says where the file doesn't. */
export type Machine = {
  readonly hostname: string;
  /** Cores that this process may use, at least 1. */
  readonly cores: number;
};

export function buildConfig(draft: Draft, machine: Machine): Config {
  const root = draft.root.value;
  assert(root !== undefined, "the root of a valid draft was read");
  const node = nodeOf(draft, machine);
  const stated = (limit: string) => draft.has(["defaults", "limits", limit]);
  const defaults = { ...root.defaults, limitsStated: { connections: stated("connections"), flows: stated("flows") } };
  return {
    node,
    admin: buildAdmin(root.admin),
    stateDirectory: root.stateDirectory,
    workers: root.workers === "auto" ? Math.min(workersMax, Math.max(1, machine.cores)) : root.workers,
    drainTimeout: root.drainTimeout,
    accessLog: buildAccessLog(root.accessLog),
    kernel: root.kernel,
    listeners: draft.listeners.map((listener) => buildListener(listener, defaults)),
    pools: draft.pools.map(buildPool),
    ha: buildHa(draft.ha, node),
  };
}

/** The name of this node. */
export function nodeOf(draft: Draft, machine: Machine): string {
  return draft.root.value?.node ?? machine.hostname;
}

function buildAdmin({ socket, http: bind, tokenFile }: RootShell["admin"]): AdminConfig {
  return { socket, http: bind === undefined || tokenFile === undefined ? undefined : { bind, tokenFile } };
}

function buildAccessLog(file: RootShell["accessLog"]): AccessLogConfig | undefined {
  if (file === undefined) return undefined;
  return { path: file.path, format: file.format, bufferBytesMax: file.buffer, flushInterval: file.flush };
}

type Defaults = RootShell["defaults"];

function buildListener(part: ListenerPart, defaults: Layer4Defaults): Listener {
  assert(part.protocol !== undefined, "every listener of a valid draft has a protocol");
  switch (part.protocol) {
    case "http":
      return buildHttpListener(part, defaults);
    case "tcp":
      return buildTcpListener(part, defaults);
    case "udp":
      return buildUdpListener(part, defaults);
    default:
      return part satisfies never;
  }
}

function buildHttpListener(part: HttpListenerPart, defaults: Defaults): HttpListener {
  const file = part.value;
  assert(file !== undefined, "every listener of a valid draft was read");
  const timeouts = mergeTimeouts(defaults.timeouts, file.timeouts);
  const below: RouteDefaults = { timeouts, bodyBytesMax: file.bodyLimit ?? defaults.bodyLimit, retry: defaults.retry };
  return {
    name: part.name,
    protocol: "http",
    bind: file.bind,
    routes: part.routes.map(({ value }, index) => {
      assert(value !== undefined, "every route of a valid draft was read");
      return buildRoute(value, `${part.name}[${index}]`, below);
    }),
    trustedProxies: file.trustedProxies,
    forwarded: file.forwarded,
    timeouts,
    limits: buildLimits(defaults.limits, file.limits),
    backlog: file.backlog,
  };
}

/** What is given over what lies below; a key that is given as undefined counts as not given. */
function mergeTimeouts(
  below: HttpTimeouts,
  given: Partial<Record<keyof HttpTimeouts, number | undefined>> = {},
): HttpTimeouts {
  return {
    clientHeader: given.clientHeader ?? below.clientHeader,
    clientBody: given.clientBody ?? below.clientBody,
    keepAlive: given.keepAlive ?? below.keepAlive,
    connect: given.connect ?? below.connect,
    send: given.send ?? below.send,
    firstByte: given.firstByte ?? below.firstByte,
    idle: given.idle ?? below.idle,
    exchange: given.exchange ?? below.exchange,
    tunnel: given.tunnel ?? below.tunnel,
  };
}

function buildLimits(
  below: Defaults["limits"],
  given: Partial<Record<keyof Defaults["limits"], number | undefined>> = {},
): HttpLimits {
  return {
    headerBytesMax: given.headerBytes ?? below.headerBytes,
    headerCountMax: given.headerCount ?? below.headerCount,
    connectionsMax: given.connections ?? below.connections,
    exchangesPerConnectionMax: given.exchangesPerConnection ?? below.exchangesPerConnection,
  };
}

type RouteDefaults = {
  readonly timeouts: HttpTimeouts;
  readonly bodyBytesMax: number;
  readonly retry: Defaults["retry"];
};

function buildRoute(file: RouteFile, otherwise: string, below: RouteDefaults): Route {
  const path = pathOf(file);
  assert(path !== undefined, "a route of a valid draft has one kind of path");
  return {
    name: file.name ?? otherwise,
    host: hostOf(file),
    path,
    action: buildAction(file, below.retry),
    requestHeaders: buildHeaderRules(file.requestHeaders),
    responseHeaders: buildHeaderRules(file.responseHeaders),
    bodyBytesMax: file.bodyLimit ?? below.bodyBytesMax,
    timeouts: mergeTimeouts(below.timeouts, file.timeouts),
  };
}

function buildAction(file: RouteFile, retry: Defaults["retry"]): RouteAction {
  const { pool, respond, redirect } = file;
  if (respond !== undefined) return { kind: "respond", ...respond };
  if (redirect !== undefined) return { kind: "redirect", ...redirect };
  assert(pool !== undefined, "a route of a valid draft has an action");
  return {
    kind: "pool",
    pool,
    rewritePrefix: file.rewritePrefix,
    upgrade: file.upgrade ?? "refuse",
    connect: file.connect ?? "refuse",
    retry: {
      triesMax: file.retry?.tries ?? retry.tries,
      timeMax: file.retry?.time ?? retry.time,
      statuses: [...new Set(file.retry?.statuses ?? retry.statuses)],
    },
  };
}

function buildHeaderRules(file: RouteFile["requestHeaders"]): HeaderRules {
  if (file === undefined) return { set: [], add: [], remove: [] };
  return {
    set: Object.entries(file.set).map(([name, value]) => ({ name, value })),
    add: Object.entries(file.add).flatMap(([name, values]) => [values].flat().map((value) => ({ name, value }))),
    remove: [...new Set(file.remove)],
  };
}

function buildPool(part: PoolPart): Pool {
  const file = part.value;
  assert(file !== undefined, "every pool of a valid draft was read");
  return {
    name: part.name,
    balance: buildBalance(file.balance),
    targets: part.targets.map((target) => buildTarget(target, file.slowStart)),
    source: part.source?.value === undefined ? undefined : buildSource(part.source.value),
    slowStart: file.slowStart,
    healthCheck: part.healthCheck?.value === undefined ? undefined : buildHealthCheck(part.healthCheck.value),
    idleConnectionsMax: file.idleConnections,
    idleTimeout: file.idleTimeout,
  };
}

function buildBalance(file: PoolShell["balance"]): Balance {
  if (typeof file === "string") return { policy: file };
  const { key } = file.consistentHash;
  return {
    policy: "consistentHash",
    key: typeof key === "string" ? { kind: key } : { kind: "header", name: key.header },
  };
}

function buildTarget(part: TargetPart, slowStart: Milliseconds): Target {
  const file = part.value;
  const reading = readTargetAddress(part.address);
  assert(file !== undefined && reading.ok, "every target of a valid draft was read");
  return {
    address: formatSocketAddress(reading.value),
    host: reading.value.host,
    port: reading.value.port,
    weight: file.weight,
    maxFails: file.maxFails,
    failTimeout: file.failTimeout,
    connectionsMax: file.maxConnections,
    backup: file.backup,
    intent: file.intent,
    slowStart: file.slowStart ?? slowStart,
  };
}
