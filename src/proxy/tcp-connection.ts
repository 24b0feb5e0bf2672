// One connection of a TCP client, from accept to its line in the access log: what it begins with is read where the listener
// asks for it, a route and a target are found, and from then on bytes pass both ways until both sides have ended, one
// breaks, or a deadline passes. On the request's way. What fails before the tunnel is a reset: there are no words for it,
// save for a TLS client whose host nobody serves, which is told so in an alert.

import type { Milliseconds } from "../core/clock.ts";
import type { Origin } from "../core/failure.ts";
import type { TcpTimeouts } from "../model/listener.ts";
import { statusDigit } from "../state/counters.ts";
import type { RouteCounters } from "../state/slot-routes.ts";
import { encodeProxyV1, encodeProxyV2 } from "../wire/proxy-protocol/encode.ts";
import { Proxied, type ProxiedEnds } from "../wire/proxy-protocol/header.ts";
import { Alert, encodeAlert } from "../wire/tls/alert.ts";
import type { Client, Context } from "./context.ts";
import { EarlyBytes } from "./early-bytes.ts";
import type { Wire, WireOwner } from "./engine.ts";
import { OUT } from "./layout.ts";
import { TcpDelivery } from "./tcp-delivery.ts";
import { type TcpFault, TcpFaults } from "./tcp-faults.ts";
import type { CompiledTcpListener, CompiledTcpRoute } from "./tcp-listener.ts";
import { Preface, PrefaceResult } from "./tcp-preface.ts";
import { TcpTunnel } from "./tcp-tunnel.ts";
import { plainAddress } from "./trusted-proxies.ts";

