// Reads Prometheus' text format 0.0.4 as strictly as its own description says, so that tests see what a collector would: one
// HELP and TYPE before a family's lines, families together, no line twice, escapes right, histograms whole. Must not be
// imported by anything but tests.

import assert from "node:assert/strict";

export type ExposedSample = {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
};
export type ExposedFamily = { readonly name: string; readonly type: string; readonly samples: ExposedSample[] };

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/;

export class Exposition {
  readonly families = new Map<string, ExposedFamily>();

  constructor(text: string) {
    assert(text.endsWith("\n"), "the last line ends");
    const seen = new Set<string>();
    let helped = "";
    let family: ExposedFamily | undefined;
    for (const line of text.slice(0, -1).split("\n")) {
      const help = /^# HELP (\S+) (.+)$/.exec(line);
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
      if (help !== null) helped = help[1] ?? "";
      else if (type !== null) {
        const [, name = "", kind = ""] = type;
        assert.equal(helped, name, "HELP comes before TYPE");
        assert(!this.families.has(name), `${name} has its lines together`);
        family = { name, type: kind, samples: [] };
        this.families.set(name, family);
      } else {
        const sample = parseSample(line);
        assert(family !== undefined && belongs(family, sample.name), `${line} stands below its TYPE`);
        const key = `${sample.name} ${[...sample.labels].sort().join(" ")}`;
        assert(!seen.has(key), `${line} is there once`);
        seen.add(key);
        family.samples.push(sample);
      }
    }
    for (const one of this.families.values()) if (one.type === "histogram") checkHistogram(one);
  }

  /** The sum of a family's values over all lines with these labels; undefined when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.find(name, labels);
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  find(name: string, labels: Readonly<Record<string, string>> = {}): readonly ExposedSample[] {
    const family = this.families.get(name) ?? this.families.get(name.replace(/_(bucket|sum|count)$/, ""));
    const wanted = Object.entries(labels);
    return (family?.samples ?? []).filter(
      (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels.get(label) === value),
    );
  }
}

function belongs(family: ExposedFamily, name: string): boolean {
  if (family.type !== "histogram") return family.name === name;
  return ["_bucket", "_sum", "_count"].some((ending) => name === `${family.name}${ending}`);
}

function parseSample(line: string): ExposedSample {
  const name = metricName.exec(line)?.[0];
  assert(name !== undefined, `${line} begins with a name`);
  let rest = line.slice(name.length);
  const labels = new Map<string, string>();
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    while (!rest.startsWith("}")) {
      const label = labelName.exec(rest)?.[0];
      assert(label !== undefined && !labels.has(label), `${line} has good label names, each once`);
      const value = /^="((?:[^"\\]|\\["\\n])*)"/.exec(rest.slice(label.length));
      assert(value !== null, `${line} has good label values`);
      labels.set(label, plain(value[1] ?? ""));
      rest = rest.slice(label.length + value[0].length);
      if (rest.startsWith(",")) rest = rest.slice(1);
      else assert(rest.startsWith("}"), `${line} separates its labels`);
    }
    rest = rest.slice(1);
  }
  const value = /^ ([+-]?(?:Inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)|NaN)$/.exec(rest)?.[1];
  assert(value !== undefined, `${line} ends with a value`);
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function plain(text: string): string {
  return text.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
}

function checkHistogram({ name, samples }: ExposedFamily): void {
  const groups = new Map<string, ExposedSample[]>();
  for (const sample of samples) {
    const rest = [...sample.labels].filter(([label]) => label !== "le").join(" ");
    const group = groups.get(rest) ?? [];
    group.push(sample);
    groups.set(rest, group);
  }
  for (const [labels, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((sample) => Number((sample.labels.get("le") ?? "").replace("Inf", "Infinity")));
    const counts = buckets.map(({ value }) => value);
    const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);
    assert.deepEqual(bounds, sorted(bounds), `${name} ${labels}: bounds grow`);
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, `${name} ${labels}: the last bucket has no bound`);
    assert.deepEqual(counts, sorted(counts), `${name} ${labels}: buckets are cumulative`);
    const [sum] = group.filter((sample) => sample.name === `${name}_sum`);
    const [count] = group.filter((sample) => sample.name === `${name}_count`);
    assert(sum !== undefined && count !== undefined, `${name} ${labels}: sum and count`);
    assert.equal(count.value, counts.at(-1), `${name} ${labels}: the count is that of the last bucket`);
    assert.equal(group.length, buckets.length + 2);
  }
}
