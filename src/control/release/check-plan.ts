// What only the balancers and the machine can tell of a release file: is there such a pool, do its targets exist, can the
// guard ever be kept, are the programs there, is every machine within reach. The change's way; it changes nothing. Everything
// that is wrong is told at once, as `release run --dry-run` and every run do before anything changes.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import type { Milliseconds } from "../../core/clock.ts";
import { commandSteps, type ReleasePlan, releaseTargetsMax } from "../../model/release.ts";
import { planBatches } from "../../release/batches.ts";
import type { Balancer, PoolSeen } from "./balancer.ts";
import { describeUnstarted, type RunCommand, sshWords } from "./command.ts";
import { namesOf } from "./perform.ts";

export type PlanFinding = {
  /** Stable, dotted. `release.guard` is a refusal, the others are errors. */
  readonly code: string;
  readonly detail: string;
};

export type CheckedPlan = {
  /** In the order of their turns. */
  readonly batches: readonly (readonly string[])[];
  readonly findings: readonly PlanFinding[];
};

export type CheckMeans = {
  readonly plan: ReleasePlan;
  readonly version: string;
  readonly balancers: readonly Balancer[];
  readonly run: RunCommand;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly signal: AbortSignal;
};

const sshTimeout: Milliseconds = 20_000;
/** Connections by ssh at a time. */
const sshAtOnce = 8;

export async function checkPlan(means: CheckMeans): Promise<CheckedPlan> {
  const { plan, balancers } = means;
  const findings: PlanFinding[] = [];
  const seen: { readonly balancer: Balancer; readonly pool: PoolSeen }[] = [];
  for (const balancer of balancers) {
    const pool = await balancer.pool(plan.pool);
    if (pool.ok) seen.push({ balancer, pool: pool.value });
    else findings.push({ code: pool.failure.code, detail: pool.failure.detail });
  }
  const order = plan.order ?? seen[0]?.pool.targets.map(({ address }) => address) ?? [];
  const batches = planBatches(order, plan.batch);
  for (const { balancer, pool } of seen) {
    findings.push(...judgeTargets(order, balancer, pool), ...judgeStore(plan, balancer, pool));
    findings.push(...judgeMinimum(plan, batches, balancer, pool));
  }
  if (order.length === 0 && seen.length > 0)
    findings.push({ code: "release.targets", detail: `pool ${plan.pool} has no targets` });
  if (order.length > releaseTargetsMax) {
    const detail = `the pool has ${order.length} targets, and a release at most ${releaseTargetsMax}: name some in \`order\``;
    findings.push({ code: "release.targets", detail });
  }
  findings.push(...judgePrograms(means), ...(await judgeMachines(means, order)));
  return { batches, findings };
}

function judgeTargets(order: readonly string[], balancer: Balancer, pool: PoolSeen): PlanFinding[] {
  const known = new Set(pool.targets.map(({ address }) => address));
  const missing = order.filter((address) => !known.has(address));
  if (missing.length === 0) return [];
  return [{ code: "release.target", detail: `${balancer.name} has no target ${missing.join(", ")} in this pool` }];
}

function judgeStore(plan: ReleasePlan, balancer: Balancer, { source, targets }: PoolSeen): PlanFinding[] {
  const { store, pool } = plan;
  if (store.type === "api" || source?.type === store.type) return [];
  const owned = targets.some(({ owner }) => owner === store.type);
  if (owned) return [];
  const from = source === undefined ? "the file and the API" : `a source of type ${source.type}`;
  const detail = `store: the targets of pool ${pool} at ${balancer.name} come from ${from}, not from ${store.type}`;
  return [{ code: "release.store", detail }];
}

/** Each batch by itself: all others as they are now. */
function judgeMinimum(
  { minEligible }: ReleasePlan,
  batches: CheckedPlan["batches"],
  balancer: Balancer,
  { targets }: PoolSeen,
): PlanFinding[] {
  const eligible = targets.filter((one) => one.eligible).map(({ address }) => address);
  for (const batch of batches) {
    const left = eligible.filter((address) => !batch.includes(address)).length;
    if (left >= minEligible || !batch.some((address) => eligible.includes(address))) continue;
    const detail = `minEligible is ${minEligible}, and ${balancer.name} would have ${left} of its ${eligible.length} eligible targets while ${batch.join(", ")} is out`;
    return [{ code: "release.guard", detail }];
  }
  return [];
}

function judgePrograms({ plan, environment, directory }: CheckMeans): PlanFinding[] {
  const findings: PlanFinding[] = [];
  const here = commandSteps.flatMap((step) => {
    const command = plan.commands[step];
    return command?.on === "here" ? [[step as string, command.words[0] ?? ""] as const] : [];
  });
  const needsSsh = commandSteps.some((step) => plan.commands[step]?.on === "target");
  const notices = plan.notify.map(({ words }, index) => [`notify[${index}]`, words[0] ?? ""] as const);
  for (const [what, program] of [...here, ...notices, ...(needsSsh ? [["ssh", "ssh"] as const] : [])]) {
    // A name that a placeholder makes is another one for each target.
    if (program.includes("{")) continue;
    const error = findProgram(program, environment["PATH"] ?? "/usr/bin:/bin", directory);
    if (error === undefined) continue;
    findings.push({ code: "release.command.missing", detail: `${what}: ${describeUnstarted(program, error)}` });
  }
  return findings;
}

/** As execvp(3) looks for it: an errno, or undefined when it is there and may be run. */
function findProgram(program: string, path: string, directory: string): string | undefined {
  const places = program.includes("/")
    ? [isAbsolute(program) ? program : resolve(directory, program)]
    : path.split(delimiter).map((folder) => join(folder, program));
  let worst = "ENOENT";
  for (const place of places) {
    try {
      accessSync(place, constants.X_OK);
      if (statSync(place).isFile()) return undefined;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EACCES") worst = "EACCES";
    }
  }
  return worst;
}

/** Whether every machine takes us by ssh, without a password and with its key known. */
async function judgeMachines(means: CheckMeans, order: readonly string[]): Promise<PlanFinding[]> {
  const { plan, version, run, environment, directory, signal } = means;
  const { ssh } = plan;
  if (ssh === undefined || !commandSteps.some((step) => plan.commands[step]?.on === "target")) return [];
  const own = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const lines = new Map(
    order.map((address) => {
      const words = [...sshWords(ssh, namesOf({ plan, version, id: "check" }, address).values), "true"];
      return [words.join(" "), words] as const;
    }),
  );
  const findings: PlanFinding[] = [];
  const waiting = [...lines.values()];
  const work = async () => {
    for (let words = waiting.shift(); words !== undefined; words = waiting.shift()) {
      const asked = {
        words,
        environment: Object.fromEntries(own),
        directory,
        timeout: sshTimeout,
        signal,
        outputBytesMax: 300,
      };
      const { end, output } = await run(asked);
      // That there is no ssh has been told.
      if ((end.type === "exit" && end.code === 0) || end.type === "unstarted") continue;
      const said = output === "" ? end.type : output.replaceAll(/\s+/g, " ");
      findings.push({ code: "release.ssh", detail: `ssh to ${words.at(-2)} does not work: ${said}` });
    }
  };
  await Promise.all(Array.from({ length: sshAtOnce }, work));
  return findings;
}
