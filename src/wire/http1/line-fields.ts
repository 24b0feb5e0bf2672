// What single header lines mean to a proxy: framing, connection, host, expectation. Called for known names only, as soon
// as their line is complete, so that a fault is seen when the line is seen. On the request's way. The decisions:
// - Content-Length: one line, digits. RFC 9112 section 6.3 lets a recipient repair equal ones; we refuse, as repairing is
//   what smuggling lives on. With Transfer-Encoding it is refused as well (section 6.1 allows either).
// - Transfer-Encoding: exactly `chunked`, no tab around it, one line, HTTP/1.1 only (section 6.1).
// - Hop-by-hop are the fields of RFC 9110 section 7.6.1. Proxy-Authenticate and Proxy-Authorization are not among them:
//   we ask for no proxy credentials, and section 11.7.2 lets a proxy relay them to the one that does; they go when
//   Connection names them. Trailer stays: the trailers are forwarded too.

import { ascii, Byte, TOKEN_LOWER } from "./bytes.ts";
import { Fault } from "./faults.ts";
import { type Head, HeaderId, LINE, LineField, type RequestHead } from "./head.ts";
import { headerIdOf, headerNameHash, nameIs } from "./header-names.ts";
import { Authority, judgeAuthority } from "./host.ts";

const { COMMA, HTAB, SP, ZERO } = Byte;
const tokenLower = TOKEN_LOWER;
const lineSize = LINE;
const field = LineField;
const ids = HeaderId;

/** 15 digits stay below 2^53, so every length is an exact number. */
const CONTENT_LENGTH_DIGITS_MAX = 15;
/** Fields that Connection may name besides close, keep-alive and upgrade: each costs a pass over the lines. */
const CONNECTION_NAMED_MAX = 16;

const CHUNKED = ascii("chunked");
const CONTINUE = ascii("100-continue");
const CLOSE = ascii("close");
const CLOSE_HASH = headerNameHash("close");
const KEEP_ALIVE = ascii("keep-alive");
const KEEP_ALIVE_HASH = headerNameHash("keep-alive");
const UPGRADE = ascii("upgrade");
const UPGRADE_HASH = headerNameHash("upgrade");

/** The ids from `host` to this one mean something to `applyLine`; the others are known for the proxy's sake. */
export const APPLIED_ID_LAST: number = HeaderId.expect;

/** Applies line `index`, whose id is at most APPLIED_ID_LAST, to the head. `request` is the head itself when it is a request's. Returns 0 or a fault. */
export function applyLine(bytes: Uint8Array, head: Head, index: number, request: RequestHead | undefined): number {
  const lines = head.lines;
  const at = index * lineSize;
  const start = lines[at + field.valueStart]!;
  const end = lines[at + field.valueEnd]!;
  switch (lines[at + field.id]) {
    case ids.host:
      return request === undefined ? 0 : applyHost(bytes, request, index, start, end);
    case ids.connection:
      lines[at + field.hopByHop] = 1;
      return applyConnection(bytes, start, end, head);
    case ids.contentLength:
      return applyContentLength(bytes, start, end, head);
    case ids.transferEncoding:
      lines[at + field.hopByHop] = 1;
      return applyTransferEncoding(bytes, at, head);
    case ids.upgrade:
      lines[at + field.hopByHop] = 1;
      if (head.upgradeLine === -1 && end > start) head.upgradeLine = index;
      return 0;
    case ids.keepAlive:
    case ids.proxyConnection:
    case ids.te:
      lines[at + field.hopByHop] = 1;
      return 0;
    case ids.expect:
      return request === undefined ? 0 : applyExpect(bytes, start, end, request);
    default:
      return 0;
  }
}

function applyHost(bytes: Uint8Array, head: RequestHead, index: number, start: number, end: number): number {
  if (head.hostLine !== -1) return Fault.hostDouble;
  head.hostLine = index;
  // RFC 9112 section 3.2: an empty value is what a client sends whose target has no authority.
  if (start !== end && judgeAuthority(bytes, start, end) === Authority.invalid) return Fault.hostInvalid;
  // Absolute and authority form have already set the host that counts.
  if (head.hostStart === head.hostEnd) {
    head.hostStart = start;
    head.hostEnd = end;
  }
  return 0;
}

function applyContentLength(bytes: Uint8Array, start: number, end: number, head: Head): number {
  if (head.contentLength !== -1) return Fault.contentLengthDiffers;
  if (end === start || end - start > CONTENT_LENGTH_DIGITS_MAX) return notALength(bytes, start, end);
  let length = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return notALength(bytes, start, end);
    length = length * 10 + digit;
  }
  if (head.chunked) return Fault.framingBoth;
  head.contentLength = length;
  return 0;
}

/** `5, 5` is two values, which RFC 9112 section 6.3 treats like two lines. */
function notALength(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) if (bytes[i] === COMMA) return Fault.contentLengthDiffers;
  return Fault.contentLengthInvalid;
}

