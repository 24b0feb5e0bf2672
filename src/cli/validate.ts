// `evenkeel validate -c FILE`: says every problem of a configuration, or that there is none. Touches nothing. Exit 0 or 1.

import type { Command } from "commander";
import { type CliIo, exitCodes } from "./cli-io.ts";

export function addValidateCommand(program: Command, io: CliIo): void {
  program
    .command("validate")
    .description("check a configuration file and print every problem in it")
    .requiredOption("-c, --config <file>", "configuration file (YAML or JSON)")
    .action(async (options: { config: string }) => {
      // Loaded here and not above: the decoder is the bulk of the program's start time, and most commands don't need it.
      const { loadConfig } = await import("../control/load-config.ts");
      const loaded = await loadConfig(options.config);
      for (const warning of loaded.warnings) io.err(`warning: ${warning}\n`);
      if (!loaded.ok) {
        for (const problem of loaded.problems) io.err(`${problem}\n`);
        return io.setExitCode(exitCodes.error);
      }
      io.out("configuration is valid\n");
      io.setExitCode(exitCodes.good);
    });
}
