// What a reader sees: a table for each workload, a summary with the goals, the notes that keep it honest. Pure; the
// terminal and Markdown draw the same tables.

import { type Judgeable, type Judged, type JudgedMeasure, judgeWorkload, type Verdict } from "./judge.ts";
import { DIRECT, type WorkloadRounds } from "./rounds.ts";
import { median, type Spread } from "./statistics.ts";
import type { Table } from "./table.ts";
import type { Figure, Goal, Measure } from "./workloads.ts";

const PROBLEMS_SHOWN = 3;
/** Of the proxies' core, to other programs: more than that and the figures are not to be trusted. */
const FOREIGN_SHARE_MAX = 0.05;
/** Of nginx's latency, to client and targets alone. */
const FLOOR_SHARE_MAX = 0.5;

/** One table for each figure that is compared, with the figures shown beside it. */
export function workloadTables(result: WorkloadRounds): { readonly title: string; readonly table: Table }[] {
  const { workload, rate } = result;
  const paced = rate === undefined ? "" : `, ${rate} requests/s`;
  return judgeWorkload(result).map((judged) => ({
    title: `${workload.title}: ${judged.measure.title} (${workload.connections} connections${paced})`,
    table: measureTable(result, judged),
  }));
}

function measureTable(result: WorkloadRounds, judged: JudgedMeasure): Table {
  const beside = besideFigures(result, judged.measure);
  const rows = judged.systems.map((system) => {
    const own = result.systems.find((candidate) => candidate.system === system.system);
    const figure = (name: Figure): string => {
      const values = (own?.rounds ?? []).map((round) => round.figures[name]).filter((value) => value !== undefined);
      return values.length === 0 ? "" : formatFigure(name, median(values));
    };
    return [
      system.problems.length > 0 ? `${system.system} INVALID` : system.system,
      system.value === undefined
        ? ""
        : formatSpread(system.value, (value) => formatFigure(judged.measure.figure, value)),
      formatRatio(system.toNginx),
      formatRatio(system.toHaproxy),
      ...beside.map(({ figure: name }) => figure(name)),
    ];
  });
  return {
    head: ["system", judged.measure.title, "to nginx", "to haproxy", ...beside.map(({ title }) => title)],
    rows,
  };
}

/** Figures that are shown without a ratio: those that any system has, and that no table of this workload compares. */
function besideFigures(
  result: WorkloadRounds,
  measure: Measure,
): { readonly figure: Figure; readonly title: string }[] {
  const unit = result.workload.kind === "saturated" && result.workload.unit === "MiB" ? "MiB" : "requests";
  const all: { readonly figure: Figure; readonly title: string }[] = [
    { figure: "supervisorUs", title: "of it supervisor" },
    { figure: "perSecond", title: `${unit}/s` },
    { figure: "p50Us", title: "p50 µs" },
    { figure: "p99Us", title: "p99 µs" },
    { figure: "lateUs", title: "client late µs" },
    { figure: "rssBytes", title: "RSS MiB" },
    { figure: "ownShare", title: "of its core" },
    { figure: "foreignShare", title: "others" },
  ];
  const compared = new Set(result.workload.measures.map(({ figure }) => figure));
  const wanted = measure === result.workload.measures[0];
  return all.filter(
    ({ figure }) =>
      wanted &&
      !compared.has(figure) &&
      result.systems.some(({ rounds }) => rounds.some((round) => round.figures[figure] !== undefined)),
  );
}

/** What a reader must know beside the table: what is void and why, the noise, who else was at work. */
export function workloadNotes(result: WorkloadRounds): string[] {
  const judged = judgeWorkload(result);
  return [
    ...invalidNotes(judged),
    ...judged.flatMap(noiseNotes),
    ...judged.flatMap(floorNotes),
    ...foreignNotes(result),
  ];
}

export function invalidNotes(judged: readonly JudgedMeasure[]): string[] {
  const notes: string[] = [];
  for (const { system, problems } of judged[0]?.systems ?? []) {
    if (problems.length === 0) continue;
    const more = problems.length > PROBLEMS_SHOWN ? ` and ${problems.length - PROBLEMS_SHOWN} more` : "";
    notes.push(`${system} is INVALID here: ${problems.slice(0, PROBLEMS_SHOWN).join("; ")}${more}`);
  }
  return notes;
}

