// TLS's record layer as far as a first message needs it (RFC 8446 section 5.1): where that message ends, and its bytes in
// one piece. On the request's way, once per connection. A message may be cut into records at any byte, and the records
// into reads at any other. Nothing is encrypted yet, so a record is what it says.

import { Parsed } from "../parsed.ts";
import { Fault } from "./faults.ts";

const RECORD_HEAD_BYTES = 5;
const RECORD_BYTES_MAX = 16384;
const HANDSHAKE_RECORD = 22;
/** The first byte of every version's number up to TLS 1.3; the second says nothing (section 5.1). */
const MAJOR_VERSION = 3;

/** Type and length of a handshake message (section 4). */
export const MESSAGE_HEAD_BYTES = 4;
const CLIENT_HELLO = 1;

/** `needed`: bytes that must be there, counted from the first, before another call can say more. */
export type Wait = { needed: number };

/**
 * Offset after the last byte of the ClientHello whose first record begins at `start`, `Parsed.incomplete` when bytes are
 * missing, or a fault. Each record adds to what is known of the end, and `bytesMax` is compared with that at once, so the
 * answer does not depend on how much was there when it was asked for.
 */
export function findMessageEnd(bytes: Buffer, start: number, end: number, bytesMax: number, wait: Wait): number {
  let at = start;
  let length = MESSAGE_HEAD_BYTES; // of the message, its head included; at least this, until the head has been seen
  let head = 0;
  let seen = 0; // of the message, before this record
  for (;;) {
    wait.needed = at + RECORD_HEAD_BYTES + length - seen - start;
    if (wait.needed > bytesMax) return Fault.helloTooLarge;
    const size = judgeRecord(bytes, at, end, at === start);
    if (size <= 0) return size;
    const payload = at + RECORD_HEAD_BYTES;
    for (let index = seen; index < Math.min(MESSAGE_HEAD_BYTES, seen + size); index++) {
      const byteAt = payload + index - seen;
      if (byteAt >= end) return Parsed.incomplete;
      if (index === 0 && bytes[byteAt] !== CLIENT_HELLO) return Fault.helloMissing;
      head = (head << 8) | bytes[byteAt]!;
      if (index === MESSAGE_HEAD_BYTES - 1) length = MESSAGE_HEAD_BYTES + (head & 0xffffff);
    }
    const missing = length - seen;
    if (missing <= size) {
      const messageEnd = payload + missing;
      wait.needed = messageEnd - start;
      if (wait.needed > bytesMax) return Fault.helloTooLarge;
      return end < messageEnd ? Parsed.incomplete : messageEnd;
    }
    seen += size;
    at = payload + size;
  }
}

/** Bytes of the record's payload, 0 when its head is not whole, or a fault. Empty ones must not be sent (section 5.1). */
function judgeRecord(bytes: Buffer, at: number, end: number, first: boolean): number {
  const fault = first ? Fault.recordMissing : Fault.recordInvalid;
  if (at >= end) return 0;
  if (bytes[at] !== HANDSHAKE_RECORD) return fault;
  if (at + 1 >= end) return 0;
  if (bytes[at + 1] !== MAJOR_VERSION) return fault;
  if (at + RECORD_HEAD_BYTES > end) return 0;
  const size = recordBytes(bytes, at);
  return size === 0 || size > RECORD_BYTES_MAX ? Fault.recordInvalid : size;
}

function recordBytes(bytes: Buffer, at: number): number {
  return (bytes[at + 3]! << 8) | bytes[at + 4]!;
}

/** Offset of the message when the first record holds all of it, else -1. */
export function messageInOne(bytes: Buffer, start: number, messageEnd: number): number {
  const payload = start + RECORD_HEAD_BYTES;
  return messageEnd <= payload + recordBytes(bytes, start) ? payload : -1;
}

/** Puts the pieces of the message together at the beginning of `joined` and returns their length. */
export function joinRecords(bytes: Buffer, start: number, messageEnd: number, joined: Buffer): number {
  let length = 0;
  let at = start;
  while (at < messageEnd) {
    const payload = at + RECORD_HEAD_BYTES;
    at = payload + recordBytes(bytes, at);
    length += bytes.copy(joined, length, payload, Math.min(at, messageEnd));
  }
  return length;
}
