// A whole data plane for tests, over test-engine.ts: configuration with short defaults, clients and targets as scripts
// see them, and the books that must balance when all is over. Must not be imported by anything but tests.

import assert from "node:assert/strict";
import type { Milliseconds } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import type { HttpListener, HttpTimeouts, Retry, Route, RouteAction, TcpListener } from "../model/listener.ts";
import type { Pool, Target } from "../model/pool.ts";
import { privateRows } from "../state/slot-rows.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { TargetHealth, TargetStatus } from "../state/worker-protocol.ts";
import { createArena } from "../wire/arena.ts";
import type { AccessLog } from "./access-log.ts";
import type { Context } from "./context.ts";
import { DataPlane } from "./data-plane.ts";
import type { DatagramEngine } from "./datagram-engine.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { ARENA_BYTES, SLOT_COUNT } from "./layout.ts";
import { TargetConnection } from "./target-connection.ts";
import { TcpDelivery } from "./tcp-delivery.ts";
import { TestEngine, type TestWire } from "./test-engine.ts";
import type { TunnelRecord } from "./tunnel-record.ts";

/** One for all worlds of a test file: whatever an earlier test left in it is one more thing nobody may rely on. */
const arena = createArena(ARENA_BYTES);

const noDatagrams: DatagramEngine = { connect: () => assert.fail("this world has no datagrams") };

const noRules = { set: [], add: [], remove: [] };

export const testTimeouts: HttpTimeouts = {
  clientHeader: 10_000,
  clientBody: 12_000,
  keepAlive: 60_000,
  connect: 2_000,
  send: 15_000,
  firstByte: 20_000,
  idle: 25_000,
  exchange: 0,
  tunnel: 100_000,
};

export type PoolAction = Extract<RouteAction, { kind: "pool" }>;
export const testRetry: Retry = { triesMax: 3, timeMax: 0, statuses: [] };

export function poolAction(changes: Partial<PoolAction> = {}): PoolAction {
  return {
    kind: "pool",
    pool: "app",
    rewritePrefix: undefined,
    upgrade: "refuse",
    connect: "refuse",
    retry: testRetry,
    ...changes,
  };
}

export function route(changes: Partial<Route> = {}): Route {
  return {
    name: "web[0]",
    host: { kind: "any" },
    path: { kind: "prefix", path: "/" },
    action: poolAction(),
    requestHeaders: noRules,
    responseHeaders: noRules,
    bodyBytesMax: 0,
    timeouts: testTimeouts,
    ...changes,
  };
}

export function target(number: number, changes: Partial<Target> = {}): Target {
  const host = `10.0.0.${number}`;
  return {
    address: `${host}:8080`,
    host,
    port: 8080,
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    intent: "up",
    slowStart: 0,
    ...changes,
  };
}

export type WorldOptions = {
  readonly routes?: readonly Route[];
  readonly targets?: readonly Target[];
  readonly listener?: Partial<HttpListener>;
  readonly limits?: Partial<HttpListener["limits"]>;
  readonly pool?: Partial<Pool>;
  readonly workerCount?: number;
  /** The listener is one of TCP, with one route for all unless it says otherwise. */
  readonly tcp?: Partial<TcpListener>;
};

export const testTcpListener: TcpListener = {
  name: "web",
  protocol: "tcp",
  bind: { host: "0.0.0.0", port: 80 },
  engine: "proxy",
  routes: [{ name: "web[0]", host: { kind: "any" }, pool: "app" }],
  proxyProtocol: { receive: false, trustedProxies: [], send: "off" },
  preserveClientAddress: false,
  timeouts: { clientHeader: 10_000, connect: 2_000, send: 15_000, tunnel: 100_000 },
  retry: { triesMax: 3, timeMax: 0 },
  limits: { connectionsMax: 10_000 },
  limitStated: false,
  backlog: 511,
};

