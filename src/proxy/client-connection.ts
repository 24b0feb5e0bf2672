// One connection of a client: reads request heads, gives each to an exchange, one at a time, and decides what becomes of
// the connection afterwards: the next request (pipelined bytes wait here), or the end. On the request's way.

import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import { headFaults } from "../wire/http1/faults.ts";
import { AfterExchange } from "./after-exchange.ts";
import type { CompiledHttpListener } from "./compile.ts";
import type { Client, Context } from "./context.ts";
import type { Wire, WireOwner } from "./engine.ts";
import { Exchange } from "./exchange.ts";
import { JOIN, JOIN_BYTES } from "./layout.ts";
import { plainAddress } from "./trusted-proxies.ts";

/** Where a client connection stands. */
const Phase = {
  /** A request head is awaited or read. */
  head: 0,
  /** An exchange has it. */
  exchange: 1,
  /** The last response is out and the connection half-closed; what still comes is dropped, so that no RST eats the response. */
  linger: 2,
  gone: 3,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** How long a half-closed client may take to close; as nginx's lingering_timeout. */
const LINGER_TIME_MAX: Milliseconds = 5_000;
/** And how much it may send meanwhile. */
const LINGER_BYTES_MAX = 1024 * 1024;
/** Pipelined bytes that are held while a response is under way; then the client is not read any more. */
export const PIPELINED_BYTES_MAX = 32 * 1024;
const LF = 10;

export class ClientConnection implements WireOwner, Client {
  readonly wire: Wire;
  readonly context: Context;
  readonly listener: CompiledHttpListener;
  /** The client's own address: of the connection. Behind a trusted proxy an exchange may know better. */
  readonly address: string;
  readonly trusted: boolean;
  /** Place in context.clients. */
  index: number;
  private phase: Phase = Phase.head;
  private exchange: Exchange | undefined = undefined;
  /** An unfinished head, or pipelined bytes. */
  private waiting: Buffer | undefined = undefined;
  private exchanges = 0;
  private deadlineMs: Milliseconds;
  private lingered = 0;
  /** The first byte of a request line has come; the head has its deadline, which further bytes do not put off. */
  private headBegun = false;
  /** The client half-closed: after this exchange comes none. */
  ended = false;
  /** Within `consume`: a response that ends at once must not begin to consume again. */
  private consuming = false;
  /** What the engine held at the last look, for the send timeout. */
  private heldBefore = 0;
  /** 0 while the client takes what it is sent; else it is slow, and its next request waits. */
  private sendDeadlineMs: Milliseconds = 0;

  constructor(context: Context, listener: CompiledHttpListener, wire: Wire) {
    this.context = context;
    this.listener = listener;
    this.wire = wire;
    this.address = plainAddress(wire.remoteAddress);
    this.trusted = listener.trusts(this.address);
    this.deadlineMs = context.clock() + listener.config.timeouts.clientHeader;
    this.index = context.clients.length;
    context.clients.push(this);
    listener.entered();
  }

  onConnect(): void {}

  onData(start: number, end: number): void {
    this.listener.counters.bytesFromClients += end - start;
    switch (this.phase) {
      case Phase.head:
        this.headData(start, end);
        return;
      case Phase.exchange: {
        this.exchangeData(start, end);
        return;
      }
      case Phase.linger:
        this.lingered += end - start;
        if (this.lingered > LINGER_BYTES_MAX) this.close();
        return;
      case Phase.gone:
        return;
      default:
        this.phase satisfies never;
    }
  }

  onDrain(): void {
    this.sendDeadlineMs = 0;
    if (this.phase === Phase.head) this.nextRequest();
    else if (this.phase === Phase.linger && this.ended) this.close();
    else this.exchange?.clientDrained();
  }

  onEnd(): void {
    this.ended = true;
    if (this.phase === Phase.exchange) this.exchange?.clientEnded();
    else if (this.phase === Phase.head && this.slow) return;
    else if (this.wire.held() === 0) this.close();
    else if (this.phase === Phase.head) this.finish();
  }

  onClose(errorCode: string): void {
    const exchange = this.exchange;
    this.leave();
    exchange?.clientClosed(errorCode);
  }

  /** The exchange is over and its response is out. */
  exchangeDone(after: AfterExchange): void {
    this.exchange = undefined;
    if (this.phase === Phase.gone) return;
    if (after !== AfterExchange.next) {
      if (this.ended || (after === AfterExchange.finish && this.waiting === undefined)) this.finish();
      else this.linger();
      return;
    }
    this.phase = Phase.head;
    this.headBegun = false;
    const { keepAlive } = this.listener.config.timeouts;
    this.deadlineMs = keepAlive > 0 ? this.context.clock() + keepAlive : Number.POSITIVE_INFINITY;
    if (!this.consuming) this.nextRequest();
  }

  /** Goes on with the bytes that wait, once the client takes its responses. */
  private nextRequest(): void {
    if (this.slow) {
      this.wire.pause();
      return;
    }
    this.wire.resume();
    const { waiting } = this;
    if (waiting !== undefined) {
      this.waiting = undefined;
      assert(waiting.length <= JOIN_BYTES, "pipelined bytes fit where heads are put together");
      this.context.arena.bytes.set(waiting, JOIN);
      this.consume(JOIN, JOIN + waiting.length);
    }
    // After its end nothing completes what is left.
    if (this.ended && this.phase === Phase.head && !this.slow) this.finish();
  }

  /** Whether the connection may carry another exchange after this one. */
  mayKeep(): boolean {
    if (this.ended && this.waiting === undefined && !this.consuming) return false;
    const most = this.listener.config.limits.exchangesPerConnectionMax;
    return !this.context.draining && !this.listener.closing && (most === 0 || this.exchanges < most);
  }

  /** Sends of the client's response; false when the client is slower than the target. */
  send(start: number, end: number): boolean {
    this.listener.counters.bytesToClients += end - start;
    if (this.wire.send(start, end)) return true;
    if (this.sendDeadlineMs === 0) this.watchSend(this.context.clock());
    return false;
  }

  /** A deadline of the exchange for what the client has to send; Infinity while we do not read. */
  expectBy(deadlineMs: Milliseconds): void {
    this.deadlineMs = deadlineMs;
  }

  /** Looks at every deadline; called some times a second. */
  sweep(nowMs: Milliseconds): void {
    if (this.phase === Phase.gone || (this.sendDeadlineMs !== 0 && this.sweepSend(nowMs))) return;
    if (this.exchange !== undefined) this.exchange.sweep(nowMs);
    if (nowMs < this.deadlineMs) return;
    if (this.phase === Phase.exchange) this.exchange?.clientLate();
    else if (this.phase === Phase.head && this.slow) return;
    else if (this.phase === Phase.head && this.awaitsRequest) this.refuse(408, "client.header.timeout", "");
    else if (this.wire.held() === 0) this.close();
    else if (this.phase === Phase.head) this.linger();
    else this.deadlineMs = nowMs + LINGER_TIME_MAX;
  }

  /** True when the client has taken nothing for too long and is gone. */
  private sweepSend(nowMs: Milliseconds): boolean {
    const held = this.wire.held();
    // No drain is told of bytes that `send` took without a word: they are only watched while the connection lingers.
    if (held === 0 && this.phase === Phase.linger) this.onDrain();
    else if (held !== this.heldBefore) this.watchSend(nowMs);
    else if (nowMs >= this.sendDeadlineMs) {
      this.countFault("client.send.timeout");
      const exchange = this.exchange;
      this.wire.reset();
      this.leave();
      exchange?.clientSendTimedOut();
    }
    return this.isGone();
  }

  /** For a drain, or a listener that is gone: closes the connection if no request is under way. */
  closeIdle(): void {
    if (this.phase !== Phase.head || this.awaitsRequest) return;
    if (this.wire.held() === 0) this.close();
    else this.linger();
  }

  /** Closes at once; with RST when the client would take half a response for a whole one. */
  close(): void {
    const exchange = this.exchange;
    if (exchange?.responseStarted === true || this.wire.held() > 0) this.wire.reset();
    else this.wire.kill();
    this.leave();
    exchange?.clientGone();
  }

  /** Closes with RST: what was sent is not the whole response. */
  truncate(): void {
    this.exchange = undefined;
    this.wire.reset();
    this.leave();
  }

  /** Bytes that wait behind the exchange: after a switch of protocols they are the tunnel's. */
  takeWaiting(): Buffer | undefined {
    const { waiting } = this;
    this.waiting = undefined;
    return waiting;
  }

  countFault(code: string): void {
    this.listener.counters.countLimit(code);
  }

  private exchangeData(start: number, end: number): void {
    const from = this.exchange === undefined ? start : this.exchange.clientData(start, end);
    if (from === end) return;
    // The exchange may have ended with these bytes: what is behind them is then the next request.
    if (this.inHead()) this.consume(from, end);
    else if (this.exchange !== undefined) this.hold(from, end);
  }

  private inHead(): boolean {
    return this.phase === Phase.head;
  }

  private isGone(): boolean {
    return this.phase === Phase.gone;
  }

  /** Responses wait for the client: one that asks on without reading must not make us hold more and more. */
  private get slow(): boolean {
    return this.sendDeadlineMs !== 0;
  }

  /**
   * Part of a request waits, or bytes behind a response that the client is slow to take. Blank lines before a request line
   * are none of it (RFC 9112 section 2.2): a connection with nothing else is idle.
   */
  private get awaitsRequest(): boolean {
    return this.waiting !== undefined && (this.headBegun || this.slow);
  }

  private headData(start: number, end: number): void {
    const { waiting } = this;
    if (waiting === undefined) {
      this.consume(start, end);
      return;
    }
    const { bytes } = this.context.arena;
    // Without a line's end the head cannot have become complete: a client that sends byte by byte must not make us
    // parse what it has sent again and again. The limit below parse's own is the listener's.
    const total = waiting.length + (end - start);
    const lineEnds = bytes.subarray(start, end).includes(LF);
    if (!lineEnds && this.headBegun && total <= this.listener.config.limits.headerBytesMax) {
      this.waiting = Buffer.concat([waiting, bytes.subarray(start, end)]);
      return;
    }
    this.waiting = undefined;
    assert(total <= JOIN_BYTES, "a head that is put together fits");
    bytes.copyWithin(JOIN + waiting.length, start, end);
    bytes.set(waiting, JOIN);
    this.consume(JOIN, JOIN + total);
  }

  /** Request after request out of start..end, until one is left unfinished or waits for its target. */
  private consume(start: number, end: number): void {
    this.consuming = true;
    let at = start;
    while (at < end && this.phase === Phase.head && !this.slow) {
      const next = this.readHead(at, end);
      if (next === at) break;
      at = next;
    }
    this.consuming = false;
    if (at < end && this.phase !== Phase.gone && this.phase !== Phase.linger) this.hold(at, end);
    if (this.slow && this.inHead()) this.wire.pause();
  }

  /** Answers where the bytes behind this request begin; `start` itself when its head is unfinished. */
  private readHead(start: number, end: number): number {
    const { context, listener } = this;
    context.parser.limits = listener.config.limits;
    const head = context.requestHead;
    const result = context.parser.request(start, end, head);
    if (result === 0) {
      // Only blank lines so far, as old browsers send one behind a POST.
      if (head.methodStart >= end) return start;
      if (!this.headBegun && this.exchanges > 0) {
        this.deadlineMs = context.clock() + listener.config.timeouts.clientHeader;
      }
      this.headBegun = true;
      return start;
    }
    if (result < 0) {
      const fault = headFaults[-result]!;
      this.refuse(fault.status, fault.code, fault.detail);
      return end;
    }
    this.exchanges += 1;
    this.phase = Phase.exchange;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const exchange = context.spareExchanges.pop() ?? new Exchange(context);
    this.exchange = exchange;
    return exchange.begin(this, head, end);
  }

  /** Answers a request that never became an exchange, and closes: its framing is in doubt. */
  private refuse(status: number, code: string, detail: string): void {
    this.phase = Phase.exchange;
    this.waiting = undefined;
    const exchange = this.context.spareExchanges.pop() ?? new Exchange(this.context);
    this.exchange = exchange;
    exchange.refuse(this, status, code, detail);
  }

  private hold(start: number, end: number): void {
    const { bytes } = this.context.arena;
    const more = bytes.subarray(start, end);
    this.waiting = this.waiting === undefined ? Buffer.from(more) : Buffer.concat([this.waiting, more]);
    if (this.phase === Phase.exchange && this.waiting.length > PIPELINED_BYTES_MAX) this.wire.pause();
  }

  private watchSend(nowMs: Milliseconds): void {
    this.heldBefore = this.wire.held();
    this.sendDeadlineMs = nowMs + this.listener.config.timeouts.send;
  }

  /** What is not yet out stays watched and counted: a client that takes nothing must not keep a socket for nothing. */
  private finish(): void {
    if (this.wire.held() > 0) {
      this.linger();
      return;
    }
    this.wire.finish();
    this.leave();
  }

  private linger(): void {
    this.phase = Phase.linger;
    this.waiting = undefined;
    this.deadlineMs = this.context.clock() + LINGER_TIME_MAX;
    if (this.wire.held() > 0 && !this.slow) this.watchSend(this.context.clock());
    this.wire.end();
    this.wire.resume();
  }

  private leave(): void {
    if (this.phase === Phase.gone) return;
    this.phase = Phase.gone;
    this.exchange = undefined;
    this.waiting = undefined;
    const { clients } = this.context;
    const last = clients.pop()!;
    if (last !== this) {
      clients[this.index] = last;
      last.index = this.index;
    }
    this.listener.left();
  }
}
