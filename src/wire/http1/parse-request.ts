// The request line: method, request-target, version (RFC 9112 section 3). On the request's way. Exactly one space stands
// between the three; section 3 lets a server be lenient there, and two lenient servers disagree about where the target
// ends. What a target may contain is decided beside the tables in bytes.ts.

import { Byte, PATH, PathByte, QUERY, TOKEN_LOWER } from "./bytes.ts";
import { Fault } from "./faults.ts";
import { Method, type RequestHead, TargetForm } from "./head.ts";
import { Authority, judgeAuthority } from "./host.ts";

const { COLON, CR, DOT, LF, QUESTION, SLASH, SP, STAR, ZERO } = Byte;
const pathByte = PATH;
const queryByte = QUERY;
const tokenLower = TOKEN_LOWER;

/** RFC 9112 section 2.2 asks for tolerance of a CRLF that old clients sent after a body; a stream of them is an attack. */
const BLANK_LINES_MAX = 4;
const METHOD_BYTES_MAX = 32;

/** Parses from `start`. Returns the offset after the line's CRLF, 0 when bytes are missing, or a fault. */
export function parseRequestLine(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  let at = start;
  if (at < end && bytes[at] === CR) {
    at = skipBlankLines(bytes, at, end);
    if (at < 0) return at;
  }
  head.methodStart = at;
  const methodMax = Math.min(end, at + METHOD_BYTES_MAX + 1);
  while (at < methodMax && tokenLower[bytes[at]!] !== 0) at++;
  const length = at - head.methodStart;
  if (length > METHOD_BYTES_MAX) return Fault.methodInvalid;
  if (at >= end) return 0;
  if (bytes[at] !== SP || length === 0) return bytes[at] === LF ? Fault.lineBareLf : Fault.methodInvalid;
  head.methodEnd = at;
  head.method = methodAt(bytes, head.methodStart, length);

  at = parseTarget(bytes, at + 1, end, head);
  if (at <= 0) return at;
  head.targetEnd = at;
  at = parseVersion(bytes, at + 1, end, head);
  // Only now, so that the preface of HTTP/2, `PRI * HTTP/2.0`, is told about its version.
  if (at > 0 && head.form === TargetForm.asterisk && head.method !== Method.options) return Fault.targetInvalid;
  return at;
}

/** Returns the offset of the first byte that is no whole blank line (a lone CR at the end stays), or a fault. */
function skipBlankLines(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  for (let skipped = 0; at < end; skipped++) {
    if (bytes[at] !== CR) return at;
    if (skipped === BLANK_LINES_MAX) return Fault.blankLinesTooMany;
    // Nothing after the CR yet: the end of input, which the caller reads as "bytes are missing".
    if (at + 1 >= end) return end;
    if (bytes[at + 1] !== LF) return Fault.lineBareCr;
    at += 2;
  }
  return at;
}

function methodAt(bytes: Uint8Array, start: number, length: number): Method {
  switch (length) {
    case 3:
      if (spells(bytes, start, "GET")) return Method.get;
      return spells(bytes, start, "PUT") ? Method.put : Method.other;
    case 4:
      if (spells(bytes, start, "POST")) return Method.post;
      return spells(bytes, start, "HEAD") ? Method.head : Method.other;
    case 5:
      if (spells(bytes, start, "PATCH")) return Method.patch;
      return spells(bytes, start, "TRACE") ? Method.trace : Method.other;
    case 6:
      return spells(bytes, start, "DELETE") ? Method.delete : Method.other;
    case 7:
      if (spells(bytes, start, "OPTIONS")) return Method.options;
      return spells(bytes, start, "CONNECT") ? Method.connect : Method.other;
    default:
      return Method.other;
  }
}

