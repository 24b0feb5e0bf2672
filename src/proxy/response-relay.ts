// The response of one exchange: reads the target's head and body and sends them on, framed for the client. On the
// request's way, once per read of the target. Whatever is wrong with a response is told to the exchange as a fault; what
// then happens to client and target is decided there.

import { BodyMode, BodyReader } from "../wire/http1/body.ts";
import { Method, type ResponseHead } from "../wire/http1/head.ts";
import type { Frame } from "./chunk-frame.ts";
import { frameChunk, writeTrailers } from "./chunk-frame.ts";
import type { Context } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { ExchangeFaults } from "./faults.ts";
import { headroomStart, JOIN, OUT, OUT_BYTES_MAX } from "./layout.ts";
import { type ResponseFraming, writeResponseHead } from "./response-head.ts";

/** 1xx responses before the final one; a target that sends more is broken. */
const INTERIM_MAX = 16;
/** CRLF line of the largest chunk size that one read can have. */
const CHUNK_SIZE_ROOM = 10;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class ResponseRelay {
  /** The final head has been sent on (or its sending has begun). */
  started = false;
  /** A byte of a response, of an interim one too, has come. */
  heard = false;
  /** The whole response has been read. */
  complete = false;
  /** The target's connection may carry another exchange. */
  reusable = false;
  private interims = 0;
  private readonly exchange: Exchange;
  private readonly context: Context;
  private readonly reader: BodyReader;
  private readonly frame: Frame = { start: 0, end: 0, trailers: false };
  private readonly framing: Mutable<ResponseFraming> = { chunked: false, noLength: false, connection: "" };

  constructor(exchange: Exchange, context: Context) {
    this.exchange = exchange;
    this.context = context;
    this.reader = new BodyReader(context.arena);
  }

  /** For the next try or the next exchange. */
  reset(): void {
    this.started = false;
    this.heard = false;
    this.complete = false;
    this.reusable = false;
    this.interims = 0;
  }

  /** Bytes of the target. */
  data(start: number, end: number): void {
    this.heard = true;
    if (this.started) this.bodyData(start, end);
    else this.headData(start, end);
  }

  /** The target half-closed or is gone; true when the response is whole by that. */
  ended(): boolean {
    if (!this.started || this.reader.endOfInput() !== 0) return false;
    this.reusable = false;
    if (this.complete) return true;
    this.complete = true;
    if (this.framing.chunked) {
      const { writer } = this.context;
      writer.begin(OUT, OUT + OUT_BYTES_MAX);
      writeTrailers(writer, this.reader);
      this.exchange.sendToClient(OUT, writer.at);
    }
    return true;
  }

  private headData(start: number, end: number): void {
    const { context, exchange } = this;
    const { bytes } = context.arena;
    const connection = exchange.connection!;
    let at = start;
    let stop = end;
    const { partial } = connection;
    if (partial !== undefined) {
      bytes.copyWithin(JOIN + partial.length, start, end);
      bytes.set(partial, JOIN);
      at = JOIN;
      stop = JOIN + partial.length + (end - start);
      connection.partial = undefined;
    }
    const head = context.responseHead;
    for (;;) {
      context.parser.limits = exchange.headLimits;
      const result = context.parser.response(at, stop, head);
      if (result === 0) {
        connection.partial = Buffer.from(bytes.subarray(at, stop));
        return;
      }
      if (result < 0) {
        exchange.targetSentGarbage(-result);
        return;
      }
      if (head.status >= 200 || head.status === 101) break;
      this.interims += 1;
      if (this.interims > INTERIM_MAX) {
        exchange.targetFailed(ExchangeFaults.interimTooMany);
        return;
      }
      this.sendInterim(head, at);
      at = head.end;
      if (at >= stop) return;
    }
    this.finalHead(head, at, stop);
  }

  /** RFC 9110 section 15.2: passed on, but never to an HTTP/1.0 client, nor a 100 that it did not ask for. */
  private sendInterim(head: ResponseHead, start: number): void {
    const { exchange, context } = this;
    if (exchange.version === 10 || (head.status === 100 && !exchange.expectsContinue)) return;
    this.framing.chunked = false;
    this.framing.noLength = true;
    this.framing.connection = "";
    const { writer } = context;
    writer.begin(OUT, OUT + OUT_BYTES_MAX);
    if (writeResponseHead(writer, head, context.dropped, this.framing, undefined, exchange.variables)) {
      if (!writer.overflow) exchange.sendToClient(OUT, writer.at);
    } else exchange.sendToClient(start, head.end);
  }

  private finalHead(head: ResponseHead, start: number, end: number): void {
    const { exchange } = this;
    const { status } = head;
    if (status === 101) {
      if (exchange.upgrading && exchange.requestComplete) this.switchProtocols(head, start, end);
      else exchange.targetFailed(ExchangeFaults.unexpectedUpgrade);
      return;
    }
    if (exchange.method === Method.connect && status < 300) {
      if (exchange.requestComplete) this.switchProtocols(head, start, end);
      else exchange.targetFailed(ExchangeFaults.unexpectedUpgrade);
      return;
    }
    if (exchange.retriesStatus(status)) return;
    const mode = bodyMode(head, exchange.method);
    this.reader.begin(mode, head.contentLength);
    this.reusable =
      mode !== BodyMode.untilClose && (head.version === 11 ? !head.connectionClose : head.connectionKeepAlive);
    const open = mode === BodyMode.chunked || mode === BodyMode.untilClose;
    this.framing.chunked = open && exchange.version === 11;
    this.framing.noLength = status === 204 || open;
    exchange.answered(status, !open || this.framing.chunked);
    this.framing.connection = exchange.connectionLine();
    this.sendHead(head, start, end);
  }

  /** Head and the first of the body in one piece, where the body lies. */
  private sendHead(head: ResponseHead, start: number, end: number): void {
    const { context, exchange, framing, reader } = this;
    const { writer } = context;
    const rules = exchange.route?.responseRules;
    writer.begin(OUT, OUT + OUT_BYTES_MAX);
    let changed = writeResponseHead(writer, head, context.dropped, framing, rules, exchange.variables);
    const bodyStart = head.end;
    const headStart = start;
    if (!changed && framing.chunked) {
      // The size line of our first chunk takes the place right before the payload.
      writer.range(headStart, bodyStart);
      changed = true;
    }
    const headLength = writer.at - OUT;
    if (writer.overflow || bodyStart - headLength - CHUNK_SIZE_ROOM < headroomStart(bodyStart)) {
      exchange.targetFailed(ExchangeFaults.responseTooLarge);
      return;
    }
    const fault = reader.read(bodyStart, end);
    if (fault < 0) {
      exchange.targetSentGarbage(-fault);
      return;
    }
    let from = bodyStart;
    let to = reader.dataEnd;
    exchange.record.responseBodyBytes += to - from;
    if (framing.chunked) {
      frameChunk(context.arena, reader, bodyStart, this.frame);
      from = this.frame.start;
      to = this.frame.end;
    }
    if (changed) {
      context.arena.bytes.copyWithin(from - headLength, OUT, OUT + headLength);
      from -= headLength;
    } else from = headStart;
    this.started = true;
    exchange.sendToClient(from, to);
    this.afterSend(end);
  }

  private bodyData(start: number, end: number): void {
    const { reader, exchange } = this;
    const fault = reader.read(start, end);
    if (fault < 0) {
      exchange.targetSentGarbage(-fault);
      return;
    }
    let from = start;
    let to = reader.dataEnd;
    exchange.record.responseBodyBytes += to - from;
    if (this.framing.chunked) {
      frameChunk(this.context.arena, reader, start, this.frame);
      from = this.frame.start;
      to = this.frame.end;
    }
    if (to > from) exchange.sendToClient(from, to);
    this.afterSend(end);
  }

  private afterSend(end: number): void {
    const { reader, exchange } = this;
    if (!reader.complete) return;
    // Bytes behind the response: nobody can tell what they belong to.
    if (reader.consumedEnd < end) this.reusable = false;
    this.complete = true;
    if (this.framing.chunked && reader.trailers !== undefined) {
      const { writer } = this.context;
      writer.begin(OUT, OUT + OUT_BYTES_MAX);
      writeTrailers(writer, reader);
      exchange.sendToClient(OUT, writer.at);
    }
    exchange.responseDone();
  }

  /** 101, or 2xx to CONNECT: the head goes on as it is but for its hop-by-hop lines, then bytes pass. */
  private switchProtocols(head: ResponseHead, start: number, end: number): void {
    const { context, exchange, framing } = this;
    const { writer } = context;
    framing.chunked = false;
    framing.noLength = true;
    framing.connection = head.status === 101 ? "upgrade" : "";
    writer.begin(OUT, OUT + OUT_BYTES_MAX);
    const rules = exchange.route?.responseRules;
    exchange.answered(head.status, false);
    if (writeResponseHead(writer, head, context.dropped, framing, rules, exchange.variables)) {
      if (writer.overflow) {
        exchange.targetFailed(ExchangeFaults.responseTooLarge);
        return;
      }
      exchange.sendToClient(OUT, writer.at);
    } else exchange.sendToClient(start, head.end);
    this.started = true;
    exchange.becomeTunnel(head.end, end);
  }
}

/** RFC 9112 section 6.3. */
function bodyMode(head: ResponseHead, method: Method): BodyMode {
  const { status } = head;
  if (method === Method.head || status === 204 || status === 304) return BodyMode.none;
  if (head.chunked) return BodyMode.chunked;
  if (head.contentLength >= 0) return BodyMode.length;
  return BodyMode.untilClose;
}
