// The flows of one UDP listener in one worker: found by client address and port, kept in the order of their last datagram,
// bounded in number. On the request's way: finding, moving to the end of the order and giving way all cost the same
// with ten flows and with a million, and a known flow's datagram allocates nothing here.

import type { Pick } from "../balance/balancer.ts";
import type { Milliseconds } from "../core/clock.ts";
import { noTrial } from "../health/passive.ts";
import type { UdpListener } from "../model/listener.ts";
import { ListenerCounters, statusDigit } from "../state/counters.ts";
import { RouteCounters } from "../state/slot-routes.ts";
import type { Context } from "./context.ts";
import type { ClientSocket, ClientSocketOwner } from "./datagram-engine.ts";
import { Flow } from "./flow.ts";
import { DropReason, type FlowFault, FlowFaults } from "./flow-faults.ts";
import type { FlowRecord } from "./flow-record.ts";
import type { HeldMemory } from "./held-datagram.ts";
import { type KeyedHash, secretKeyedHash } from "./keyed-hash.ts";
import type { PoolState } from "./pool-state.ts";
import type { TargetState } from "./target-state.ts";

const BUCKETS_MIN = 64;
/** Flows that one look may end: the others wait a tenth of a second rather than hold everybody up. */
const ENDS_MAX = 2_000;

export class FlowTable {
  readonly name: string;
  readonly context: Context;
  readonly memory: HeldMemory;
  readonly counters: ListenerCounters;
  /** A listener of datagrams has one way only. */
  readonly route: RouteCounters;
  config: UdpListener;
  /** undefined when no snapshot names it. */
  pool: PoolState | undefined;
  /** Flows of this worker; its share of the listener's. */
  flowsMax: number;
  size = 0;
  /** Flows whose target is on trial; swept, so that a trial ends without a word of the target. */
  readonly trials: Flow[] = [];
  private readonly hash: KeyedHash = secretKeyedHash();
  private readonly record: FlowRecord;
  private buckets: (Flow | undefined)[] = new Array(BUCKETS_MIN).fill(undefined);
  private oldest: Flow | undefined = undefined;
  private newest: Flow | undefined = undefined;

  constructor(
    context: Context,
    shared: { readonly memory: HeldMemory; readonly record: FlowRecord },
    config: UdpListener,
  ) {
    const { rows } = context.counts;
    this.name = config.name;
    this.counters = new ListenerCounters(rows, config.name);
    this.route = new RouteCounters(rows, "udp", { listener: config.name, route: "" });
    this.context = context;
    this.memory = shared.memory;
    this.record = shared.record;
    this.config = config;
    this.pool = undefined;
    this.flowsMax = config.limits.flowsMax;
  }

  /** Flows under way go on; a lower limit makes those silent longest give way. */
  configure(config: UdpListener, pool: PoolState | undefined, workerCount: number): void {
    this.config = config;
    this.pool = pool;
    this.flowsMax = Math.max(1, Math.floor(config.limits.flowsMax / workerCount));
    while (this.size > this.flowsMax) this.evict();
  }

  /** The owner of one of the listener's sockets. */
  owner(client: ClientSocket): ClientSocketOwner {
    return new ListenerSocket(this, client);
  }

  /** A client's datagram: to its flow, or to a new one. */
  fromClient(client: ClientSocket, start: number, end: number, address: string, port: number): void {
    const nowMs = this.context.clock();
    const { counters } = this;
    counters.datagramsFromClients += 1;
    counters.bytesFromClients += end - start;
    const hash = this.hash.ofClient(address, port);
    let flow = this.find(hash, address, port);
    if (flow === undefined) {
      flow = this.begin(client, hash, address, port, nowMs);
      if (flow === undefined) return;
    } else {
      flow.client = client;
      this.touch(flow, nowMs);
    }
    flow.fromClient(start, end, nowMs);
  }

  /** A target's datagram. */
  toClient(flow: Flow, start: number, end: number): void {
    this.counters.datagramsToClients += 1;
    this.counters.bytesToClients += end - start;
    flow.client.send(start, end, flow.address, flow.port);
  }

  /** The flow has just been heard of. */
  touch(flow: Flow, nowMs: Milliseconds): void {
    flow.lastMs = nowMs;
    if (this.newest === flow) return;
    this.unlink(flow);
    this.append(flow);
  }

  /** The flow is over, for a reason or without one. Once for each. */
  end(flow: Flow, fault: FlowFault | undefined): void {
    if (flow.ended) return;
    const nowMs = this.context.clock();
    flow.finish(nowMs);
    this.forget(flow);
    this.unlink(flow);
    this.size -= 1;
    this.counters.flowsOpen = this.size;
    const digit = statusDigit(fault?.status ?? 200);
    this.route.end(flow.target.counters, flow.target.pool, digit, nowMs - flow.startedMs);
    this.log(flow, fault, nowMs);
  }

  /** Ends all of them: the listener is gone, or the worker. */
  endAll(fault: FlowFault): void {
    while (this.oldest !== undefined) this.end(this.oldest, fault);
  }

  /** All of its flows have ended, and none comes. */
  giveBackCounters(): void {
    this.route.giveBack();
    this.counters.giveBack();
  }

  /** Looks at the deadlines; called some times a second. */
  sweep(nowMs: Milliseconds): void {
    const { trials } = this;
    for (let index = trials.length - 1; index >= 0; index--) {
      const flow = trials[index]!;
      flow.proveByQuiet(nowMs);
      if (!flow.ended && flow.trial !== noTrial) continue;
      trials[index] = trials[trials.length - 1]!;
      trials.pop();
    }
    const oldest = nowMs - this.config.timeouts.flow;
    for (let ends = 0; ends < ENDS_MAX; ends++) {
      if (this.oldest === undefined || this.oldest.lastMs > oldest) return;
      this.oldest.expire(nowMs);
    }
  }

