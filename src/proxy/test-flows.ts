// A data plane with one UDP listener for tests, over an engine without sockets: a test is every client and every target, and
// moves the clock. As strict as test-engine.ts: what lies in scratch memory is scribbled over after every callback, and a
// callback from within a call of the core fails the test. Must not be imported by anything but tests.

import assert from "node:assert/strict";
import type { Milliseconds } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import type { UdpListener } from "../model/listener.ts";
import type { Pool, Target } from "../model/pool.ts";
import { privateRows } from "../state/slot-rows.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { TargetHealth, TargetStatus } from "../state/worker-protocol.ts";
import { createArena } from "../wire/arena.ts";
import type { AccessLog } from "./access-log.ts";
import { DataPlane } from "./data-plane.ts";
import type {
  ClientSocket,
  ClientSocketOwner,
  DatagramEngine,
  TargetSocket,
  TargetSocketOwner,
} from "./datagram-engine.ts";
import type { FlowRecord } from "./flow-record.ts";
import { ARENA_BYTES, READ } from "./layout.ts";
import { TestEngine } from "./test-engine.ts";
import { target } from "./test-world.ts";

const arena = createArena(ARENA_BYTES);

/** A socket of ours towards a target, seen from the target's end. */
export class TestTargetSocket implements TargetSocket {
  readonly host: string;
  readonly port: number;
  /** What the target has got, each datagram as latin1. */
  readonly got: string[] = [];
  closed = false;
  private readonly engine: TestEngine;
  private readonly owner: TargetSocketOwner;

  constructor(engine: TestEngine, host: string, port: number, owner: TargetSocketOwner) {
    this.engine = engine;
    this.host = host;
    this.port = port;
    this.owner = owner;
  }

  send(start: number, end: number): void {
    assert(start >= 0 && end >= start && end <= ARENA_BYTES, `a send lies in the arena: ${start} to ${end}`);
    assert(!this.closed, "nothing is sent on a closed socket");
    this.got.push(arena.bytes.toString("latin1", start, end));
  }

  close(): void {
    this.closed = true;
  }

  /** The target sends a datagram. */
  answer(text: string): void {
    const end = READ.start + arena.bytes.write(text, READ.start, "latin1");
    this.tell(() => this.owner.onDatagram(READ.start, end));
  }

  /** `unsent`: what was sent last has not gone out. */
  fail(errorCode = "ECONNREFUSED", unsent = false): void {
    if (unsent) this.got.pop();
    this.tell(() => this.owner.onError(errorCode, unsent));
  }

  unopened(errorCode: string): void {
    this.got.length = 0;
    this.tell(() => this.owner.onUnopened(errorCode));
  }

  private tell(callback: () => void): void {
    assert(!this.closed, "a closed socket tells nothing");
    this.engine.call(callback);
  }
}

export type FlowWorldOptions = {
  readonly targets?: readonly Target[];
  readonly listener?: Partial<UdpListener>;
  readonly pool?: Partial<Pool>;
  readonly workerCount?: number;
};

