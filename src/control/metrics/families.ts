// Metrics with their samples, as the collector fills them and the text shows them, bounded in number: what a scrape costs must
// not grow without end with targets and routes. Pure; the change's way.

import { durationBuckets } from "../../state/slot-durations.ts";
import { targetKey } from "../kernel/kernel-status.ts";
import { everyMetric, type Metric, metricTable } from "./table.ts";

export type Sample = { readonly labels: readonly string[]; readonly value: number };

/** `buckets` are counts of their own, the last without a bound (state/slot-durations.ts); the sum is in seconds. */
export type HistogramSample = {
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  readonly sum: number;
};

export type MetricFamily = {
  readonly metric: Metric;
  readonly samples: readonly Sample[];
  readonly histograms: readonly HistogramSample[];
};

/** Lines of one answer. 10,000 targets with one route each, all answering, have about 430,000. */
export const metricSamplesMax = 1_000_000;
/** Of one histogram: a line for each bucket, the sum and the count. */
const histogramLines = durationBuckets + 2;

type Filled = { readonly metric: Metric; readonly samples: Sample[]; readonly histograms: HistogramSample[] };

export class MetricFamilies {
  readonly #families = new Map<Metric, Filled>(
    everyMetric.map((metric) => [metric, { metric, samples: [], histograms: [] }]),
  );
  readonly #linesMax: number;
  #lines = 0;
  #dropped = 0;

  constructor(linesMax = metricSamplesMax) {
    this.#linesMax = linesMax;
  }

  /** Labels in the order of the metric's; a label object that is used again costs the text less. */
  add(metric: Metric, labels: readonly string[], value: number): void {
    if (this.#takes(1)) this.#families.get(metric)!.samples.push({ labels, value });
  }

  /** Nothing for undefined: what is not known is not said. */
  addKnown(metric: Metric, labels: readonly string[], value: number | undefined): void {
    if (value !== undefined) this.add(metric, labels, value);
  }

  addFlag(metric: Metric, labels: readonly string[], isSo: boolean): void {
    this.add(metric, labels, isSo ? 1 : 0);
  }

  /** One line for each state that there is, 1 for the one that holds. */
  addState(metric: Metric, labels: readonly string[], states: readonly string[], now: string): void {
    for (const state of states) this.add(metric, [...labels, state], state === now ? 1 : 0);
  }

  /** `figures` holds the buckets and the sum from `at` on. */
  addDurations(metric: Metric, labels: readonly string[], figures: readonly number[], at: number): void {
    if (!this.#takes(histogramLines)) return;
    const end = at + durationBuckets;
    this.#families.get(metric)!.histograms.push({ labels, buckets: figures.slice(at, end), sum: figures[end] ?? 0 });
  }

  #takes(lines: number): boolean {
    if (this.#lines + lines > this.#linesMax) {
      this.#dropped += lines;
      return false;
    }
    this.#lines += lines;
    return true;
  }

  /** Those that have something to say, in the order of the table. */
  filled(): readonly MetricFamily[] {
    const { metric, samples } = this.#families.get(metricTable.samplesDropped)!;
    const dropped = { metric, samples: [...samples, { labels: [], value: this.#dropped }], histograms: [] };
    return [...this.#families.values()]
      .map((family) => (family.metric === metric ? dropped : family))
      .filter(({ samples, histograms }) => samples.length > 0 || histograms.length > 0);
  }
}

/** The labels of each target, once: the text is written with them many times. */
export class TargetNames {
  readonly #labels = new Map<string, readonly string[]>();

  of(pool: string, address: string): readonly string[] {
    const key = targetKey(pool, address);
    const known = this.#labels.get(key) ?? [pool, address];
    this.#labels.set(key, known);
    return known;
  }
}
