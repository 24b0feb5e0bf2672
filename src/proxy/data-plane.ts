// The data plane of one worker as the rest of the worker sees it: take a snapshot, take connections, look at the clock,
// drain, tell how it is. Behind it lies the request's way; it must not know processes, files or sockets.

import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { changedPool, nameOfChange } from "../state/pool-change.ts";
import type { SlotRows } from "../state/slot-rows.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { PoolsChange, TargetHealth, TargetStatus, WorkerStatus } from "../state/worker-protocol.ts";
import type { Arena } from "../wire/arena.ts";
import { LINE_COUNT_CEILING, requestHead, responseHead } from "../wire/http1/head.ts";
import { createHeadParser } from "../wire/http1/parse.ts";
import { proxyHeader } from "../wire/proxy-protocol/header.ts";
import { clientHello, createClientHelloParser } from "../wire/tls/client-hello.ts";
import type { AccessLog } from "./access-log.ts";
import { ClientConnection } from "./client-connection.ts";
import { type Compiled, type CompiledListener, compilePools, compileSnapshot, nothingCompiled } from "./compile.ts";
import type { Context } from "./context.ts";
import { Counts } from "./counts.ts";
import type { ClientSocket, ClientSocketOwner, DatagramEngine } from "./datagram-engine.ts";
import type { Engine, Wire, WireOwner } from "./engine.ts";
import { FlowTables } from "./flow-tables.ts";
import { HeadWriter } from "./head-writer.ts";
import { createSlots, HEAD_BYTES_CEILING } from "./layout.ts";
import type { PoolState } from "./pool-state.ts";
import { takeHealthChanges, takeWholeHealth } from "./probe-health.ts";
import { TcpConnection } from "./tcp-connection.ts";
import { tunnelRecord } from "./tunnel-record.ts";

/** How often deadlines are looked at: a timeout may bite this much late. */
const SWEEP_INTERVAL: Milliseconds = 100;
/** Idle connections to targets are looked at every so many sweeps. */
const IDLE_SWEEPS = 10;
/** An idle client may have its next request on the way: it gets this long before a drain closes it. */
const IDLE_GRACE: Milliseconds = 1_000;

export type DataPlaneOptions = {
  readonly arena: Arena;
  readonly engine: Engine;
  readonly datagrams: DatagramEngine;
  readonly clock: () => Milliseconds;
  readonly wallClock: () => Milliseconds;
  readonly random: Random;
  readonly log: Log;
  /** Where it counts. */
  readonly rows: SlotRows;
  readonly reportFailure: (pool: string, target: string, code: string) => void;
  readonly reportPassive: (pool: string, target: string, out: boolean) => void;
  /** A listener has as many connections as it may (true), or room again (false). */
  readonly onFull: (listener: string, full: boolean) => void;
};

export class DataPlane {
  private readonly context: Context;
  private readonly options: DataPlaneOptions;
  private compiled: Compiled = nothingCompiled;
  private workerCount = 1;
  private readonly flows: FlowTables;
  private sweeps = 0;
  private sweptMs: Milliseconds;
  /** Listeners that have been told to be full, and whose sockets are given back with that. */
  private readonly full = new Set<CompiledListener>();
  /** When idle clients of a drained worker or a removed listener are closed. */
  private idleClosesMs: Milliseconds = Number.POSITIVE_INFINITY;
  private drainEndsMs: Milliseconds = Number.POSITIVE_INFINITY;
  private onDrained: () => void = () => {};

  constructor(options: DataPlaneOptions) {
    const { arena, engine, datagrams, clock, wallClock, random, log, rows, reportFailure, reportPassive } = options;
    this.options = options;
    this.context = {
      arena,
      engine,
      datagrams,
      clock,
      wallClock,
      random,
      log,
      counts: new Counts(rows),
      reportFailure,
      reportPassive,
      parser: createHeadParser(arena, { headerBytesMax: HEAD_BYTES_CEILING, headerCountMax: LINE_COUNT_CEILING }),
      requestHead: requestHead(),
      responseHead: responseHead(),
      writer: new HeadWriter(arena.bytes),
      proxyHeader: proxyHeader(),
      clientHello: clientHello(),
      helloParser: createClientHelloParser(arena),
      dropped: new Uint8Array(LINE_COUNT_CEILING),
      slots: createSlots(),
      accessLog: undefined,
      tunnelRecord: tunnelRecord(),
      draining: false,
      pick: { nowMs: 0, tried: [], keyHash: 0, clientAddress: "" },
      serial: 0,
      clients: [],
      spareExchanges: [],
    };
    this.flows = new FlowTables(this.context);
    this.sweptMs = clock();
    engine.every(SWEEP_INTERVAL, () => this.sweep());
  }

  get generation(): number {
    return this.compiled.generation;
  }

  /** Swaps in the snapshot between two events: whoever is under way goes on with what he has. */
  apply(snapshot: Snapshot, accessLog: AccessLog | undefined, unhealthy: readonly TargetHealth[]): void {
    this.workerCount = snapshot.workerCount;
    this.compiled = compileSnapshot(this.context, this.compiled, snapshot);
    takeWholeHealth(this.compiled.pools, unhealthy);
    this.context.accessLog = accessLog;
    this.flows.apply(snapshot, this.compiled.pools);
    this.idleClosesMs = this.context.clock() + IDLE_GRACE;
    this.forgetFull();
    // Whoever raises a limit because it is reached must not wait for a client to leave.
    for (const listener of this.compiled.listeners.values()) {
      listener.onLeft = () => this.checkRoom(listener);
      this.checkRoom(listener);
    }
  }

