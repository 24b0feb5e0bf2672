// Keeps a run under bench/results/: Markdown for readers, JSON with every round for programs and for doubters. Names
// carry no date, so that version control shows what a change did to the figures.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { judgeWorkload } from "./judge.ts";
import type { Machine } from "./machine.ts";
import type { Options } from "./options.ts";
import { summaryTable, workloadNotes, workloadTables } from "./report.ts";
import type { WorkloadRounds } from "./rounds.ts";
import { drawMarkdown } from "./table.ts";

export type RunRecord = {
  readonly machine: Machine;
  readonly options: Options;
  /** By name of the system: what was chosen for it. */
  readonly settings: Readonly<Record<string, string>>;
  readonly results: readonly WorkloadRounds[];
};

export const terms = [
  "Every proxy has one worker on one core; both targets (two nginx processes) and the load generator share another.",
  "All keep connections to the targets, send X-Forwarded-For, -Host, -Proto and X-Real-IP (checked at a target), and write an access log with the same facts into a file in memory (checked to grow).",
  "CPU time is that of all threads of all processes of a proxy, supervisor included, from /proc/PID/task/*/schedstat.",
  "Rounds are interleaved; a ratio is taken round by round, shown as median (lowest-highest). nginx-again is the same nginx a second time: what separates the two is the machine's noise, typically (in the median round) and at worst. Where nginx differs from itself by more than 25 % nothing is judged.",
  "Half load: an open loop with latency from the scheduled time; `direct` is the same client without a proxy, the floor of what it can see.",
  "Idle connections: growth of resident memory in a freshly started, warmed-up proxy, kernel memory not counted.",
  "A system with one wrong response, one socket error or one lost process in a workload is INVALID there and is compared with nothing.",
] as const;

/** Writes both files and returns their paths. Throws what the file system throws. */
export function saveRecord(
  directory: string,
  name: string,
  record: RunRecord,
): { readonly markdown: string; readonly json: string } {
  mkdirSync(directory, { recursive: true });
  const markdown = join(directory, `${name}.md`);
  const json = join(directory, `${name}.json`);
  writeFileSync(markdown, formatMarkdown(record));
  writeFileSync(json, formatJson(record));
  return { markdown, json };
}

/** The record with the judgements beside the rounds; four decimals, since no figure has more that mean something. */
export function formatJson(record: RunRecord): string {
  const results = record.results.map((result) => ({ ...result, judged: judgeWorkload(result) }));
  const rounded = (_key: string, value: unknown): unknown =>
    typeof value === "number" ? Math.round(value * 10_000) / 10_000 : value;
  return `${JSON.stringify({ ...record, results }, rounded, 1)}\n`;
}

export function formatMarkdown(record: RunRecord): string {
  const { options, results, settings } = record;
  const parts = ["# HTTP benchmark", machineLines(record.machine).join("\n")];
  parts.push(`${options.rounds} rounds of ${options.seconds} s, access log ${options.logFormat}.`);
  parts.push(terms.map((term) => `- ${term}`).join("\n"));
  parts.push(
    Object.entries(settings)
      .map(([system, text]) => `- ${system}: ${text}`)
      .join("\n"),
  );
  const summary = summaryTable(results);
  if (summary !== undefined) parts.push("## Goals", drawMarkdown(summary));
  for (const result of results) {
    for (const { title, table } of workloadTables(result)) parts.push(`## ${title}`, drawMarkdown(table));
    const notes = workloadNotes(result);
    if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join("\n"));
  }
  return `${parts.join("\n\n")}\n`;
}

/** The machine in a list of lines, for Markdown and for the terminal. */
export function machineLines(machine: Machine): string[] {
  const memory = (machine.memoryBytes / 1024 ** 3).toFixed(0);
  const { node, nginx, haproxy, wrk } = machine.versions;
  return [
    `- machine: ${machine.processor}, ${machine.cores} cores${machine.hypervisor ? " (virtual)" : ""}, ${memory} GiB`,
    `- system: ${machine.system}, Linux ${machine.kernel}; load before the run ${machine.loadBefore.toFixed(2)}`,
    `- versions: node ${node}, nginx ${nginx}, HAProxy ${haproxy}, wrk ${wrk}`,
  ];
}
