// The status line: version, status, reason (RFC 9112 section 4). On the request's way, its way back. The reason may be
// missing with its space or without, as real servers send it; everything else is strict.

import type { Arena } from "../arena.ts";
import { Byte, scanValue } from "./bytes.ts";
import { Fault } from "./faults.ts";
import type { ResponseHead } from "./head.ts";
import { valueStopped } from "./parse-lines.ts";

const { CR, LF, SP, ZERO } = Byte;

const PREFIX = "HTTP/1.";

/** Parses from `start`. Returns the offset after the line's CRLF, 0 when bytes are missing, or a fault. */
export function parseStatusLine(arena: Arena, start: number, end: number, head: ResponseHead): number {
  const bytes = arena.bytes;
  for (let i = 0; i < PREFIX.length; i++) {
    if (start + i >= end) return 0;
    if (bytes[start + i] !== PREFIX.charCodeAt(i)) return i === 5 ? Fault.versionUnsupported : Fault.statusInvalid;
  }
  let at = start + PREFIX.length;
  if (at >= end) return 0;
  const minor = bytes[at]! - ZERO;
  if (minor < 0 || minor > 9) return Fault.statusInvalid;
  // RFC 9110 section 2.5: a higher minor version is read as the highest one we know.
  head.version = minor === 0 ? 10 : 11;
  head.exactVersion = minor <= 1;
  at++;
  if (at >= end) return 0;
  if (bytes[at] !== SP) return Fault.statusInvalid;
  at++;
  let status = 0;
  for (const statusEnd = at + 3; at < statusEnd; at++) {
    if (at >= end) return 0;
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return Fault.statusInvalid;
    status = status * 10 + digit;
  }
  if (status < 100 || status > 599) return Fault.statusInvalid;
  head.status = status;
  return parseReason(arena, at, end, head);
}

function parseReason(arena: Arena, start: number, end: number, head: ResponseHead): number {
  const bytes = arena.bytes;
  let at = start;
  if (at < end && bytes[at] === SP) at++;
  else if (at < end && bytes[at] !== CR) return bytes[at] === LF ? Fault.lineBareLf : Fault.statusInvalid;
  head.reasonStart = at;
  at = scanValue(bytes, arena.words, at, end);
  head.reasonEnd = at;
  if (at + 1 < end && bytes[at] === CR && bytes[at + 1] === LF) return at + 2;
  const stopped = valueStopped(bytes, at, end);
  return stopped === Fault.headerValueInvalid ? Fault.statusInvalid : stopped;
}
