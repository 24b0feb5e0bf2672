// Frames payload as one chunk of ours, in place (RFC 9112 section 7.1): the size right before it, CRLF right behind it,
// and after the last payload the last chunk. On the request's way, both directions. There is room behind the payload:
// in the read area by layout, before bytes of the next message because behind payload the sender's own framing was as long.

import type { Arena } from "../wire/arena.ts";
import type { BodyReader } from "../wire/http1/body.ts";
import { CRLF, LAST_CHUNK, LAST_CHUNK_LINE, writeChunkSizeBefore } from "../wire/http1/write.ts";
import type { HeadWriter } from "./head-writer.ts";

/** Where the framed bytes lie; one object per worker is enough, read at once after `frameChunk`. */
export type Frame = {
  start: number;
  end: number;
  /** The end of the message does not lie behind the payload: `writeTrailers` puts it together. */
  trailers: boolean;
};

/** Frames start..reader.dataEnd after `reader.read`; start = end when there is nothing to send. */
export function frameChunk(arena: Arena, reader: BodyReader, start: number, frame: Frame): void {
  const { bytes } = arena;
  const last = reader.complete && reader.trailers === undefined;
  let end = reader.dataEnd;
  frame.trailers = reader.complete && !last;
  if (end > start) {
    frame.start = writeChunkSizeBefore(arena, start, end - start);
    bytes.set(CRLF, end);
    end += CRLF.length;
    if (last) {
      bytes.set(LAST_CHUNK, end);
      end += LAST_CHUNK.length;
    }
  } else if (last) {
    // Of the sender's last chunk only the end may have come with this read, with the next message right behind it.
    end = reader.consumedEnd;
    frame.start = end - LAST_CHUNK.length;
    bytes.set(LAST_CHUNK, frame.start);
  } else {
    frame.start = end;
  }
  frame.end = end;
}

/** The last chunk with the trailers that may be forwarded. */
export function writeTrailers(writer: HeadWriter, reader: BodyReader): void {
  const { trailers } = reader;
  writer.copy(LAST_CHUNK_LINE);
  if (trailers !== undefined) writer.copy(trailers);
  writer.copy(CRLF);
}
