// Turns a snapshot into what the request's way reads: routes ready to match, rules ready to write, pools with their live
// targets. This is where the change's way ends. What stays the same is kept as it is, so that connections, passive
// records and counters live on; what goes is retired and ends by itself.

import type { HttpListener, Listener, Route, RouteAction } from "../model/listener.ts";
import type { Pool } from "../model/pool.ts";
import { type ListenerCounters, listenerCounters } from "../state/counters.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { headerNameHash } from "../wire/http1/header-names.ts";
import type { Context } from "./context.ts";
import { compileRoutes, type RouteTable } from "./match.ts";
import { byteText } from "./path.ts";
import { PoolState, TargetState } from "./pool-state.ts";
import { CompiledTcpListener } from "./tcp-listener.ts";
import {
  type CompiledHeaderRules,
  compileHeaderRules,
  compileTemplate,
  isEmptyRules,
  type Template,
} from "./template.ts";
import { clientFromForwarded, compileTrusted, isTrusted, type TrustedProxies } from "./trusted-proxies.ts";

export type CompiledRoute = {
  readonly config: Route;
  readonly action: RouteAction;
  /** Of the action, where it has one. */
  readonly pool: PoolState | undefined;
  readonly location: Template | undefined;
  /** The matched prefix and what replaces it, one byte a character; undefined: the path goes as it is. */
  readonly rewrite: { readonly from: string; readonly to: string } | undefined;
  /** undefined: nothing to do. */
  readonly requestRules: CompiledHeaderRules | undefined;
  readonly responseRules: CompiledHeaderRules | undefined;
  /** Union of the variables that its templates need. */
  readonly needs: number;
};

/** An HTTP listener for as long as some snapshot names it; its connections see each new configuration at their next request. */
export class CompiledHttpListener {
  readonly protocol = "http";
  readonly name: string;
  readonly counters: ListenerCounters = listenerCounters();
  config: HttpListener;
  routes: readonly CompiledRoute[];
  table: RouteTable;
  /** No snapshot names it any more: every exchange is the last of its connection. */
  closing = false;
  /** Told when a connection has gone. */
  onLeft: () => void = () => {};
  private trustedProxies: TrustedProxies | undefined;

  constructor(config: HttpListener, pools: ReadonlyMap<string, PoolState>) {
    this.name = config.name;
    this.config = config;
    this.routes = config.routes.map((route) => compileRoute(route, pools));
    this.table = compileRoutes(config.routes);
    this.trustedProxies = trustedOf(config);
  }

  configure(config: HttpListener, pools: ReadonlyMap<string, PoolState>): void {
    this.config = config;
    this.routes = config.routes.map((route) => compileRoute(route, pools));
    this.table = compileRoutes(config.routes);
    this.trustedProxies = trustedOf(config);
  }

  trusts(address: string): boolean {
    return this.trustedProxies !== undefined && isTrusted(this.trustedProxies, address);
  }

  /** The client that X-Forwarded-For names; only asked when the peer is trusted. */
  clientBehind(forwardedFor: string, peer: string): string {
    return this.trustedProxies === undefined ? peer : clientFromForwarded(this.trustedProxies, forwardedFor, peer);
  }

  left(): void {
    this.onLeft();
  }
}

function trustedOf(config: HttpListener): TrustedProxies | undefined {
  return config.trustedProxies.length === 0 ? undefined : compileTrusted(config.trustedProxies);
}

function compileRoute(config: Route, pools: ReadonlyMap<string, PoolState>): CompiledRoute {
  const { action } = config;
  const request = compileHeaderRules(config.requestHeaders, headerNameHash);
  const response = compileHeaderRules(config.responseHeaders, headerNameHash);
  const location = action.kind === "redirect" ? compileTemplate(action.location) : undefined;
  return {
    config,
    action,
    pool: action.kind === "pool" ? pools.get(action.pool) : undefined,
    location,
    rewrite: compileRewrite(config),
    requestRules: isEmptyRules(request) ? undefined : request,
    responseRules: isEmptyRules(response) ? undefined : response,
    needs: request.needs | response.needs | (location?.needs ?? 0),
  };
}

function compileRewrite({ action, path }: Route): CompiledRoute["rewrite"] {
  if (action.kind !== "pool" || action.rewritePrefix === undefined || path.kind !== "prefix") return undefined;
  return { from: byteText(path.path), to: byteText(action.rewritePrefix) };
}

export type CompiledListener = CompiledHttpListener | CompiledTcpListener;

export type Compiled = {
  readonly generation: number;
  readonly listeners: ReadonlyMap<string, CompiledListener>;
  readonly pools: ReadonlyMap<string, PoolState>;
};

/** The first view of a worker: nothing. */
export const nothingCompiled: Compiled = { generation: 0, listeners: new Map(), pools: new Map() };

/** The next view; `before` is changed where things live on, and what it alone has is retired. */
export function compileSnapshot(context: Context, before: Compiled, snapshot: Snapshot): Compiled {
  const pools = new Map<string, PoolState>();
  for (const config of snapshot.pools) {
    pools.set(config.name, compilePool(context, before.pools.get(config.name), config, snapshot.workerCount));
  }
  for (const [name, pool] of before.pools) {
    if (!pools.has(name)) for (const target of pool.targets) retire(target);
  }
  const listeners = new Map<string, CompiledListener>();
  for (const config of snapshot.listeners) {
    const listener = compileListener(before.listeners.get(config.name), config, pools);
    if (listener !== undefined) listeners.set(config.name, listener);
  }
  // One whose name goes on with another protocol has ended as well.
  for (const [name, listener] of before.listeners) if (listeners.get(name) !== listener) listener.closing = true;
  return { generation: snapshot.generation, listeners, pools };
}

/** The known one with its new configuration, or a new one. */
function compileListener(
  known: CompiledListener | undefined,
  config: Listener,
  pools: ReadonlyMap<string, PoolState>,
): CompiledListener | undefined {
  switch (config.protocol) {
    case "http":
      if (known?.protocol !== "http") return new CompiledHttpListener(config, pools);
      known.configure(config, pools);
      return known;
    case "tcp":
      if (known?.protocol !== "tcp") return new CompiledTcpListener(config, pools);
      known.configure(config, pools);
      return known;
    case "udp":
      // It has no connections: flow-tables.ts has it.
      return undefined;
    default:
      return config satisfies never;
  }
}

function compilePool(context: Context, before: PoolState | undefined, config: Pool, workerCount: number): PoolState {
  const known = new Map(before?.targets.map((target) => [target.address, target]));
  const onlyTarget = config.targets.length === 1;
  const targets = config.targets.map((target) => {
    const kept = known.get(target.address);
    if (kept === undefined) return new TargetState(config.name, target, workerCount, onlyTarget);
    known.delete(target.address);
    kept.configure(target, workerCount, onlyTarget);
    return kept;
  });
  for (const target of known.values()) retire(target);
  // The balancer's standing is worth keeping when the pool is as it was: a reload for another pool's sake is not seen.
  if (before !== undefined && JSON.stringify(before.config) === JSON.stringify(config)) {
    before.config = config;
    return before;
  }
  return new PoolState(config, targets, context.random, context.reportPassive);
}

function retire(target: TargetState): void {
  target.retired = true;
  for (const connection of target.idle.splice(0)) connection.wire.kill();
}
