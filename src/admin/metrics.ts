// Metrics as text: Prometheus' exposition format 0.0.4, which every collector of its family reads (also those that would
// take OpenMetrics: nothing of ours needs what that has more). The change's way; pure. A large node has hundreds of thousands of
// lines, so labels are escaped once for all lines of a target, and the text can be had in pieces between which others have
// their turn.

import type { HistogramSample, MetricFamily, Sample } from "../control/metrics/families.ts";
import type { NodeMetrics } from "../control/metrics/metrics.ts";
import { durationBounds } from "../state/slot-durations.ts";

/** Characters of one piece, about: a few milliseconds of work. */
export const pieceLength = 256 * 1024;

/** The whole text, in pieces. */
export function* metricsPieces({ families }: NodeMetrics): Generator<string, void> {
  const labels = new LabelTexts();
  let piece = "";
  for (const family of families) {
    piece += headOf(family);
    for (const sample of family.samples) {
      piece += sampleLine(family, sample, labels);
      if (piece.length >= pieceLength) {
        yield piece;
        piece = "";
      }
    }
    for (const histogram of family.histograms) {
      piece += histogramLines(family, histogram, labels);
      if (piece.length >= pieceLength) {
        yield piece;
        piece = "";
      }
    }
  }
  yield piece;
}

export function formatMetrics(metrics: NodeMetrics): string {
  return [...metricsPieces(metrics)].join("");
}

function headOf({ metric }: MetricFamily): string {
  const help = metric.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${metric.name} ${help}\n# TYPE ${metric.name} ${metric.type}\n`;
}

function sampleLine({ metric }: MetricFamily, sample: Sample, texts: LabelTexts): string {
  const labels = texts.of(metric.labels, sample.labels);
  return `${metric.name}${labels === "" ? "" : `{${labels}}`} ${formatValue(sample.value)}\n`;
}

/** Bounds as they are written: `le="0.005"`. */
const boundLabels = [...durationBounds.map(String), "+Inf"].map((bound) => `le="${bound}"`);

function histogramLines(
  { metric }: MetricFamily,
  { labels, buckets, sum }: HistogramSample,
  texts: LabelTexts,
): string {
  const text = texts.of(metric.labels, labels);
  const front = text === "" ? "" : `${text},`;
  let lines = "";
  let count = 0;
  for (let index = 0; index < boundLabels.length; index++) {
    count += buckets[index] ?? 0;
    lines += `${metric.name}_bucket{${front}${boundLabels[index]}} ${formatValue(count)}\n`;
  }
  const of = text === "" ? "" : `{${text}}`;
  return `${lines}${metric.name}_sum${of} ${formatValue(sum)}\n${metric.name}_count${of} ${formatValue(count)}\n`;
}

/** As Go's ParseFloat takes it. */
function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** `pool="app",target="10.0.0.1:80"`: written once for each list of values. */
class LabelTexts {
  readonly #known = new Map<readonly string[], { readonly names: readonly string[]; readonly text: string }>();

  of(names: readonly string[], values: readonly string[]): string {
    const known = this.#known.get(values);
    if (known?.names === names) return known.text;
    const text = values.map((value, index) => `${names[index] ?? ""}="${escapeValue(value)}"`).join(",");
    this.#known.set(values, { names, text });
    return text;
  }
}

function escapeValue(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
