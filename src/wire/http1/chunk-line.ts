// The line before each chunk: size and extensions (RFC 9112 section 7.1), as a machine that may stop at any byte. On the
// request's way. Strict where readers are known to differ: only hexadecimal digits, no sign, no `0x`, no white space
// anywhere (section 7.1.1 allows "bad white space" around `;` and `=`, and some old servers pad the size with spaces: we
// refuse both), CRLF only. Extensions are judged by their grammar and dropped; no hop but ours was meant by them.

import { Byte, HEX, TOKEN_LOWER, VALUE } from "./bytes.ts";
import { Fault } from "./faults.ts";

const { CR, EQUALS, LF, QUOTE, SEMICOLON, BACKSLASH } = Byte;
const hexDigit = HEX;
const tokenLower = TOKEN_LOWER;
const valueByte = VALUE;

/** 13 digits stay below 2^53, leading zeros counted. */
const SIZE_DIGITS_MAX = 13;
/**
 * Extension bytes that a message may have above its payload bytes. A signed upload has some 80 for each 64 KiB and goes
 * on for ever; one-byte chunks with long extensions, which cost work for nothing, end here.
 */
export const CHUNK_EXTENSION_EXCESS_MAX = 4096;

/** What the next byte of the line belongs to. */
export const ChunkLine = {
  firstDigit: 0,
  digits: 1,
  nameStart: 2,
  name: 3,
  valueStart: 4,
  value: 5,
  quoted: 6,
  escaped: 7,
  afterQuoted: 8,
  lineFeed: 9,
  complete: 10,
} as const;
type ChunkLineState = (typeof ChunkLine)[keyof typeof ChunkLine];

export type ChunkLine = {
  state: ChunkLineState;
  /** Of the chunk, once complete. */
  size: number;
  digits: number;
  /** Extension bytes of the message above its payload bytes. */
  excess: number;
};

export function chunkLine(): ChunkLine {
  return { state: ChunkLine.firstDigit, size: 0, digits: 0, excess: 0 };
}

/** Makes ready for the next chunk of the same message. */
export function nextChunkLine(line: ChunkLine): void {
  line.state = ChunkLine.firstDigit;
  line.size = 0;
  line.digits = 0;
}

/** Reads on from `start`. Returns the offset after what it read (`end`, or after the LF with state complete), or a fault. */
export function continueChunkLine(line: ChunkLine, bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (line.state <= ChunkLine.digits) {
      const digit = hexDigit[byte]!;
      if (digit !== 0) {
        if (line.digits === SIZE_DIGITS_MAX) return Fault.chunkSizeTooLarge;
        line.digits++;
        line.size = line.size * 16 + digit - 1;
        line.state = ChunkLine.digits;
        at++;
        continue;
      }
      if (byte === LF) return Fault.lineBareLf;
      if (line.state === ChunkLine.firstDigit || (byte !== CR && byte !== SEMICOLON)) return Fault.chunkSizeInvalid;
      line.state = byte === CR ? ChunkLine.lineFeed : ChunkLine.nameStart;
    } else if (line.state === ChunkLine.lineFeed) {
      if (byte !== LF) return Fault.lineBareCr;
      line.excess = Math.max(0, line.excess - line.size);
      line.state = ChunkLine.complete;
      return at + 1;
    } else {
      if (byte === LF) return Fault.lineBareLf;
      if (++line.excess > CHUNK_EXTENSION_EXCESS_MAX) return Fault.chunkExtensionTooLarge;
      const next = nextInExtension(line.state, byte);
      if (next < 0) return Fault.chunkExtensionInvalid;
      line.state = next as ChunkLineState;
    }
    at++;
  }
  return at;
}

/** `chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )`. Returns the next state, or -1. */
function nextInExtension(state: ChunkLineState, byte: number): ChunkLineState | -1 {
  const token = tokenLower[byte] !== 0;
  switch (state) {
    case ChunkLine.nameStart:
      return token ? ChunkLine.name : -1;
    case ChunkLine.name:
      if (token) return ChunkLine.name;
      return byte === EQUALS ? ChunkLine.valueStart : afterExtension(byte);
    case ChunkLine.valueStart:
      if (byte === QUOTE) return ChunkLine.quoted;
      return token ? ChunkLine.value : -1;
    case ChunkLine.value:
      return token ? ChunkLine.value : afterExtension(byte);
    case ChunkLine.quoted:
      if (byte === QUOTE) return ChunkLine.afterQuoted;
      if (byte === BACKSLASH) return ChunkLine.escaped;
      return valueByte[byte] !== 0 ? ChunkLine.quoted : -1;
    case ChunkLine.escaped:
      return valueByte[byte] !== 0 ? ChunkLine.quoted : -1;
    case ChunkLine.afterQuoted:
      return afterExtension(byte);
    default:
      return -1;
  }
}

function afterExtension(byte: number): ChunkLineState | -1 {
  if (byte === SEMICOLON) return ChunkLine.nameStart;
  return byte === CR ? ChunkLine.lineFeed : -1;
}
