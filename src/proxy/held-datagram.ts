// A copy of one datagram, kept by a flow for as long as it may have to be sent again. On the request's way: the memory is
// kept from datagram to datagram, so that a flow allocates for its first and for larger ones only. What all flows of a
// worker hold together is bounded; beyond that a datagram is simply not held, and counted.

import type { Milliseconds } from "../core/clock.ts";

/** Memory is taken in steps of so many bytes. */
const STEP_BYTES = 256;

/** Bytes of memory that the held datagrams of one worker have together. */
export const HELD_BYTES_MAX = 64 * 1024 * 1024;

/** Shared by all flows of a worker. */
export type HeldMemory = { used: number; readonly max: number };

export function heldMemory(max = HELD_BYTES_MAX): HeldMemory {
  return { used: 0, max };
}

export class HeldDatagram {
  /** False: nothing is held. An empty datagram is one, too. */
  full = false;
  length = 0;
  /** When it was sent to the target that the flow has now. */
  sentMs: Milliseconds = 0;
  private bytes: Buffer | undefined = undefined;
  private readonly memory: HeldMemory;

  constructor(memory: HeldMemory) {
    this.memory = memory;
  }

  /** Takes a copy of the range; what it held before is gone. False when there is no memory left: it holds nothing then. */
  keep(from: Buffer, start: number, end: number): boolean {
    const length = end - start;
    this.full = false;
    let { bytes } = this;
    if (bytes === undefined || bytes.length < length) {
      bytes = this.grow(Math.max(STEP_BYTES, Math.ceil(length / STEP_BYTES) * STEP_BYTES));
      if (bytes === undefined) return false;
    }
    from.copy(bytes, 0, start, end);
    this.length = length;
    this.full = true;
    return true;
  }

  /** Writes the datagram at `at`; the range then ends at `at + length`. */
  copyTo(to: Buffer, at: number): void {
    this.bytes?.copy(to, at, 0, this.length);
  }

  drop(): void {
    this.full = false;
  }

  /** Gives the memory back. */
  free(): void {
    this.full = false;
    this.memory.used -= this.bytes?.length ?? 0;
    this.bytes = undefined;
  }

  private grow(size: number): Buffer | undefined {
    const more = size - (this.bytes?.length ?? 0);
    if (this.memory.used + more > this.memory.max) return undefined;
    this.memory.used += more;
    this.bytes = Buffer.allocUnsafeSlow(size);
    return this.bytes;
  }
}
