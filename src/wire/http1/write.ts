// What we write of HTTP/1.x framing ourselves: chunk sizes and decimal numbers, straight into the arena. On the request's
// way. What is forwarded is framed by these and by nothing of the sender's.

import { assert } from "../../core/assert.ts";
import type { Arena } from "../arena.ts";

export const CRLF: Buffer = Buffer.from("\r\n");
/** Last chunk and empty trailer section. With trailers: LAST_CHUNK_LINE, the trailer lines, CRLF. */
export const LAST_CHUNK: Buffer = Buffer.from("0\r\n\r\n");
export const LAST_CHUNK_LINE: Buffer = Buffer.from("0\r\n");

/** Room that `writeChunkSizeBefore` needs before the payload: 8 digits (payloads of one write are far below 4 GiB) and CRLF. */
export const CHUNK_SIZE_ROOM = 10;

const HEX_DIGITS = Buffer.from("0123456789abcdef");

/**
 * Writes `HEX` CRLF (RFC 9112 section 7.1) so that it ends right before `dataStart`, and returns where it starts. `length`
 * is 1 to 2^32 - 1: a chunk of 0 would end the body. The caller keeps CHUNK_SIZE_ROOM bytes free before the payload.
 */
export function writeChunkSizeBefore(arena: Arena, dataStart: number, length: number): number {
  assert(length > 0 && length <= 0xffffffff && dataStart >= CHUNK_SIZE_ROOM, "a chunk has payload and room before it");
  const bytes = arena.bytes;
  let at = dataStart;
  bytes[--at] = 0x0a;
  bytes[--at] = 0x0d;
  for (let rest = length; rest !== 0; rest = rest >>> 4) bytes[--at] = HEX_DIGITS[rest & 15]!;
  return at;
}

/** Writes `number`, an integer from 0 to 2^53 - 1, in decimal at `at` and returns the offset after it (16 bytes at most). */
export function writeDecimal(arena: Arena, at: number, number: number): number {
  const bytes = arena.bytes;
  let end = at + 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) end++;
  let rest = number;
  for (let i = end - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    bytes[i] = 0x30 + (rest - tenth * 10);
    rest = tenth;
  }
  return end;
}
