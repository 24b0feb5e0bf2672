// What a reader of the layer-4 benchmark sees: a table for each workload, a summary with the goals of both engines, the
// notes that keep it honest, and the file they are kept in. Pure but for `saveLayer4`.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JudgedMeasure, judgeWorkload } from "../judge.ts";
import type { Machine } from "../machine.ts";
import { machineLines } from "../record.ts";
import {
  formatFigure,
  formatGoal,
  formatRatio,
  formatSpread,
  formatVerdict,
  invalidNotes,
  noiseNotes,
  percent,
} from "../report.ts";
import { median } from "../statistics.ts";
import { drawMarkdown, type Table } from "../table.ts";
import type { Figure } from "../workloads.ts";
import type { Layer4Options } from "./options.ts";
import type { Layer4Rounds } from "./rounds.ts";

/** Of all cores, to foreign processes: more than that and the figures are not to be trusted. */
const FOREIGN_SHARE_MAX = 0.05;

export const layer4Terms = [
  "Clients, targets and each balancer are machines of their own: network namespaces joined by veth. Every balancer has a network of its own, so that connection tracking and rules of one never see another's packets.",
  "Balancers' processes have one core, one worker; the load generator and the targets share another. Four targets in turns, checked to be exact. No access log. Load: wrk against nginx for TCP, our own client and echo server for UDP, which numbers every datagram: one that is lost, doubled or late is a problem of its round.",
  "Machine's CPU, routing deducted: all cores' time that was not idle (softirqs included, /proc/stat; foreign processes' time is deducted) for a unit of work, less what the same traffic takes in the same round through a machine that only forwards packets. It holds what a balancer costs client, targets and kernel beside its own processes, and is the one figure in which a proxy and rules of the kernel can be compared.",
  "Own CPU: all threads of all processes of a balancer (/proc/PID/task/*/schedstat).",
  "Rounds are interleaved; a ratio is taken round by round, shown as median (lowest-highest). nginx is its stream module; nginx-again is the same a second time: what separates the two is the machine's noise, typically (in the median round) and at worst. Where nginx differs from itself by more than 25 % nothing is judged.",
  "Only the balancers of the kernel engine track connections; on a machine that does so anyway, proxies and plain routing cost more than here.",
  "Flips: one target is taken out, then put back; time until the change is in force by the program's own word, CPU of all its processes, ended ones included. nginx has no other way than a reload.",
  "A system with one wrong answer, one lost datagram, one socket error or one lost process in a workload is INVALID there and is compared with nothing.",
] as const;

/** One table for each figure that is compared, with the figures shown beside the first. */
export function layer4Tables(result: Layer4Rounds): { readonly title: string; readonly table: Table }[] {
  const { workload } = result;
  const many = workload.connections > 0 ? ` (${workload.connections} at a time)` : "";
  return judgeWorkload(result).map((judged) => ({
    title: `${workload.title}: ${judged.measure.title}${many}`,
    table: measureTable(result, judged),
  }));
}

function measureTable(result: Layer4Rounds, { measure, systems }: JudgedMeasure): Table {
  const first = measure === result.workload.measures[0];
  const beside = first ? besideFigures(result) : [];
  const rows = systems.map((judged) => {
    const rounds = result.systems.find(({ system }) => system === judged.system)?.rounds ?? [];
    const middle = (name: Figure): string => {
      const values = rounds.map(({ figures }) => figures[name]).filter((value) => value !== undefined);
      return values.length === 0 ? "" : formatFigure(name, median(values));
    };
    return [
      judged.problems.length > 0 ? `${judged.system} INVALID` : judged.system,
      judged.value === undefined ? "" : formatSpread(judged.value, (value) => formatFigure(measure.figure, value)),
      formatRatio(judged.toNginx),
      formatRatio(judged.toHaproxy),
      ...beside.map(({ figure }) => middle(figure)),
    ];
  });
  return {
    head: ["system", measure.title, "to nginx", "to haproxy", ...beside.map(({ title }) => title)],
    rows,
  };
}

function besideFigures({ workload, systems }: Layer4Rounds): { readonly figure: Figure; readonly title: string }[] {
  const all: { readonly figure: Figure; readonly title: string }[] = [
    { figure: "systemUs", title: "with routing" },
    { figure: "perSecond", title: `${workload.unit}s/s` },
    { figure: "p50Us", title: "p50 µs" },
    { figure: "p99Us", title: "p99 µs" },
    { figure: "rssBytes", title: "RSS MiB" },
    { figure: "ownShare", title: "of its core" },
    { figure: "foreignShare", title: "others" },
  ];
  return all.filter(({ figure }) =>
    systems.some(({ rounds }) => rounds.some(({ figures }) => figures[figure] !== undefined)),
  );
}

