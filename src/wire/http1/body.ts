// The body of a message, read as it comes: which bytes are payload, where the message ends. On the request's way, both
// directions, once per read. Payload stays in the arena; chunked payload is moved together so that nothing of the
// sender's framing is left and the proxy frames it anew. One reader per connection and direction, used again for every
// message; it keeps no offset between calls, so the bytes may arrive cut anywhere. Chunks are read in chunk-line.ts.

import type { Arena } from "../arena.ts";
import { Byte } from "./bytes.ts";
import { ChunkLine, chunkLine, continueChunkLine, nextChunkLine } from "./chunk-line.ts";
import { Fault } from "./faults.ts";
import { TrailerReader } from "./trailers.ts";

const { CR, LF } = Byte;

/** RFC 9112 section 6.3. */
export const BodyMode = { none: 0, length: 1, chunked: 2, untilClose: 3 } as const;
export type BodyMode = (typeof BodyMode)[keyof typeof BodyMode];

/** Bytes of the trailer section, unless the maker of the reader asks otherwise. */
export const TRAILER_BYTES_MAX = 8192;

// Where the next byte belongs.
const Place = { chunkLine: 0, data: 1, dataCr: 2, dataLf: 3, trailerStart: 4, trailerLine: 5, lastLf: 6 } as const;
type Place = (typeof Place)[keyof typeof Place];

/** Below this a loop is faster than the call of copyWithin. */
const LOOP_MOVE_MAX = 32;

export class BodyReader {
  mode: BodyMode = BodyMode.none;
  /** The last byte of the message has been read. */
  complete = true;
  /** After `read(start, end)`: its payload is start..dataEnd. */
  dataEnd = 0;
  /** After `read`: the first byte that is not of this message (`end` while it is incomplete). */
  consumedEnd = 0;
  /** Set with `complete`: trailers that may be forwarded (see trailers.ts) as `name: value` CRLF lines; undefined: none. */
  trailers: Buffer | undefined = undefined;
  /** Bytes of a trailer section; larger is a fault. */
  trailerBytesMax: number;

  readonly #arena: Arena;
  /** Bytes of payload until the end of the body, or of the chunk. */
  #remaining = 0;
  #place: Place = Place.chunkLine;
  readonly #line = chunkLine();
  #trailer: TrailerReader | undefined = undefined;
  #fault = 0;

  constructor(arena: Arena, trailerBytesMax: number = TRAILER_BYTES_MAX) {
    this.#arena = arena;
    this.trailerBytesMax = trailerBytesMax;
  }

  /** Starts a message. `length` counts with `BodyMode.length` only, in bytes, 0 or more. */
  begin(mode: BodyMode, length: number): void {
    this.mode = mode;
    this.complete = mode === BodyMode.none || (mode === BodyMode.length && length === 0);
    this.#remaining = mode === BodyMode.length ? length : 0;
    this.#fault = 0;
    this.trailers = undefined;
    this.#trailer = undefined;
    this.#place = Place.chunkLine;
    this.#line.excess = 0;
    nextChunkLine(this.#line);
  }

  /**
   * Reads start..end of the arena and sets `dataEnd`, `consumedEnd` and `complete`. Returns 0 or a fault: minus the index
   * into `headFaults`; after a fault every further call returns it. In chunked mode bytes of start..consumedEnd are
   * overwritten, those behind it are not touched.
   */
  read(start: number, end: number): number {
    if (this.complete) {
      this.dataEnd = start;
      this.consumedEnd = start;
      return 0;
    }
    if (this.mode === BodyMode.chunked) return this.#readChunked(start, end);
    this.dataEnd = end;
    if (this.mode === BodyMode.length) {
      const available = end - start;
      if (available >= this.#remaining) {
        this.dataEnd = start + this.#remaining;
        this.#remaining = 0;
        this.complete = true;
      } else {
        this.#remaining -= available;
      }
    }
    this.consumedEnd = this.dataEnd;
    return 0;
  }

  /** The sender half-closed. Good when the body is complete or was to end so; else a fault (RFC 9112 section 8). */
  endOfInput(): number {
    if (this.#fault !== 0) return this.#fault;
    if (this.mode === BodyMode.untilClose) this.complete = true;
    return this.complete ? 0 : Fault.bodyTruncated;
  }

  #readChunked(start: number, end: number): number {
    this.dataEnd = start;
    this.consumedEnd = start;
    let at = start;
    while (at < end && this.#fault === 0 && !this.complete) {
      at = this.#place === Place.data ? this.#readData(at, end) : this.#readFraming(at, end);
    }
    this.consumedEnd = at;
    return this.#fault;
  }

  /** Takes what is there of the chunk and moves it behind the payload before it. */
  #readData(at: number, end: number): number {
    const bytes = this.#arena.bytes;
    const length = Math.min(this.#remaining, end - at);
    const to = this.dataEnd;
    if (to !== at) {
      if (length > LOOP_MOVE_MAX) bytes.copyWithin(to, at, at + length);
      else for (let i = 0; i < length; i++) bytes[to + i] = bytes[at + i]!;
    }
    this.dataEnd = to + length;
    this.#remaining -= length;
    if (this.#remaining === 0) this.#place = Place.dataCr;
    return at + length;
  }

  /** Reads one piece of framing and returns the offset after it. */
  #readFraming(at: number, end: number): number {
    const bytes = this.#arena.bytes;
    switch (this.#place) {
      case Place.chunkLine:
        return this.#readChunkLine(at, end);
      case Place.dataCr:
        return this.#expect(bytes[at]! === CR, Place.dataLf, Fault.chunkEndInvalid, at);
      case Place.dataLf:
        return this.#expect(bytes[at]! === LF, Place.chunkLine, Fault.chunkEndInvalid, at);
      case Place.trailerStart:
        // Without trailers, as nearly always, nothing is made.
        if (bytes[at] === CR) this.#place = Place.lastLf;
        else this.#place = Place.trailerLine;
        return bytes[at] === CR ? at + 1 : at;
      case Place.trailerLine:
        return this.#readTrailerLine(at, end);
      case Place.lastLf:
        if (bytes[at] === LF) this.#finish();
        return this.#expect(this.complete, Place.lastLf, Fault.lineBareCr, at);
      case Place.data:
        return at;
      default:
        this.#place satisfies never;
        return at;
    }
  }

  #finish(): void {
    this.complete = true;
    this.trailers = this.#trailer?.forwardable();
    this.#trailer = undefined;
  }

  #expect(good: boolean, next: Place, fault: number, at: number): number {
    if (!good) {
      this.#fault = fault;
      return at;
    }
    this.#place = next;
    return at + 1;
  }

  #readChunkLine(at: number, end: number): number {
    const line = this.#line;
    const next = continueChunkLine(line, this.#arena.bytes, at, end);
    if (next < 0) {
      this.#fault = next;
      return at;
    }
    if (line.state !== ChunkLine.complete) return next;
    this.#remaining = line.size;
    this.#place = line.size === 0 ? Place.trailerStart : Place.data;
    nextChunkLine(line);
    return next;
  }

  #readTrailerLine(at: number, end: number): number {
    this.#trailer ??= new TrailerReader(this.trailerBytesMax);
    const next = this.#trailer.read(this.#arena.bytes, at, end);
    if (next < 0) {
      this.#fault = next;
      return at;
    }
    if (this.#trailer.lineComplete) this.#place = Place.trailerStart;
    return next;
  }
}
