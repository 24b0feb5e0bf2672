import assert from "node:assert/strict";
import { test } from "node:test";
import { allSound, formatFigure, summaryTable, workloadNotes, workloadTables } from "./report.ts";
import { DIRECT, type Round, type SystemRounds, type WorkloadRounds } from "./rounds.ts";
import { drawMarkdown, drawText } from "./table.ts";
import { small, workloads } from "./workloads.ts";

function rows(system: string, figures: readonly Round["figures"][], problems: readonly string[] = []): SystemRounds {
  return { system, problems: [], rounds: figures.map((one) => ({ figures: one, problems })) };
}

function saturated(...systems: SystemRounds[]): WorkloadRounds {
  return { workload: small, rate: undefined, systems };
}

const nginx = rows("nginx", [
  { cpuUs: 10, perSecond: 50_000 },
  { cpuUs: 12, perSecond: 52_000 },
]);
const evenkeel = rows("evenkeel", [
  { cpuUs: 11, perSecond: 48_000 },
  { cpuUs: 12, perSecond: 49_000 },
]);

test("a workload's table shows the median with its spread, the ratios, and what was measured beside", () => {
  const [first] = workloadTables(saturated(nginx, evenkeel));
  assert.ok(first !== undefined);
  assert.equal(first.title, "small keep-alive request: CPU µs/request (64 connections)");
  assert.deepEqual(first.table.head, ["system", "CPU µs/request", "to nginx", "to haproxy", "requests/s"]);
  assert.deepEqual(first.table.rows, [
    ["nginx", "11.00 (10.00-12.00)", "1.00", "-", "51000"],
    ["evenkeel", "11.50 (11.00-12.00)", "1.05 (1.00-1.10)", "-", "48500"],
  ]);
});

test("the summary holds the goal and whether it is met", () => {
  const summary = summaryTable([saturated(nginx, evenkeel)]);
  assert.deepEqual(summary?.rows, [
    ["small keep-alive request", "CPU µs/request", "11.50", "11.00", "1.05 (1.00-1.10)", "-", "<= 1.25", "met"],
  ]);
});

test("without evenkeel there is no summary", () => {
  assert.equal(summaryTable([saturated(nginx)]), undefined);
});

test("a system with problems is shown as INVALID with what went wrong, and the run is not sound", () => {
  const broken = rows("evenkeel", [{ cpuUs: 1 }], ["3 read errors"]);
  const result = saturated(nginx, broken);
  const [first] = workloadTables(result);
  assert.deepEqual(first?.table.rows[1], ["evenkeel INVALID", "", "-", "-", ""]);
  assert.deepEqual(workloadNotes(result), ["evenkeel is INVALID here: round 1: 3 read errors"]);
  assert.equal(allSound([result]), false);
  assert.equal(allSound([saturated(nginx, evenkeel)]), true);
  assert.equal(summaryTable([result])?.rows[0]?.at(-1), "void");
});

test("a difference that drowns in the noise is said to", () => {
  const again = rows("nginx-again", [{ cpuUs: 13 }, { cpuUs: 12 }]);
  const [note] = workloadNotes(saturated(nginx, again, evenkeel));
  assert.equal(
    note,
    "CPU µs/request: nginx differs from itself by 15 %, at worst 30 %; evenkeel: the difference to nginx is within that noise",
  );
});

test("a core that others used is told", () => {
  const crowded = rows("nginx", [{ cpuUs: 10, foreignShare: 0.2 }]);
  assert.deepEqual(workloadNotes(saturated(crowded)), [
    "others took 20 % of the core while nginx ran: not an idle machine",
  ]);
});

test("a latency that is mostly the client's own is told", () => {
  const workload = workloads.find(({ kind }) => kind === "paced");
  assert.ok(workload !== undefined);
  const systems = [rows("nginx", [{ p99Us: 1000, p50Us: 300 }]), rows(DIRECT, [{ p99Us: 800, p50Us: 100 }])];
  const notes = workloadNotes({ workload, rate: 100, systems });
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? "", /^p99 µs: without any proxy it is already 80 %/);
});

test("figures are shown in the unit of their column", () => {
  assert.equal(formatFigure("rssBytes", 3 * 1024 * 1024), "3.0");
  assert.equal(formatFigure("foreignShare", 0.034), "3.4 %");
  assert.equal(formatFigure("cpuUs", 8215.4), "8215");
  assert.equal(formatFigure("cpuUs", 14.839), "14.84");
});

test("the same table is drawn in columns for a terminal and with rules for Markdown", () => {
  const table = {
    head: ["system", "a|b"],
    rows: [
      ["nginx", "1"],
      ["haproxy", "22"],
    ],
  };
  assert.equal(drawText(table), "system   a|b\nnginx      1\nhaproxy   22");
  assert.equal(drawMarkdown(table), "| system | a\\|b |\n|---|---:|\n| nginx | 1 |\n| haproxy | 22 |");
});
