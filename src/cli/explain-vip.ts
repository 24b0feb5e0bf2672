// `evenkeel explain vip NAME`: is this virtual router active here, why or why not, how its priority came about, what the other
// nodes said last, what was wrong lately. Exit 0 when it is active or could be, 2 when it is in fault, 1 when there is none.

import type { Command } from "commander";
import { Option } from "commander";
import type { VipExplanation } from "../control/ha/explain-vip.ts";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatSpan } from "./table.ts";

export function addExplainVipCommand(explain: Command, io: CliIo): void {
  withAdminOptions(explain.command("vip"))
    .description("tell why a virtual router is active here, or is not")
    .argument("<name>", "name of the virtual router")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((name: string, options: ExplainVipOptions) => explainVip(name, options, io));
}

type ExplainVipOptions = AdminOptions & { readonly output: string };

async function explainVip(name: string, options: ExplainVipOptions, io: CliIo): Promise<void> {
  const place = placeOf(options, io);
  if (place === undefined) return;
  const path = `/v1/vips/${encodeURIComponent(name)}`;
  const reply = await askOrTell(place, { method: "GET", path, timeoutMs: 5_000 }, io);
  if (reply === undefined) return;
  const { body } = reply;
  if (!isExplanation(body)) {
    io.err(`evenkeel: the answer of ${place.name} is no explanation\n`);
    return io.setExitCode(exitCodes.error);
  }
  io.out(options.output === "json" ? `${JSON.stringify(body, undefined, 2)}\n` : formatVipExplanation(body));
  const isWell = body.router !== undefined && body.router.mode !== "fault";
  io.setExitCode(isWell ? exitCodes.good : exitCodes.degraded);
}

function isExplanation(body: unknown): body is VipExplanation {
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["sentence"] === "string" && Array.isArray(fields["priority"]);
}

/** The sentence, then what it rests on, a line each. */
export function formatVipExplanation({ sentence, priority, router }: VipExplanation): string {
  if (router === undefined) return `${sentence}\n`;
  const { mode, modeMs, cause, dropped, odd, alarms, peers } = router;
  const lines = [
    sentence,
    `  mode: ${mode} for ${formatSpan(modeMs / 1000)}, since ${cause}; became active ${router.takeovers} times`,
    `  priority: ${router.priority}: ${priority.join(", ")}`,
    `  speaks from: ${router.ownAddress ?? "nowhere"} on ${router.interface}, VRRP version ${router.version}, virtual router ${router.vrid}`,
    `  advertisements: ${saidOf(router)}; ${router.advertisementsSent} sent, ${router.advertisementsReceived} received`,
  ];
  for (const { address, here } of router.addresses) lines.push(`  address ${address}: ${places[here]}`);
  for (const peer of peers) {
    const when = `${peer.agoMs} ms ago`;
    lines.push(`  ${peer.address} said priority ${peer.priority} with an interval of ${peer.intervalMs} ms, ${when}`);
  }
  for (const [code, count] of Object.entries(dropped)) lines.push(`  dropped: ${count} times ${code}`);
  for (const [code, count] of Object.entries(odd)) lines.push(`  odd: ${count} times ${code}`);
  for (const [code, { count, detail, agoMs }] of Object.entries(alarms)) {
    lines.push(`  alarm: ${detail} (${code}, ${count} times, the last ${formatSpan(agoMs / 1000)} ago)`);
  }
  return `${lines.join("\n")}\n`;
}

function saidOf({ advertisementIntervalMs, advertisementCopies }: NonNullable<VipExplanation["router"]>): string {
  const every = `every ${advertisementIntervalMs} ms while active`;
  return advertisementCopies === 1 ? every : `${every}, each said ${advertisementCopies} times`;
}

const places = {
  held: "here, added by us",
  foreign: "here, but not ours: it is never touched",
  away: "not on this node",
} as const;
