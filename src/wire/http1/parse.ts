// The head parser: from bytes in the arena to a filled head, or to the reason why not. On the request's way, once per
// message. It keeps nothing between calls: while a head is incomplete the caller keeps its bytes together and calls again
// with all of them, so the result depends on the bytes alone and never on how they arrived. Faults are found from the
// first byte to the last, and the limit cuts what is looked at: more bytes never turn one fault into another.

import type { Arena } from "../arena.ts";
import { Fault } from "./faults.ts";
import { type Head, Method, type RequestHead, type ResponseHead, TargetForm } from "./head.ts";
import { parseLines } from "./parse-lines.ts";
import { parseRequestLine } from "./parse-request.ts";
import { parseStatusLine } from "./parse-response.ts";

export type HeadLimits = {
  /** Bytes from the first byte (blank lines before the request included) to the blank line's LF. */
  headerBytesMax: number;
  /** Header lines; above the room that the head was made with it has no effect. */
  headerCountMax: number;
};

/** What `request` and `response` return besides a negative fault. */
export const Parsed = { incomplete: 0, complete: 1 } as const;

export type HeadParser = {
  /** Read at every call. Each listener has its own: assign the listener's object, or change the fields. */
  limits: HeadLimits;
  /**
   * Parses the request head that begins at `start`. Returns 0 (no fault so far, more bytes are needed), 1 (complete and
   * valid, `head` is filled) or a fault: minus the index into `headFaults`. RFC 9112 sections 2 to 6.
   */
  request(start: number, end: number, head: RequestHead): number;
  /** The same for a response head. No blank line is skipped before it. */
  response(start: number, end: number, head: ResponseHead): number;
};

export function createHeadParser(arena: Arena, limits: HeadLimits): HeadParser {
  return {
    limits,
    request(start, end, head) {
      const bytesMax = this.limits.headerBytesMax;
      const cut = end - start > bytesMax;
      const result = parseRequest(arena, start, cut ? start + bytesMax : end, this.limits.headerCountMax, head);
      if (!cut || result !== Parsed.incomplete) return result;
      // Within a target that does not end the target is what is too long, and 414 tells the client so.
      return head.targetStart !== 0 && head.targetEnd === 0 ? Fault.targetTooLong : Fault.headerTooLarge;
    },
    response(start, end, head) {
      const bytesMax = this.limits.headerBytesMax;
      const cut = end - start > bytesMax;
      const result = parseResponse(arena, start, cut ? start + bytesMax : end, this.limits.headerCountMax, head);
      return cut && result === Parsed.incomplete ? Fault.headerTooLarge : result;
    },
  };
}

function parseRequest(arena: Arena, start: number, end: number, lineCountMax: number, head: RequestHead): number {
  clear(head);
  head.method = Method.other;
  head.form = TargetForm.origin;
  head.targetStart = 0;
  head.targetEnd = 0;
  head.pathUnclean = false;
  head.hostStart = 0;
  head.hostEnd = 0;
  head.hostLine = -1;
  head.expectContinue = false;
  const linesStart = parseRequestLine(arena.bytes, start, end, head);
  if (linesStart <= 0) return linesStart;
  head.linesStart = linesStart;
  const result = parseLines(arena, linesStart, end, lineCountMax, head, head);
  if (result <= 0) return result;
  return judgeRequest(head);
}

/** What can be said only when all lines are read. */
function judgeRequest(head: RequestHead): number {
  if (head.hostLine === -1 && head.version === 11) return Fault.hostMissing;
  // RFC 9110 section 9.3.6: a CONNECT has no content. Who reads a body here and who reads a tunnel would disagree.
  if (head.method === Method.connect && (head.chunked || head.contentLength > 0)) return Fault.framingConnect;
  return Parsed.complete;
}

function parseResponse(arena: Arena, start: number, end: number, lineCountMax: number, head: ResponseHead): number {
  clear(head);
  const linesStart = parseStatusLine(arena, start, end, head);
  if (linesStart <= 0) return linesStart;
  head.linesStart = linesStart;
  const result = parseLines(arena, linesStart, end, lineCountMax, head, undefined);
  return result <= 0 ? result : Parsed.complete;
}

function clear(head: Head): void {
  head.lineCount = 0;
  head.contentLength = -1;
  head.chunked = false;
  head.connectionClose = false;
  head.connectionKeepAlive = false;
  head.upgrade = false;
  head.connectionUpgrade = false;
  head.connectionNamed = 0;
  head.upgradeLine = -1;
}
