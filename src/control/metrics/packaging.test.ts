// What operators take from packaging/, and docs/metrics.md, against the metrics that the program has: none of them may name
// what does not exist, and the page tells all of them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { durationBounds } from "../../state/slot-durations.ts";
import { everyMetric, type Metric } from "./table.ts";

const root = join(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const dashboardPath = "packaging/grafana/evenkeel.json";
const alertsPath = "packaging/prometheus/evenkeel-alerts.yaml";
const alertTestsPath = "packaging/prometheus/evenkeel-alerts.test.yaml";

const byName = new Map<string, Metric>(everyMetric.map((metric) => [metric.name, metric]));

/** The metric of a name in an expression: a histogram's parts are its own. */
function metricOf(name: string): Metric | undefined {
  const known = byName.get(name);
  if (known !== undefined) return known.type === "histogram" ? undefined : known;
  const whole = byName.get(name.replace(/_(bucket|sum|count)$/, ""));
  return whole?.type === "histogram" ? whole : undefined;
}

/** Labels that Prometheus adds itself, and the bound of a bucket. */
const ownLabels = ["job", "instance", "le"];

function checkExpression(expression: string): void {
  const names = expression.match(/\bevenkeel_[a-z0-9_]+/g) ?? [];
  assert(names.length > 0 || expression.startsWith("up{"), `${expression} asks for a metric of ours`);
  const labels = new Set<string>(ownLabels);
  for (const name of names) {
    const metric = metricOf(name);
    assert(metric !== undefined, `${name} is exported`);
    for (const label of metric.labels) labels.add(label);
  }
  for (const [, selector = ""] of expression.matchAll(/evenkeel_[a-z0-9_]+\{([^}]*)\}/g)) {
    for (const [, label = ""] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)) {
      assert(labels.has(label), `${label} is a label of what ${expression} asks for`);
    }
  }
  for (const [, list = ""] of expression.matchAll(/\b(?:by|without|on) \(([^)]*)\)/g)) {
    for (const label of list.split(",")) assert(labels.has(label.trim()), `${label} is a label in ${expression}`);
  }
}

/** Every string of a JSON value that is under one of these keys. */
function stringsUnder(keys: readonly string[], value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === "string" && keys.includes(key) ? [inner] : stringsUnder(keys, inner),
  );
}

test("the dashboard asks for metrics and labels that there are", () => {
  const dashboard: unknown = JSON.parse(read(dashboardPath));
  const expressions = stringsUnder(["expr"], dashboard);
  assert(expressions.length > 40, `${expressions.length} expressions`);
  for (const expression of expressions) checkExpression(expression);
  for (const query of stringsUnder(["definition"], dashboard)) {
    const [, name = "", label = ""] = /^label_values\((evenkeel_[a-z_]+)(?:\{.*\})?, (\w+)\)$/.exec(query) ?? [];
    assert([...ownLabels, ...(metricOf(name)?.labels ?? [])].includes(label), query);
  }
});

test("the dashboard's panels have each an id and a place of their own, on a grid of 24", () => {
  const { panels } = JSON.parse(read(dashboardPath));
  const taken = new Set<string>();
  const ids = new Set<number>();
  for (const { id, title, gridPos } of panels) {
    assert(!ids.has(id), `${title} has an id of its own`);
    ids.add(id);
    assert(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert(!taken.has(`${x} ${y}`), `${title} lies on nothing`);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test("alerts ask for metrics and labels that there are, and each has a name, a severity, words and an example", () => {
  const { groups } = parse(read(alertsPath));
  const rules = groups.flatMap((group: { rules: unknown[] }) => group.rules);
  assert(rules.length >= 20);
  const examples = read(alertTestsPath);
  const names = new Set<string>();
  for (const { alert, expr, labels, annotations } of rules) {
    checkExpression(expr);
    assert(/^Evenkeel[A-Za-z]+$/.test(alert) && !names.has(alert), alert);
    names.add(alert);
    assert(["page", "ticket"].includes(labels.severity), alert);
    assert(annotations.summary.length > 10 && annotations.description.length > 10, alert);
    assert(examples.includes(`ALERTS{alertname="${alert}",alertstate="firing"}`), `${alert} has an example`);
  }
});

test("docs/metrics.md tells every metric with its labels and its meaning, and no other", () => {
  const page = read("docs/metrics.md");
  const rows = [...page.matchAll(/^\| `(evenkeel_[a-z0-9_]+)` +\| (\w+) +\| (.*?) +\| (.*?) +\|$/gm)];
  assert.deepEqual(
    rows.map(([, name]) => name),
    everyMetric.map(({ name }) => name),
    "in the order of the table",
  );
  for (const [, name = "", type, labels = "", help] of rows) {
    const metric = byName.get(name);
    assert.equal(type, metric?.type, name);
    assert.deepEqual(
      labels === "" ? [] : labels.split(" ").map((label) => label.replaceAll("`", "")),
      metric?.labels,
      name,
    );
    assert.equal(help, metric?.help, name);
  }
  assert(page.includes(durationBounds.join(", ")), "the bounds of its histograms");
});

const promtool = spawnSync("promtool", ["--version"]).error === undefined;

test("Prometheus takes every expression of the dashboard", { skip: promtool ? false : "promtool is missing" }, () => {
  const expressions = stringsUnder(["expr"], JSON.parse(read(dashboardPath)));
  const rules = expressions.map((expr, index) => ({
    record: `panel:${index}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h"),
  }));
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-test-"));
  try {
    const path = join(directory, "rules.yaml");
    writeFileSync(path, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const ran = spawnSync("promtool", ["check", "rules", path], { encoding: "utf8" });
    assert.equal(ran.status, 0, `${ran.stdout}${ran.stderr}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("Prometheus takes the alerts, and each fires on its example", {
  skip: promtool ? false : "promtool is missing",
}, () => {
  for (const [command, path] of [
    ["check", alertsPath],
    ["test", alertTestsPath],
  ] as const) {
    const ran = spawnSync("promtool", [command, "rules", join(root, path)], { encoding: "utf8" });
    assert.equal(ran.status, 0, `${ran.stdout}${ran.stderr}`);
  }
});
