// Where everything lies in a worker's arena. Fixed numbers: whoever writes before a range (our own head, a chunk size)
// or behind it (a chunk's end) relies on the room named here. Offsets are bytes from the start of the arena.

import type { ReadArea } from "./engine.ts";

const KIB = 1024;

/** No head, in or out, is larger than this; `limits.headerBytes` of the configuration stays below it. */
export const HEAD_BYTES_CEILING = 60 * KIB;
/** A request or response head that our rules have grown beyond this is refused. */
export const OUT_BYTES_MAX = 192 * KIB;
/** Room before a read for the response head that we write in front of its body. */
const HEADROOM = 96 * KIB;
/** Room behind a read for `CRLF 0 CRLF CRLF`. */
const TAILROOM = 64;
const READ_BYTES = 64 * KIB;

/** Scratch: a head, a local response or a trailer section while it is put together. Never kept over an event. */
export const OUT = 0;
export const READ: ReadArea = { start: OUT + OUT_BYTES_MAX + HEADROOM, size: READ_BYTES };
/** An unfinished head, put together with the read that may finish it. */
export const JOIN = READ.start + READ_BYTES + TAILROOM + HEADROOM;
export const JOIN_BYTES = HEAD_BYTES_CEILING + READ_BYTES + 4 * KIB;

/** One slot holds a request as we send it, as long as it may have to be sent again. Larger ones go to the heap. */
export const SLOT_BYTES = 4 * KIB;
const SLOTS = JOIN + JOIN_BYTES + TAILROOM;
export const SLOT_COUNT = 2048;
export const ARENA_BYTES = SLOTS + SLOT_COUNT * SLOT_BYTES;

/** The free slots. A worker with more exchanges than slots keeps the rest on the heap: slower, not refused. */
export type Slots = { take(): number; give(slot: number): void };

/** `take` answers the offset of a slot, or -1 when all are taken. */
export function createSlots(): Slots {
  const free = new Int32Array(SLOT_COUNT);
  let count = SLOT_COUNT;
  for (let index = 0; index < SLOT_COUNT; index++) free[index] = SLOTS + (SLOT_COUNT - 1 - index) * SLOT_BYTES;
  return {
    take() {
      if (count === 0) return -1;
      count -= 1;
      return free[count] ?? -1;
    },
    give(slot) {
      free[count] = slot;
      count += 1;
    },
  };
}

/** The lowest offset that a head placed before `at` may begin at: `at` lies in the read area or in the join area. */
export function headroomStart(at: number): number {
  return at >= JOIN ? JOIN - HEADROOM : READ.start - HEADROOM;
}