/** Where a client's connection stands. */
const Phase = {
  /** A PROXY header or a ClientHello is awaited. */
  preface: 0,
  connecting: 1,
  tunnel: 2,
  /** It was told why in TLS's words; what it still sends is dropped, so that no RST eats them. */
  refused: 3,
  gone: 4,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** A client that has sent so much before its target is there is not read on until it is; one more read may lie above it. */
export const EARLY_BYTES_MAX = 32 * 1024;
/** How long a client that was told why may take to close, and how much it may send meanwhile. */
const REFUSED_TIME_MAX: Milliseconds = 5_000;
const REFUSED_BYTES_MAX = 256 * 1024;

export class TcpConnection implements WireOwner, Client {
  readonly listener: CompiledTcpListener;
  readonly wire: Wire;
  /** Place in context.clients. */
  index: number;
  private readonly context: Context;
  private readonly timeouts: TcpTimeouts;
  private readonly peerAddress: string;
  private readonly startedMs: Milliseconds;
  private phase: Phase = Phase.connecting;
  private preface: Preface | undefined = undefined;
  /** Bytes for a target that is not there yet. */
  private early: EarlyBytes | undefined = undefined;
  /** What its PROXY header says, when one came that says something. */
  private proxied: ProxiedEnds | undefined = undefined;
  private serverName = "";
  private route: CompiledTcpRoute | undefined = undefined;
  /** Of its route, or of those without one. */
  private counters: RouteCounters;
  private delivery: TcpDelivery | undefined = undefined;
  private tunnel: TcpTunnel | undefined = undefined;
  /** The client half-closed before there was a target to tell. */
  private ended = false;
  private errorCode = "";
  private origin: Origin | undefined = undefined;
  private refusedBytes = 0;
  private refusedMs: Milliseconds = 0;

  constructor(context: Context, listener: CompiledTcpListener, wire: Wire) {
    this.context = context;
    this.listener = listener;
    this.wire = wire;
    this.timeouts = listener.config.timeouts;
    this.counters = listener.unrouted;
    this.peerAddress = plainAddress(wire.remoteAddress);
    this.startedMs = context.clock();
    this.index = context.clients.length;
    context.clients.push(this);
    listener.entered();
    this.counters.begin();
  }

  /** Who asks: the peer, or whom its PROXY header names. */
  get clientAddress(): string {
    return this.proxied?.clientAddress ?? this.peerAddress;
  }

  /** Call once, when the wire has been made: reads what the listener wants to read, or looks for a target at once. */
  begin(): void {
    const { listener } = this;
    const header = listener.expectsHeader(this.peerAddress);
    const hello = listener.readsHello;
    if (header || hello) {
      this.phase = Phase.preface;
      this.preface = new Preface(this.context, { header, hello });
    } else this.forward();
  }

  // ---- what the engine tells of the client

  onConnect(): void {}

  onData(start: number, end: number): void {
    this.listener.counters.bytesFromClients += end - start;
    switch (this.phase) {
      case Phase.tunnel:
        this.tunnel!.fromClient(start, end, this.context.clock());
        return;
      case Phase.preface:
        this.prefaceData(start, end);
        return;
      case Phase.connecting:
        this.hold(start, end);
        return;
      case Phase.refused:
        this.refusedBytes += end - start;
        if (this.refusedBytes > REFUSED_BYTES_MAX) this.dropRefused();
        return;
      case Phase.gone:
        return;
      default:
        this.phase satisfies never;
    }
  }

  onDrain(): void {
    this.tunnel?.clientDrained(this.context.clock());
    this.leaveWhenDone();
  }

  onEnd(): void {
    switch (this.phase) {
      case Phase.tunnel:
        this.tunnel!.clientEnded();
        this.leaveWhenDone();
        return;
      case Phase.preface:
        this.endedEarly();
        return;
      case Phase.connecting:
        this.ended = true;
        return;
      case Phase.refused:
        this.dropRefused();
        return;
      case Phase.gone:
        return;
      default:
        this.phase satisfies never;
    }
  }

  onClose(errorCode: string): void {
    const { tunnel } = this;
    if (tunnel !== undefined && errorCode === "") {
      tunnel.clientClosed();
      this.leaveWhenDone();
      return;
    }
    tunnel?.reset();
    if (this.phase === Phase.connecting) this.delivery?.abandon();
    const quiet = this.phase === Phase.refused || this.saidNothing;
    if (!quiet) this.note(TcpFaults.clientGone);
    this.leave();
  }

  // ---- what the delivery tells of the target

  /** A target has accepted: what was held goes out, our PROXY header before it, in one write. */
  targetConnected(nowMs: Milliseconds): void {
    const { delivery, early, wire, context } = this;
    const { bytes } = context.arena;
    this.phase = Phase.tunnel;
    this.early = undefined;
    const tunnel = new TcpTunnel({
      client: wire,
      target: delivery!.wire!,
      listenerCounters: this.listener.counters,
      targetCounters: delivery!.targetCounters!,
      timeouts: this.timeouts,
      nowMs,
    });
    this.tunnel = tunnel;
    this.listener.counters.tunnelsOpened += 1;
    this.listener.counters.tunnelsOpen += 1;
    wire.resume();
    const at = this.writeProxyHeader(bytes, OUT);
    const end = early === undefined ? at : early.copyTo(bytes, at);
    if (end > OUT) tunnel.begin(OUT, end, at - OUT, nowMs);
    if (this.ended) tunnel.clientEnded();
  }

  targetData(start: number, end: number): void {
    this.tunnel?.fromTarget(start, end, this.context.clock());
  }

  targetDrained(): void {
    this.tunnel?.targetDrained(this.context.clock());
    this.leaveWhenDone();
  }

  targetEnded(): void {
    this.tunnel?.targetEnded();
    this.leaveWhenDone();
  }

  targetClosed(errorCode: string): void {
    const { tunnel } = this;
    if (tunnel === undefined) return;
    if (errorCode === "") {
      tunnel.targetClosed();
      this.leaveWhenDone();
      return;
    }
    tunnel.reset();
    this.note(TcpFaults.targetGone);
    this.leave();
  }

  /** No target takes it, or another reason not to go on: the client is cut off, counted and logged with the code. */
  refuse(code: string, origin: Origin): void {
    this.errorCode = code;
    this.origin = origin;
    this.count(code);
    this.cut();
  }

  // ---- what the data plane asks for

  sweep(nowMs: Milliseconds): void {
    switch (this.phase) {
      case Phase.tunnel: {
        const fault = this.tunnel!.sweep(nowMs);
        if (fault === undefined) this.leaveWhenDone();
        else {
          this.note(fault);
          this.count(fault.code);
          this.leave();
        }
        return;
      }
      case Phase.connecting:
        this.delivery!.sweepConnect(nowMs);
        return;
      case Phase.preface:
        if (nowMs - this.startedMs >= this.timeouts.clientHeader) this.fail(TcpFaults.headerTimeout);
        return;
      case Phase.refused:
        if (nowMs - this.refusedMs >= REFUSED_TIME_MAX) this.dropRefused();
        return;
      case Phase.gone:
        return;
      default:
        this.phase satisfies never;
    }
  }

  /** A connection that has said nothing yet may say it until its deadline: there is no idle one to close. */
  closeIdle(): void {}

  /** The drain's deadline: what is still open is cut off on both sides. */
  close(): void {
    if (this.phase === Phase.refused) this.dropRefused();
    else this.fail(TcpFaults.drainDeadline);
  }

  // ---- before there is a target

  private prefaceData(start: number, end: number): void {
    const preface = this.preface!;
    const result = preface.read(start, end);
    if (result === PrefaceResult.incomplete) return;
    if (result === PrefaceResult.fault) {
      this.refuse(preface.fault!.code, "client");
      return;
    }
    this.proxied = preface.proxied;
    this.serverName = preface.serverName;
    this.phase = Phase.connecting;
    this.hold(preface.restStart, preface.restEnd);
    this.forward();
  }

  /** The client ended before it had said what it had to. One that said nothing at all was only looking. */
  private endedEarly(): void {
    if (!this.saidNothing) {
      this.fail(TcpFaults.headerTruncated);
      return;
    }
    this.wire.kill();
    this.leave();
  }

  private get saidNothing(): boolean {
    return this.preface?.begun === false;
  }

  private hold(start: number, end: number): void {
    if (start === end) return;
    this.early ??= new EarlyBytes(end - start);
    this.early.append(this.context.arena.bytes, start, end);
    if (this.early.length >= EARLY_BYTES_MAX) this.wire.pause();
  }

  private forward(): void {
    const { listener, context, preface } = this;
    const route = listener.match(this.serverName);
    this.preface = undefined;
    if (route === undefined) {
      this.refuseName(preface);
      return;
    }
    this.route = route;
    this.counters.leave();
    this.counters = route.counters;
    this.counters.begin();
    const { pool } = route;
    if (pool === undefined) {
      this.fail(TcpFaults.poolUnknown);
      return;
    }
    const { retry } = listener.config;
    this.delivery = new TcpDelivery({ connection: this, context, pool, retry, connectMax: this.timeouts.connect });
    this.delivery.dispatch();
  }

  /** A client of TLS is told what is wrong with its hello; RFC 6066 section 3, RFC 8446 section 9.2. */
  private refuseName(preface: Preface | undefined): void {
    if (preface?.speaksTls !== true) {
      this.refuse(preface?.fault?.code ?? TcpFaults.noRoute.code, "client");
      return;
    }
    const { wire, context, listener } = this;
    this.note(TcpFaults.noRoute);
    this.count(TcpFaults.noRoute.code);
    this.phase = Phase.refused;
    this.early = undefined;
    this.refusedMs = context.clock();
    const alert = this.serverName === "" ? Alert.missingExtension : Alert.unrecognizedName;
    const end = encodeAlert(context.arena.bytes, OUT, alert);
    listener.counters.bytesToClients += end - OUT;
    wire.send(OUT, end);
    wire.end();
    wire.resume();
  }

  private dropRefused(): void {
    this.wire.kill();
    this.leave();
  }

  /** Writes the header that the listener's targets want at `at`, and returns the offset after it. */
  private writeProxyHeader(bytes: Buffer, at: number): number {
    const { wire } = this;
    const { send } = this.listener.config.proxyProtocol;
    if (send === "off") return at;
    const ends = this.proxied ?? {
      clientAddress: this.peerAddress,
      clientPort: wire.remotePort,
      destinationAddress: wire.localAddress,
      destinationPort: wire.localPort,
    };
    return send === "v1" ? encodeProxyV1(bytes, at, ends) : encodeProxyV2(bytes, at, ends, Proxied.stream);
  }

  // ---- ends

  private fail(fault: TcpFault): void {
    this.refuse(fault.code, fault.origin);
  }

  private note(fault: TcpFault): void {
    this.errorCode = fault.code;
    this.origin = fault.origin;
  }

  private count(code: string): void {
    this.listener.counters.countLimit(code);
  }

  /** Cuts off whoever is there, at once. */
  private cut(): void {
    if (this.tunnel !== undefined) this.tunnel.reset();
    else {
      this.delivery?.abandon();
      this.wire.reset();
    }
    this.leave();
  }

  private leaveWhenDone(): void {
    if (this.tunnel?.done === true) this.leave();
  }

  private leave(): void {
    if (this.phase === Phase.gone) return;
    const { context, listener } = this;
    // One that said nothing was only looking.
    if (this.saidNothing && this.errorCode === "") this.counters.leave();
    else {
      this.countEnd();
      this.log();
    }
    if (this.tunnel !== undefined) listener.counters.tunnelsOpen -= 1;
    this.phase = Phase.gone;
    this.delivery?.settle();
    this.preface = undefined;
    this.early = undefined;
    this.tunnel = undefined;
    const { clients } = context;
    const last = clients.pop()!;
    if (last !== this) {
      clients[this.index] = last;
      last.index = this.index;
    }
    listener.left();
  }

  private countEnd(): void {
    const { route, delivery, context } = this;
    const lastedMs = context.clock() - this.startedMs;
    const digit = statusDigit(statusOf(this.origin));
    this.counters.end(delivery?.targetCounters, route?.config.pool ?? "", digit, lastedMs);
  }

  private log(): void {
    const { context, delivery, tunnel, listener } = this;
    const { accessLog, tunnelRecord: record } = context;
    if (accessLog === undefined) return;
    record.clientAddress = this.clientAddress;
    record.clientPort = this.proxied?.clientPort ?? this.wire.remotePort;
    record.peerAddress = this.peerAddress;
    record.peerPort = this.wire.remotePort;
    record.listenerPort = listener.config.bind.port;
    record.listener = listener.name;
    record.route = this.route?.config.name ?? "";
    record.pool = this.route?.config.pool ?? "";
    record.targetAddress = delivery?.targetAddress ?? "";
    record.serverName = this.serverName;
    record.bytesToTarget = tunnel?.bytesToTarget ?? 0;
    record.bytesToClient = tunnel?.bytesToClient ?? 0;
    record.tries = delivery?.tries ?? 0;
    record.totalMs = context.clock() - this.startedMs;
    record.startedWallMs = context.wallClock() - record.totalMs;
    record.connectMs = delivery?.connectMs ?? -1;
    record.errorCode = this.errorCode;
    record.status = statusOf(this.origin);
    accessLog.writeTunnel(record);
  }
}

/** As nginx's stream module: $status. */
function statusOf(origin: Origin | undefined): number {
  switch (origin) {
    case undefined:
      return 200;
    case "client":
      return 400;
    case "target":
      return 502;
    case "self":
      return 500;
    default:
      return origin satisfies never;
  }
}
