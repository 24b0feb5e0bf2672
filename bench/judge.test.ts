import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeGoal, judgeWorkload } from "./judge.ts";
import type { SystemRounds, WorkloadRounds } from "./rounds.ts";
import { small } from "./workloads.ts";

function rows(system: string, cpuUs: readonly number[], problems: readonly string[] = []): SystemRounds {
  return { system, problems: [], rounds: cpuUs.map((value) => ({ figures: { cpuUs: value }, problems })) };
}

function result(...systems: SystemRounds[]): WorkloadRounds {
  return { workload: small, rate: undefined, systems };
}

function judged(found: WorkloadRounds, name: string) {
  const measure = judgeWorkload(found)[0];
  const system = measure?.systems.find(({ system }) => system === name);
  assert.ok(measure !== undefined && system !== undefined);
  return { ...system, noise: measure.noise };
}

test("a ratio is the median of the rounds' ratios, not the ratio of medians", () => {
  const evenkeel = judged(result(rows("nginx", [10, 20, 40]), rows("evenkeel", [12, 22, 40])), "evenkeel");
  assert.deepEqual(evenkeel.toNginx, { median: 1.1, min: 1, max: 1.2 });
  assert.deepEqual(evenkeel.verdict, { kind: "met", close: false });
});

test("a goal above is missed", () => {
  const evenkeel = judged(result(rows("nginx", [10]), rows("evenkeel", [13])), "evenkeel");
  assert.equal(evenkeel.verdict?.kind, "missed");
});

test("a verdict whose distance to the goal is within the noise says so", () => {
  const systems = [rows("nginx", [10, 10]), rows("nginx-again", [10.5, 9.5]), rows("evenkeel", [12.3, 12.3])];
  const evenkeel = judged(result(...systems), "evenkeel");
  assert.ok(evenkeel.noise !== undefined && Math.abs(evenkeel.noise.typical - 0.05) < 1e-9);
  assert.deepEqual(evenkeel.verdict, { kind: "met", close: true });
  assert.equal(evenkeel.likeNginx, false);
});

test("a system that differs from nginx by less than nginx from itself is like nginx", () => {
  const systems = [rows("nginx", [10, 10]), rows("nginx-again", [11, 10]), rows("haproxy", [10.5, 10.5])];
  assert.equal(judged(result(...systems), "haproxy").likeNginx, true);
});

test("a system with one wrong response is void: no figure, no ratio, no verdict", () => {
  const evenkeel = judged(result(rows("nginx", [10]), rows("evenkeel", [5], ["1 read errors"])), "evenkeel");
  assert.deepEqual(evenkeel.problems, ["round 1: 1 read errors"]);
  assert.equal(evenkeel.value, undefined);
  assert.equal(evenkeel.toNginx, undefined);
  assert.equal(evenkeel.verdict?.kind, "void");
});

test("without a sound nginx there is no ratio to it, but one to HAProxy", () => {
  const systems = [rows("nginx", [10], ["1 timeouts"]), rows("haproxy", [10]), rows("evenkeel", [5])];
  const evenkeel = judged(result(...systems), "evenkeel");
  assert.equal(evenkeel.toNginx, undefined);
  assert.equal(evenkeel.toHaproxy?.median, 0.5);
  assert.equal(evenkeel.verdict?.kind, "void");
});

test("a goal in bytes looks at the figure itself, whatever the noise of ratios", () => {
  const at = (median: number) => ({ ...evidence(median, 0.5), value: { median, min: median, max: median } });
  assert.deepEqual(judgeGoal({ kind: "bytes", most: 5120 }, at(5120)), { kind: "met", close: false });
  assert.deepEqual(judgeGoal({ kind: "bytes", most: 5120 }, at(5121)), { kind: "missed", close: false });
});

test("not above nginx allows for the noise of nginx against itself and no more", () => {
  const goal = { kind: "notAbove" } as const;
  assert.deepEqual(judgeGoal(goal, evidence(0.8, 0.1)), { kind: "met", close: false });
  assert.deepEqual(judgeGoal(goal, evidence(1.09, 0.1)), { kind: "met", close: true });
  assert.deepEqual(judgeGoal(goal, evidence(1.11, 0.1)), { kind: "missed", close: false });
  assert.equal(judgeGoal(goal, evidence(1.01, undefined)).kind, "missed");
});

test("when nginx is not even like itself, no ratio is judged", () => {
  assert.equal(judgeGoal({ kind: "notAbove" }, evidence(1.2, 0.3)).kind, "undecided");
  assert.equal(judgeGoal({ kind: "ratio", most: 1.25 }, evidence(1, 0.3)).kind, "undecided");
});

function evidence(ratio: number, typical: number | undefined) {
  const toNginx = { median: ratio, min: ratio, max: ratio };
  return { value: undefined, toNginx, noise: typical === undefined ? undefined : { typical, worst: typical } };
}
