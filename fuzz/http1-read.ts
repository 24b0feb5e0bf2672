// Our side of the differential fuzzer: reads a stream of messages with the wire layer as the proxy does, in pieces, and
// writes each message as the proxy would forward it. Uses nothing of the proxy: the wire layer itself must be safe.

import { createArena } from "../src/wire/arena.ts";
import { BodyMode, BodyReader } from "../src/wire/http1/body.ts";
import { headFaults } from "../src/wire/http1/faults.ts";
import { type Head, HeaderId, LINE, LineField, requestHead, responseHead } from "../src/wire/http1/head.ts";
import { createHeadParser, Parsed } from "../src/wire/http1/parse.ts";
import { LAST_CHUNK_LINE, writeChunkSizeBefore } from "../src/wire/http1/write.ts";

/** A message as a parser saw it; bytes as latin1 strings. */
export type Message = {
  /** `GET /x` or `200 OK`. */
  start: string;
  /** Names and values in turn, as in `rawHeaders` of Node. */
  headers: string[];
  body: string;
  complete: boolean;
};

export type Reading = {
  readonly messages: readonly (Message & { readonly trailers: string; readonly forwarded: string })[];
  /** Why reading stopped: a fault's code, or that the input ended, or that the connection changes its protocol or closes. */
  readonly ending: string;
  /** Bytes that no message took. */
  readonly rest: number;
};

export type Side = "request" | "response";

const START = 64;
const arena = createArena(1 << 17);
const parser = createHeadParser(arena, { headerBytesMax: 1 << 15, headerCountMax: 200 });
const asRequest = requestHead();
const asResponse = responseHead();

function text(start: number, end: number): string {
  return arena.bytes.toString("latin1", start, end);
}

function headersOf(head: Head, keepAll: boolean): string[] {
  const out: string[] = [];
  for (let at = 0; at < head.lineCount * LINE; at += LINE) {
    const field = (index: number) => head.lines[at + index] ?? 0;
    if (!keepAll && (field(LineField.hopByHop) === 1 || field(LineField.id) === HeaderId.contentLength)) continue;
    out.push(text(field(LineField.nameStart), field(LineField.nameEnd)));
    out.push(text(field(LineField.valueStart), field(LineField.valueEnd)));
  }
  return out;
}

function forwardedHead(start: string, head: Head, mode: BodyMode): string {
  const headers = headersOf(head, false);
  let out = `${start}\r\n`;
  // For a client of HTTP/1.0 that named none.
  if (head === asRequest && asRequest.hostLine === -1) out += "Host: target\r\n";
  for (let i = 0; i < headers.length; i += 2) out += `${headers[i]}: ${headers[i + 1]}\r\n`;
  if (mode === BodyMode.length || (mode === BodyMode.none && head.contentLength >= 0))
    out += `Content-Length: ${head.contentLength}\r\n`;
  if (mode === BodyMode.chunked || mode === BodyMode.untilClose) out += "Transfer-Encoding: chunked\r\n";
  return `${out}\r\n`;
}

function responseMode(method: string): BodyMode {
  const { status, chunked, contentLength } = asResponse;
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return BodyMode.none;
  if (chunked) return BodyMode.chunked;
  return contentLength >= 0 ? BodyMode.length : BodyMode.untilClose;
}

function requestMode(): BodyMode {
  if (asRequest.chunked) return BodyMode.chunked;
  return asRequest.contentLength > 0 ? BodyMode.length : BodyMode.none;
}

type Draft = Message & { trailers: string; forwarded: string };

/** The bytes of the input that a connection has brought so far, read message by message. */
class Connection {
  readonly messages: Draft[] = [];
  ending = "";
  /** Bytes that are not read yet. */
  pending: Buffer = Buffer.alloc(0);
  readonly #side: Side;
  readonly #method: string;
  readonly #body = new BodyReader(arena);
  #last = false;

  constructor(side: Side, method: string) {
    this.#side = side;
    this.#method = method;
  }

