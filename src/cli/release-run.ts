// Wires a release to the world: the terminal or the lines for programs, the process's signals, probes, its exit code. The
// change's way. What happens when, src/control/release says.

import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline/promises";
import { readVersion } from "../config/release-leaf.ts";
import { checkPlan, type PlanFinding } from "../control/release/check-plan.ts";
import { wordsOf } from "../control/release/command.ts";
import type { ReleaseDriver } from "../control/release/driver.ts";
import { thisPlace } from "../control/release/holder.ts";
import { openReleaseStore } from "../control/release/open-store.ts";
import { namesOf } from "../control/release/perform.ts";
import {
  found,
  type InterruptedCommand,
  type ReleaseEnd,
  type ReleaseMeans,
  type ReleaseOrderName,
  runRelease,
} from "../control/release/run-release.ts";
import type { Milliseconds } from "../core/clock.ts";
import { runKeptCommand } from "../io/kept-command.ts";
import { createProbers } from "../io/prober.ts";
import { commandSteps } from "../model/release.ts";
import { type CliIo, type ExitCode, exitCodes } from "./cli-io.ts";
import type { ReleaseOptions } from "./release.ts";
import { type ReadPlan, readPlan } from "./release-file.ts";
import { ReleaseScreen } from "./release-screen.ts";

