// `evenkeel vip ls|takeover|release|resume`: the virtual routers of this node, and an operator's orders to one. Exit 0 when
// the order was taken; 3 when the state of things forbids it (a fault, a priority of 255 or 254 elsewhere); 1 when there is
// no such virtual router or nobody answers; `ls` gives 2 when one is in fault.

import type { Command } from "commander";
import { Option } from "commander";
import type { VipExplanation } from "../control/ha/explain-vip.ts";
import { adminSocketPath, askAdmin } from "./admin-client.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatRouters } from "./vip-table.ts";

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

const socketOption = [
  "--socket <path>",
  "admin socket (default: $EVENKEEL_SOCKET or /run/evenkeel/admin.sock)",
] as const;
/** An order waits for the services that follow, and they for their stopTimeout. */
const orderTimeoutMs = 60_000;

export function addVipCommand(program: Command, io: CliIo): void {
  const vip = program.command("vip").description("show and move virtual addresses");
  vip
    .command("ls")
    .description("list the virtual routers of this node")
    .option(...socketOption)
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((options: { socket?: string; output: string }) => list(options, io));
  for (const order of orders) {
    vip
      .command(order)
      .description(descriptions[order])
      .argument("<name>", "name of the virtual router")
      .option(...socketOption)
      .action((name: string, options: { socket?: string }) => give(order, name, options, io));
  }
}

async function list(options: { socket?: string; output: string }, io: CliIo): Promise<void> {
  const path = adminSocketPath(options.socket, io);
  const reply = await askAdmin(path, { method: "GET", path: "/v1/vips", timeoutMs: 5_000 });
  if (!reply.ok || !isList(reply.value.body)) {
    io.err(`evenkeel: ${reply.ok ? `the answer of ${path} is no list` : reply.failure.detail}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const vips = reply.value.body;
  const routers = vips.map(({ router }) => router).filter((router) => router !== undefined);
  if (options.output === "json") io.out(`${JSON.stringify(vips, undefined, 2)}\n`);
  else if (vips.length === 0) io.out("no virtual routers are configured\n");
  else if (routers.length > 0) io.out(formatRouters(routers));
  for (const { router, sentence } of vips) if (router === undefined) io.err(`${sentence}\n`);
  const isBad = vips.some(({ router }) => router === undefined || router.mode === "fault");
  io.setExitCode(isBad ? exitCodes.degraded : exitCodes.good);
}

function isList(body: unknown): body is readonly VipExplanation[] {
  return Array.isArray(body) && body.every((one) => typeof Object(one).name === "string");
}

async function give(order: VrrpOrder, name: string, options: { socket?: string }, io: CliIo): Promise<void> {
  const socket = adminSocketPath(options.socket, io);
  const path = `/v1/vips/${encodeURIComponent(name)}:${order}`;
  const reply = await askAdmin(socket, { method: "POST", path, timeoutMs: orderTimeoutMs });
  if (!reply.ok) {
    io.err(`evenkeel: ${reply.failure.detail}\n`);
    return io.setExitCode(exitCodes.error);
  }
  const { status, body } = reply.value;
  if (status === 200) {
    io.out(`${name} ${done[order]}\n`);
    return io.setExitCode(exitCodes.good);
  }
  const detail: unknown = Object(body).detail;
  io.err(`evenkeel: ${typeof detail === "string" ? detail : `status ${status}`}\n`);
  io.setExitCode(status === 409 ? exitCodes.refused : exitCodes.error);
}