  take(piece: Buffer): void {
    this.pending = Buffer.concat([this.pending, piece]);
    while (this.ending === "" && (this.#body.complete ? this.#takeHead() : this.#takeBody())) {}
  }

  end(): void {
    const current = this.messages.at(-1);
    if (this.ending !== "") return;
    if (!this.#body.complete && this.#body.endOfInput() === 0) this.#finish(current);
    this.ending = this.#body.complete ? (this.pending.length === 0 ? "end" : "end in head") : "end in body";
  }

  /** Returns whether there may be more to do. */
  #takeHead(): boolean {
    if (this.#last) {
      this.ending = "closed";
      return false;
    }
    // What lies behind the bytes must not be looked at.
    arena.bytes.fill("\r\n0\0", START - 8, START + this.pending.length + 64, "latin1");
    const end = START + this.pending.copy(arena.bytes, START);
    const isRequest = this.#side === "request";
    const result = isRequest ? parser.request(START, end, asRequest) : parser.response(START, end, asResponse);
    if (result < 0) this.ending = headFaults[-result]?.code ?? "unknown fault";
    if (result !== Parsed.complete) return false;
    const head = isRequest ? asRequest : asResponse;
    this.pending = this.pending.subarray(head.end - START);
    const mode = isRequest ? requestMode() : responseMode(this.#method);
    const start = isRequest
      ? `${text(asRequest.methodStart, asRequest.methodEnd)} ${text(asRequest.targetStart, asRequest.targetEnd)}`
      : `${asResponse.status} ${text(asResponse.reasonStart, asResponse.reasonEnd)}`;
    const line = isRequest ? `${start} HTTP/1.1` : `HTTP/1.1 ${start}`;
    this.messages.push({
      start,
      headers: headersOf(head, true),
      body: "",
      complete: false,
      trailers: "",
      forwarded: forwardedHead(line, head, mode),
    });
    this.#last = isRequest
      ? head.connectionClose || (head.version === 10 && !head.connectionKeepAlive)
      : asResponse.status >= 200 || asResponse.status === 101;
    this.#body.begin(mode, head.contentLength);
    if (this.#body.complete) this.#finish(this.messages.at(-1));
    if (isRequest && text(asRequest.methodStart, asRequest.methodEnd) === "CONNECT") this.ending = "tunnel";
    return true;
  }

  #takeBody(): boolean {
    const current = this.messages.at(-1);
    if (this.pending.length === 0 || current === undefined) return false;
    const end = START + this.pending.copy(arena.bytes, START);
    const result = this.#body.read(START, end);
    const length = this.#body.dataEnd - START;
    current.body += text(START, this.#body.dataEnd);
    if (length > 0) {
      const chunked = this.#body.mode !== BodyMode.length;
      const from = chunked ? writeChunkSizeBefore(arena, START, length) : START;
      current.forwarded += text(from, START + length) + (chunked ? "\r\n" : "");
    }
    if (result !== 0) {
      this.ending = headFaults[-result]?.code ?? "unknown fault";
      return false;
    }
    this.pending = this.pending.subarray(this.#body.consumedEnd - START);
    if (this.#body.complete) this.#finish(current);
    return true;
  }

  #finish(current: Draft | undefined): void {
    if (current === undefined) return;
    current.complete = true;
    current.trailers = this.#body.trailers?.toString("latin1") ?? "";
    if (this.#body.mode === BodyMode.chunked || this.#body.mode === BodyMode.untilClose) {
      current.forwarded += `${LAST_CHUNK_LINE.toString("latin1")}${current.trailers}\r\n`;
    }
  }
}

/** Reads `input` as it arrives in pieces that end at `cuts`. `method` is that of the request that a response answers. */
export function readStream(side: Side, input: Buffer, cuts: readonly number[], method: string): Reading {
  const connection = new Connection(side, method);
  let from = 0;
  for (const cut of [...cuts, input.length]) {
    connection.take(input.subarray(from, cut));
    from = cut;
  }
  connection.end();
  return { messages: connection.messages, ending: connection.ending, rest: connection.pending.length };
}
