// The rows that a worker counts in: it claims one when a listener, route or target is compiled or first used, and gives it
// back when that is gone and nothing is under way there. The change's way: the request's way only bumps slots of rows that it
// has. One worker writes its memory; the supervisor reads it and writes one word a row (`taken`, slot-layout.ts).

import { assert } from "../core/assert.ts";
import {
  everyRowKind,
  HeaderWord,
  labelBytesMax,
  labelSeparator,
  layoutVersion,
  overflowLabel,
  RowKind,
  RowWord,
  regionMagic,
  rowHeadSlots,
  rowKinds,
  rowUnits,
  slotOf,
  unitSlots,
} from "./slot-layout.ts";

/** Where somebody counts: figure n of the row is slots[base + n]. */
export type Seat = { slots: Float64Array; base: number };

/** Makes memory, all zeros, one that rows may be claimed in. The supervisor does it before it hands the memory over. */
export function formatRegion(memory: ArrayBuffer): void {
  const words = new Int32Array(memory);
  words[HeaderWord.magic] = regionMagic;
  words[HeaderWord.version] = layoutVersion;
  Atomics.store(words, HeaderWord.end, unitSlots);
}

/** It was made by a program that counts as we do. */
export function isRegion(memory: ArrayBuffer): boolean {
  const words = new Int32Array(memory);
  return words[HeaderWord.magic] === regionMagic && words[HeaderWord.version] === layoutVersion;
}

/** Rows in memory of this process alone. */
export function privateRows(bytes: number): SlotRows {
  const memory = new ArrayBuffer(bytes);
  formatRegion(memory);
  return new SlotRows(memory, { shared: false });
}

const widest = Math.max(...everyRowKind.map((kind) => rowKinds[kind].fields.length));
const workerSlot = {
  refused: slotOf(RowKind.worker, "rowsRefused"),
  used: slotOf(RowKind.worker, "rowsUsed"),
} as const;

/** First slots of rows; those before `next` are in use again. */
type FreeRows = { readonly starts: number[]; next: number };

export class SlotRows {
  /** What this worker counts of itself. */
  readonly worker: Seat;
  /** The supervisor reads this memory by itself; otherwise it must be told (`used`). */
  readonly shared: boolean;
  readonly #slots: Float64Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** Rows that were given back, by their size in units, those of long ago first. */
  readonly #free = new Map<number, FreeRows>();
  readonly #overflow = new Map<RowKind, number>();
  /** What counts here counts for nobody any more. */
  readonly #nowhere = new Float64Array(widest);
  readonly #encoder = new TextEncoder();

  constructor(memory: ArrayBuffer, options: { readonly shared: boolean }) {
    assert(isRegion(memory), "memory for counters has its header");
    this.shared = options.shared;
    this.#slots = new Float64Array(memory);
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
    const worker = this.#place(RowKind.worker, []);
    assert(worker !== undefined, "memory for counters has room for the worker's own row");
    this.worker = { slots: this.#slots, base: worker + rowHeadSlots };
    for (const kind of everyRowKind) {
      if (kind === RowKind.worker) continue;
      const other = this.#place(
        kind,
        rowKinds[kind].labels.map(() => overflowLabel),
      );
      assert(other !== undefined, "memory for counters has room for a row of each kind");
      this.#overflow.set(kind, other);
    }
    this.#slots[this.worker.base + workerSlot.used] = 0;
  }

  /**
   * A row of zeros with these labels, in the order of `rowKinds`. Without room for it the row of all those that found none,
   * counted in `rowsRefused`.
   */
  claim(kind: RowKind, labels: readonly string[]): Seat {
    assert(labels.length === rowKinds[kind].labels.length, "a row has its kind's labels");
    const { slots, base } = this.worker;
    const start = this.#place(kind, labels);
    const counted = base + (start === undefined ? workerSlot.refused : workerSlot.used);
    slots[counted] = slots[counted]! + 1;
    return { slots: this.#slots, base: (start ?? this.#overflow.get(kind)!) + rowHeadSlots };
  }

  /** The seat counts nowhere from now on. Its row is another's once the supervisor has added its figures to what is left. */
  giveBack(seat: Seat): void {
    const start = seat.base - rowHeadSlots;
    const ours = seat.slots === this.#slots;
    seat.slots = this.#nowhere;
    seat.base = 0;
    if (!ours || this.#isOverflow(start)) return;
    const { slots, base } = this.worker;
    slots[base + workerSlot.used] = slots[base + workerSlot.used]! - 1;
    const word = start * 2;
    const units = this.#words[word + RowWord.size]! >>> 16;
    Atomics.store(this.#words, word + RowWord.life, this.#words[word + RowWord.life]! + 1);
    const free = this.#free.get(units);
    if (free === undefined) this.#free.set(units, { starts: [start], next: 0 });
    else free.starts.push(start);
  }

  /** It shares its row with all others that found no room: figures that say how much there is now mean nothing there. */
  isOverflow(seat: Seat): boolean {
    return seat.slots === this.#slots && this.#isOverflow(seat.base - rowHeadSlots);
  }

  #isOverflow(start: number): boolean {
    for (const other of this.#overflow.values()) if (other === start) return true;
    return false;
  }

  /** The part of the memory that holds rows. */
  used(): Uint8Array {
    return this.#bytes.subarray(0, Atomics.load(this.#words, HeaderWord.end) * 8);
  }

  /** Whoever was given `used` has added what was given back to what is left of it. Only where the memory is not shared. */
  taken(): void {
    const words = this.#words;
    for (const { starts } of this.#free.values()) {
      for (const start of starts) words[start * 2 + RowWord.taken] = words[start * 2 + RowWord.life]!;
    }
  }

  /** First slot of a live row; undefined when there is no room. */
  #place(kind: RowKind, labels: readonly string[]): number | undefined {
    const text = this.#encoder.encode(labels.join(labelSeparator)).subarray(0, labelBytesMax);
    const units = rowUnits(kind, text.length);
    const start = this.#takeFree(units) ?? this.#append(units, kind);
    if (start === undefined) return undefined;
    const word = start * 2;
    const figures = start + rowHeadSlots;
    const labelsAt = figures + rowKinds[kind].fields.length;
    this.#slots.fill(0, figures, start + units * unitSlots);
    this.#bytes.set(text, labelsAt * 8);
    this.#words[word + RowWord.kind] = kind;
    this.#words[word + RowWord.size] = (units << 16) | text.length;
    Atomics.store(this.#words, word + RowWord.life, this.#words[word + RowWord.life]! + 1);
    return start;
  }

  /** A row of that size whose last figures have been taken. The oldest first: it has most likely been looked at. */
  #takeFree(units: number): number | undefined {
    const free = this.#free.get(units);
    const start = free?.starts[free.next];
    if (free === undefined || start === undefined) return undefined;
    const word = start * 2;
    if (this.#words[word + RowWord.life] !== Atomics.load(this.#words, word + RowWord.taken)) return undefined;
    free.next += 1;
    // Half of the list at a time: taking the first of an array moves all the others.
    if (free.next * 2 >= free.starts.length) {
      free.starts.splice(0, free.next);
      free.next = 0;
    }
    return start;
  }

  #append(units: number, kind: RowKind): number | undefined {
    const start = this.#words[HeaderWord.end]!;
    const end = start + units * unitSlots;
    if (end > this.#slots.length) return undefined;
    // Its size and kind first: whoever sees the new end walks over it.
    this.#words[start * 2 + RowWord.kind] = kind;
    this.#words[start * 2 + RowWord.size] = units << 16;
    Atomics.store(this.#words, HeaderWord.end, end);
    return start;
  }
}
