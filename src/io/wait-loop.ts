// One thread that waits: for descriptors and for the next deadline, in one ppoll(2), with nothing else between. The change's
// way, in processes whose only work is this: Node's event loop does not run while it waits, so that neither its other work
// nor its timers of whole milliseconds can delay an advertisement. Timers are data: the caller says when the next one is due.
// Must not be used beside promises, streams or child processes that still have something to say.

import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { pollDescriptors } from "./libc-sockets.ts";

export type WaitSource = {
  readonly fd: number;
  /** There is something to read, or the other end is gone: reading tells which. Reads a bounded amount and returns. */
  readonly onReady: () => void;
};

export type WaitLoop = {
  sources: WaitSource[];
  /** struct pollfd for each source, in their order. */
  descriptors: Uint8Array;
  readonly timeout: Uint8Array;
};

/** Sockets of 64 virtual routers, both families, and what belongs to them. */
export const SOURCES_MAX = 512;
const pollBytes = 8;
const pollIn = 1;

export function waitLoop(): WaitLoop {
  return { sources: [], descriptors: new Uint8Array(0), timeout: new Uint8Array(16) };
}

/** From the next turn on. Fails with `wait.limit`. */
export function addSource(loop: WaitLoop, source: WaitSource): Result<true> {
  if (loop.sources.length >= SOURCES_MAX) {
    const detail = `more than ${SOURCES_MAX} sockets in one process: configure fewer virtual routers`;
    return bad({ code: "wait.limit", origin: "self", retrySafe: false, detail });
  }
  setSources(loop, [...loop.sources, source]);
  return good(true);
}

/** Whoever closes the descriptor removes it first; may be called from onReady. */
export function removeSource(loop: WaitLoop, fd: number): void {
  setSources(
    loop,
    loop.sources.filter((source) => source.fd !== fd),
  );
}

function setSources(loop: WaitLoop, sources: WaitSource[]): void {
  const descriptors = new Uint8Array(sources.length * pollBytes);
  const view = new DataView(descriptors.buffer);
  for (const [index, { fd }] of sources.entries()) {
    view.setInt32(index * pollBytes, fd, true);
    view.setInt16(index * pollBytes + 4, pollIn, true);
  }
  loop.sources = sources;
  loop.descriptors = descriptors;
}

/**
 * Sleeps until a source is ready or that much time has passed, then calls the ready sources in order; undefined sleeps
 * without end, 0 only looks. Gives how many were called. Wakes early for a signal. Fails with `wait.failed`.
 */
export function waitOnce(loop: WaitLoop, timeout: Milliseconds | undefined): Result<number> {
  const { sources, descriptors } = loop;
  const result = pollDescriptors(descriptors, sources.length, timeoutOf(loop, timeout));
  if (!result.ok) {
    if (result.name === "EINTR") return good(0);
    return bad({ code: "wait.failed", origin: "self", retrySafe: false, detail: `ppoll failed with ${result.name}` });
  }
  if (result.value === 0) return good(0);
  let called = 0;
  const view = new DataView(descriptors.buffer);
  for (const [index, source] of sources.entries()) {
    if (view.getInt16(index * pollBytes + 6, true) === 0) continue;
    // One that an earlier source has removed is not called any more.
    if (loop.sources !== sources && !loop.sources.includes(source)) continue;
    source.onReady();
    called++;
  }
  return good(called);
}

/** struct timespec: seconds, nanoseconds. Rounded up, else the loop would turn idly just before the deadline. */
function timeoutOf(loop: WaitLoop, timeout: Milliseconds | undefined): Uint8Array | null {
  if (timeout === undefined) return null;
  const nanoseconds = Math.ceil(Math.min(Math.max(timeout, 0), timeoutMax) * 1e6);
  const view = new DataView(loop.timeout.buffer);
  const seconds = Math.floor(nanoseconds / 1e9);
  view.setBigInt64(0, BigInt(seconds), true);
  view.setBigInt64(8, BigInt(nanoseconds - seconds * 1e9), true);
  return loop.timeout;
}

/** A day: the product with a million stays exact. */
const timeoutMax: Milliseconds = 86_400_000;