/** What a reader must know beside the tables: what is void and why, the noise, who else was at work. */
export function layer4Notes(result: Layer4Rounds): string[] {
  const judged = judgeWorkload(result);
  const notes = [...invalidNotes(judged), ...judged.flatMap(noiseNotes)];
  const shares = result.systems.flatMap(({ rounds }) => rounds.map(({ figures }) => figures.foreignShare));
  const known = shares.filter((share) => share !== undefined);
  if (known.length > 0 && Math.max(...known) > FOREIGN_SHARE_MAX) {
    const worst = `${percent(median(known))} of all cores, at worst ${percent(Math.max(...known))}`;
    notes.push(`foreign processes took ${worst}: not an idle machine`);
  }
  return notes;
}

/** One row for each goal: what the engine reached. Undefined when no evenkeel ran. */
export function layer4Summary(results: readonly Layer4Rounds[]): Table | undefined {
  const rows: string[][] = [];
  for (const result of results) {
    for (const { measure, systems } of judgeWorkload(result)) {
      const middleOf = (name: string): string => {
        const value = systems.find(({ system }) => system === name)?.value;
        return value === undefined ? "-" : formatFigure(measure.figure, value.median);
      };
      for (const judged of systems) {
        if (!judged.system.startsWith("evenkeel")) continue;
        const goal = measure.goals[judged.system];
        if (goal === undefined && measure !== result.workload.measures[0]) continue;
        rows.push([
          result.workload.title,
          measure.title,
          judged.system,
          middleOf(judged.system),
          middleOf("nginx"),
          formatRatio(judged.toNginx),
          formatRatio(judged.toHaproxy),
          formatGoal(goal),
          formatVerdict(judged.verdict),
        ]);
      }
    }
  }
  if (rows.length === 0) return undefined;
  return {
    head: ["workload", "figure", "system", "value", "nginx", "to nginx", "to haproxy", "goal", "result"],
    rows,
  };
}

export type Layer4Record = {
  readonly machine: Machine;
  readonly options: Layer4Options;
  /** By name of the system: what was chosen for it. */
  readonly settings: Readonly<Record<string, string>>;
  /** By name of the program: how it was flipped. */
  readonly flips: Readonly<Record<string, string>>;
  readonly results: readonly Layer4Rounds[];
};

export function formatLayer4Markdown(record: Layer4Record): string {
  const { machine, options, settings, flips, results } = record;
  const list = (texts: Readonly<Record<string, string>>): string =>
    Object.entries(texts)
      .map(([name, text]) => `- ${name}: ${text}`)
      .join("\n");
  const parts = ["# Layer-4 benchmark", machineLines(machine).join("\n")];
  parts.push(`${options.rounds} rounds of ${options.seconds} s.`, layer4Terms.map((term) => `- ${term}`).join("\n"));
  parts.push(list(settings), "Flips:", list(flips));
  const summary = layer4Summary(results);
  if (summary !== undefined) parts.push("## Goals", drawMarkdown(summary));
  for (const result of results) {
    for (const { title, table } of layer4Tables(result)) parts.push(`## ${title}`, drawMarkdown(table));
    const notes = layer4Notes(result);
    if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join("\n"));
  }
  return `${parts.join("\n\n")}\n`;
}

/** The record with the judgements beside the rounds; four decimals, since no figure has more that mean something. */
export function formatLayer4Json(record: Layer4Record): string {
  const results = record.results.map((result) => ({ ...result, judged: judgeWorkload(result) }));
  const rounded = (_key: string, value: unknown): unknown =>
    typeof value === "number" ? Math.round(value * 10_000) / 10_000 : value;
  return `${JSON.stringify({ ...record, results }, rounded, 1)}\n`;
}

/** Writes both files and returns their paths. Throws what the file system throws. */
export function saveLayer4(
  directory: string,
  name: string,
  record: Layer4Record,
): { readonly markdown: string; readonly json: string } {
  mkdirSync(directory, { recursive: true });
  const markdown = join(directory, `${name}.md`);
  const json = join(directory, `${name}.json`);
  writeFileSync(markdown, formatLayer4Markdown(record));
  writeFileSync(json, formatLayer4Json(record));
  return { markdown, json };
}
