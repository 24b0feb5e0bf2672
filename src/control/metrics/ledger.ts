// What all workers of the node have counted, by what it was counted for: their rows, and what is left of rows that were given
// back and of workers that have ended. Totals never go back: figures move from a row to what is left of it within one call.
// The change's way, in the supervisor. It knows memory, not processes: who lives is told by metrics-regions.ts.

import { RowKind, rowKinds } from "../../state/slot-layout.ts";
import { type RowSeen, SlotReader } from "../../state/slot-reader.ts";

/** One line of the books. */
export type Series = {
  readonly kind: RowKind;
  /** In the order of `rowKinds`. */
  readonly labels: readonly string[];
  /** In the order of `rowKinds`, as `sum` found them last. */
  readonly figures: number[];
  /** What rows that are gone have counted; 0 where a figure says how much there is now. */
  readonly left: number[];
  /** Rows that count for it. */
  rows: number;
};

/** Said of a row that was met before: whose it is, as long as its life is the same. */
type Known = { readonly life: number; readonly series: Series };

/** Lines of the books. Rows end at about 250,000 a worker; this is what several workers with quick changes may leave. */
export const seriesMax = 1_000_000;

/** The memory of one worker in the books. */
export class LedgerRegion {
  readonly reader: SlotReader;
  /** By the first slot of the row. */
  readonly known = new Map<number, Known>();
  /** Of the row in which the worker counts itself. */
  readonly workerLabels: readonly string[];

  constructor(memory: ArrayBuffer, worker: number) {
    this.reader = new SlotReader(memory);
    this.workerLabels = [String(worker)];
  }
}

export class Ledger {
  readonly #series = new Map<string, Series>();
  readonly #regions = new Set<LedgerRegion>();
  /** Walks that came upon something that is no row. */
  damaged = 0;
  /** Rows that found no line any more. */
  refused = 0;

  /** A worker counts there from now on. */
  add(region: LedgerRegion): void {
    this.#regions.add(region);
  }

  /** The worker has ended: what it counted stays, what it had under way is gone. */
  end(region: LedgerRegion): void {
    if (!this.#regions.delete(region)) return;
    this.#walk(region, (row) => {
      if (row.live || !row.taken) this.#leave(region, row);
    });
    for (const { series } of region.known.values()) series.rows -= 1;
    region.known.clear();
  }

  /** Brings all lines up to date, and frees the rows that workers have given back. */
  sum(): Iterable<Series> {
    for (const { figures, left } of this.#series.values()) {
      for (let index = 0; index < left.length; index++) figures[index] = left[index]!;
    }
    for (const region of this.#regions) this.#walk(region, (row) => this.#take(region, row, true));
    return this.#series.values();
  }

  /** Frees the rows that workers have given back, so that they need not wait for somebody to ask for the sums. */
  reclaim(): void {
    for (const region of this.#regions) this.#walk(region, (row) => this.#take(region, row, false));
  }

  /** Lines that nobody counts on and that are not wanted any more are forgotten. */
  forget(isWanted: (series: Series) => boolean): void {
    for (const [key, series] of this.#series) {
      if (series.rows === 0 && !isWanted(series)) this.#series.delete(key);
    }
  }

  /** Nobody counts on some line: it may be one to forget. */
  get idle(): boolean {
    for (const { rows } of this.#series.values()) if (rows === 0) return true;
    return false;
  }

  get size(): number {
    return this.#series.size;
  }

  #walk(region: LedgerRegion, visit: (row: RowSeen) => void): void {
    if (!region.reader.walk(visit)) this.damaged += 1;
  }

  #take(region: LedgerRegion, row: RowSeen, sums: boolean): void {
    if (!row.live) {
      if (row.taken) return;
      const series = this.#leave(region, row);
      // It was left after the sums began: they have it not yet.
      if (sums && series !== undefined) this.#addWhatGrew(series.figures, series, region, row.base);
      region.reader.take(row);
      return;
    }
    const series = this.#seriesOf(region, row);
    if (!sums || series === undefined) return;
    const { figures } = series;
    const { slots } = region.reader;
    for (let index = 0, slot = row.base; index < figures.length; index++, slot++) {
      const figure = slots[slot]!;
      if (isCount(figure)) figures[index]! += figure;
    }
  }

  /** Adds what grows in this row to what is left, and lets go of the row. */
  #leave(region: LedgerRegion, row: RowSeen): Series | undefined {
    const series = this.#seriesOf(region, row);
    if (series === undefined) return undefined;
    this.#addWhatGrew(series.left, series, region, row.base);
    if (!row.live && region.known.delete(row.start)) series.rows -= 1;
    return series;
  }

  #addWhatGrew(to: number[], { kind }: Series, { reader }: LedgerRegion, base: number): void {
    const { fields } = rowKinds[kind];
    for (let index = 0; index < fields.length; index++) {
      const figure = reader.slots[base + index]!;
      if (!fields[index]!.gauge && isCount(figure)) to[index]! += figure;
    }
  }

  /** Given back or not, a row has the labels of its life: the odd one before an even one. */
  #seriesOf(region: LedgerRegion, row: RowSeen): Series | undefined {
    const life = row.live ? row.life : row.life - 1;
    const known = region.known.get(row.start);
    if (known?.life === life) return known.series;
    if (known !== undefined) known.series.rows -= 1;
    region.known.delete(row.start);
    const labels = row.kind === RowKind.worker ? region.workerLabels : region.reader.labels(row);
    if (labels === undefined) {
      this.damaged += 1;
      return undefined;
    }
    const series = this.#open(row.kind, labels);
    if (series === undefined) return undefined;
    series.rows += 1;
    region.known.set(row.start, { life, series });
    return series;
  }

  #open(kind: RowKind, labels: readonly string[]): Series | undefined {
    const key = `${kind} ${labels.join("\0")}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= seriesMax) {
      this.refused += 1;
      return undefined;
    }
    const { fields } = rowKinds[kind];
    const series = { kind, labels, figures: zeros(fields.length), left: zeros(fields.length), rows: 0 };
    this.#series.set(key, series);
    return series;
  }
}

/** Nothing that we count is negative, or no number: a worker gone wild must not spoil what the others counted, for ever. */
function isCount(figure: number): boolean {
  return figure > 0 && figure < Number.MAX_SAFE_INTEGER;
}

/** Doubles from the start: an array that begins with small integers changes its kind at the first fraction. */
function zeros(count: number): number[] {
  const figures: number[] = [];
  for (let index = 0; index < count; index++) figures.push(0.5);
  return figures.fill(0);
}