export function flowSnapshot(generation: number, options: FlowWorldOptions): Snapshot {
  const { targets = [target(1), target(2), target(3)], workerCount = 1 } = options;
  const listener: UdpListener = {
    name: "dns",
    protocol: "udp",
    bind: { host: "192.0.2.1", port: 53 },
    engine: "proxy",
    pool: "app",
    responsesMax: undefined,
    preserveClientAddress: false,
    timeouts: { flow: 60_000 },
    limits: { flowsMax: 10_000 },
    limitStated: false,
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
  return {
    generation,
    node: "test",
    workerCount,
    accessLog: undefined,
    listeners: [listener],
    pools: [pool],
    virtualRouters: [],
  };
}

export class FlowWorld implements DatagramEngine {
  readonly engine = new TestEngine(arena);
  readonly dataPlane: DataPlane;
  /** Every socket towards a target, in the order in which they were opened. */
  readonly sockets: TestTargetSocket[] = [];
  readonly records: FlowRecord[] = [];
  readonly reports: string[] = [];
  /** What clients got: `address:port text`. */
  replies: string[] = [];
  drained = false;
  private readonly owner: ClientSocketOwner;
  private generation = 0;

  constructor(options: FlowWorldOptions = {}, seed = 1) {
    const quiet = (): void => {};
    const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    this.dataPlane = new DataPlane({
      arena,
      engine: this.engine,
      datagrams: this,
      clock: () => this.engine.nowMs,
      wallClock: () => 1_000_000 + this.engine.nowMs,
      random: seededRandom(seed),
      log,
      rows: privateRows(64 * 1024),
      reportFailure: (pool, address, code) => this.reports.push(`${pool} ${address} ${code}`),
      reportPassive: quiet,
      onFull: quiet,
    });
    this.apply(options);
    this.owner = this.socket("");
  }

  /** Another socket of the listener; replies through it are marked. */
  socket(mark: string): ClientSocketOwner {
    const accept = this.dataPlane.datagramAcceptor("dns");
    assert(accept !== undefined, "the listener exists");
    const client: ClientSocket = {
      send: (start, end, address, port) => {
        this.replies.push(`${mark}${address}:${port} ${arena.bytes.toString("latin1", start, end)}`);
      },
    };
    return accept(client);
  }

  connect(host: string, port: number, owner: TargetSocketOwner): TestTargetSocket {
    const socket = new TestTargetSocket(this.engine, host, port, owner);
    this.sockets.push(socket);
    return socket;
  }

  apply(options: FlowWorldOptions, unhealthy: readonly TargetHealth[] = []): void {
    this.applySnapshot(flowSnapshot(this.generation + 1, options), unhealthy);
  }

  applySnapshot(next: Snapshot, unhealthy: readonly TargetHealth[] = []): void {
    this.generation = next.generation;
    const none = () => assert.fail("there are only flows");
    const writeFlow = (record: FlowRecord) => this.records.push({ ...record });
    const accessLog: AccessLog = { write: none, writeTunnel: none, writeFlow, flush() {} };
    this.dataPlane.apply(next, accessLog, unhealthy);
  }

  /** The next generation, in which the pool alone has changed. */
  takePool(options: FlowWorldOptions, unhealthy: readonly TargetHealth[] = []): void {
    this.generation += 1;
    const { pools } = flowSnapshot(this.generation, options);
    const changes = pools.map((pool) => ({ kind: "whole", pool }) as const);
    this.dataPlane.takePools({ generation: this.generation, pools: changes, unhealthy });
  }

  /** A client sends a datagram. */
  send(text: string, port = 40_000, address = "198.51.100.7", owner = this.owner): void {
    const end = READ.start + arena.bytes.write(text, READ.start, "latin1");
    this.engine.call(() => owner.onDatagram(READ.start, end, address, port));
  }

  /** The newest socket towards a target, or that of an index. */
  at(index = this.sockets.length - 1): TestTargetSocket {
    const socket = this.sockets[index];
    assert(socket !== undefined, `the core has opened socket ${index}`);
    return socket;
  }

  advance(span: Milliseconds): void {
    this.engine.advance(span);
  }

  /** What clients got since the last call. */
  heard(): string[] {
    const { replies } = this;
    this.replies = [];
    return replies;
  }

  drain(within: Milliseconds): void {
    this.dataPlane.drain(within, () => {
      this.drained = true;
    });
  }

  get counters() {
    const listener = this.dataPlane.status(1).listeners.find(({ name }) => name === "dns");
    assert(listener !== undefined, "the listener exists");
    return listener.counters;
  }

  status(number: number): TargetStatus {
    const found = this.dataPlane.status(1).targets.find(({ address }) => address === `10.0.0.${number}:8080`);
    assert(found !== undefined, `the pool has target ${number}`);
    return found;
  }

  /** How many flows each target got, in the order of the pool. */
  shares(): number[] {
    return this.dataPlane.status(1).targets.map(({ counters }) => counters.exchanges);
  }

  /** The last figure of the target's address for each open socket. */
  open(): string[] {
    return this.sockets.filter(({ closed }) => !closed).map(({ host }) => host.split(".")[3] ?? host);
  }

  /** Flows, sockets and what targets count must agree. */
  assertBooks(): void {
    const { flowsOpen, flowsOpened } = this.counters;
    assert.equal(this.open().length, flowsOpen, "every flow has one open socket");
    assert.equal(this.records.length, flowsOpened - flowsOpen, "every flow that ended has one line");
    const { targets } = this.dataPlane.status(1);
    for (const { address, active, activeFlows } of targets) {
      const sockets = this.sockets.filter(({ closed, host, port }) => !closed && `${host}:${port}` === address);
      assert.equal(active, sockets.length, `${address} counts its flows`);
      assert.equal(activeFlows, active, `${address} counts them as flows`);
    }
  }
}
