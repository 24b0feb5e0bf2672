// A file that lines are appended to while requests go on: lines are collected in memory and written by the thread pool, one
// write at a time and in order. An edge; its `append` stands on the request's way, so it never blocks, throws or waits.
// Several processes may append to one file: it is opened with O_APPEND, and a write begins and ends at a line's border.
// Must not grow without bound: while the disk is slow or full, whole lines are dropped, counted and reported.

import { close, constants, open, openSync, write } from "node:fs";
import type { Milliseconds } from "../core/clock.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { LineSink } from "../core/line-sink.ts";

/** Bytes of memory that wait to be written, beside the buffer under way. At 300 bytes a line some 14,000 lines. */
export const logBytesHeldMax = 4 * 1024 * 1024;

/** How long a failed write waits before it is tried again (a full disk), and one that a full pipe refused. */
export const writeRetryDelay: Milliseconds = 1000;
export const pipeRetryDelay: Milliseconds = 10;

/** Tries of one write once `close` was called, pipeRetryDelay apart; then what is left is dropped. */
export const closingTriesMax = 100;

/** Dropped lines are reported together, this long after the first of them. */
export const dropReportDelay: Milliseconds = 10_000;

const bufferBytesMin = 4096;
const lineFeed = 0x0a;

/** The system calls that a log file makes; a test hands in its own. */
export type LogCalls = {
  openSync(path: string): number;
  open(path: string, done: (error: Error | null, fd: number) => void): void;
  write(fd: number, bytes: Uint8Array, start: number, length: number, done: WriteDone): void;
  close(fd: number, done: (error?: Error | null) => void): void;
};

type WriteDone = (error: NodeJS.ErrnoException | null, written: number) => void;

export type LogFileOptions = {
  /** A file that is created when it is missing, or `stdout`. */
  readonly path: string;
  /** Lines are written when this much has gathered, */
  readonly bufferBytesMax: number;
  /** or when the oldest has waited this long. */
  readonly flushInterval: Milliseconds;
  readonly bytesHeldMax?: number;
  /**
   * Called when writing begins to fail (`log.write.failed`), when a reopen failed (`log.open.failed`; the old file goes
   * on), and for lines that were dropped with their number (`log.lines.dropped`), at most once in dropReportDelay.
   */
  readonly onProblem: (failure: Failure, linesDropped: number) => void;
  readonly calls?: LogCalls;
  /** A timer that does not keep the process; returns its cancellation. */
  readonly later?: (delay: Milliseconds, then: () => void) => () => void;
};

/** Bytes to be written; byte 0 is a line feed of ours, lines follow from 1 on. */
type Chunk = {
  readonly bytes: Buffer;
  /** What is still to be written. */
  start: number;
  end: number;
  lines: number;
  /** Number of the file that the last write went to, 0 before the first: a reopen in between cuts a line in two. */
  file: number;
  /** `start` is at a line feed that ends the piece of a line that failed; the line follows again, whole. */
  rewound: boolean;
};

const openFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
const openMode = 0o640;

const systemCalls: LogCalls = {
  openSync: (path) => openSync(path, openFlags, openMode),
  open: (path, done) => open(path, openFlags, openMode, done),
  write: (fd, bytes, start, length, done) => write(fd, bytes, start, length, null, done),
  close: (fd, done) => close(fd, done),
};

function systemLater(delay: Milliseconds, then: () => void): () => void {
  const timer = setTimeout(then, delay);
  timer.unref();
  return () => clearTimeout(timer);
}

function failed(code: string, path: string, error: unknown): Failure {
  const detail = `${path}: ${error instanceof Error ? error.message : String(error)}`;
  return { code, origin: "self", retrySafe: true, detail };
}

/** Opens the file, waiting for the file system once. Fails with `log.open.failed`; the detail has path and reason. */
export function openLogFile(options: LogFileOptions): Result<LogFile> {
  if (options.path === "stdout") return good(new LogFile(options, 1));
  try {
    return good(new LogFile(options, (options.calls ?? systemCalls).openSync(options.path)));
  } catch (error) {
    return bad(failed("log.open.failed", options.path, error));
  }
}

export class LogFile implements LineSink {
  /** Lines dropped since the start, for metrics. */
  linesDropped = 0;
  readonly #options: LogFileOptions;
  readonly #calls: LogCalls;
  readonly #later: NonNullable<LogFileOptions["later"]>;
  readonly #capacity: number;
  readonly #bytesHeldMax: number;
  #fd: number;
  /** The buffer that lines go into. */
  #current: Chunk;
  /** A used buffer, kept for the next. */
  #spare: Buffer | undefined;
  /** Full buffers in the order of their lines; the first is the one being written. */
  readonly #queue: Chunk[] = [];
  /** Memory of the chunks in the queue. */
  #bytesHeld = 0;
  #writing = false;
  #flushWanted = false;
  #failing = false;
  /** Dropped since the last report. */
  #unreported = 0;
  #cancelFlush: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelReport: (() => void) | undefined;
  /** Grows with every reopen. */
  #file = 1;
  /** The reopen under way: who waits for it, and the file it replaced, while a write to that is under way. */
  #reopening: { readonly waiters: readonly (() => void)[]; fdReplaced: number } | undefined;
  #reopenWaiters: (() => void)[] = [];
  #closed = false;
  #closingTries = 0;
  readonly #closeWaiters: (() => void)[] = [];

