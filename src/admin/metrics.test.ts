import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { collectMetrics } from "../control/metrics/collect.ts";
import { everyMetric } from "../control/metrics/table.ts";
import { metricsParts, testConfig, testPool, testTarget } from "../control/metrics/test-metrics.ts";
import { formatMetrics, metricsPieces, pieceLength } from "./metrics.ts";
import { Exposition } from "./test-exposition.ts";

const whole = () => formatMetrics(collectMetrics(metricsParts()));

test("every metric of the table is told, with its help, its type and exactly its labels", () => {
  const text = whole();
  const { families } = new Exposition(text);
  for (const { name, type, help, labels } of everyMetric) {
    const family = families.get(name);
    assert(family !== undefined, `${name} is told`);
    assert.equal(family.type, type);
    assert(text.includes(`# HELP ${name} ${help}\n`));
    for (const sample of family.samples) {
      const found = [...sample.labels.keys()].filter((label) => label !== "le");
      assert.deepEqual(found, labels, name);
    }
  }
  assert.equal(families.size, everyMetric.length);
});

test("names, types and units are as Prometheus wants them", () => {
  for (const { name, type, help } of everyMetric) {
    assert.match(name, /^evenkeel_[a-z][a-z0-9_]*$/);
    assert.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
    assert.match(help, /^[^\n]*[.]$/, name);
  }
  assert.equal(new Set(everyMetric.map(({ name }) => name)).size, everyMetric.length);
});

test("figures of workers, judges, kernel, sources and virtual routers arrive under their names", () => {
  const told = new Exposition(whole());
  const web = { listener: "web", route: "web[0]" };
  const first = { pool: "app", target: "10.0.0.1:80" };
  assert.equal(told.sum("evenkeel_exchanges_total", { ...web, ...first, status: "2xx" }), 4);
  assert.equal(told.sum("evenkeel_exchanges_total", { ...web, ...first, status: "none" }), 2);
  assert.equal(told.sum("evenkeel_exchanges_total", { ...web, status: "5xx" }), 2);
  assert.equal(told.sum("evenkeel_exchanges_total"), told.sum("evenkeel_exchange_duration_seconds_count"));
  assert.equal(told.sum("evenkeel_exchange_duration_seconds_bucket", { ...web, le: "0.01" }), 4);
  assert.equal(told.sum("evenkeel_exchange_duration_seconds_bucket", { ...web, le: "60" }), 6);
  assert.equal(told.sum("evenkeel_exchanges_active", web), 1, "a worker that has ended has nothing under way");
  assert.equal(told.sum("evenkeel_connections_open", { listener: "web" }), 1);
  assert.equal(told.sum("evenkeel_connections_total", { listener: "web" }), 6);
  assert.equal(told.sum("evenkeel_connections_total", { listener: "fast" }), 40, "the kernel's");
  assert.equal(told.sum("evenkeel_faults_total", { listener: "fast", code: "listener.connections" }), 1);
  assert.equal(told.sum("evenkeel_client_received_bytes_total", { listener: "fast" }), 1_000);
  assert.equal(told.sum("evenkeel_target_tries_total", { pool: "fast" }), 40);
  assert.equal(told.sum("evenkeel_target_sent_bytes_total", { pool: "fast" }), undefined, "uncounted is no 0");
  assert.equal(told.sum("evenkeel_flows_total", { listener: "report", target: "10.0.1.1:514", status: "2xx" }), 2);
  assert.equal(told.sum("evenkeel_target_healthy", first), 0);
  assert.equal(told.sum("evenkeel_target_intent", { target: "10.0.0.2:80", intent: "drain" }), 1);
  assert.equal(told.sum("evenkeel_pool_targets", { pool: "app" }), 3);
  assert.equal(told.sum("evenkeel_pool_targets_healthy", { pool: "app" }), 2);
  assert.equal(
    told.sum("evenkeel_pool_targets_eligible", { pool: "app" }),
    0,
    "one is out, one drains, one weighs nothing",
  );
  assert.equal(told.sum("evenkeel_vrrp_mode", { router: "VI_1", mode: "active" }), 1);
  assert.equal(told.sum("evenkeel_vrrp_mode", { router: "VI_1" }), 1, "one mode holds");
  assert.equal(told.sum("evenkeel_vrrp_dropped_total", { reason: "vrrp.checksum" }), 2);
  assert.equal(told.sum("evenkeel_source_last_success_timestamp_seconds"), Date.UTC(2026, 0, 2, 3, 4, 5) / 1000);
  assert.equal(told.sum("evenkeel_config_last_reload_success_timestamp_seconds"), 1_700_000_050.5);
});

test("what is not there is not told: no virtual routers, no sources, nothing carried by the kernel", () => {
  const { families } = new Exposition(
    formatMetrics(collectMetrics(metricsParts({ ha: undefined, sources: [], kernel: undefined }))),
  );
  const left = [...families.keys()].filter((name) => /vrrp|track|source|kernel/.test(name));
  assert.deepEqual(left, []);
});

test("labels are escaped: a quote, a backslash or a line's end in a name opens no other line", () => {
  const names = ['a"b', "a\\b", "a\nevenkeel_fake 1", "ä€😀", ""];
  const pools = names.map((name) => testPool(name, [testTarget("10.0.0.1:80")]));
  const config = { ...testConfig, pools };
  const told = new Exposition(formatMetrics(collectMetrics(metricsParts({ config }))));
  for (const name of names) assert.equal(told.sum("evenkeel_pool_targets", { pool: name }), 1, JSON.stringify(name));
});

test("an answer has no more lines than it may, says how many are missing, and keeps the small families whole", () => {
  const targets = Array.from({ length: 2_000 }, (_, index) => testTarget(`10.1.${index >> 8}.${index & 255}:80`));
  const config = { ...testConfig, pools: [...testConfig.pools, testPool("large", targets)] };
  const parts = metricsParts({ config, linesMax: 10_000 });
  const text = formatMetrics(collectMetrics(parts));
  const told = new Exposition(text);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
  assert(lines <= 10_001, `${lines} lines`);
  const dropped = told.sum("evenkeel_metrics_samples_dropped") ?? 0;
  assert(dropped > 1_000, `${dropped} are missing`);
  assert.equal(told.sum("evenkeel_vrrp_mode"), 1);
  assert.equal(told.find("evenkeel_target_healthy").length > 500, true);
});

test("a long text comes in pieces, none much longer than they should be", () => {
  const targets = Array.from({ length: 3_000 }, (_, index) => testTarget(`10.1.${index >> 8}.${index & 255}:80`));
  const config = { ...testConfig, pools: [testPool("large", targets)] };
  const metrics = collectMetrics(metricsParts({ config }));
  const pieces = [...metricsPieces(metrics)];
  assert(pieces.length > 3);
  for (const piece of pieces) assert(piece.length < pieceLength + 10_000);
  assert.equal(pieces.join(""), formatMetrics(metrics));
});

const promtool = spawnSync("promtool", ["--version"]).error === undefined;

test("Prometheus' own tool finds nothing wrong with it", { skip: promtool ? false : "promtool is missing" }, () => {
  const checked = spawnSync("promtool", ["check", "metrics"], { input: whole(), encoding: "utf8" });
  assert.equal(`${checked.stdout}${checked.stderr}`, "");
  assert.equal(checked.status, 0);
});
