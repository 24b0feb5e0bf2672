// A FIFO that is told each change of a virtual router, one line each, for a program that reads it: keepalived's notify_fifo.
// The change's way. A line is written whole or not at all and never waits: without a reader some hundreds of lines stay in
// the pipe, further ones are refused and counted by the caller. Made here when it is missing, and then removed at the end.

import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats, unlinkSync, writeSync } from "node:fs";
import koffi from "koffi";
import { bad, good, type Result } from "../core/failure.ts";

const cMkfifo: (path: string, mode: number) => number = koffi.load(null).func("int mkfifo(const char *, unsigned int)");

/** What a pipe takes whole (PIPE_BUF). */
export const FIFO_LINE_BYTES_MAX = 4096;
/** Its owner's alone, as keepalived makes it: who may write there can play the balancer. */
const fifoMode = 0o600;

export type NotifyFifo = {
  /** Makes it when it is missing, so that a reader finds it. Codes as for `write`. */
  open(): Result<true>;
  /**
   * One line; its end is added. Opens the FIFO when that has not been done or another lies at its place now. Codes:
   * fifo.missing, fifo.notFifo, fifo.denied, fifo.full, fifo.tooLong, fifo.failed.
   */
  write(line: string): Result<true>;
  /** Removes it when it was made here. Codes: fifo.denied, fifo.failed. */
  close(): Result<true>;
};

export function notifyFifo(path: string): NotifyFifo {
  let open: { readonly fd: number; readonly stats: Stats } | undefined;
  let made = false;
  const drop = () => {
    if (open !== undefined) closeSync(open.fd);
    open = undefined;
  };
  const current = (): number => {
    if (open !== undefined) {
      const now = lstatSync(path, { throwIfNoEntry: false });
      if (now?.ino === open.stats.ino && now.dev === open.stats.dev) return open.fd;
      drop();
    }
    if (cMkfifo(path, fifoMode) === 0) made = true;
    const { O_RDWR, O_NONBLOCK, O_NOFOLLOW } = constants;
    // For reading too: then it opens without a reader, and what was written stays when a reader is replaced.
    const fd = openSync(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
    const stats = fstatSync(fd);
    if (!stats.isFIFO()) {
      closeSync(fd);
      throw Object.assign(new Error("not a FIFO"), { code: "ENOTFIFO" });
    }
    open = { fd, stats };
    return fd;
  };
  return {
    open() {
      try {
        current();
        return good(true);
      } catch (error) {
        return explain(path, error);
      }
    },
    write(line) {
      const bytes = Buffer.from(`${line}\n`);
      if (bytes.length > FIFO_LINE_BYTES_MAX) return refused("tooLong", `a line of ${bytes.length} bytes for ${path}`);
      try {
        writeSync(current(), bytes);
        return good(true);
      } catch (error) {
        return explain(path, error);
      }
    },
    close() {
      const ours = open;
      try {
        const now = ours === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
        drop();
        if (made && now !== undefined && now.ino === ours?.stats.ino) unlinkSync(path);
        return good(true);
      } catch (error) {
        return explain(path, error);
      }
    },
  };
}

function refused(part: string, detail: string) {
  return bad({ code: `fifo.${part}`, origin: "self", retrySafe: true, detail });
}

function explain(path: string, error: unknown) {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  switch (code) {
    case "EAGAIN":
      return refused("full", `${path}: nobody reads it, and it takes no more`);
    case "ENOENT":
    case "ENOTDIR":
      return refused("missing", `${path} cannot be made: its folder does not exist`);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return refused("denied", `${path}: this user may not make or write it (${code})`);
    case "ENOTFIFO":
    case "EISDIR":
    case "ELOOP":
    case "ENXIO":
      return refused("notFifo", `${path} is there and is no FIFO`);
    default:
      return refused("failed", `${path}: ${code}`);
  }
}
