// The target's side of a TCP client: picks a target, connects, goes to the next one when that fails, and then carries the
// bytes of the one that accepted. On the request's way; one per client. A client's bytes reach one target only: once it has
// accepted there is no other. It must not know what the client is told (tcp-connection.ts).

import type { Milliseconds } from "../core/clock.ts";
import { noTrial, type Trial } from "../health/passive.ts";
import type { ConnectRetry } from "../model/listener.ts";
import type { TargetCounters } from "../state/counters.ts";
import type { Context } from "./context.ts";
import type { Wire, WireOwner } from "./engine.ts";
import type { PoolState } from "./pool-state.ts";
import type { TargetState } from "./target-state.ts";
import type { TcpConnection } from "./tcp-connection.ts";
import { connectFault, type TcpFault, TcpFaults } from "./tcp-faults.ts";

/** Nearly every client gets the target that it was given first. */
const noneTried: readonly TargetState[] = [];

export type TcpDeliveryOptions = {
  readonly connection: TcpConnection;
  readonly context: Context;
  readonly pool: PoolState;
  readonly retry: ConnectRetry;
  readonly connectMax: Milliseconds;
};

export class TcpDelivery implements WireOwner {
  /** Of the last target tried. */
  wire: Wire | undefined = undefined;
  tries = 0;
  connectMs: Milliseconds = -1;
  readonly pool: PoolState;
  private target: TargetState | undefined = undefined;
  private readonly connection: TcpConnection;
  private readonly context: Context;
  private readonly retry: ConnectRetry;
  private readonly connectMax: Milliseconds;
  /** Not picked again for this client. */
  private tried: readonly TargetState[] = noneTried;
  private trial: Trial = noTrial;
  /** Counted as under way at the target. */
  private counted = false;
  private startedMs: Milliseconds = 0;
  private tryStartedMs: Milliseconds = 0;

  constructor(options: TcpDeliveryOptions) {
    this.connection = options.connection;
    this.context = options.context;
    this.pool = options.pool;
    this.retry = options.retry;
    this.connectMax = options.connectMax;
  }

  /** `host:port` of the last target tried; empty when none was. */
  get targetAddress(): string {
    return this.target?.address ?? "";
  }

  /** Of the last target tried; undefined when none was. */
  get targetCounters(): TargetCounters | undefined {
    return this.target?.counters;
  }

  /** Picks the first target and connects; the connection is told when there is none. */
  dispatch(): void {
    this.startedMs = this.context.clock();
    const target = this.pick();
    if (target === undefined) this.connection.refuse(this.pool.whyNone().code, "target");
    else this.open(target);
  }

  // ---- what the engine tells

  onConnect(): void {
    const nowMs = this.context.clock();
    this.connectMs = nowMs - this.tryStartedMs;
    this.target!.counters.countAnswer(this.connectMs);
    this.pool.succeeded(this.target!, this.trial, this.connectMs, nowMs);
    this.trial = noTrial;
    this.connection.targetConnected(nowMs);
  }

  onData(start: number, end: number): void {
    this.target!.counters.bytesFromTarget += end - start;
    this.connection.targetData(start, end);
  }

  onDrain(): void {
    this.connection.targetDrained();
  }

  onEnd(): void {
    this.connection.targetEnded();
  }

  onClose(errorCode: string): void {
    if (this.connectMs < 0) this.failed(connectFault(errorCode));
    else this.connection.targetClosed(errorCode);
  }

  // ---- what the connection asks for

  /** Looks at the deadline of a connect. */
  sweepConnect(nowMs: Milliseconds): void {
    if (nowMs - this.tryStartedMs >= this.connectMax) this.failed(TcpFaults.connectTimeout);
  }

  /** The client is gone, or cut off, while its target was still being connected to: that says nothing of the target. */
  abandon(): void {
    this.wire?.kill();
    this.settle();
  }

  /** The target is free of this client, whatever came of it. */
  settle(): void {
    const { target, pool } = this;
    if (target === undefined || !this.counted) return;
    this.counted = false;
    target.active -= 1;
    target.activeTunnels -= 1;
    if (this.trial !== noTrial) pool.abandoned(target, this.trial);
    this.trial = noTrial;
  }

  private pick(): TargetState | undefined {
    const { pick } = this.context;
    const { clientAddress } = this.connection;
    pick.nowMs = this.context.clock();
    pick.tried = this.tried;
    pick.keyHash = 0;
    pick.clientAddress = clientAddress;
    return this.pool.pickLayer4(pick);
  }

  private open(target: TargetState): void {
    const nowMs = this.context.clock();
    const { counters, config } = target;
    this.target = target;
    this.trial = this.pool.begin(target, nowMs);
    this.counted = true;
    target.activeTunnels += 1;
    this.tryStartedMs = nowMs;
    this.tries += 1;
    counters.exchanges += 1;
    counters.connectionsOpened += 1;
    this.wire = this.context.engine.connect(config.host, config.port, this);
  }

  /** This try is over without a connection: the next target, or the client's end. */
  private failed(fault: TcpFault): void {
    const { pool, context, retry } = this;
    const target = this.target!;
    const nowMs = context.clock();
    if (fault.report) {
      target.counters.failures += 1;
      pool.failed(target, nowMs);
      this.trial = noTrial;
      context.reportFailure(pool.name, target.address, fault.code);
    }
    this.abandon();
    const inTime = retry.timeMax === 0 || nowMs - this.startedMs < retry.timeMax;
    if (this.tries < retry.triesMax && inTime) {
      this.tried = [...this.tried, target];
      const next = this.pick();
      if (next !== undefined) {
        next.counters.retries += 1;
        this.open(next);
        return;
      }
    }
    this.connection.refuse(fault.code, fault.origin);
  }
}
