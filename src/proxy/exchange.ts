// One HTTP exchange, from a parsed request head to the last byte of its response: finds the route, answers itself or has
// the request delivered and the response relayed, and ends with one record. On the request's way; objects are used again.
// The life of an exchange is told step by step in ARCHITECTURE.md.

import type { Milliseconds } from "../core/clock.ts";
import { statusDigit } from "../state/counters.ts";
import type { RouteCounters } from "../state/slot-routes.ts";
import { BodyMode, BodyReader } from "../wire/http1/body.ts";
import { headFaults } from "../wire/http1/faults.ts";
import { Method, type RequestHead } from "../wire/http1/head.ts";
import type { HeadLimits } from "../wire/http1/parse.ts";
import { AfterExchange } from "./after-exchange.ts";
import { type Frame, frameChunk, writeTrailers } from "./chunk-frame.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { CompiledRoute } from "./compile.ts";
import type { Context } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { exchangeRecord, resetExchange } from "./exchange-record.ts";
import { type ExchangeFault, ExchangeFaults } from "./faults.ts";
import { OUT, OUT_BYTES_MAX, SLOT_BYTES } from "./layout.ts";
import { errorBody, writeLocalResponse } from "./local-response.ts";
import { readRequest, requestFacts } from "./request-facts.ts";
import { writeRequestHead } from "./request-head.ts";
import { ResponseRelay } from "./response-relay.ts";
import { emptyVariables, expand } from "./template.ts";
import { Tunnel } from "./tunnel.ts";

/** Exchanges kept to be used again. */
const SPARES_MAX = 1024;
/** What nginx logs for a client that did not wait; nothing is sent. */
const STATUS_CLIENT_GONE = 499;
/** A request head that goes to the heap leaves room for the body bytes that are sent with it. */
const HEAD_OUT_MAX = OUT_BYTES_MAX / 2;

export class Exchange {
  readonly record = exchangeRecord();
  readonly variables = emptyVariables();
  /** What the request head says, read once: head and arena belong to the next request soon. */
  readonly facts = requestFacts(this.variables);
  client: ClientConnection | undefined = undefined;
  route: CompiledRoute | undefined = undefined;
  method: Method = Method.other;
  version = 11;
  expectsContinue = false;
  /** Never 0, another one for every exchange. */
  serial = 0;
  startedMs: Milliseconds = 0;
  private readonly context: Context;
  private readonly requestBody: BodyReader;
  private readonly delivery: Delivery;
  private readonly response: ResponseRelay;
  private readonly frame: Frame = { start: 0, end: 0, trailers: false };
  /** The client's connection may carry another exchange. */
  private keep = false;
  /** The client said that this is its last request. */
  private lastWord = false;
  private tunnel: Tunnel | undefined = undefined;
  /** Set when its route is known, which is before it can end. */
  private counters: RouteCounters | undefined = undefined;

  constructor(context: Context) {
    this.context = context;
    this.requestBody = new BodyReader(context.arena);
    this.delivery = new Delivery(this, context);
    this.response = new ResponseRelay(this, context);
  }

  get requestComplete(): boolean {
    return this.requestBody.complete;
  }

  get responseStarted(): boolean {
    return this.response.started;
  }

  /** A byte of an answer to the present try has come. */
  get heardTarget(): boolean {
    return this.response.heard;
  }

  get headLimits(): HeadLimits {
    return this.client!.listener.config.limits;
  }

  /** Begins with the request whose head was parsed from the arena. Answers where the bytes behind the request begin. */
  begin(client: ClientConnection, head: RequestHead, end: number): number {
    this.open(client);
    this.method = head.method;
    this.version = head.version;
    this.expectsContinue = head.expectContinue;
    this.keep = head.version === 11 ? !head.connectionClose : head.connectionKeepAlive && !head.connectionClose;
    this.lastWord = !this.keep;
    const mode = head.chunked ? BodyMode.chunked : head.contentLength > 0 ? BodyMode.length : BodyMode.none;
    this.requestBody.begin(mode, head.contentLength);
    const fault = readRequest(this.context, this, head);
    const { route } = this;
    this.countOn(route === undefined ? client.listener.unrouted : route.counters);
    if (route !== undefined && fault === undefined && route.action.kind === "pool")
      return this.forward(head, end, route);
    return this.answerItself(head.end, end, fault);
  }

