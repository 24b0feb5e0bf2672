// Turns a snapshot, or the pools that have changed since the last one, into what the request's way reads: routes ready to
// match, rules ready to write, pools with their live targets. This is where the change's way ends. What stays the same is kept
// as it is, so that connections, passive records and counters live on; what goes is retired and ends by itself.

import { assert } from "../core/assert.ts";
import type { HttpListener, Listener, Route, RouteAction } from "../model/listener.ts";
import type { Pool } from "../model/pool.ts";
import { ListenerCounters } from "../state/counters.ts";
import type { RouteCounters } from "../state/slot-routes.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { headerNameHash } from "../wire/http1/header-names.ts";
import type { Context } from "./context.ts";
import type { Counts } from "./counts.ts";
import { compileRoutes, type RouteTable } from "./match.ts";
import { byteText } from "./path.ts";
import { PoolState } from "./pool-state.ts";
import { RouteBook } from "./route-book.ts";
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
  readonly counters: RouteCounters;
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
  readonly counters: ListenerCounters;
  /** Of exchanges that no route was found for. */
  readonly unrouted: RouteCounters;
  config: HttpListener;
  routes: readonly CompiledRoute[];
  table: RouteTable;
  /** No snapshot names it any more: every exchange is the last of its connection. */
  closing = false;
  /** Under way. */
  connections = 0;
  /** Told when a connection has gone. */
  onLeft: () => void = () => {};
  private trustedProxies: TrustedProxies | undefined;
  private readonly book: RouteBook;

  constructor(counts: Counts, config: HttpListener, pools: ReadonlyMap<string, PoolState>) {
    this.name = config.name;
    this.counters = new ListenerCounters(counts.rows, config.name);
    this.book = new RouteBook(counts, "http", config.name);
    this.unrouted = this.book.unrouted;
    this.config = config;
    this.routes = config.routes.map((route) => compileRoute(this.book, route, pools));
    this.table = compileRoutes(config.routes);
    this.trustedProxies = trustedOf(config);
  }

  configure(config: HttpListener, pools: ReadonlyMap<string, PoolState>): void {
    this.config = config;
    this.routes = config.routes.map((route) => compileRoute(this.book, route, pools));
    this.book.keepOnly(config.routes);
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

  entered(): void {
    this.connections += 1;
    this.counters.connectionsAccepted += 1;
    this.counters.connectionsOpen += 1;
  }

  left(): void {
    this.connections -= 1;
    this.counters.connectionsOpen -= 1;
    this.onLeft();
  }

  /** No connection of it is left, and none comes. */
  giveBackCounters(): void {
    this.book.giveBack();
    this.counters.giveBack();
  }
}

function trustedOf(config: HttpListener): TrustedProxies | undefined {
  return config.trustedProxies.length === 0 ? undefined : compileTrusted(config.trustedProxies);
}

function compileRoute(book: RouteBook, config: Route, pools: ReadonlyMap<string, PoolState>): CompiledRoute {
  const { action } = config;
  const request = compileHeaderRules(config.requestHeaders, headerNameHash);
  const response = compileHeaderRules(config.responseHeaders, headerNameHash);
  const location = action.kind === "redirect" ? compileTemplate(action.location) : undefined;
  return {
    config,
    action,
    counters: book.of(config.name),
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
  for (const [name, pool] of before.pools) if (!pools.has(name)) pool.retire();
  const listeners = new Map<string, CompiledListener>();
  for (const config of snapshot.listeners) {
    const listener = compileListener(context.counts, before.listeners.get(config.name), config, pools);
    if (listener !== undefined) listeners.set(config.name, listener);
  }
  // One whose name goes on with another protocol has ended as well.
  for (const [name, listener] of before.listeners) {
    if (listeners.get(name) === listener) continue;
    listener.closing = true;
    context.counts.leavingListeners.add(listener);
  }
  return { generation: snapshot.generation, listeners, pools };
}

/** The known one with its new configuration, or a new one. */
function compileListener(
  counts: Counts,
  known: CompiledListener | undefined,
  config: Listener,
  pools: ReadonlyMap<string, PoolState>,
): CompiledListener | undefined {
  switch (config.protocol) {
    case "http":
      if (known?.protocol !== "http") return new CompiledHttpListener(counts, config, pools);
      known.configure(config, pools);
      return known;
    case "tcp":
      if (known?.protocol !== "tcp") return new CompiledTcpListener(counts, config, pools);
      known.configure(config, pools);
      return known;
    case "udp":
      // It has no connections: flow-tables.ts has it.
      return undefined;
    default:
      return config satisfies never;
  }
}

/**
 * The next view when nothing but these pools has changed, all of which the last one has. Routes and listeners hold the pools
 * themselves, so they stay as they are.
 */
export function compilePools(
  context: Context,
  before: Compiled,
  change: { readonly generation: number; readonly pools: readonly Pool[]; readonly workerCount: number },
): Compiled {
  for (const config of change.pools) {
    const known = before.pools.get(config.name);
    assert(known !== undefined, "a pool is in a snapshot before it changes");
    compilePool(context, known, config, change.workerCount);
  }
  return { ...before, generation: change.generation };
}

/** The known one with its new configuration, or a new one. */
function compilePool(context: Context, known: PoolState | undefined, config: Pool, workerCount: number): PoolState {
  const { counts, random, reportPassive: tellPassive } = context;
  const nowMs = context.clock();
  if (known === undefined) return new PoolState(config, { counts, workerCount, nowMs, random, tellPassive });
  known.configure(config, { workerCount, nowMs });
  return known;
}
