// Reads the rows of a worker's memory (slot-layout.ts) from outside, while the worker bumps them or after its end. The
// change's way. It believes nothing that it reads: a worker gone wild must not make the supervisor read outside, loop for
// ever or count what is no number. The one word that it writes is a row's `taken`.

import {
  HeaderWord,
  isRowKind,
  labelSeparator,
  RowKind,
  RowWord,
  rowHeadSlots,
  rowKinds,
  rowUnits,
  unitSlots,
} from "./slot-layout.ts";
import { formatRegion } from "./slot-rows.ts";

/** One row as it is met on a walk; the object is used again for the next one. */
export type RowSeen = {
  /** First slot of the row: with `life` it says which row this is. */
  start: number;
  life: number;
  kind: RowKind;
  /** It counts; otherwise it was given back, and its figures are its last. */
  live: boolean;
  /** Its last figures have been taken already. */
  taken: boolean;
  /** Slot of its first figure. */
  base: number;
};

export class SlotReader {
  readonly slots: Float64Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #decoder = new TextDecoder();
  readonly #seen: RowSeen = { start: 0, life: 0, kind: RowKind.worker, live: false, taken: false, base: 0 };

  constructor(memory: ArrayBuffer) {
    this.slots = new Float64Array(memory);
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  /** No worker has claimed a row yet. */
  get empty(): boolean {
    return Atomics.load(this.#words, HeaderWord.end) <= unitSlots;
  }

  /** Visits each row that was ever claimed. False when what it came upon is no row: what lies behind was not visited. */
  walk(visit: (row: RowSeen) => void): boolean {
    const seen = this.#seen;
    const end = Math.min(Atomics.load(this.#words, HeaderWord.end), this.slots.length);
    for (let start = unitSlots; start < end; ) {
      const word = start * 2;
      const life = Atomics.load(this.#words, word + RowWord.life);
      const kind = this.#words[word + RowWord.kind]!;
      const size = this.#words[word + RowWord.size]!;
      const units = size >>> 16;
      if (!isRowKind(kind) || start + units * unitSlots > end || units < rowUnits(kind, 0)) return false;
      if (life > 0) {
        seen.start = start;
        seen.life = life;
        seen.kind = kind;
        seen.live = (life & 1) === 1;
        seen.taken = this.#words[word + RowWord.taken] === life;
        seen.base = start + rowHeadSlots;
        visit(seen);
      }
      start += units * unitSlots;
    }
    return true;
  }

  /** The labels of a row that was just met; undefined when they are not those of its kind. */
  labels({ start, kind }: RowSeen): readonly string[] | undefined {
    const size = this.#words[start * 2 + RowWord.size]!;
    const length = size & 0xffff;
    const { labels, fields } = rowKinds[kind];
    const at = (start + rowHeadSlots + fields.length) * 8;
    if (at + length > (start + (size >>> 16) * unitSlots) * 8) return undefined;
    if (labels.length === 0) return [];
    const found = this.#decoder.decode(this.#bytes.subarray(at, at + length)).split(labelSeparator);
    return found.length === labels.length ? found : undefined;
  }

  /** The last figures of this row, which was given back, are added to what is left: it may be used again. */
  take({ start, life }: RowSeen): void {
    Atomics.store(this.#words, start * 2 + RowWord.taken, life);
  }

  /** Makes it memory for the next worker. Only when nobody writes there any more. */
  clear(): void {
    const end = Math.min(Math.max(Atomics.load(this.#words, HeaderWord.end), unitSlots), this.slots.length);
    this.slots.fill(0, 0, end);
    formatRegion(this.#bytes.buffer as ArrayBuffer);
  }
}
