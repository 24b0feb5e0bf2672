// `evenkeel explain target POOL/ADDRESS`: is this target in or out, who took it out, when, why, and what its last probe
// said. Exit 0 when it takes work, 2 when it does not, 1 when there is no such target or nobody answers.
// `evenkeel explain client LISTENER ADDRESS`: which target a client meets whose address decides. Exit 0, 2 when a pool that
// goes by addresses has no target that takes work.

import type { Command } from "commander";
import { Option } from "commander";
import type { TargetView } from "../admin/target-view.ts";
import type { ClientExplanation } from "../control/client-explanation.ts";
import type { ProbeSeen, TargetExplanation } from "../control/targets/target-explanation.ts";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { addExplainVipCommand } from "./explain-vip.ts";
import { parseTargetName, targetPath } from "./target-name.ts";

export function addExplainCommand(program: Command, io: CliIo): void {
  const explain = program.command("explain").description("tell why something is as it is");
  addExplainVipCommand(explain, io);
  withAdminOptions(explain.command("target"))
    .description("tell whether a target takes work, and who took it out, when and why")
    .argument("<pool/address>", "such as app/10.0.4.20:8080")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((name: string, options: ExplainOptions) => explainTarget(name, options, io));
  withAdminOptions(explain.command("client"))
    .description("tell which target a client meets, where its address decides")
    .argument("<listener>", "such as web")
    .argument("<address>", "the client's IP address")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((listener: string, address: string, options: ExplainOptions) =>
      explainClient(listener, address, options, io),
    );
}

type ExplainOptions = AdminOptions & { readonly output: string };

async function explainClient(listener: string, address: string, options: ExplainOptions, io: CliIo): Promise<void> {
  const path = `/v1/listeners/${encodeURIComponent(listener)}/clients/${encodeURIComponent(address)}`;
  const told = await askExplanation(path, isClientExplanation, options, io);
  if (told === undefined) return;
  const lines = [
    `client ${told.client} of listener ${told.listener}`,
    ...told.pools.map(({ sentence }) => `  ${sentence}`),
  ];
  io.out(options.output === "json" ? `${JSON.stringify(told, undefined, 2)}\n` : `${lines.join("\n")}\n`);
  const stranded = told.pools.some(({ byAddress, target }) => byAddress && target === undefined);
  io.setExitCode(stranded ? exitCodes.degraded : exitCodes.good);
}

async function explainTarget(name: string, options: ExplainOptions, io: CliIo): Promise<void> {
  const parsed = parseTargetName(name);
  if (!parsed.ok) {
    io.err(`evenkeel: ${parsed.failure.detail}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const path = targetPath(parsed.value);
  const told = await askExplanation(path, isExplanation, options, io);
  if (told === undefined) return;
  io.out(options.output === "json" ? `${JSON.stringify(told, undefined, 2)}\n` : formatExplanation(told));
  io.setExitCode(told.eligible ? exitCodes.good : exitCodes.degraded);
}

/** undefined when there was no answer of that kind, which has then been said. */
async function askExplanation<T>(
  path: string,
  isTold: (body: unknown) => body is T,
  options: ExplainOptions,
  io: CliIo,
): Promise<T | undefined> {
  const place = placeOf(options, io);
  if (place === undefined) return undefined;
  const reply = await askOrTell(place, { method: "GET", path, timeoutMs: 5_000 }, io);
  if (reply === undefined) return undefined;
  if (isTold(reply.body)) return reply.body;
  io.err(`evenkeel: the answer of ${place.name} is no explanation\n`);
  io.setExitCode(exitCodes.error);
  return undefined;
}

function isClientExplanation(body: unknown): body is ClientExplanation {
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["client"] === "string" && Array.isArray(fields["pools"]);
}

type ExplainedTarget = TargetExplanation & TargetView;

function isExplanation(body: unknown): body is ExplainedTarget {
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["sentence"] === "string" && typeof fields["reports"] === "object";
}

/** The sentence, then what it rests on, a line each. */
export function formatExplanation(told: ExplainedTarget): string {
  const { check, reports } = told;
  const lines = [told.sentence];
  if (check !== undefined) {
    const { type, standing, intervalMs, timeoutMs, rise, fall, probes, probesFailed, probesUnable } = check;
    const streak = check.failedInRow > 0 ? `${check.failedInRow} failed` : `${check.passedInRow} passed`;
    lines.push(
      `  check: ${type} every ${intervalMs} ms, timeout ${timeoutMs} ms, rise ${rise}, fall ${fall}: ${standing}, ${streak} in a row`,
      `  probes: ${probes}, ${probesFailed} failed, ${probesUnable} not made`,
      `  last probe: ${describeProbe(check.last)}`,
    );
    const { lastFailed } = check;
    if (lastFailed !== undefined && lastFailed.at !== check.last?.at) {
      lines.push(`  last failed probe: ${describeProbe(lastFailed)}`);
    }
  }
  const { last, outWorkers } = reports;
  const seen = last === undefined ? "" : `, the last ${last.code} by worker ${last.worker} at ${last.at}`;
  lines.push(`  live traffic: ${reports.count} failed reports${seen}`);
  if (outWorkers.length > 0) lines.push(`  out in workers: ${outWorkers.join(", ")}`);
  lines.push(
    `  intent: ${told.intent}, weight ${told.weight}${told.backup ? ", backup" : ""}`,
    `  ${describeOwner(told)}`,
  );
  return `${lines.join("\n")}\n`;
}

function describeOwner({ owner, patched, lease }: TargetView): string {
  const word = patched.length === 0 ? "" : `; the API changed ${patched.join(", ")}`;
  const held =
    lease === undefined ? "" : `; held by the lease of ${lease.holder}, ${Math.ceil(lease.leftMs / 1000)} s left`;
  return `comes from: ${owner}${word}${held}`;
}

function describeProbe(probe: ProbeSeen | undefined): string {
  return probe === undefined ? "none yet" : `${probe.verdict} at ${probe.at}: ${probe.text} (${probe.code})`;
}
