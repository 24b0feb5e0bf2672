// `evenkeel validate -c FILE`: says every problem of a configuration, or that there is none; with --peer also what keeps
// two nodes from sharing their virtual addresses. Touches nothing. Exit 0 or 1.

import type { Command } from "commander";
import type { LoadedConfig } from "../control/load-config.ts";
import type { AdapterName } from "../control/read-foreign.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { adapterOption, configOption } from "./config-option.ts";

type ValidateOptions = {
  readonly config: readonly string[];
  readonly adapter?: AdapterName;
  readonly peer?: string;
  readonly elsewhere?: boolean;
};

export function addValidateCommand(program: Command, io: CliIo): void {
  program
    .command("validate")
    .description("check a configuration and print every problem in it")
    .addOption(configOption())
    .addOption(adapterOption())
    .option("--peer <file>", "configuration of another node of the same virtual routers, to compare with")
    .option("--elsewhere", "the file is for another machine: don't look for its interfaces, programs and users here")
    .action((options: ValidateOptions) => validate(options, io));
}

async function validate(options: ValidateOptions, io: CliIo): Promise<void> {
  // Loaded here and not above: the decoder is the bulk of the program's start time, and most commands don't need it.
  const { loadConfig } = await import("../control/load-config.ts");
  const { adapter, peer } = options;
  const own = tell(await loadConfig(options.config, { elsewhere: options.elsewhere ?? false, adapter }), io);
  if (peer === undefined) {
    if (own.ok) io.out("configuration is valid\n");
    return io.setExitCode(own.ok ? exitCodes.good : exitCodes.error);
  }
  const other = tell(await loadConfig(peer, { elsewhere: true }), io);
  if (!own.ok || !other.ok) return io.setExitCode(exitCodes.error);
  const { comparePeers } = await import("../config/compare-peers.ts");
  const { describeFinding } = await import("../config/peer-finding.ts");
  const findings = comparePeers(own, other);
  for (const finding of findings) {
    io.err(`${finding.severity === "warning" ? "warning: " : ""}${describeFinding(finding)}\n`);
  }
  if (findings.some(({ severity }) => severity === "problem")) return io.setExitCode(exitCodes.error);
  io.out("both configurations are valid and fit together\n");
  io.setExitCode(exitCodes.good);
}

function tell(loaded: LoadedConfig, io: CliIo): LoadedConfig {
  for (const warning of loaded.warnings) io.err(`warning: ${warning}\n`);
  if (!loaded.ok) for (const problem of loaded.problems) io.err(`${problem}\n`);
  return loaded;
}