  /** The same when only these pools have changed. Whoever holds a pool sees it change: the pools stay the same objects. */
  takePools({ generation, pools: changes, unhealthy }: PoolsChange): void {
    const pools = changes.map((change) => {
      const known = this.compiled.pools.get(nameOfChange(change));
      assert(known !== undefined, "a pool is in a snapshot before it changes");
      return changedPool(known.config, change);
    });
    this.compiled = compilePools(this.context, this.compiled, { generation, pools, workerCount: this.workerCount });
    const changed = new Map<string, PoolState>();
    for (const { name } of pools) changed.set(name, this.compiled.pools.get(name)!);
    takeWholeHealth(changed, unhealthy);
  }

  /** The owner for each new connection on a socket of that listener; undefined when no snapshot names it. */
  acceptor(name: string): ((wire: Wire) => WireOwner) | undefined {
    const first = this.compiled.listeners.get(name);
    if (first === undefined) return undefined;
    // It has a socket, of another address maybe: when it is still full, the next connection tells so.
    this.full.delete(first);
    // A change of its protocol keeps the socket: who comes now is what the name means now.
    return (wire) => this.accept(this.compiled.listeners.get(name) ?? first, wire);
  }

  /** The same for each socket of a UDP listener. */
  datagramAcceptor(name: string): ((client: ClientSocket) => ClientSocketOwner) | undefined {
    return this.flows.acceptor(name);
  }

  private accept(listener: CompiledListener, wire: Wire): WireOwner {
    if (listener.protocol === "tcp") {
      const client = new TcpConnection(this.context, listener, wire);
      client.begin();
      this.checkRoom(listener);
      return client;
    }
    const client = new ClientConnection(this.context, listener, wire);
    this.checkRoom(listener);
    return client;
  }

  /** The supervisor's probes changed their mind about these targets. */
  takeHealth(changes: readonly TargetHealth[]): void {
    takeHealthChanges(this.compiled.pools, changes);
  }

  /** Another worker saw the target fail. */
  report(poolName: string, address: string): void {
    const pool = this.compiled.pools.get(poolName);
    const target = pool?.find(address);
    if (pool !== undefined && target !== undefined) pool.failed(target, this.context.clock());
  }

  /** Lets what is under way finish for `within`, then closes the rest. `done` is called once, when no client is left. */
  drain(within: Milliseconds, done: () => void): void {
    const nowMs = this.context.clock();
    this.context.draining = true;
    this.idleClosesMs = nowMs + IDLE_GRACE;
    this.drainEndsMs = nowMs + within;
    this.onDrained = done;
  }

  status(pid: number): WorkerStatus {
    const nowMs = this.context.clock();
    const targets: TargetStatus[] = [];
    for (const pool of this.compiled.pools.values()) {
      for (const target of pool.targets) targets.push(target.status(nowMs));
    }
    const streams = Array.from(this.compiled.listeners.values(), ({ name, counters }) => ({
      name,
      counters: counters.totals(),
    }));
    const listeners = [...streams, ...this.flows.counters()];
    return { pid, generation: this.compiled.generation, draining: this.context.draining, listeners, targets };
  }

  private sweep(): void {
    const { context } = this;
    const { clients, counts } = context;
    const nowMs = context.clock();
    counts.worker.late(nowMs - this.sweptMs - SWEEP_INTERVAL, nowMs);
    this.sweptMs = nowMs;
    const closeIdle = nowMs >= this.idleClosesMs;
    const closeAll = nowMs >= this.drainEndsMs;
    // Backwards: whoever leaves is replaced by the last one, who has been looked at.
    for (let index = clients.length - 1; index >= 0; index--) {
      const client = clients[index]!;
      if (closeAll) client.close();
      else {
        if (closeIdle && (context.draining || client.listener.closing)) client.closeIdle();
        client.sweep(nowMs);
      }
    }
    for (const pool of this.compiled.pools.values()) pool.sweep(nowMs);
    this.flows.sweep(nowMs);
    if (closeAll) this.flows.endAll();
    this.sweeps += 1;
    if (this.sweeps % IDLE_SWEEPS === 0) this.sweepIdleTargets(nowMs);
    const flowsDone = context.draining && this.flows.drain(nowMs - IDLE_GRACE);
    if (flowsDone && clients.length === 0) {
      const done = this.onDrained;
      this.onDrained = () => {};
      done();
    }
  }

  private sweepIdleTargets(nowMs: Milliseconds): void {
    for (const pool of this.compiled.pools.values()) {
      const oldest = nowMs - pool.config.idleTimeout;
      for (const target of pool.targets) {
        const { idle } = target;
        // The one used longest ago is the first.
        while (idle.length > 0 && idle[0]!.idleSinceMs <= oldest) idle[0]!.discard();
        target.countNow();
      }
    }
    this.context.counts.sweep();
  }

  /** What was full may be gone, and its name another listener's, which has room and no socket. */
  private forgetFull(): void {
    for (const listener of this.full) {
      const now = this.compiled.listeners.get(listener.name);
      if (now === listener) continue;
      this.full.delete(listener);
      if (now !== undefined) this.options.onFull(now.name, false);
    }
  }

  /** The node's limit is shared out among the workers. */
  private checkRoom(listener: CompiledListener): void {
    const most = Math.max(1, Math.floor(listener.config.limits.connectionsMax / this.workerCount));
    const open = listener.connections;
    if (open >= most && !this.full.has(listener)) {
      this.full.add(listener);
      listener.counters.countLimit("listener.connections");
      this.options.onFull(listener.name, true);
    } else if (open < most * ROOM_AGAIN && this.full.delete(listener) && !listener.closing) {
      this.options.onFull(listener.name, false);
    }
  }
}

/** A full listener accepts again when it is down to this share of its limit. */
const ROOM_AGAIN = 0.95;