  constructor(options: LogFileOptions, fd: number) {
    this.#options = options;
    this.#calls = options.calls ?? systemCalls;
    this.#later = options.later ?? systemLater;
    this.#capacity = Math.max(options.bufferBytesMax, bufferBytesMin) + 1;
    this.#bytesHeldMax = options.bytesHeldMax ?? logBytesHeldMax;
    this.#fd = fd;
    this.#current = this.#chunk(this.#capacity);
  }

  append(line: string): void {
    if (!this.#reserve(line.length)) return;
    const current = this.#current;
    current.end += current.bytes.write(line, current.end, "latin1");
    this.#appended(current);
  }

  appendBytes(line: Uint8Array, length: number): void {
    if (!this.#reserve(length)) return;
    const current = this.#current;
    if (line.length === length) current.bytes.set(line, current.end);
    else current.bytes.set(line.subarray(0, length), current.end);
    current.end += length;
    this.#appended(current);
  }

  /** Makes room in the current buffer; false when the line is dropped. */
  #reserve(length: number): boolean {
    if (this.#closed) {
      this.#drop(1);
      return false;
    }
    if (length > this.#current.bytes.length - this.#current.end) {
      // A line longer than a buffer gets one of its own.
      const needed = Math.max(length + 1, this.#capacity);
      if (this.#bytesHeld + this.#current.bytes.length > this.#bytesHeldMax) {
        this.#drop(1);
        return false;
      }
      this.#seal(needed);
      this.#pump();
    }
    return true;
  }

  #appended(current: Chunk): void {
    current.lines++;
    if (current.end > this.#options.bufferBytesMax) this.flush();
    else if (this.#cancelFlush === undefined) {
      this.#cancelFlush = this.#later(this.#options.flushInterval, () => {
        this.#cancelFlush = undefined;
        this.flush();
      });
    }
  }

  flush(): void {
    this.#flushWanted = true;
    this.#pump();
  }

