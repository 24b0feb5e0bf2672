// From rounds to judgements: medians with their spread, ratios to nginx and HAProxy round by round, the noise of nginx
// against itself, and whether a goal is met. Pure. A system with a single problem in a workload is void there: it gets
// no ratio and no verdict, and its problems are shown.

import type { SystemRounds } from "./rounds.ts";
import { type Noise, noise, ratios, type Spread, spread } from "./statistics.ts";
import type { Figure, Goal, Measure } from "./workloads.ts";

export type Judged = {
  readonly system: string;
  readonly problems: readonly string[];
  readonly value: Spread | undefined;
  readonly toNginx: Spread | undefined;
  readonly toHaproxy: Spread | undefined;
  /** Only where there is a goal for this system. */
  readonly verdict: Verdict | undefined;
  /** It differs from nginx by less than nginx differs from itself. */
  readonly likeNginx: boolean;
};

export type Verdict = {
  /** `void`: evenkeel or nginx had problems, or did not run. `undecided`: nginx is not even like itself. */
  readonly kind: "met" | "missed" | "undecided" | "void";
  /** The distance to the goal is smaller than the noise: another run may say the opposite. */
  readonly close: boolean;
};

export type JudgedMeasure = {
  readonly measure: Measure;
  /** nginx against itself; undefined when it did not run twice. */
  readonly noise: Noise | undefined;
  readonly systems: readonly Judged[];
};

/** What is judged: the rounds of any benchmark that says what it compares. */
export type Judgeable = {
  readonly workload: { readonly measures: readonly Measure[] };
  readonly systems: readonly SystemRounds[];
};

/** What the ratios are taken to. */
const BASE = "nginx";
const BASE_AGAIN = "nginx-again";
const SECOND_BASE = "haproxy";

/** Above this no verdict about a ratio is worth its name. */
const NOISE_MAX = 0.25;

export function judgeWorkload(result: Judgeable): JudgedMeasure[] {
  return result.workload.measures.map((measure) => judgeMeasure(result.systems, measure));
}

function judgeMeasure(systems: readonly SystemRounds[], measure: Measure): JudgedMeasure {
  const series = new Map(systems.map((rows) => [rows.system, values(rows, measure.figure)]));
  const base = series.get(BASE);
  const again = series.get(BASE_AGAIN);
  const selfNoise = base === undefined || again === undefined ? undefined : noise(ratios(again, base));
  const against = (own: Series, other: Series | undefined): Spread | undefined => {
    if (own === undefined || other === undefined) return undefined;
    const found = ratios(own, other);
    return found.length === 0 ? undefined : spread(found);
  };
  const judged = systems.map((rows): Judged => {
    const own = series.get(rows.system);
    const known = own?.filter((value) => value !== undefined) ?? [];
    const value = known.length === 0 ? undefined : spread(known);
    const toNginx = against(own, base);
    const goal = measure.goals[rows.system];
    return {
      system: rows.system,
      problems: problemsOf(rows),
      value,
      toNginx,
      toHaproxy: against(own, series.get(SECOND_BASE)),
      verdict: goal === undefined ? undefined : judgeGoal(goal, { value, toNginx, noise: selfNoise }),
      likeNginx: toNginx !== undefined && selfNoise !== undefined && Math.abs(toNginx.median - 1) <= selfNoise.typical,
    };
  });
  return { measure, noise: selfNoise, systems: judged };
}

type Evidence = {
  readonly value: Spread | undefined;
  readonly toNginx: Spread | undefined;
  readonly noise: Noise | undefined;
};

/**
 * Noise is that of the median round, since what is judged is a median too. Without a second nginx there is no noise to
 * allow for: a goal that speaks of noise is then held to nginx exactly.
 */
export function judgeGoal(goal: Goal, evidence: Evidence): Verdict {
  const { value, toNginx } = evidence;
  const selfNoise = evidence.noise?.typical ?? 0;
  switch (goal.kind) {
    case "ratio":
      return verdict(toNginx?.median, { most: goal.most, selfNoise });
    case "bytes":
    case "milliseconds":
      return verdict(value?.median, { most: goal.most, selfNoise: 0 });
    case "notAbove":
      return toNginx !== undefined && selfNoise <= NOISE_MAX && toNginx.median > 1 && toNginx.median <= 1 + selfNoise
        ? { kind: "met", close: true }
        : verdict(toNginx?.median, { most: 1, selfNoise });
    default:
      return goal satisfies never;
  }
}

function verdict(found: number | undefined, bound: { readonly most: number; readonly selfNoise: number }): Verdict {
  if (found === undefined) return { kind: "void", close: false };
  if (bound.selfNoise > NOISE_MAX) return { kind: "undecided", close: false };
  return { kind: found <= bound.most ? "met" : "missed", close: Math.abs(found - bound.most) < bound.selfNoise };
}

/** One value a round; undefined for a system that is void. */
type Series = readonly (number | undefined)[] | undefined;

function values(rows: SystemRounds, figure: Figure): Series {
  if (problemsOf(rows).length > 0) return undefined;
  return rows.rounds.map((round) => round.figures[figure]);
}

/** Every problem of a system in a workload, with the number of its round. */
export function problemsOf(rows: SystemRounds): string[] {
  const found = [...rows.problems];
  for (const [index, round] of rows.rounds.entries()) {
    for (const problem of round.problems) found.push(`round ${index + 1}: ${problem}`);
  }
  return found;
}
