// What a worker counts of itself: how busy its event loop is, how late, and what its process uses. The change's way, some
// times a second.

import type { Milliseconds } from "../core/clock.ts";
import { RowKind, slotOf } from "./slot-layout.ts";
import type { Seat, SlotRows } from "./slot-rows.ts";

const W = {
  busySeconds: slotOf(RowKind.worker, "busySeconds"),
  idleSeconds: slotOf(RowKind.worker, "idleSeconds"),
  cpuSeconds: slotOf(RowKind.worker, "cpuSeconds"),
  memoryBytes: slotOf(RowKind.worker, "memoryBytes"),
  lagSeconds: slotOf(RowKind.worker, "lagSeconds"),
} as const;

/** The longest lateness of the last one to two windows is told: a scrape in each finds every one. */
const lagWindow: Milliseconds = 15_000;

/** What a worker counts of itself. */
export class WorkerCounters {
  readonly #seat: Seat;
  #windowEndsMs: Milliseconds = Number.NEGATIVE_INFINITY;
  #lag = 0;
  #lagBefore = 0;

  constructor(rows: SlotRows) {
    this.#seat = rows.worker;
  }

  /** Of the process since its start, in seconds; memory in bytes. */
  measure(now: {
    readonly busySeconds: number;
    readonly idleSeconds: number;
    readonly cpuSeconds: number;
    readonly memoryBytes: number;
  }): void {
    const { slots, base } = this.#seat;
    slots[base + W.busySeconds] = now.busySeconds;
    slots[base + W.idleSeconds] = now.idleSeconds;
    slots[base + W.cpuSeconds] = now.cpuSeconds;
    slots[base + W.memoryBytes] = now.memoryBytes;
  }

  /** Something that was due is done so late: nobody else had his turn meanwhile. */
  late(byMs: Milliseconds, nowMs: Milliseconds): void {
    if (nowMs >= this.#windowEndsMs) {
      this.#lagBefore = this.#lag;
      this.#lag = 0;
      this.#windowEndsMs = nowMs + lagWindow;
    }
    if (byMs > this.#lag) this.#lag = byMs;
    const { slots, base } = this.#seat;
    slots[base + W.lagSeconds] = Math.max(this.#lag, this.#lagBefore) / 1000;
  }
}