function applyTransferEncoding(bytes: Uint8Array, at: number, head: Head): number {
  const lines = head.lines;
  if (head.chunked) return Fault.transferEncodingDouble;
  const start = lines[at + field.valueStart]!;
  const end = lines[at + field.valueEnd]!;
  if (!nameIs(bytes, start, end, CHUNKED)) return Fault.transferEncodingUnsupported;
  // A tab is white space to the standard and part of the value to some readers (llhttp among them): a proxy before us that
  // does not see `chunked` there has already taken the body for something else.
  for (let i = lines[at + field.nameEnd]!; i < lines[at + field.end]!; i++) {
    if (bytes[i] === HTAB) return Fault.transferEncodingUnsupported;
  }
  if (head.version === 10) return Fault.transferEncodingVersion;
  if (head.contentLength !== -1) return Fault.framingBoth;
  head.chunked = true;
  return 0;
}

function applyExpect(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  if (!nameIs(bytes, start, end, CONTINUE)) return Fault.expectUnsupported;
  if (head.version === 11) head.expectContinue = true;
  return 0;
}

/** One Connection line, a list of tokens (RFC 9110 sections 5.6.1 and 7.6.1; empty elements are allowed). */
function applyConnection(bytes: Uint8Array, start: number, end: number, head: Head): number {
  let at = start;
  for (;;) {
    at = skipToToken(bytes, at, end);
    if (at === end) return 0;
    const tokenStart = at;
    let hash = 0;
    let lower = 0;
    for (; at < end; at++) {
      lower = tokenLower[bytes[at]!]!;
      if (lower === 0) break;
      hash = (Math.imul(hash, 31) + lower) | 0;
    }
    if (at === tokenStart || !tokenEndsAt(bytes, at, end)) return Fault.connectionInvalid;
    const fault = applyConnectionOption(bytes, hash, tokenStart, at, head);
    if (fault !== 0) return fault;
  }
}

function applyConnectionOption(bytes: Uint8Array, hash: number, start: number, end: number, head: Head): number {
  if (hash === KEEP_ALIVE_HASH && nameIs(bytes, start, end, KEEP_ALIVE)) {
    head.connectionKeepAlive = true;
    return 0;
  }
  if (hash === CLOSE_HASH && nameIs(bytes, start, end, CLOSE)) {
    head.connectionClose = true;
    return 0;
  }
  if (hash === UPGRADE_HASH && nameIs(bytes, start, end, UPGRADE)) {
    head.connectionUpgrade = true;
    return 0;
  }
  if (mayNotBeNamed(headerIdOf(hash, bytes, start, end))) return Fault.connectionForbidden;
  head.connectionNamed++;
  return head.connectionNamed > CONNECTION_NAMED_MAX ? Fault.connectionTooMany : 0;
}

/**
 * A client that names these wants a proxy to drop what frames the message, routes it or says who the client is, after it
 * was judged by it. No honest client does (RFC 9110 section 7.6.1: only fields of the immediate connection are named).
 */
function mayNotBeNamed(id: HeaderId): boolean {
  switch (id) {
    case ids.host:
    case ids.contentLength:
    case ids.transferEncoding:
    case ids.expect:
    case ids.xForwardedFor:
    case ids.xForwardedProto:
    case ids.xForwardedHost:
    case ids.xForwardedPort:
    case ids.xRealIp:
    case ids.forwarded:
      return true;
    default:
      return false;
  }
}

/** Marks every line that Connection names, the ones before it too. Run when all lines are read and `connectionNamed` is not 0. */
export function markNamedLines(bytes: Uint8Array, head: Head): void {
  const lines = head.lines;
  for (let at = 0; at < head.lineCount * lineSize; at += lineSize) {
    if (lines[at + field.id] !== ids.connection) continue;
    const end = lines[at + field.valueEnd]!;
    let token = skipToToken(bytes, lines[at + field.valueStart]!, end);
    while (token < end) {
      let tokenEnd = token;
      let hash = 0;
      while (tokenEnd < end && tokenLower[bytes[tokenEnd]!] !== 0) {
        hash = (Math.imul(hash, 31) + tokenLower[bytes[tokenEnd++]!]!) | 0;
      }
      markLines(bytes, head, hash, token, tokenEnd);
      token = skipToToken(bytes, tokenEnd, end);
    }
  }
}

function markLines(bytes: Uint8Array, head: Head, hash: number, start: number, end: number): void {
  const lines = head.lines;
  for (let at = 0; at < head.lineCount * lineSize; at += lineSize) {
    if (lines[at + field.hash] !== hash) continue;
    const nameStart = lines[at + field.nameStart]!;
    if (lines[at + field.nameEnd]! - nameStart !== end - start) continue;
    let i = 0;
    while (i < end - start && tokenLower[bytes[start + i]!] === tokenLower[bytes[nameStart + i]!]) i++;
    if (i === end - start) lines[at + field.hopByHop] = 1;
  }
}

function skipToToken(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === SP || bytes[at] === HTAB || bytes[at] === COMMA)) at++;
  return at;
}

/** A token ends at a comma or the end, with white space before it or none: `close x` is no list. */
function tokenEndsAt(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
  return at === end || bytes[at] === COMMA;
}