  /** Answers a request that could not be read; `status` and `code` say why. The connection closes. */
  refuse(client: ClientConnection, status: number, code: string, detail: string): void {
    this.open(client);
    this.method = Method.other;
    this.version = 11;
    this.requestBody.begin(BodyMode.untilClose, 0);
    this.countOn(client.listener.unrouted);
    this.failWith(status, code, detail);
  }

  // ---- what the client does

  /** More bytes of the client; answers where those begin that do not belong to this exchange. */
  clientData(start: number, end: number): number {
    if (this.tunnel !== undefined) {
      this.tunnel.fromClient(start, end, this.context.clock());
      return end;
    }
    return this.requestBody.complete ? start : this.bodyData(start, end);
  }

  clientDrained(): void {
    const nowMs = this.context.clock();
    if (this.tunnel !== undefined) this.tunnel.clientDrained(nowMs);
    else this.delivery.readOn(nowMs);
  }

  /** The client half-closed. It may still wait for its response. */
  clientEnded(): void {
    const { tunnel } = this;
    if (tunnel !== undefined) {
      tunnel.clientEnded();
      if (tunnel.over) this.endTunnel("");
    } else if (!this.requestBody.complete) {
      this.record.errorCode = ExchangeFaults.clientTruncated.code;
      this.client!.close();
    }
  }

  /** Its connection is gone, so there is nobody to answer. `errorCode` as in `WireOwner.onClose`. */
  clientClosed(errorCode: string): void {
    if (this.tunnel !== undefined && errorCode === "") this.endTunnel("");
    else this.abandon(ExchangeFaults.clientGone);
  }

  /** We cut its connection off. */
  clientGone(): void {
    this.abandon(ExchangeFaults.clientGone);
  }

  clientSendTimedOut(): void {
    this.abandon(ExchangeFaults.clientSendTimeout);
  }

  /** The client fell silent within its request body. */
  clientLate(): void {
    if (!this.requestBody.complete) this.fail(ExchangeFaults.bodyTimeout);
  }

  // ---- what the delivery asks for, and tells of the target

  pickNow(): Context["pick"] {
    const { pick } = this.context;
    pick.nowMs = this.context.clock();
    pick.tried = this.delivery.tried;
    pick.keyHash = this.facts.keyHash;
    pick.clientAddress = this.facts.clientAddress;
    return pick;
  }

  triesTarget(address: string): void {
    this.record.targetAddress = address;
    this.variables.targetAddress = address;
    this.response.reset();
  }

  readOn(nowMs: Milliseconds): void {
    const { client } = this;
    if (client === undefined) return;
    client.expectBy(this.bodyDeadline(nowMs));
    client.wire.resume();
  }

  stopReading(): void {
    this.client!.expectBy(Number.POSITIVE_INFINITY);
    this.client!.wire.pause();
  }

  targetData(start: number, end: number, nowMs: Milliseconds): void {
    if (this.tunnel === undefined) this.response.data(start, end);
    else this.tunnel.fromTarget(start, end, nowMs);
  }

  targetDrained(nowMs: Milliseconds): void {
    if (this.tunnel !== undefined) this.tunnel.targetDrained(nowMs);
    else if (!this.requestBody.complete) this.readOn(nowMs);
  }

  targetEnded(): void {
    const { tunnel } = this;
    if (tunnel !== undefined) {
      tunnel.targetEnded();
      if (tunnel.over) this.endTunnel("");
    } else if (this.response.ended()) this.responseDone();
    else this.delivery.failed(this.response.started ? ExchangeFaults.truncated : ExchangeFaults.closed);
  }

  targetClosed(errorCode: string): void {
    if (this.tunnel !== undefined) {
      if (errorCode === "") this.endTunnel("");
      else this.breakTunnel(ExchangeFaults.truncated.code);
    }
    // An orderly end is told by targetEnded: what comes here is a reset.
    else this.delivery.failed(this.response.started ? ExchangeFaults.truncated : ExchangeFaults.closed);
  }

  /** The response ended before its end: the client must not take it for the whole. */
  truncated(fault: ExchangeFault): void {
    this.record.errorCode = fault.code;
    this.cut();
  }

