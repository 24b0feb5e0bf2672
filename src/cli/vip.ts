// `evenkeel vip ls|plan|takeover|release|resume`: the virtual routers of this node, the plan of a spread, and an operator's
// orders to one. Exit 0 when the order was taken; 3 when the state of things forbids it (a fault, a priority of 255 or 254
// elsewhere); 1 when there is no such virtual router or nobody answers; `ls` gives 2 when one is in fault.

import type { Command } from "commander";
import { Option } from "commander";
import type { VipExplanation } from "../control/ha/explain-vip.ts";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatPlan, formatRouters } from "./vip-table.ts";

const orders = ["takeover", "release", "resume"] as const;
type VrrpOrder = (typeof orders)[number];

const descriptions: Readonly<Record<VrrpOrder, string>> = {
  takeover: "bring the addresses to this node, whatever the priorities say, until another node is better",
  release: "give the addresses to another node, and take them back only when nobody else is left",
  resume: "let the node compete by its own priority again, after a takeover or release",
};

const done: Readonly<Record<VrrpOrder, string>> = {
  takeover: "takes over",
  release: "is released, as soon as another node has it",
  resume: "competes by its own priority again",
};

/** An order waits for the services that follow, and they for their stopTimeout. */
const orderTimeoutMs = 60_000;

export function addVipCommand(program: Command, io: CliIo): void {
  const vip = program.command("vip").description("show and move virtual addresses");
  withAdminOptions(vip.command("ls"))
    .description("list the virtual routers of this node")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((options: AdminOptions & { readonly output: string }) => list(options, io));
  vip
    .command("plan")
    .description("show which node carries which virtual router with `spread: true`, and after the loss of each node")
    .requiredOption("-c, --config <file>", "configuration file (YAML or JSON)")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((options: { readonly config: string; readonly output: string }) => plan(options, io));
  for (const order of orders) {
    withAdminOptions(vip.command(order))
      .description(descriptions[order])
      .argument("<name>", "name of the virtual router")
      .action((name: string, options: AdminOptions) => give(order, name, options, io));
  }
}

async function list(options: AdminOptions & { readonly output: string }, io: CliIo): Promise<void> {
  const place = placeOf(options, io);
  if (place === undefined) return;
  const reply = await askOrTell(place, { method: "GET", path: "/v1/vips", timeoutMs: 5_000 }, io);
  if (reply === undefined) return;
  const vips = reply.body;
  if (!isList(vips)) {
    io.err(`evenkeel: the answer of ${place.name} is no list\n`);
    return io.setExitCode(exitCodes.error);
  }
  const routers = vips.map(({ router }) => router).filter((router) => router !== undefined);
  if (options.output === "json") io.out(`${JSON.stringify(vips, undefined, 2)}\n`);
  else if (vips.length === 0) io.out("no virtual routers are configured\n");
  else if (routers.length > 0) io.out(formatRouters(routers));
  for (const { router, sentence } of vips) if (router === undefined) io.err(`${sentence}\n`);
  const isBad = vips.some(({ router }) => router === undefined || router.mode === "fault");
  io.setExitCode(isBad ? exitCodes.degraded : exitCodes.good);
}

async function plan(options: { readonly config: string; readonly output: string }, io: CliIo): Promise<void> {
  const { loadConfig } = await import("../control/load-config.ts");
  const { planOf } = await import("../config/ha-plan.ts");
  const loaded = await loadConfig(options.config, { elsewhere: true });
  if (!loaded.ok) {
    for (const problem of loaded.problems) io.err(`${problem}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const found = planOf(loaded.config.ha);
  if (found === undefined) {
    io.err("evenkeel: there is no `spread: true`: the priorities are as they are written\n");
    return io.setExitCode(exitCodes.error);
  }
  if (options.output === "json") io.out(`${JSON.stringify(found, undefined, 2)}\n`);
  else io.out(formatPlan(found));
  io.setExitCode(exitCodes.good);
}

function isList(body: unknown): body is readonly VipExplanation[] {
  return Array.isArray(body) && body.every((one) => typeof Object(one).name === "string");
}

async function give(order: VrrpOrder, name: string, options: AdminOptions, io: CliIo): Promise<void> {
  const place = placeOf(options, io);
  if (place === undefined) return;
  const path = `/v1/vips/${encodeURIComponent(name)}:${order}`;
  const reply = await askOrTell(place, { method: "POST", path, timeoutMs: orderTimeoutMs }, io);
  if (reply === undefined) return;
  io.out(`${name} ${done[order]}\n`);
  io.setExitCode(exitCodes.good);
}