export async function runReleaseCommand(
  order: ReleaseOrderName,
  file: string,
  options: ReleaseOptions,
  io: CliIo,
): Promise<void> {
  const read = readPlan(file, options, io);
  if (read === undefined) return;
  const said = options.version === undefined ? undefined : readVersion(options.version);
  if (said?.ok === false) {
    io.err(`evenkeel: --version: ${said.complaint.message}; expected ${said.complaint.expected ?? ""}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const version = said?.value ?? (order === "run" ? read.plan.version : undefined);
  if (options.dryRun === true) return dryRun(read, version, options, io);
  const screen = new ReleaseScreen(io, { json: options.json === true });
  const abort = new AbortController();
  const store = openReleaseStore(read.plan, read.balancers, Math.random);
  let driver: ReleaseDriver | undefined;
  const unlisten = listen(() => driver, abort, screen);
  const means: ReleaseMeans = {
    ...worldOf(read, io, abort),
    ...{ store, version, abort, place: thisPlace(), digest: read.digest },
    told: (event, record) => screen.tell(event, record),
    warn: (text) => screen.warn(text),
    interrupted: (commands) => askInterrupted(commands, options, io),
    driving: (now) => {
      driver = now;
    },
  };
  const ended = await runRelease(order, means);
  unlisten();
  screen.close();
  store.close();
  io.setExitCode(tellEnd(ended, options, io));
}

function worldOf({ plan, balancers }: ReadPlan, io: CliIo, abort: AbortController) {
  const clock = () => performance.now();
  const prober = createProbers(clock);
  const openProber: ReleaseMeans["openProber"] = ({ probe, port }, address) => {
    const { values } = namesOf({ plan, version: "", id: "" }, address);
    const at = { pool: plan.pool, address, host: values.host, port: port ?? Number(values.port) };
    return prober(probe, at);
  };
  return {
    ...{ plan, balancers, clock, abort, openProber },
    wallClock: () => Date.now(),
    sleep,
    run: runKeptCommand,
    environment: io.environment,
    directory: process.cwd(),
  };
}

/** Resolves after the time, or when the signal says so. */
function sleep(time: Milliseconds, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, time);
    signal.addEventListener("abort", end);
  });
}

/** The first signal lets those come back that are out; the second ends what runs. */
function listen(driver: () => ReleaseDriver | undefined, abort: AbortController, screen: ReleaseScreen): () => void {
  let heard = 0;
  const hear = (signal: NodeJS.Signals) => {
    heard++;
    const now = driver();
    if (heard > 1 || now === undefined) {
      screen.warn(`${signal}: what runs is ended`);
      abort.abort();
      return;
    }
    screen.warn(`${signal}: targets that are out come back first; once more ends at once what runs`);
    now.stop(`stopped by ${signal}`);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, hear);
  // A terminal that is gone must not end the release in the middle.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  return () => {
    for (const signal of signals) process.off(signal, hear);
  };
}

async function askInterrupted(
  commands: readonly InterruptedCommand[],
  { interrupted }: ReleaseOptions,
  io: CliIo,
): Promise<"rerun" | "done" | undefined> {
  if (interrupted === "rerun" || interrupted === "done") return interrupted;
  const mayAsk = commands.every(({ asks }) => asks === "ask") && process.stdin.isTTY && process.stdout.isTTY;
  if (!mayAsk) return undefined;
  const which = commands.map(({ step, address }) => `${step} of ${address}`).join(", ");
  io.out(`${which} was under way when the release was killed, and nobody knows its end.\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Run it again (r), take it for done (d), or leave it (anything else)? ");
  terminal.close();
  return ({ r: "rerun", d: "done" } as const)[answer.trim().toLowerCase()];
}

function tellEnd(ended: ReleaseEnd, options: ReleaseOptions, io: CliIo): ExitCode {
  switch (ended.type) {
    case "refused":
    case "failed":
      tellFindings(ended.findings, options, io);
      return ended.type === "refused" ? exitCodes.refused : exitCodes.error;
    case "over":
      if (ended.isRefused) return exitCodes.refused;
      if (ended.record.state.phase === "failed") {
        if (options.json !== true) {
          io.err("evenkeel: the release stands where it failed: release resume, rollback or abort\n");
        }
        return exitCodes.error;
      }
      return ended.record.state.phase === "paused" ? exitCodes.degraded : exitCodes.good;
    default:
      return ended satisfies never;
  }
}

function tellFindings(findings: readonly PlanFinding[], { json }: ReleaseOptions, io: CliIo): void {
  for (const { code, detail } of findings) {
    if (json === true) io.out(`${JSON.stringify({ at: new Date().toISOString(), event: "problem", code, detail })}\n`);
    else io.err(`evenkeel: ${detail}\n`);
  }
}

/** What would be done, and everything that is wrong with it. Nothing is changed, and no lock is taken. */
async function dryRun(read: ReadPlan, said: string | undefined, options: ReleaseOptions, io: CliIo): Promise<void> {
  const { plan } = read;
  const version = said ?? "VERSION";
  const { run, environment, directory, balancers } = worldOf(read, io, new AbortController());
  const signal = new AbortController().signal;
  const { batches, findings } = await checkPlan({ plan, version, balancers, run, environment, directory, signal });
  const missing =
    said === undefined ? [{ code: "release.version", detail: "no version: `version` in the file, or --version" }] : [];
  const all = [...missing, ...findings];
  if (options.json === true) {
    const steps = batches.map((batch) =>
      batch.map((address) => ({ address, commands: commandsOf(read, address, version) })),
    );
    io.out(
      `${JSON.stringify({ event: "plan", pool: plan.pool, version, batches: steps, problems: all }, undefined, 2)}\n`,
    );
  } else {
    io.out(describePlan(read, version, batches));
    tellFindings(all, options, io);
  }
  const end = all.length === 0 ? undefined : found(all).type;
  io.setExitCode(end === undefined ? exitCodes.good : end === "refused" ? exitCodes.refused : exitCodes.error);
}

function commandsOf({ plan }: ReadPlan, address: string, version: string): Readonly<Record<string, readonly string[]>> {
  const { values } = namesOf({ plan, version, id: `ID-${randomBytes(2).toString("hex")}` }, address);
  const commands = commandSteps.flatMap((step) => {
    const command = plan.commands[step];
    return command === undefined ? [] : [[step, wordsOf(command, { ssh: plan.ssh, values, names: {} })] as const];
  });
  return Object.fromEntries(commands);
}

function describePlan(read: ReadPlan, version: string, batches: readonly (readonly string[])[]): string {
  const { plan } = read;
  const count = batches.flat().length;
  const lines = [
    `pool ${plan.pool}, version ${version}: ${count} targets in ${batches.length} batches, minEligible ${plan.minEligible}`,
  ];
  for (const [index, batch] of batches.entries()) {
    for (const address of batch) {
      lines.push(`batch ${index + 1}: ${address}`);
      for (const [step, words] of Object.entries(commandsOf(read, address, version))) {
        lines.push(`  ${step}: ${words.join(" ")}`);
      }
    }
  }
  return `${lines.join("\n")}\n`;
}
