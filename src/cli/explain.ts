// `evenkeel explain target POOL/ADDRESS`: is this target in or out, who took it out, when, why, and what its last probe
// said. Exit 0 when it takes work, 2 when it does not, 1 when there is no such target or nobody answers.

import type { Command } from "commander";
import { Option } from "commander";
import type { ProbeSeen, TargetExplanation } from "../control/target-explanation.ts";
import { adminSocketPath, askAdmin } from "./admin-client.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";

export function addExplainCommand(program: Command, io: CliIo): void {
  const explain = program.command("explain").description("tell why something is as it is");
  explain
    .command("target")
    .description("tell whether a target takes work, and who took it out, when and why")
    .argument("<pool/address>", "such as app/10.0.4.20:8080")
    .option("--socket <path>", "admin socket (default: $EVENKEEL_SOCKET or /run/evenkeel/admin.sock)")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((name: string, options: { socket?: string; output: string }) => explainTarget(name, options, io));
}

async function explainTarget(name: string, options: { socket?: string; output: string }, io: CliIo): Promise<void> {
  // A pool's name has no slash, an address neither.
  const [pool = "", address = "", more] = name.split("/");
  if (pool === "" || address === "" || more !== undefined) {
    io.err(`evenkeel: ${name}: expected POOL/ADDRESS, such as app/10.0.4.20:8080\n`);
    return io.setExitCode(exitCodes.error);
  }
  const path = `/v1/pools/${encodeURIComponent(pool)}/targets/${encodeURIComponent(address)}`;
  const socket = adminSocketPath(options.socket, io);
  const reply = await askAdmin(socket, { method: "GET", path, timeoutMs: 5_000 });
  if (!reply.ok) {
    io.err(`evenkeel: ${reply.failure.detail}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const { status, body } = reply.value;
  if (status !== 200 || !isExplanation(body)) {
    const detail: unknown = Object(body).detail;
    io.err(`evenkeel: ${typeof detail === "string" ? detail : `status ${status}`}\n`);
    return io.setExitCode(exitCodes.error);
  }
  io.out(options.output === "json" ? `${JSON.stringify(body, undefined, 2)}\n` : formatExplanation(body));
  io.setExitCode(body.eligible ? exitCodes.good : exitCodes.degraded);
}

function isExplanation(body: unknown): body is TargetExplanation {
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["sentence"] === "string" && typeof fields["reports"] === "object";
}

/** The sentence, then what it rests on, a line each. */
export function formatExplanation(told: TargetExplanation): string {
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
  lines.push(`  intent: ${told.intent}, weight ${told.weight}${told.backup ? ", backup" : ""}`);
  return `${lines.join("\n")}\n`;
}

function describeProbe(probe: ProbeSeen | undefined): string {
  return probe === undefined ? "none yet" : `${probe.verdict} at ${probe.at}: ${probe.text} (${probe.code})`;
}
