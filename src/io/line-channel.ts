// Lines over a pipe or socket pair between two of our processes, without Node's event loop: for a process that sits in
// wait-loop.ts. The change's way. A line is JSON text; what it means and whether it may be believed is the reader's business.
// Never blocks: what a slow reader does not take waits here up to a limit, beyond which the channel fails.

import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { readSome, writeSome } from "./libc-sockets.ts";

export type LineChannel = {
  readonly readFd: number;
  readonly writeFd: number;
  /** The beginning of a line whose end has not come. */
  partial: string;
  /** What the pipe did not take yet. */
  waiting: Uint8Array;
  readonly decoder: InstanceType<typeof TextDecoder>;
};

/** Of one line, and of what may wait in either direction. */
export const LINE_BYTES_MAX = 1024 * 1024;
const readBytes = 64 * 1024;

/** Both descriptors may be the same one. They must not block (neverWait). */
export function lineChannel(ends: { readonly readFd: number; readonly writeFd: number }): LineChannel {
  return { ...ends, partial: "", waiting: new Uint8Array(0), decoder: new TextDecoder() };
}

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

/**
 * The whole lines that are there now, and whether the other end has closed. Codes: channel.tooLong, channel.failed.
 */
export function readLines(
  channel: LineChannel,
): Result<{ readonly lines: readonly string[]; readonly ended: boolean }> {
  const room = new Uint8Array(readBytes);
  const read = readSome(channel.readFd, room);
  if (!read.ok) {
    if (read.name === "EAGAIN" || read.name === "EINTR") return good({ lines: [], ended: false });
    // A socket pair says so when the other end died with unread data.
    if (read.name === "ECONNRESET") return good({ lines: [], ended: true });
    return bad(failure("channel.failed", `read failed with ${read.name}`));
  }
  if (read.value === 0) return good({ lines: [], ended: true });
  const text = channel.partial + channel.decoder.decode(room.subarray(0, read.value), { stream: true });
  const lines = text.split("\n");
  channel.partial = lines.pop() ?? "";
  if (channel.partial.length > LINE_BYTES_MAX) {
    return bad(failure("channel.tooLong", `a line longer than ${LINE_BYTES_MAX} bytes`));
  }
  return good({ lines, ended: false });
}

/**
 * Sends a line, or keeps what the pipe does not take for the next call; an empty text only sends what waits.
 * Codes: channel.closed (the other end is gone), channel.full, channel.failed.
 */
export function writeLine(channel: LineChannel, text: string): Result<true> {
  const line = text === "" ? new Uint8Array(0) : new TextEncoder().encode(`${text}\n`);
  let bytes = line;
  if (channel.waiting.length > 0) {
    bytes = new Uint8Array(channel.waiting.length + line.length);
    bytes.set(channel.waiting);
    bytes.set(line, channel.waiting.length);
  }
  while (bytes.length > 0) {
    const written = writeSome(channel.writeFd, bytes);
    if (written.ok) {
      bytes = bytes.subarray(written.value);
      continue;
    }
    if (written.name === "EINTR") continue;
    if (written.name === "EAGAIN") break;
    channel.waiting = new Uint8Array(0);
    const code = written.name === "EPIPE" || written.name === "ECONNRESET" ? "channel.closed" : "channel.failed";
    return bad(failure(code, `write failed with ${written.name}`));
  }
  if (bytes.length > LINE_BYTES_MAX) return bad(failure("channel.full", "the other process does not read"));
  channel.waiting = bytes.slice();
  return good(true);
}