export function noiseNotes({ measure, noise, systems }: JudgedMeasure): string[] {
  if (noise === undefined) return [];
  const alike = systems.filter(
    ({ system, likeNginx }) => likeNginx && !system.startsWith("nginx") && system !== DIRECT,
  );
  const names = alike.map(({ system }) => system).join(", ");
  const verdict = alike.length === 0 ? "" : `; ${names}: the difference to nginx is within that noise`;
  return [
    `${measure.title}: nginx differs from itself by ${percent(noise.typical)}, at worst ${percent(noise.worst)}${verdict}`,
  ];
}

/** A latency of which the client and the targets make up the most says little about a proxy. */
function floorNotes({ measure, systems }: JudgedMeasure): string[] {
  const toNginx = systems.find(({ system }) => system === DIRECT)?.toNginx?.median;
  if (toNginx === undefined || toNginx < FLOOR_SHARE_MAX) return [];
  return [
    `${measure.title}: without any proxy it is already ${percent(toNginx)} of nginx's, so proxies differ by more than it shows`,
  ];
}

function foreignNotes(result: WorkloadRounds): string[] {
  const notes: string[] = [];
  for (const { system, rounds } of result.systems) {
    const share = median(rounds.map((round) => round.figures.foreignShare).filter((value) => value !== undefined));
    if (share > FOREIGN_SHARE_MAX)
      notes.push(`others took ${percent(share)} of the core while ${system} ran: not an idle machine`);
  }
  return notes;
}

/** One row for each goal and each compared figure: what evenkeel reached. Undefined when evenkeel did not run. */
export function summaryTable(results: readonly WorkloadRounds[]): Table | undefined {
  const rows: string[][] = [];
  for (const result of results) {
    for (const { measure, systems } of judgeWorkload(result)) {
      const ours = systems.find(({ system }) => system === "evenkeel");
      if (ours !== undefined) rows.push(summaryRow(result, measure, ours, systems));
    }
  }
  if (rows.length === 0) return undefined;
  return { head: ["workload", "figure", "evenkeel", "nginx", "to nginx", "to haproxy", "goal", "result"], rows };
}

function summaryRow(result: WorkloadRounds, measure: Measure, ours: Judged, systems: readonly Judged[]): string[] {
  const value = (judged: Judged | undefined): string =>
    judged?.value === undefined ? "-" : formatFigure(measure.figure, judged.value.median);
  const nginx = systems.find(({ system }) => system === "nginx");
  return [
    result.workload.title,
    measure.title,
    value(ours),
    value(nginx),
    formatRatio(ours.toNginx),
    formatRatio(ours.toHaproxy),
    formatGoal(measure.goals["evenkeel"]),
    formatVerdict(ours.verdict),
  ];
}

/** True when every response was right and every goal that was judged is met. */
export function allSound(results: readonly Judgeable[]): boolean {
  return results.every((result) =>
    judgeWorkload(result).every(({ systems }) => systems.every(({ problems }) => problems.length === 0)),
  );
}

export function formatGoal(goal: Goal | undefined): string {
  if (goal === undefined) return "none";
  switch (goal.kind) {
    case "ratio":
      return `<= ${goal.most}`;
    case "bytes":
      return `<= ${goal.most} B`;
    case "milliseconds":
      return `<= ${goal.most} ms`;
    case "notAbove":
      return "<= 1 + noise";
    default:
      return goal satisfies never;
  }
}

export function formatVerdict(verdict: Verdict | undefined): string {
  if (verdict === undefined) return "";
  return verdict.close ? `${verdict.kind} (within the noise)` : verdict.kind;
}

/** A figure in the unit of its column: microseconds and bytes as they are, memory in MiB, shares in percent. */
export function formatFigure(figure: Figure, value: number): string {
  switch (figure) {
    case "rssBytes":
      return (value / (1024 * 1024)).toFixed(1);
    case "ownShare":
    case "foreignShare":
      return percent(value);
    case "perSecond":
    case "idleBytes":
    case "p50Us":
    case "p99Us":
    case "lateUs":
      return value.toFixed(0);
    case "flipMs":
    case "flipCpuMs":
      return value.toFixed(2);
    case "cpuUs":
    case "systemUs":
    case "netUs":
    case "supervisorUs":
      return value >= 1000 ? value.toFixed(0) : value.toFixed(2);
    default:
      return figure satisfies never;
  }
}

export function formatRatio(ratio: Spread | undefined): string {
  return ratio === undefined ? "-" : formatSpread(ratio, (value) => value.toFixed(2));
}

export function formatSpread({ median: middle, min, max }: Spread, format: (value: number) => string): string {
  const [low, high] = [format(min), format(max)];
  return low === high ? format(middle) : `${format(middle)} (${low}-${high})`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
