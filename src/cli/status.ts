// `evenkeel status`: what the node is doing, for a person or as JSON. Exit 0 when all is well, 2 when something is not as
// it should be (the last paragraph says what), 1 when nobody answers.

import type { Command } from "commander";
import { Option } from "commander";
import type { StatusView } from "../admin/status-view.ts";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatStatus } from "./status-table.ts";

export function addStatusCommand(program: Command, io: CliIo): void {
  withAdminOptions(program.command("status"))
    .description("show workers, listeners, pools, targets and sources of the evenkeel that runs here")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action(async (options: AdminOptions & { readonly output: string }) => {
      const place = placeOf(options, io);
      if (place === undefined) return;
      const reply = await askOrTell(place, { method: "GET", path: "/v1/status", timeoutMs: 5_000 }, io);
      if (reply === undefined) return;
      const { body } = reply;
      if (!isStatus(body)) {
        io.err(`evenkeel: the answer of ${place.name} is no status: ${JSON.stringify(body).slice(0, 200)}\n`);
        return io.setExitCode(exitCodes.error);
      }
      io.out(options.output === "json" ? `${JSON.stringify(body, undefined, 2)}\n` : formatStatus(body));
      io.setExitCode(body.degraded.length === 0 ? exitCodes.good : exitCodes.degraded);
    });
}

function isStatus(body: unknown): body is StatusView {
  const lists = ["workers", "listeners", "pools", "sources", "degraded"];
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["node"] === "string" && lists.every((name) => Array.isArray(fields[name]));
}
