// `evenkeel echo`: small servers that tell their name, to have something to balance: in the demonstration, in tests, and
// by an operator who wants to see where requests go. Runs until SIGTERM or SIGINT, exit 0; 1 when an address is taken.

import type { Command } from "commander";
import { parseSocketAddress, type SocketAddress, socketAddressExpected } from "../core/address.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { findPortHolders } from "../io/port-holder.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { type EchoServer, openDatagramEcho, openHttpEcho, openStreamEcho } from "./echo-servers.ts";

type EchoOptions = { readonly http?: string; readonly tcp?: string; readonly udp?: string; readonly name?: string };

const kinds = [
  { option: "http", open: openHttpEcho },
  { option: "tcp", open: openStreamEcho },
  { option: "udp", open: openDatagramEcho },
] as const;

export function addEchoCommand(program: Command, io: CliIo): void {
  program
    .command("echo")
    .description(
      "run demo servers that answer with their name (HTTP also /ping /delay/MS /status/CODE /bytes/N /headers)",
    )
    .option("--http <address>", "HTTP server: IP:PORT, or PORT on 127.0.0.1")
    .option("--tcp <address>", "TCP server: greets with its name, echoes lines")
    .option("--udp <address>", "UDP server: echoes datagrams")
    .option("--name <name>", "what they call themselves (default: each its address)")
    .action((options: EchoOptions) => runEcho(options, io));
}

async function runEcho(options: EchoOptions, io: CliIo): Promise<void> {
  const opened: EchoServer[] = [];
  const problems: string[] = [];
  for (const { option, open } of kinds) {
    const given = options[option];
    if (given === undefined) continue;
    const address = decodeEchoAddress(given);
    if (!address.ok) {
      problems.push(`--${option} ${given}: ${address.failure.detail}`);
      continue;
    }
    const server = await open(address.value, options.name ?? given);
    if (server.ok) opened.push(server.value);
    else {
      // The table of holders is TCP's.
      const holder = option === "udp" ? "" : describeHolder(address.value, server.failure.code);
      problems.push(`--${option} ${given}: ${server.failure.detail}${holder}`);
    }
  }
  if (opened.length === 0 && problems.length === 0) problems.push("give at least one of --http, --tcp and --udp");
  if (problems.length > 0) {
    for (const problem of problems) io.err(`evenkeel: ${problem}\n`);
    for (const server of opened) server.close();
    return io.setExitCode(exitCodes.error);
  }
  for (const { name, kind, address } of opened) io.out(`${name} answers ${kind} on ${address}\n`);
  await stopSignal();
  for (const server of opened) server.close();
}

/** `127.0.0.1:9001`, `[::1]:9001`, or `9001` and `:9001` for 127.0.0.1. Codes as parseSocketAddress. */
export function decodeEchoAddress(text: string): Result<SocketAddress> {
  const parsed = parseSocketAddress(/^:?\d+$/.test(text) ? `127.0.0.1:${text.replace(":", "")}` : text);
  if (parsed.ok) return good(parsed.value);
  return bad({ ...parsed.failure, detail: `${parsed.failure.detail}; expected ${socketAddressExpected}` });
}

function describeHolder(address: SocketAddress, code: string): string {
  if (code !== "echo.EADDRINUSE") return "";
  const holder = findPortHolders(address).find(({ process }) => process !== undefined)?.process;
  return holder === undefined ? "" : `, held by process ${holder.pid} (${holder.command})`;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}