  /** For a drain: ends the flows that have been silent since, and all of them when no responses are expected. */
  endSilentSince(sinceMs: Milliseconds): void {
    const all = this.config.responsesMax === 0;
    while (this.oldest !== undefined && (all || this.oldest.lastMs <= sinceMs)) {
      this.end(this.oldest, undefined);
    }
  }

  drop(reason: string, count: number): void {
    this.counters.countDrop(reason, count);
  }

  countLimit(code: string): void {
    this.counters.countLimit(code);
  }

  /** What a pick for this flow may look at. */
  pickFor(address: string, tried: readonly TargetState[], nowMs: Milliseconds): Pick {
    const { pick } = this.context;
    pick.nowMs = nowMs;
    pick.tried = tried;
    pick.keyHash = 0;
    pick.clientAddress = address;
    return pick;
  }

  whyNone(): string {
    return this.pool?.whyNone().code ?? DropReason.poolUnknown;
  }

  private begin(
    client: ClientSocket,
    hash: number,
    address: string,
    port: number,
    nowMs: Milliseconds,
  ): Flow | undefined {
    if (this.context.draining) {
      this.drop(DropReason.draining, 1);
      return undefined;
    }
    const target = this.pool?.pickLayer4(this.pickFor(address, noneTried, nowMs));
    if (target === undefined) {
      this.drop(this.whyNone(), 1);
      return undefined;
    }
    if (this.size >= this.flowsMax) this.evict();
    const flow = new Flow(this, { client, hash, address, port, target, nowMs });
    this.size += 1;
    this.counters.flowsOpened += 1;
    this.route.begin();
    this.counters.flowsOpen = this.size;
    if (this.size > this.buckets.length) this.grow();
    this.remember(flow);
    this.append(flow);
    return flow;
  }

  /** There was no socket for this flow: the one that was silent longest gives its own back. */
  makeRoom(flow: Flow): void {
    const { oldest } = this;
    if (oldest !== undefined && oldest !== flow) this.end(oldest, FlowFaults.noSocket);
  }

  private evict(): void {
    if (this.oldest === undefined) return;
    this.countLimit(FlowFaults.evicted.code);
    this.end(this.oldest, FlowFaults.evicted);
  }

  // ---- by client

  private find(hash: number, address: string, port: number): Flow | undefined {
    let flow = this.buckets[hash & (this.buckets.length - 1)];
    while (flow !== undefined && (flow.hash !== hash || flow.port !== port || flow.address !== address)) {
      flow = flow.next;
    }
    return flow;
  }

  private remember(flow: Flow): void {
    const index = flow.hash & (this.buckets.length - 1);
    flow.next = this.buckets[index];
    this.buckets[index] = flow;
  }

  private forget(flow: Flow): void {
    const index = flow.hash & (this.buckets.length - 1);
    let before = this.buckets[index];
    if (before === flow) this.buckets[index] = flow.next;
    else {
      while (before !== undefined && before.next !== flow) before = before.next;
      if (before !== undefined) before.next = flow.next;
    }
    flow.next = undefined;
  }

  private grow(): void {
    this.buckets = new Array(this.buckets.length * 2).fill(undefined);
    for (let flow = this.oldest; flow !== undefined; flow = flow.newer) this.remember(flow);
  }

  // ---- by time

  private append(flow: Flow): void {
    flow.older = this.newest;
    if (this.newest === undefined) this.oldest = flow;
    else this.newest.newer = flow;
    this.newest = flow;
  }

  private unlink(flow: Flow): void {
    if (flow.older === undefined) this.oldest = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === undefined) this.newest = flow.older;
    else flow.newer.older = flow.older;
    flow.older = undefined;
    flow.newer = undefined;
  }

  // ---- its end, in the log

  private log(flow: Flow, fault: FlowFault | undefined, nowMs: Milliseconds): void {
    const { accessLog, wallClock } = this.context;
    if (accessLog === undefined) return;
    const { record } = this;
    record.clientAddress = flow.address;
    record.clientPort = flow.port;
    record.listenerPort = this.config.bind.port;
    record.listener = this.name;
    record.pool = flow.target.pool;
    record.targetAddress = flow.target.address;
    record.datagramsToTarget = flow.requests;
    record.bytesToTarget = flow.requestBytes;
    record.datagramsToClient = flow.responses;
    record.bytesToClient = flow.responseBytes;
    record.tries = flow.tries;
    record.totalMs = nowMs - flow.startedMs;
    record.startedWallMs = wallClock() - record.totalMs;
    record.firstResponseMs = flow.firstResponseMs;
    record.errorCode = fault?.code ?? "";
    record.status = fault?.status ?? 200;
    accessLog.writeFlow(record);
  }
}

const noneTried: readonly TargetState[] = [];

class ListenerSocket implements ClientSocketOwner {
  private readonly table: FlowTable;
  private readonly client: ClientSocket;

  constructor(table: FlowTable, client: ClientSocket) {
    this.table = table;
    this.client = client;
  }

  onDatagram(start: number, end: number, address: string, port: number): void {
    this.table.fromClient(this.client, start, end, address, port);
  }

  onLost(errorCode: string): void {
    this.table.drop(`client.send.${errorCode}`, 1);
  }
}