  // ---- what the response relay asks for

  get connection(): Delivery["connection"] {
    return this.delivery.connection;
  }

  targetFailed(fault: ExchangeFault): void {
    this.delivery.failed(fault);
  }

  /** `fault`: index into headFaults. */
  targetSentGarbage(fault: number): void {
    this.context.log.warn("a target sent what is not HTTP/1.x, its connection is closed", {
      code: ExchangeFaults.garbage.code,
      because: headFaults[fault]!.code,
      pool: this.record.pool,
      target: this.record.targetAddress,
    });
    this.delivery.failed(ExchangeFaults.garbage);
  }

  retriesStatus(status: number): boolean {
    return this.delivery.retriesStatus(status);
  }

  get upgrading(): boolean {
    return this.facts.upgrade;
  }

  /** The final head is there. `framed`: the client can tell the response's end without the connection's. */
  answered(status: number, framed: boolean): void {
    this.record.status = status;
    this.delivery.answered(status, this.context.clock());
    // A client that still sends its request cannot know where its next one would begin.
    if (!framed || !this.requestBody.complete || !this.client!.mayKeep()) this.keep = false;
  }

  connectionLine(): "" | "close" | "keep-alive" {
    if (!this.keep) return "close";
    return this.version === 10 ? "keep-alive" : "";
  }

  sendToClient(start: number, end: number): void {
    if (!this.client!.send(start, end)) this.delivery.stopReading();
  }

  responseDone(): void {
    this.delivery.done(this.response.reusable && this.requestBody.complete, this.context.clock());
    this.finish();
  }

  /** From now on bytes pass; start..end came behind the target's head. */
  becomeTunnel(start: number, end: number): void {
    const { client, context } = this;
    const nowMs = context.clock();
    const connection = this.delivery.connection!;
    this.keep = false;
    this.delivery.becomesTunnel();
    const tunnel = new Tunnel({
      client: client!.wire,
      target: connection.wire,
      listenerCounters: client!.listener.counters,
      targetCounters: connection.target.counters,
      idleMax: this.route!.config.timeouts.tunnel,
      nowMs,
    });
    this.tunnel = tunnel;
    // How long it lasts from here on says nothing of how fast the exchange was.
    this.record.totalMs = nowMs - this.startedMs;
    client!.listener.counters.tunnelsOpened += 1;
    client!.listener.counters.tunnelsOpen += 1;
    client!.wire.resume();
    if (end > start) tunnel.fromTarget(start, end, nowMs);
    const early = client!.takeWaiting();
    if (early !== undefined) {
      context.arena.bytes.set(early, OUT);
      tunnel.fromClient(OUT, OUT + early.length, nowMs);
    }
    // It may have ended before the target agreed: only now is there somebody to tell.
    if (client!.ended) tunnel.clientEnded();
  }

  /** Looks at the deadlines of exchange and target. */
  sweep(nowMs: Milliseconds): void {
    const timeouts = this.route?.config.timeouts;
    if (timeouts === undefined) return;
    if (this.tunnel !== undefined) {
      if (this.tunnel.expired(nowMs)) this.endTunnel(ExchangeFaults.tunnelIdle.code);
    } else if (timeouts.exchange > 0 && nowMs - this.startedMs >= timeouts.exchange) {
      this.fail(ExchangeFaults.exchangeTimeout);
    } else this.delivery.sweep(nowMs);
  }

  /** Ends with an error: a response of ours, or a cut when the target's has begun. */
  fail(fault: ExchangeFault): void {
    this.failWith(fault.status, fault.code, fault.detail);
  }

  failWith(status: number, code: string, detail: string): void {
    this.delivery.drop();
    this.record.errorCode = code;
    this.client!.countFault(code);
    if (this.response.started) {
      this.cut();
      return;
    }
    this.answer(status, "text/plain", errorBody(status, code, detail), undefined);
  }

  // ---- forwarding

