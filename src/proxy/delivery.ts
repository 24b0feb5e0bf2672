// One request on its way to a target: picks, connects, sends, watches the clock, and goes to the next target when the
// first fails and sending again is safe (RFC 9110 section 9.2.2). On the request's way; one per exchange, used again.
// It must not know what a response says (response-relay.ts) nor what the client is told (exchange.ts).

import type { Milliseconds } from "../core/clock.ts";
import { noTrial, type Trial } from "../health/passive.ts";
import type { HttpTimeouts, Retry } from "../model/listener.ts";
import { statusDigit } from "../state/counters.ts";
import type { Context } from "./context.ts";
import type { Wire } from "./engine.ts";
import type { Exchange } from "./exchange.ts";
import { connectFault, type ExchangeFault, ExchangeFaults } from "./faults.ts";
import type { PoolState } from "./pool-state.ts";
import { Replay } from "./replay.ts";
import { TargetConnection } from "./target-connection.ts";
import type { TargetState } from "./target-state.ts";

const Phase = {
  /** The request is put together; nothing has been sent. */
  gathering: 0,
  connecting: 1,
  /** The request is out, at least its head. */
  awaiting: 2,
  /** The final response head has come. */
  answered: 3,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export class Delivery {
  readonly replay: Replay;
  connection: TargetConnection | undefined = undefined;
  /** Set anew for every exchange, before anything else. */
  timeouts: HttpTimeouts | undefined = undefined;
  retry: Retry | undefined = undefined;
  pool: PoolState | undefined = undefined;
  /** Sending the whole request twice does no more than once. */
  idempotent = false;
  private readonly context: Context;
  private readonly exchange: Exchange;
  private phase: Phase = Phase.gathering;
  private target: TargetState | undefined = undefined;
  private trial: Trial = noTrial;
  /** Not picked again for this exchange. */
  readonly tried: TargetState[] = [];
  private tryStartedMs: Milliseconds = 0;
  /** When the target is late; Infinity while it is not its turn. */
  private deadlineMs: Milliseconds = Number.POSITIVE_INFINITY;
  /** Bytes that the engine held for the target at the last look, -1 while it takes all. */
  private held = -1;
  /** The target is not read, because the client is slower. */
  private paused = false;
  private tunnels = false;

  constructor(exchange: Exchange, context: Context) {
    this.exchange = exchange;
    this.context = context;
    this.replay = new Replay(context.arena.bytes, context.slots);
  }

  reset(): void {
    this.phase = Phase.gathering;
    this.timeouts = undefined;
    this.retry = undefined;
    this.pool = undefined;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.held = -1;
    this.paused = false;
    // Setting a length costs a call into the runtime, also when nothing changes.
    if (this.tried.length > 0) this.tried.length = 0;
  }

  /** Bytes of the request after its head, framed: sent, or held for the target to come. */
  send(start: number, end: number): void {
    const { connection, exchange } = this;
    if (this.phase === Phase.gathering || this.phase === Phase.connecting) {
      this.replay.append(start, end);
      // What has come is held until the target is there; more is not read meanwhile.
      if (this.phase === Phase.connecting && !exchange.requestComplete) exchange.stopReading();
      return;
    }
    if (connection === undefined || end === start) return;
    this.replay.release();
    connection.target.counters.bytesToTarget += end - start;
    if (connection.wire.send(start, end)) return;
    if (!exchange.requestComplete) exchange.stopReading();
    this.watchSend();
  }

  /** The client has sent all of its request. */
  requestCompleted(): void {
    if (this.phase === Phase.awaiting && this.held < 0) this.expectFirstByte(this.context.clock());
  }

  /** Gives the request to a target; when there is none the exchange is told. */
  dispatch(): void {
    const { pool, exchange } = this;
    const target = pool?.pick(exchange.pickNow());
    if (target !== undefined) {
      this.give(target);
      return;
    }
    const why = pool?.whyNone() ?? { code: "pool.unknown", detail: "the route's pool does not exist" };
    exchange.failWith(503, why.code, why.detail);
  }

  // ---- what the connection tells

  targetConnected(): void {
    const nowMs = this.context.clock();
    this.exchange.record.connectMs = nowMs - this.tryStartedMs;
    this.transmit(nowMs);
  }

  targetData(start: number, end: number): void {
    const { exchange } = this;
    const nowMs = this.context.clock();
    if (exchange.record.firstByteMs < 0) exchange.record.firstByteMs = nowMs - exchange.startedMs;
    if (this.phase === Phase.answered) this.expectMore(nowMs);
    exchange.targetData(start, end, nowMs);
  }

  targetDrained(): void {
    const nowMs = this.context.clock();
    this.held = -1;
    if (this.phase === Phase.awaiting) this.expectFirstByte(nowMs);
    else if (this.phase === Phase.answered) this.expectMore(nowMs);
    this.exchange.targetDrained(nowMs);
  }

  targetEnded(): void {
    this.exchange.targetEnded();
  }

  targetClosed(errorCode: string): void {
    if (this.phase === Phase.connecting) this.failed(connectFault(errorCode));
    else this.exchange.targetClosed(errorCode);
  }

  // ---- what the response tells

  /** The target of the last try; undefined when there was none. */
  get lastTried(): TargetState | undefined {
    return this.tried.length === 0 ? undefined : this.tried[this.tried.length - 1];
  }

  /** The final head has come: nothing is sent again, the target has proved itself. */
  answered(status: number, nowMs: Milliseconds): void {
    this.phase = Phase.answered;
    this.expectMore(nowMs);
    this.replay.release();
    const { pool, target } = this;
    if (pool === undefined || target === undefined) return;
    this.countAnswer(target, status, nowMs);
    pool.succeeded(target, this.trial, nowMs - this.tryStartedMs, nowMs);
    this.trial = noTrial;
  }

  /** The target's silence counts from now on, if we listen. */
  private expectMore(nowMs: Milliseconds): void {
    this.deadlineMs = this.paused ? Number.POSITIVE_INFINITY : nowMs + this.timeouts!.idle;
  }

  /** The client is slower than the target: nothing more is read of it. */
  stopReading(): void {
    if (this.connection === undefined) return;
    this.paused = true;
    this.connection.wire.pause();
    this.expectNothing();
  }

  /** The client has taken what there was. */
  readOn(nowMs: Milliseconds): void {
    if (!this.paused) return;
    this.paused = false;
    this.connection?.wire.resume();
    if (this.phase === Phase.answered) this.expectMore(nowMs);
    else if (this.phase === Phase.awaiting && this.held < 0) this.expectFirstByte(nowMs);
  }

  /** The exchange has become a tunnel: it has no deadline here, and counts as one. */
  becomesTunnel(): void {
    this.expectNothing();
    this.tunnels = true;
    this.connection!.target.activeTunnels += 1;
  }

  /** The target is not read for a while: its silence is ours. */
  expectNothing(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
  }

  /** True when the status counts as a failure and another target has taken the request over. */
  retriesStatus(status: number): boolean {
    const { retry, pool } = this;
    if (retry === undefined || pool === undefined || !retry.statuses.includes(status)) return false;
    if (!this.maySendAgain(this.idempotent)) return false;
    const next = pool.pick(this.exchange.pickNow());
    if (next === undefined) return false;
    if (this.target !== undefined) this.countAnswer(this.target, status, this.context.clock());
    this.report(ExchangeFaults.statusRetried);
    this.drop();
    this.giveAgain(next);
    return true;
  }

  private countAnswer({ counters }: TargetState, status: number, nowMs: Milliseconds): void {
    counters.countAnswer(nowMs - this.tryStartedMs);
    counters.countClass(statusDigit(status));
  }

  /** This try is over without a response: the next target, or the exchange's end. */
  failed(fault: ExchangeFault): void {
    const { exchange, connection, pool, target } = this;
    const nothingSent = this.phase === Phase.connecting;
    const again = this.maySendAgain(nothingSent || this.idempotent);
    const stale = connection?.reused === true && fault === ExchangeFaults.closed && !exchange.heardTarget;
    const reopens = stale && this.replay.whole && this.idempotent && target !== undefined;
    if (fault.report && !reopens) this.report(fault);
    this.drop();
    if (exchange.responseStarted) {
      exchange.truncated(fault);
      return;
    }
    if (reopens) {
      // The target had closed an idle connection: that is no failure of its, and no try.
      this.open(target, undefined);
      return;
    }
    if (fault.report && again) {
      const next = pool?.pick(exchange.pickNow());
      if (next !== undefined) {
        this.giveAgain(next);
        return;
      }
    }
    exchange.failWith(fault.status, fault.code, fault.detail);
  }

  /** The response is whole: the connection is kept when it may be. */
  done(reusable: boolean, nowMs: Milliseconds): void {
    const { connection, pool } = this;
    this.connection = undefined;
    this.settle();
    if (connection === undefined) return;
    if (reusable && connection.wire.held() === 0) connection.keep(pool?.config.idleConnectionsMax ?? 0, nowMs);
    else connection.kill();
  }

  /** The exchange ends for a reason that says nothing of the target. */
  drop(): void {
    const { connection } = this;
    this.connection = undefined;
    connection?.kill();
    this.settle();
  }

  /** The tunnel is over: what the engine still holds for the target goes out. */
  finishTunnel(): void {
    this.leaveTunnel()?.finish();
  }

  /** The tunnel broke: so that the target learns of it, it gets a reset. */
  resetTunnel(): void {
    this.leaveTunnel()?.reset();
  }

  private leaveTunnel(): Wire | undefined {
    const { connection } = this;
    this.connection = undefined;
    this.settle();
    if (connection === undefined) return undefined;
    connection.delivery = undefined;
    return connection.wire;
  }

  /** Looks at the target's deadline. */
  sweep(nowMs: Milliseconds): void {
    const { connection } = this;
    if (this.held >= 0 && connection !== undefined) {
      const held = connection.wire.held();
      if (held !== this.held) {
        this.held = held;
        this.deadlineMs = nowMs + this.timeouts!.send;
      }
    }
    if (nowMs >= this.deadlineMs) this.failed(this.lateness());
  }

  private lateness(): ExchangeFault {
    if (this.phase === Phase.connecting) return ExchangeFaults.connectTimeout;
    if (this.held >= 0) return ExchangeFaults.sendTimeout;
    return this.phase === Phase.awaiting ? ExchangeFaults.firstByteTimeout : ExchangeFaults.idleTimeout;
  }

  /** Within the limits of tries and time, with a request that is all here; `safe`: it cannot be acted on twice. */
  private maySendAgain(safe: boolean): boolean {
    const { retry, exchange } = this;
    if (!safe || !this.replay.whole || retry === undefined) return false;
    if (exchange.record.tries >= retry.triesMax) return false;
    return retry.timeMax === 0 || this.context.clock() - exchange.startedMs < retry.timeMax;
  }

  private give(target: TargetState): void {
    this.tried.push(target);
    target.counters.exchanges += 1;
    this.exchange.record.tries += 1;
    this.open(target, target.idle.pop());
  }

  private giveAgain(target: TargetState): void {
    target.counters.retries += 1;
    this.give(target);
  }

  /** On an idle connection, or on a new one when there is none. */
  private open(target: TargetState, idle: TargetConnection | undefined): void {
    const { context, exchange, pool } = this;
    const nowMs = context.clock();
    this.target = target;
    this.trial = pool!.begin(target, nowMs);
    this.tryStartedMs = nowMs;
    this.held = -1;
    this.paused = false;
    exchange.triesTarget(target.address);
    if (idle !== undefined) {
      idle.delivery = this;
      this.connection = idle;
      exchange.record.connectMs = 0;
      this.transmit(nowMs);
      return;
    }
    this.phase = Phase.connecting;
    this.deadlineMs = nowMs + this.timeouts!.connect;
    this.connection = new TargetConnection(context, target, this);
  }

  /** The connection is there: everything that waits goes out. */
  private transmit(nowMs: Milliseconds): void {
    const { connection, replay, exchange } = this;
    if (connection === undefined) return;
    this.phase = Phase.awaiting;
    connection.target.counters.bytesToTarget += replay.length;
    if (replay.send(connection.wire)) {
      this.expectFirstByte(nowMs);
      if (!exchange.requestComplete) exchange.readOn(nowMs);
    } else {
      if (!exchange.requestComplete) exchange.stopReading();
      this.watchSend();
    }
  }

  /** It is the target's turn, unless the client still has to send. */
  private expectFirstByte(nowMs: Milliseconds): void {
    const itsTurn = this.exchange.requestComplete && !this.paused;
    this.deadlineMs = itsTurn ? nowMs + this.timeouts!.firstByte : Number.POSITIVE_INFINITY;
  }

  private watchSend(): void {
    this.held = this.connection!.wire.held();
    this.deadlineMs = this.context.clock() + this.timeouts!.send;
  }

  private report(fault: ExchangeFault): void {
    const { pool, target, context } = this;
    if (pool === undefined || target === undefined) return;
    target.counters.failures += 1;
    pool.failed(target, context.clock());
    this.trial = noTrial;
    context.reportFailure(pool.name, target.address, fault.code);
  }

  /** The target is free of this exchange, whatever came of it. */
  private settle(): void {
    const { pool, target } = this;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.held = -1;
    if (pool === undefined || target === undefined) return;
    this.target = undefined;
    target.active -= 1;
    if (this.tunnels) target.activeTunnels -= 1;
    this.tunnels = false;
    if (this.trial !== noTrial) pool.abandoned(target, this.trial);
    this.trial = noTrial;
  }
}
