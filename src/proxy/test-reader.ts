// Reads back what the core has sent, with the project's own parsers on an arena of their own: a byte stream into the
// messages that its receiver sees, framing gone. Must not be imported by anything but tests.

import assert from "node:assert/strict";
import { createArena } from "../wire/arena.ts";
import { BodyMode, BodyReader } from "../wire/http1/body.ts";
import { headFaults } from "../wire/http1/faults.ts";
import { type Head, requestHead, responseHead } from "../wire/http1/head.ts";
import { createHeadParser } from "../wire/http1/parse.ts";

const SIZE = 4 * 1024 * 1024;
const arena = createArena(SIZE);
const parser = createHeadParser(arena, { headerBytesMax: 256 * 1024, headerCountMax: 1024 });
const reader = new BodyReader(arena);
const request = requestHead();
const response = responseHead();

export type Message = {
  /** Start line and header lines. */
  readonly head: string;
  readonly body: string;
  readonly trailers: string;
  /** The whole message is here. */
  readonly complete: boolean;
};

export type Reading = {
  readonly messages: readonly Message[];
  /** What is behind the last message: an unfinished head, or the bytes of a tunnel. */
  readonly rest: string;
};

/** What a target makes of the bytes it got. Asserts that they are HTTP. */
export function readRequests(bytes: Buffer): Reading {
  const messages: Message[] = [];
  let at = load(bytes);
  while (at < bytes.length) {
    const result = parser.request(at, bytes.length, request);
    assert(
      result >= 0,
      `what a target gets is HTTP: ${headFaults[-result]?.code} in ${JSON.stringify(bytes.toString("latin1", at, at + 200))}`,
    );
    if (result === 0) break;
    const mode = request.chunked ? BodyMode.chunked : BodyMode.length;
    at = readBody(bytes, request, mode, at, messages);
    if (bytes.toString("latin1", request.methodStart, request.methodEnd) === "CONNECT" || request.upgrade) break;
  }
  return { messages, rest: bytes.toString("latin1", at) };
}

/** What a client makes of the bytes it got for requests of these methods. `over`: the connection has ended. */
export function readResponses(bytes: Buffer, methods: readonly string[], over: boolean): Reading {
  const messages: Message[] = [];
  let at = load(bytes);
  let answered = 0;
  while (at < bytes.length) {
    const result = parser.response(at, bytes.length, response);
    assert(
      result >= 0,
      `what a client gets is HTTP: ${headFaults[-result]?.code} in ${JSON.stringify(bytes.toString("latin1", at, at + 200))}`,
    );
    if (result === 0) break;
    const { status } = response;
    const method = methods[answered] ?? "";
    const tunnel = status === 101 || (method === "CONNECT" && status >= 200 && status < 300);
    // A request that could not be read has no method for us: its refusal has a body.
    const unread = status === 400 || status === 408;
    const bodyless = tunnel || status < 200 || status === 204 || status === 304 || (method === "HEAD" && !unread);
    if (status >= 200) answered += 1;
    if (bodyless) at = readBody(bytes, response, BodyMode.none, at, messages);
    else if (response.chunked) at = readBody(bytes, response, BodyMode.chunked, at, messages);
    else if (response.contentLength >= 0) at = readBody(bytes, response, BodyMode.length, at, messages);
    else {
      const body = bytes.toString("latin1", response.end);
      messages.push({ head: bytes.toString("latin1", at, response.end), body, trailers: "", complete: over });
      at = bytes.length;
    }
    if (tunnel) break;
  }
  return { messages, rest: bytes.toString("latin1", at) };
}

function load(bytes: Buffer): number {
  assert(bytes.length < SIZE, "what a test sends fits");
  bytes.copy(arena.bytes);
  return 0;
}

function readBody(bytes: Buffer, head: Head, mode: BodyMode, start: number, messages: Message[]): number {
  reader.begin(mode, Math.max(0, head.contentLength));
  const fault = reader.read(head.end, bytes.length);
  assert(fault >= 0, `a body that was sent is well framed: ${headFaults[-fault]?.code}`);
  messages.push({
    head: bytes.toString("latin1", start, head.end),
    body: arena.bytes.toString("latin1", head.end, reader.dataEnd),
    trailers: reader.trailers?.toString("latin1") ?? "",
    complete: reader.complete,
  });
  return reader.consumedEnd;
}