  /**
   * Opens the path again, for log rotation: after `mv` and this call every line goes, whole, to the old or to the new
   * file. Resolves when the old file is closed. A failure is reported and leaves the old file in use. Nothing for stdout.
   */
  reopen(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || this.#options.path === "stdout") {
        resolve();
        return;
      }
      this.#reopenWaiters.push(resolve);
      if (this.#reopening === undefined) this.#open();
    });
  }

  /** Writes all that is held, then closes. Resolves even when that fails; what could not be written is reported. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closed = true;
      this.#closeWaiters.push(resolve);
      this.#cancelFlush?.();
      this.#cancelRetry?.();
      this.#cancelRetry = undefined;
      this.flush();
    });
  }

  #chunk(size: number): Chunk {
    let bytes = this.#spare;
    if (bytes?.length === size) {
      this.#spare = undefined;
    } else {
      bytes = Buffer.allocUnsafeSlow(size);
      bytes[0] = lineFeed;
    }
    return { bytes, start: 1, end: 1, lines: 0, file: 0, rewound: false };
  }

  /** Puts the current buffer, if it has anything, at the end of the queue and takes a new one of this size. */
  #seal(size: number): void {
    const current = this.#current;
    if (current.lines > 0) {
      this.#queue.push(current);
      this.#bytesHeld += current.bytes.length;
    }
    this.#current = this.#chunk(size);
  }

  /** Starts the next write, if there is something to write and nothing in the way. */
  #pump(): void {
    if (this.#writing || this.#cancelRetry !== undefined) return;
    // A buffer that is not full is taken only when nothing is before it: so the queue holds full buffers.
    if (this.#queue.length === 0 && this.#flushWanted) {
      this.#flushWanted = false;
      this.#cancelFlush?.();
      this.#cancelFlush = undefined;
      if (this.#current.lines > 0) this.#seal(this.#capacity);
    }
    const chunk = this.#queue[0];
    if (chunk === undefined) {
      if (this.#closed) this.#finish();
      return;
    }
    this.#writing = true;
    if (chunk.file !== this.#file) {
      if (chunk.file > 0) rewind(chunk, { sameFile: false });
      chunk.file = this.#file;
    }
    this.#calls.write(this.#fd, chunk.bytes, chunk.start, chunk.end - chunk.start, this.#onWritten);
  }

  readonly #onWritten: WriteDone = (error, written) => {
    this.#writing = false;
    this.#closeReplaced();
    const chunk = this.#queue[0];
    if (chunk === undefined) return;
    if (error !== null || written === 0) {
      this.#onWriteFailed(chunk, error ?? new Error("nothing was written"));
      return;
    }
    this.#closingTries = 0;
    chunk.start += written;
    chunk.rewound = false;
    if (chunk.start >= chunk.end) {
      this.#failing = false;
      this.#queue.shift();
      this.#bytesHeld -= chunk.bytes.length;
      if (chunk.bytes.length === this.#capacity) this.#spare = chunk.bytes;
    }
    this.#pump();
  };

  #onWriteFailed(chunk: Chunk, error: NodeJS.ErrnoException): void {
    const full = error.code === "EAGAIN";
    if (!full) {
      rewind(chunk, { sameFile: true });
      if (!this.#failing) this.#options.onProblem(failed("log.write.failed", this.#options.path, error), 0);
      this.#failing = true;
    }
    if (this.#closed && ++this.#closingTries >= closingTriesMax) {
      this.#giveUp();
      return;
    }
    this.#cancelRetry = this.#later(full || this.#closed ? pipeRetryDelay : writeRetryDelay, () => {
      this.#cancelRetry = undefined;
      this.#pump();
    });
  }

  #giveUp(): void {
    for (const chunk of this.#queue) this.#drop(linesIn(chunk));
    this.#queue.length = 0;
    this.#bytesHeld = 0;
    this.#drop(this.#current.lines);
    this.#current = this.#chunk(this.#capacity);
    this.#finish();
  }

  #finish(): void {
    this.#cancelReport?.();
    if (this.#unreported > 0) this.#reportDropped();
    const waiters = this.#closeWaiters.splice(0);
    const fd = this.#fd;
    this.#fd = -1;
    if (fd < 0 || this.#options.path === "stdout") {
      resolveAll(waiters);
      return;
    }
    this.#calls.close(fd, (error) => {
      this.#onFileClosed(error);
      resolveAll(waiters);
    });
  }

  #open(): void {
    const reopening = { waiters: this.#reopenWaiters, fdReplaced: -1 };
    this.#reopenWaiters = [];
    this.#reopening = reopening;
    this.#calls.open(this.#options.path, (error, fd) => {
      if (error !== null) {
        this.#options.onProblem(failed("log.open.failed", this.#options.path, error), 0);
        this.#reopened();
        return;
      }
      reopening.fdReplaced = this.#fd;
      // Closed meanwhile: nothing is written any more, the new file is of no use.
      if (this.#fd < 0) reopening.fdReplaced = fd;
      else {
        this.#fd = fd;
        this.#file++;
      }
      if (!this.#writing) this.#closeReplaced();
    });
  }

  /** Closes a file that a reopen replaced. Call it only while no write is under way. */
  #closeReplaced(): void {
    const reopening = this.#reopening;
    if (reopening === undefined || reopening.fdReplaced < 0) return;
    const fd = reopening.fdReplaced;
    reopening.fdReplaced = -1;
    this.#calls.close(fd, (error) => {
      this.#onFileClosed(error);
      this.#reopened();
    });
  }

  #reopened(): void {
    const waiters = this.#reopening?.waiters ?? [];
    this.#reopening = undefined;
    resolveAll(waiters);
    if (this.#reopenWaiters.length > 0) this.#open();
  }

  // Some file systems tell of a failed write only here (close(2), on NFS and quotas).
  #onFileClosed(error: Error | null | undefined): void {
    if (error) this.#options.onProblem(failed("log.write.failed", this.#options.path, error), 0);
  }

  #drop(lines: number): void {
    this.linesDropped += lines;
    this.#unreported += lines;
    if (this.#closed || this.#cancelReport !== undefined) return;
    this.#cancelReport = this.#later(dropReportDelay, () => {
      this.#cancelReport = undefined;
      this.#reportDropped();
    });
  }

  #reportDropped(): void {
    const lines = this.#unreported;
    this.#unreported = 0;
    const detail = `${this.#options.path}: ${lines} lines were dropped, the file does not take them fast enough`;
    this.#options.onProblem({ code: "log.lines.dropped", origin: "self", retrySafe: false, detail }, lines);
  }
}

/**
 * Goes back to the start of the line that a failed or replaced file cut, if one was. In the same file it is written again
 * behind a line feed, so that the piece stands on a line of its own and all other lines are whole.
 */
function rewind(chunk: Chunk, { sameFile }: { readonly sameFile: boolean }): void {
  if (chunk.rewound) {
    if (sameFile) return;
    chunk.rewound = false;
    chunk.start++;
    return;
  }
  // Cut before its last byte, the line needs no more than that.
  if (sameFile && chunk.bytes[chunk.start] === lineFeed) return;
  // The byte before a line is the feed of the line before it, or byte 0.
  const before = chunk.bytes.lastIndexOf(lineFeed, chunk.start - 1);
  if (before === chunk.start - 1) return;
  chunk.start = sameFile ? before : before + 1;
  chunk.rewound = sameFile;
}

/** Lines that are still to be written, one cut in two counted. */
function linesIn(chunk: Chunk): number {
  let lines = 0;
  for (let at = chunk.start + (chunk.rewound ? 1 : 0); at < chunk.end; at++) if (chunk.bytes[at] === lineFeed) lines++;
  return lines;
}

function resolveAll(waiters: readonly (() => void)[]): void {
  for (const resolve of waiters) resolve();
}