  private forward(head: RequestHead, end: number, route: CompiledRoute): number {
    const { delivery, requestBody } = this;
    const { config, action, pool } = route;
    if (config.bodyBytesMax > 0 && head.contentLength > config.bodyBytesMax) {
      return this.answerItself(head.end, end, ExchangeFaults.bodyTooLarge);
    }
    delivery.pool = pool;
    delivery.timeouts = config.timeouts;
    delivery.retry = action.kind === "pool" ? action.retry : undefined;
    delivery.idempotent = isIdempotent(head.method);
    this.record.pool = pool?.name ?? "";
    if (!this.writeHead(head, route)) return this.answerItself(head.end, end, ExchangeFaults.requestTooLarge);
    const { serial } = this;
    const from = requestBody.complete ? head.end : this.bodyData(head.end, end);
    // The first bytes of the body may have ended the exchange; this object is then free, or another's.
    if (this.client !== undefined && this.serial === serial) delivery.dispatch();
    return from;
  }

  /** The request as the target gets it: straight into its slot, or to the heap when that is too small. */
  private writeHead(head: RequestHead, route: CompiledRoute): boolean {
    const { context, facts } = this;
    const { replay } = this.delivery;
    const { writer } = context;
    const slot = replay.begin();
    if (slot >= 0) {
      writer.begin(slot, slot + SLOT_BYTES);
      writeRequestHead(writer, head, context.dropped, facts, route.requestRules);
      if (!writer.overflow) {
        replay.wrote(writer.at - slot);
        return true;
      }
    }
    writer.begin(OUT, OUT + HEAD_OUT_MAX);
    writeRequestHead(writer, head, context.dropped, facts, route.requestRules);
    if (!writer.overflow) replay.append(OUT, writer.at);
    return !writer.overflow;
  }

  /** Bytes of the request body: framed anew, and on their way. Answers where the next request begins. */
  private bodyData(start: number, end: number): number {
    const { requestBody, context, delivery, frame } = this;
    const fault = requestBody.read(start, end);
    if (fault < 0) {
      const known = headFaults[-fault]!;
      this.failWith(known.status, known.code, known.detail);
      return end;
    }
    const from = requestBody.consumedEnd;
    this.record.requestBodyBytes += requestBody.dataEnd - start;
    const { bodyBytesMax } = this.route!.config;
    if (bodyBytesMax > 0 && this.record.requestBodyBytes > bodyBytesMax) {
      this.fail(ExchangeFaults.bodyTooLarge);
      // If these bytes were its last the connection goes on with what is behind them.
      return from;
    }
    this.client!.expectBy(requestBody.complete ? Number.POSITIVE_INFINITY : this.bodyDeadline(context.clock()));
    if (requestBody.mode === BodyMode.chunked) {
      frameChunk(context.arena, requestBody, start, frame);
      delivery.send(frame.start, frame.end);
      if (frame.trailers) {
        context.writer.begin(OUT, OUT + OUT_BYTES_MAX);
        writeTrailers(context.writer, requestBody);
        delivery.send(OUT, context.writer.at);
      }
    } else delivery.send(start, requestBody.dataEnd);
    if (requestBody.complete) delivery.requestCompleted();
    return from;
  }

  private bodyDeadline(nowMs: Milliseconds): Milliseconds {
    const clientBody = this.route?.config.timeouts.clientBody ?? 0;
    return clientBody > 0 ? nowMs + clientBody : Number.POSITIVE_INFINITY;
  }

  // ---- answering ourselves

  /** Responds, redirects or refuses. A body that has not all come yet is not waited for: the connection closes after it. */
  private answerItself(start: number, end: number, fault: ExchangeFault | undefined): number {
    const { requestBody, route } = this;
    const faulty = requestBody.read(start, end) < 0;
    const from = requestBody.consumedEnd;
    if (faulty || !requestBody.complete) this.keep = false;
    if (fault !== undefined || route === undefined) {
      this.fail(fault ?? ExchangeFaults.noRoute);
      return from;
    }
    const { action } = route;
    if (action.kind === "respond") this.answer(action.status, action.contentType, action.body, undefined);
    else if (action.kind === "redirect")
      this.answer(action.status, "text/plain", "", expand(route.location!, this.variables));
    return from;
  }

