// `evenkeel adapt FILE...`: prints the native configuration that nginx.conf, keepalived.conf or both mean, as YAML on stdout; on
// stderr, line by line, what is refused, what differs and what has no effect here. Exit 0, or 1 when something is refused:
// then nothing is printed, for a configuration with holes must not be used.

import type { Command } from "commander";
import type { Adapted, ForeignNote } from "../config/foreign/adapted.ts";
import type { AdapterName } from "../control/read-foreign.ts";
import { type CliIo, type ExitCode, exitCodes } from "./cli-io.ts";
import { adapterOption } from "./config-option.ts";

export function addAdaptCommand(program: Command, io: CliIo): void {
  program
    .command("adapt")
    .description("print the native configuration that nginx.conf and keepalived.conf mean")
    .argument("<file...>", "nginx.conf, keepalived.conf or both")
    .addOption(adapterOption())
    .action(async (files: string[], options: { adapter?: AdapterName }) => {
      io.setExitCode(await adapt(files, options.adapter, io));
    });
}

async function adapt(files: readonly string[], adapter: AdapterName | undefined, io: CliIo): Promise<ExitCode> {
  const { adaptFiles, decodeAdapted } = await import("../control/load-config.ts");
  const { describeProblem, sortProblems } = await import("../config/problem.ts");
  const { nativeYaml } = await import("../config/foreign/native-text.ts");
  const adapted = await adaptFiles(files, adapter);
  if (!adapted.ok) {
    for (const reason of adapted.unreadable) io.err(`${reason}\n`);
    return exitCodes.error;
  }
  const decoded = decodeAdapted(adapted.value, files[0] ?? "");
  const problems = decoded.ok ? [] : sortProblems(decoded.problems);
  for (const problem of problems) io.err(`${describeProblem(problem)}\n`);
  for (const warning of decoded.warnings) io.err(`warning: ${describeProblem(warning)}\n`);
  tell(adapted.value, io);
  if (problems.length > 0) return exitCodes.error;
  io.out(nativeYaml(adapted.value.value));
  return exitCodes.good;
}

function tell({ notes, noEffect }: Adapted, io: CliIo): void {
  for (const note of notes) io.err(`note: ${line(note)}\n`);
  for (const note of noEffect) io.err(`no effect: ${line(note)}\n`);
}

function line({ place, directive, text }: ForeignNote): string {
  return `${place.file}:${place.line}:${place.column}: ${directive}: ${text}`;
}