function spells(bytes: Uint8Array, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Returns the offset of the space after the target, 0 when bytes are missing, or a fault. */
function parseTarget(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  head.targetStart = start;
  if (start >= end) return 0;
  if (head.method === Method.connect) return parseAuthorityForm(bytes, start, end, head);
  if (bytes[start] === SLASH) {
    head.form = TargetForm.origin;
    return endOfTarget(bytes, scanPath(bytes, start, end, head), end);
  }
  if (bytes[start] === STAR) {
    head.form = TargetForm.asterisk;
    return endOfTarget(bytes, emptyPathAt(start + 1, head), end);
  }
  return parseAbsoluteForm(bytes, start, end, head);
}

/** RFC 9112 section 3.2.3: host and port, both of them; port 0 is none to connect to (RFC 9110 section 9.3.6). */
function parseAuthorityForm(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  head.form = TargetForm.authority;
  const at = emptyPathAt(scanAuthority(bytes, start, end), head);
  if (at >= end) return 0;
  const port = judgeAuthority(bytes, start, at);
  if (port === Authority.invalid || port === Authority.withoutPort || port === 0) return Fault.targetInvalid;
  head.hostStart = start;
  head.hostEnd = at;
  return endOfTarget(bytes, at, end);
}

/** RFC 9112 section 3.2.2, for http and https. User information is refused (RFC 9110 section 4.2.4). */
function parseAbsoluteForm(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  head.form = TargetForm.absolute;
  const hostStart = parseScheme(bytes, start, end);
  if (hostStart <= 0) return hostStart;
  const hostEnd = scanAuthority(bytes, hostStart, end);
  if (hostEnd >= end) return 0;
  if (judgeAuthority(bytes, hostStart, hostEnd) === Authority.invalid) return Fault.targetInvalid;
  head.hostStart = hostStart;
  head.hostEnd = hostEnd;
  return endOfTarget(bytes, scanPath(bytes, hostEnd, end, head), end);
}

/** Offset after `http://` or `https://` in any case, 0 when bytes are missing, or a fault at the first byte that differs. */
function parseScheme(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  for (let i = 0; i < 4; i++, at++) {
    if (at >= end) return 0;
    if (tokenLower[bytes[at]!] !== "http".charCodeAt(i)) return schemeFault(bytes, at);
  }
  if (at < end && tokenLower[bytes[at]!] === 0x73) at++;
  for (let i = 0; i < 3; i++, at++) {
    if (at >= end) return 0;
    if (bytes[at] !== (i === 0 ? COLON : SLASH)) return schemeFault(bytes, at);
  }
  return at;
}

function schemeFault(bytes: Uint8Array, at: number): number {
  return bytes[at] === LF ? Fault.lineBareLf : Fault.targetInvalid;
}

/** Offset of the first byte that cannot be of an authority. It is judged as a whole, so this may take more than it should. */
function scanAuthority(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && pathByte[bytes[at]!] !== 0 && bytes[at] !== SLASH) at++;
  return at;
}

/** Scans path and query from `start`, each of which may be empty, and returns the offset of the first byte of neither. */
function scanPath(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  let at = start;
  let unclean = false;
  for (; at < end; at++) {
    const kind = pathByte[bytes[at]!]!;
    if (kind === PathByte.plain) continue;
    if (kind === 0) break;
    if (kind === PathByte.percent || (at > start && bytes[at - 1] === SLASH)) unclean = true;
  }
  head.pathStart = start;
  head.pathUnclean = unclean;
  head.queryStart = at;
  if (at < end && bytes[at] === QUESTION) {
    while (at < end && queryByte[bytes[at]!] !== 0) at++;
  }
  head.pathEnd = at;
  return at;
}

function emptyPathAt(at: number, head: RequestHead): number {
  head.pathStart = at;
  head.queryStart = at;
  head.pathEnd = at;
  return at;
}

/** A target stopped at `at`: good when a space is there. */
function endOfTarget(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return 0;
  const stop = bytes[at]!;
  if (stop === SP) return at;
  if (stop === LF) return Fault.lineBareLf;
  if (stop !== CR) return Fault.targetInvalid;
  if (at + 1 >= end) return 0;
  // A line of method and target only is HTTP/0.9.
  return bytes[at + 1] === LF ? Fault.versionUnsupported : Fault.lineBareCr;
}

/** `HTTP/1.0` or `HTTP/1.1` and CRLF. Returns the offset after it, 0 when bytes are missing, or a fault. */
function parseVersion(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  if (end - start >= 10 && isHttp11(bytes, start)) {
    head.version = 11;
    return start + 10;
  }
  for (let i = 0; i < 5; i++) {
    if (start + i >= end) return 0;
    if (bytes[start + i] !== "HTTP/".charCodeAt(i)) return versionFault(bytes, start + i);
  }
  const major = start + 5;
  for (let i = major; i < major + 3; i++) {
    if (i >= end) return 0;
    if (i === major + 1 ? bytes[i] !== DOT : !isDigit(bytes[i]!)) return versionFault(bytes, i);
  }
  const minor = bytes[major + 2]! - ZERO;
  if (bytes[major] !== 0x31 || minor > 1) return Fault.versionUnsupported;
  head.version = 10 + minor;
  const lineEnd = major + 3;
  if (lineEnd >= end) return 0;
  if (bytes[lineEnd] !== CR) return versionFault(bytes, lineEnd);
  if (lineEnd + 1 >= end) return 0;
  return bytes[lineEnd + 1] === LF ? lineEnd + 2 : Fault.lineBareCr;
}

/** `HTTP/1.1` CRLF, which nearly every request has. Spelled out: as a loop it is a fifth of a small request's cost. */
function isHttp11(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === SLASH &&
    bytes[at + 5] === 0x31 &&
    bytes[at + 6] === DOT &&
    bytes[at + 7] === 0x31 &&
    bytes[at + 8] === CR &&
    bytes[at + 9] === LF
  );
}

function versionFault(bytes: Uint8Array, at: number): number {
  return bytes[at] === LF ? Fault.lineBareLf : Fault.versionInvalid;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}
