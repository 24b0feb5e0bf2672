// A TCP listener as the request's way reads it: routes ready to match by server name, their pools, and whose PROXY header is
// believed. It lives as long as some snapshot names it; a connection takes what it needs when it comes and keeps it.

import type { TcpListener, TcpRoute } from "../model/listener.ts";
import { ListenerCounters } from "../state/counters.ts";
import type { RouteCounters } from "../state/slot-routes.ts";
import type { Counts } from "./counts.ts";
import { compileRoutes, matchRoute, noRoute, type RouteTable } from "./match.ts";
import type { PoolState } from "./pool-state.ts";
import { RouteBook } from "./route-book.ts";
import { compileTrusted, isTrusted, type TrustedProxies } from "./trusted-proxies.ts";

export type CompiledTcpRoute = {
  readonly config: TcpRoute;
  readonly counters: RouteCounters;
  readonly pool: PoolState | undefined;
};

/** A server name is matched as the host of an HTTP route whose path matches all. */
const anyPath = { kind: "prefix", path: "/" } as const;

export class CompiledTcpListener {
  readonly protocol = "tcp";
  readonly name: string;
  readonly counters: ListenerCounters;
  /** Of connections that no route was found for. */
  readonly unrouted: RouteCounters;
  config: TcpListener;
  /** No snapshot names it any more. */
  closing = false;
  /** Under way. */
  connections = 0;
  /** Told when a connection has gone. */
  onLeft: () => void = () => {};
  private routes: readonly CompiledTcpRoute[] = [];
  private table: RouteTable;
  private trustedProxies: TrustedProxies | undefined;
  private readonly book: RouteBook;

  constructor(counts: Counts, config: TcpListener, pools: ReadonlyMap<string, PoolState>) {
    this.name = config.name;
    this.counters = new ListenerCounters(counts.rows, config.name);
    this.book = new RouteBook(counts, "tcp", config.name);
    this.unrouted = this.book.unrouted;
    this.config = config;
    this.table = tableOf(config);
    this.configure(config, pools);
  }

  configure(config: TcpListener, pools: ReadonlyMap<string, PoolState>): void {
    const { trustedProxies } = config.proxyProtocol;
    this.config = config;
    this.routes = config.routes.map((route) => ({
      config: route,
      counters: this.book.of(route.name),
      pool: pools.get(route.pool),
    }));
    this.book.keepOnly(config.routes);
    this.table = tableOf(config);
    this.trustedProxies = trustedProxies.length === 0 ? undefined : compileTrusted(trustedProxies);
  }

  /** A connection from this address begins with a PROXY header. */
  expectsHeader(address: string): boolean {
    if (!this.config.proxyProtocol.receive) return false;
    return this.trustedProxies === undefined || isTrusted(this.trustedProxies, address);
  }

  /** Its routes want to know a server name; a first route for all leaves nothing to know. */
  get readsHello(): boolean {
    const [first] = this.config.routes;
    return first !== undefined && first.host.kind !== "any";
  }

  /** The first route for this server name; "" is a client that gave none, whom only a route for all takes. */
  match(serverName: string): CompiledTcpRoute | undefined {
    const index = matchRoute(this.table, serverName, "/");
    return index === noRoute ? undefined : this.routes[index];
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

function tableOf(config: TcpListener): RouteTable {
  return compileRoutes(config.routes.map(({ host }) => ({ host, path: anyPath })));
}