export function snapshot(generation: number, options: WorldOptions = {}): Snapshot {
  const { routes = [route()], targets = [target(1)], workerCount = 1 } = options;
  const listener: HttpListener = {
    name: "web",
    protocol: "http",
    bind: { host: "0.0.0.0", port: 80 },
    routes,
    trustedProxies: [],
    forwarded: false,
    timeouts: testTimeouts,
    limits: {
      headerBytesMax: 16 * 1024,
      headerCountMax: 100,
      connectionsMax: 10_000,
      exchangesPerConnectionMax: 0,
      ...options.limits,
    },
    backlog: 511,
    ...options.listener,
  };
  const pool: Pool = {
    name: "app",
    balance: { policy: "roundRobin" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 16,
    idleTimeout: 30_000,
    ...options.pool,
  };
  const listeners = [options.tcp === undefined ? listener : { ...testTcpListener, ...options.tcp }];
  return { generation, node: "test", workerCount, accessLog: undefined, listeners, pools: [pool], virtualRouters: [] };
}

export type LoggedExchange = Readonly<ExchangeRecord>;
export type LoggedTunnel = Readonly<TunnelRecord>;

export class World {
  readonly engine = new TestEngine(arena);
  readonly dataPlane: DataPlane;
  readonly records: LoggedExchange[] = [];
  readonly tunnels: LoggedTunnel[] = [];
  readonly reports: string[] = [];
  /** What the passive judge said: `10.0.0.1:8080 out`, `... back`. */
  readonly passive: string[] = [];
  readonly warnings: string[] = [];
  readonly full: string[] = [];
  readonly clients: TestWire[] = [];
  private generation = 0;
  private readonly acceptors = new Map<string, ReturnType<DataPlane["acceptor"]>>();

  constructor(options: WorldOptions = {}, seed = 1) {
    const quiet = (): void => {};
    const log: Log = { debug: quiet, info: quiet, error: quiet, warn: (message) => this.warnings.push(message) };
    this.dataPlane = new DataPlane({
      arena,
      engine: this.engine,
      datagrams: noDatagrams,
      clock: () => this.engine.nowMs,
      wallClock: () => 0,
      random: seededRandom(seed),
      log,
      rows: privateRows(64 * 1024),
      reportFailure: (pool, address, code) => this.reports.push(`${pool} ${address} ${code}`),
      reportPassive: (_pool, address, out) => this.passive.push(`${address} ${out ? "out" : "back"}`),
      onFull: (listener, full) => this.full.push(`${listener} ${full}`),
    });
    this.apply(options);
  }

  /** The next snapshot. */
  apply(options: WorldOptions): void {
    this.applySnapshot(snapshot(this.generation + 1, options));
  }

  applySnapshot(next: Snapshot): void {
    this.generation = next.generation;
    const accessLog: AccessLog = {
      write: (record) => this.records.push({ ...record }),
      writeFlow: () => assert.fail("this world has no flows"),
      writeTunnel: (record) => this.tunnels.push({ ...record }),
      flush() {},
    };
    this.dataPlane.apply(next, accessLog, []);
    for (const { name } of next.listeners) {
      if (!this.acceptors.has(name)) this.acceptors.set(name, this.dataPlane.acceptor(name));
    }
  }

  /** The next generation, in which the pool alone has changed. */
  takePool(options: WorldOptions, unhealthy: readonly TargetHealth[] = []): void {
    this.generation += 1;
    const { pools } = snapshot(this.generation, options);
    const changes = pools.map((pool) => ({ kind: "whole", pool }) as const);
    this.dataPlane.takePools({ generation: this.generation, pools: changes, unhealthy });
  }

  client(bytes: string | Uint8Array = "", address = "198.51.100.7"): TestWire {
    const acceptor = this.acceptors.get("web");
    assert(acceptor !== undefined, "the listener exists");
    const wire = this.engine.accept(acceptor, address, 40_000 + this.clients.length);
    this.clients.push(wire);
    wire.put(bytes);
    this.run();
    return wire;
  }

  run(): void {
    this.engine.run();
  }

  advance(span: Milliseconds): void {
    this.engine.advance(span);
  }

  /** What the client got since the last call. */
  say(wire: TestWire, bytes: string | Uint8Array): string {
    wire.put(bytes);
    this.run();
    return this.hear(wire);
  }

  hear(wire: TestWire): string {
    const { text } = wire;
    wire.taken = [];
    return text;
  }

  /** The newest connection to a target; connected when it was not yet. */
  target(index = this.engine.connects.length - 1): TestWire {
    const wire = this.engine.connects[index];
    assert(wire !== undefined, `the core has opened connection ${index}`);
    if (!this.connected.has(wire)) {
      this.connected.add(wire);
      wire.putConnect();
      this.run();
    }
    return wire;
  }

  /** The newest connection attempt fails. */
  refuse(errorCode = "ECONNREFUSED", index = this.engine.connects.length - 1): void {
    const wire = this.engine.connects[index];
    assert(wire !== undefined && !this.connected.has(wire), `connection ${index} is under way`);
    wire.putClose(errorCode);
    this.run();
  }

  get opened(): number {
    return this.engine.connects.length;
  }

  status(address = "10.0.0.1:8080"): TargetStatus {
    const found = this.dataPlane.status(1).targets.find((one) => one.address === address);
    assert(found !== undefined, `the pool has ${address}`);
    return found;
  }

  get counters() {
    const [listener] = this.dataPlane.status(1).listeners;
    assert(listener !== undefined, "the listener exists");
    return listener.counters;
  }

  get context(): Context {
    const context: unknown = Reflect.get(this.dataPlane, "context");
    assert(typeof context === "object" && context !== null && "slots" in context, "a data plane has a context");
    return context as Context;
  }

  freeSlots(): number {
    const { slots } = this.context;
    const taken: number[] = [];
    for (let slot = slots.take(); slot >= 0; slot = slots.take()) taken.push(slot);
    assert.equal(new Set(taken).size, taken.length, "no slot is free twice");
    for (const slot of taken.reverse()) slots.give(slot);
    return taken.length;
  }

  /** Every client leaves; then the books must balance. */
  settle(): void {
    for (const wire of this.clients) {
      if (wire.ending !== "") continue;
      wire.incoming.length = 0;
      wire.putClose("");
    }
    this.run();
    this.assertQuiet();
  }

  /** Nothing is under way, so nothing is counted, held or taken. */
  assertQuiet(): void {
    const { context, engine } = this;
    assert.equal(context.clients.length, 0, "no client is left");
    assert.equal(this.freeSlots(), SLOT_COUNT, "all slots are free");
    assert.equal(new Set(context.spareExchanges).size, context.spareExchanges.length, "no exchange is spare twice");
    for (const exchange of context.spareExchanges) {
      assert.equal(exchange.client, undefined, "a spare exchange has no client");
      assert.equal(exchange.connection, undefined, "a spare exchange has no target connection");
    }
    for (const wire of engine.connects) {
      if (wire.ending !== "") continue;
      const { owner } = wire;
      assert(owner instanceof TargetConnection, "an open target connection is one of HTTP");
      assert.equal(owner.delivery, undefined, "an open target connection is idle");
      assert(owner.target.idle.includes(owner), "an open target connection is among the idle ones");
      assert.equal(owner.partial, undefined, "an idle connection keeps no bytes");
      assert(!wire.paused, "an idle connection is read");
    }
    for (const wire of engine.connects) {
      const { owner } = wire;
      if (owner instanceof TcpDelivery) continue;
      assert(owner instanceof TargetConnection, "a target's wire belongs to a target connection");
      assert.deepEqual([owner.target.active, owner.target.activeTunnels], [0, 0], "nothing is counted as under way");
      if (wire.ending !== "") assert(!owner.target.idle.includes(owner), "what is closed is not idle");
    }
    const { listeners, targets } = this.dataPlane.status(1);
    for (const { address, active, activeTunnels } of targets) {
      assert.deepEqual([active, activeTunnels], [0, 0], `nothing is under way at ${address}`);
    }
    for (const { counters } of listeners) {
      assert.equal(counters.connectionsOpen, 0, "no connection is counted as open");
      let answered = 0;
      for (const count of counters.statusClasses) answered += count;
      assert.equal(answered, counters.exchanges, "every exchange ends once, in one class");
    }
  }

  private readonly connected = new Set<TestWire>();
}

/** Runs a scenario and balances the books after it. */
export function scenario(options: WorldOptions, play: (world: World) => void): void {
  const world = new World(options);
  play(world);
  world.settle();
}

/** The local responses' Date line, which moves. */
export function withoutDate(text: string): string {
  return text.replace(/Date: [^\r]*\r\n/g, "");
}
