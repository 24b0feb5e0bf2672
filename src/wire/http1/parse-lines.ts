// The header lines of a head, up to the blank line, for requests and responses alike. On the request's way, its longest
// loop. Strict by RFC 9112 section 5: a name is a token with the colon at its end, a value has no control byte, a line
// ends with CRLF, nothing is folded. What a line means is line-fields.ts.

import type { Arena } from "../arena.ts";
import { Byte, scanValue, TOKEN_LOWER } from "./bytes.ts";
import { Fault } from "./faults.ts";
import { type Head, LINE, LineField, type RequestHead } from "./head.ts";
import { headerIdOf } from "./header-names.ts";
import { APPLIED_ID_LAST, applyLine, markNamedLines } from "./line-fields.ts";

const { COLON, CR, HTAB, LF, SP } = Byte;
const tokenLower = TOKEN_LOWER;
const lineSize = LINE;
const { id: ID, hash: HASH, nameStart: NAME_START, nameEnd: NAME_END } = LineField;
const { valueStart: VALUE_START, valueEnd: VALUE_END, end: END, hopByHop: HOP_BY_HOP } = LineField;
const appliedIdLast = APPLIED_ID_LAST;

/**
 * Reads from `start` (the first byte after the start line) and fills the lines of the head and what they say. `request` is
 * the head itself when it is a request's. Returns the offset after the blank line, 0 when bytes are missing, or a fault.
 */
export function parseLines(
  arena: Arena,
  start: number,
  end: number,
  lineCountMax: number,
  head: Head,
  request: RequestHead | undefined,
): number {
  const bytes = arena.bytes;
  const words = arena.words;
  const lines = head.lines;
  const lineMax = Math.min(lineCountMax, (lines.length / lineSize) | 0);
  let at = start;
  for (let index = 0; ; index++) {
    const nameStart = at;
    let hash = 0;
    while (at < end) {
      const lower = tokenLower[bytes[at]!]!;
      if (lower === 0) break;
      // The formula of headerNameHash.
      hash = (Math.imul(hash, 31) + lower) | 0;
      at++;
    }
    // The first byte of a line too many is enough to refuse, the first byte of the blank line is not.
    if (at > nameStart && index === lineMax) return Fault.headerTooMany;
    if (at >= end) return 0;
    if (bytes[at] !== COLON || at === nameStart) return endOfLines(bytes, nameStart, at, end, index, head);

    const nameEnd = at++;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    const valueStart = at;
    at = scanValue(bytes, words, at, end);
    if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return valueStopped(bytes, at, end);
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    at += 2;

    const id = headerIdOf(hash, bytes, nameStart, nameEnd);
    const line = index * lineSize;
    lines[line + ID] = id;
    lines[line + HASH] = hash;
    lines[line + NAME_START] = nameStart;
    lines[line + NAME_END] = nameEnd;
    lines[line + VALUE_START] = valueStart;
    lines[line + VALUE_END] = valueEnd;
    lines[line + END] = at;
    lines[line + HOP_BY_HOP] = 0;
    if (id !== 0 && id <= appliedIdLast) {
      const fault = applyLine(bytes, head, index, request);
      if (fault !== 0) return fault;
    }
  }
}

/** A name stopped at `at` without a colon, or is empty: the blank line, or a fault that says which kind of line this is. */
function endOfLines(
  bytes: Uint8Array,
  nameStart: number,
  at: number,
  end: number,
  lineCount: number,
  head: Head,
): number {
  const stop = bytes[at]!;
  if (stop === LF) return Fault.lineBareLf;
  if (at > nameStart) return Fault.headerNameInvalid;
  if (stop === SP || stop === HTAB) return Fault.headerFolded;
  if (stop !== CR) return Fault.headerNameInvalid;
  if (at + 1 >= end) return 0;
  if (bytes[at + 1] !== LF) return Fault.lineBareCr;
  head.end = at + 2;
  head.lineCount = lineCount;
  head.upgrade = head.connectionUpgrade && head.upgradeLine !== -1 && head.version === 11;
  if (head.connectionNamed !== 0) markNamedLines(bytes, head);
  return head.end;
}

/** Why a value did not end with CRLF at `at`: bytes are missing (0), or a fault. */
export function valueStopped(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return 0;
  const stop = bytes[at]!;
  if (stop === LF) return Fault.lineBareLf;
  if (stop !== CR) return Fault.headerValueInvalid;
  return at + 1 >= end ? 0 : Fault.lineBareCr;
}