  private answer(status: number, contentType: string, body: string, location: string | undefined): void {
    const { writer } = this.context;
    if (!this.requestBody.complete || !this.client!.mayKeep()) this.keep = false;
    const rules = this.record.errorCode === "" ? this.route?.responseRules : undefined;
    const connection = this.connectionLine();
    const bodyless = this.method === Method.head;
    writer.begin(OUT, OUT + OUT_BYTES_MAX);
    const { variables } = this;
    const response = { status, contentType, body, location, rules, variables, connection, bodyless };
    this.record.responseBodyBytes = writeLocalResponse(writer, response);
    if (writer.overflow) {
      this.refuseOurs();
      return;
    }
    this.record.status = status;
    this.client!.send(OUT, writer.at);
    this.finish();
  }

  /** Our own response has grown beyond what a head may be: a variable of the client's in it was too long. */
  private refuseOurs(): void {
    const { code, status, detail } = ExchangeFaults.localTooLarge;
    this.failWith(status, code, detail);
  }

  // ---- ends

  /** Orderly, for both sides. */
  private endTunnel(errorCode: string): void {
    this.recordTunnel(errorCode);
    this.delivery.finishTunnel();
    this.finish();
  }

  /** One side is gone without having ended; neither side may take what it got for the whole. */
  private breakTunnel(errorCode: string): void {
    this.recordTunnel(errorCode);
    this.delivery.resetTunnel();
    this.cut();
  }

  private recordTunnel(errorCode: string): void {
    const { tunnel, record } = this;
    record.errorCode = errorCode;
    record.requestBodyBytes += tunnel!.bytesToTarget;
    record.responseBodyBytes += tunnel!.bytesToClient;
  }

  /** The response has begun and won't be whole. First the client is cut off: `finish` would end its connection well. */
  private cut(): void {
    this.client!.truncate();
    this.finish();
  }

  private abandon(fault: ExchangeFault): void {
    if (this.client === undefined) return;
    if (this.tunnel !== undefined) {
      this.breakTunnel(fault.code);
      return;
    }
    if (this.record.errorCode === "") this.record.errorCode = fault.code;
    if (!this.response.started) this.record.status = STATUS_CLIENT_GONE;
    this.delivery.drop();
    this.finish();
  }

  private open(client: ClientConnection): void {
    const { context } = this;
    context.serial += 1;
    this.serial = context.serial;
    this.client = client;
    this.startedMs = context.clock();
    resetExchange(this.record);
    this.record.startedAtMs = this.startedMs;
    this.record.startedWallMs = context.wallClock();
    this.record.listener = client.listener.name;
    this.record.listenerPort = client.listener.config.bind.port;
    this.record.clientAddress = client.address;
    this.variables.targetAddress = "";
    this.route = undefined;
    this.tunnel = undefined;
    this.keep = false;
    this.lastWord = false;
    this.delivery.reset();
    this.response.reset();
  }

  private countOn(counters: RouteCounters): void {
    this.counters = counters;
    counters.begin();
  }

  /** The record is complete; the object is free for the next request, which may begin within this very call. */
  private finish(): void {
    const { context, record, keep } = this;
    const client = this.client!;
    const { counters } = client.listener;
    const ending = this.lastWord && this.requestBody.complete ? AfterExchange.finish : AfterExchange.linger;
    const totalMs = context.clock() - this.startedMs;
    const digit = record.status === STATUS_CLIENT_GONE ? 0 : statusDigit(record.status);
    const countedMs = this.tunnel === undefined ? totalMs : record.totalMs;
    record.totalMs = totalMs;
    counters.exchanges += 1;
    counters.countClass(digit);
    if (this.tunnel !== undefined) counters.tunnelsOpen -= 1;
    this.counters!.end(this.delivery.lastTried?.counters, this.route?.pool?.name ?? "", digit, countedMs);
    context.accessLog?.write(record);
    this.delivery.replay.release();
    this.client = undefined;
    if (context.spareExchanges.length < SPARES_MAX) context.spareExchanges.push(this);
    client.exchangeDone(keep ? AfterExchange.next : ending);
  }
}

/** RFC 9110 section 9.2.2. A method that we do not know is not believed to be. */
function isIdempotent(method: Method): boolean {
  switch (method) {
    case Method.get:
    case Method.head:
    case Method.put:
    case Method.delete:
    case Method.options:
    case Method.trace:
      return true;
    default:
      return false;
  }
}
