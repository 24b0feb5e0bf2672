// The command line as a whole: which commands there are, and how wrong use is told. Each command is a file of its own.

import { Command, CommanderError } from "commander";
import { addAdaptCommand } from "./adapt.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { addEchoCommand } from "./echo.ts";
import { addEventsCommand } from "./events.ts";
import { addExplainCommand } from "./explain.ts";
import { addRegisterCommand } from "./register.ts";
import { addReleaseCommand } from "./release.ts";
import { addReloadCommand } from "./reload.ts";
import { addRunCommand } from "./run.ts";
import { addSchemaCommand } from "./schema.ts";
import { addStatusCommand } from "./status.ts";
import { addTargetCommand } from "./target.ts";
import { addTokenCommand } from "./token.ts";
import { addValidateCommand } from "./validate.ts";
import { addVersionCommand } from "./version.ts";
import { addVipCommand } from "./vip.ts";

/** Runs one command line, without the program's own name. Wrong use is told on io.err and gives exit code 1. */
export async function runCommandLine(args: readonly string[], io: CliIo): Promise<void> {
  const program = buildProgram(io);
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    // Commander has told it already; it throws since it must not end the process under us.
    if (!(error instanceof CommanderError)) throw error;
    io.setExitCode(error.exitCode === 0 ? exitCodes.good : exitCodes.error);
  }
}

function buildProgram(io: CliIo): Command {
  const program = new Command("evenkeel")
    .description("A highly available load balancer.")
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError("(evenkeel --help tells more)")
    .helpCommand("help [command]", "display help for a command");
  addRunCommand(program, io);
  addValidateCommand(program, io);
  addAdaptCommand(program, io);
  addReloadCommand(program, io);
  addStatusCommand(program, io);
  addTargetCommand(program, io);
  addVipCommand(program, io);
  addRegisterCommand(program, io);
  addReleaseCommand(program, io);
  addEventsCommand(program, io);
  addTokenCommand(program, io);
  addExplainCommand(program, io);
  addSchemaCommand(program, io);
  addEchoCommand(program, io);
  addVersionCommand(program, io);
  return program;
}
