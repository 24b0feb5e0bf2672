// `evenkeel reload`: asks the program that runs to read its configuration again. Exit 0 when it was taken up, 1 when it
// was refused (every problem is printed, the old configuration goes on) or nobody answers.

import type { Command } from "commander";
import { type AdminOptions, askAdmin, withAdminOptions } from "./admin-client.ts";
import { placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";

/** Longer than the supervisor waits for its workers. */
const timeoutMs = 40_000;

export function addReloadCommand(program: Command, io: CliIo): void {
  withAdminOptions(program.command("reload"))
    .description("read the configuration again and take it up without closing a connection")
    .action(async (options: AdminOptions) => {
      const place = placeOf(options, io);
      if (place === undefined) return;
      const reply = await askAdmin(place, { method: "POST", path: "/v1/reload", timeoutMs });
      if (!reply.ok) {
        io.err(`evenkeel: ${reply.failure.detail}\n`);
        return io.setExitCode(exitCodes.error);
      }
      const fields: Readonly<Record<string, unknown>> = Object(reply.value.body);
      if (reply.value.status === 200) {
        for (const warning of sentences(fields["warnings"])) io.err(`warning: ${warning}\n`);
        io.out(`generation ${String(fields["generation"])} is in service\n`);
        if (fields["settled"] !== true) io.err("not every worker has confirmed it yet: see `evenkeel status`\n");
        return io.setExitCode(exitCodes.good);
      }
      for (const problem of sentences(fields["problems"])) io.err(`${problem}\n`);
      io.err(`evenkeel: ${String(fields["detail"] ?? `status ${reply.value.status}`)}\n`);
      io.setExitCode(exitCodes.error);
    });
}

function sentences(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
