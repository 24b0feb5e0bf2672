// `evenkeel register POOL/ADDRESS --check TYPE -- COMMAND`: runs a service and puts it up as a target for as long as it is well.
// Exit code: that of the service when it ends by itself (128 + signal as a shell has it); after SIGTERM or SIGINT 0, or 2 when
// work was left, the service had to be killed, or its entry is left to its lease; 1 when it is told nonsense, or cannot start.

import type { Command } from "commander";
import { type CliIo, exitCodes } from "./cli-io.ts";
import type { RegisterOptions } from "./register-arguments.ts";

const each = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];

const more = `
Checks:
  tcp               the service accepts a connection
  http:PATH         an HTTP request is answered with 2xx or 3xx; https:PATH the same over TLS
  tls               a TLS handshake succeeds
  grpc[:SERVICE]    grpc.health.v1 answers SERVING
  command:PROGRAM   a program with its words (no shell) exits with 0; EVENKEEL_HOST and EVENKEEL_PORT tell it where

What happens:
  The target is put up on every balancer when the check passes for the first time, and stays there by a lease. It takes no
  new work while the check fails. SIGTERM or SIGINT drains it, waits until no balancer has work for it, stops the service and
  removes the target; a second one hurries. SIGHUP, SIGUSR1 and SIGUSR2 go to the service. When this program is killed,
  the service dies with it and the lease runs out.
  A session of Consul lives for 10s at least, and Consul may take twice its time to end one.

Example:
  evenkeel register app/10.0.4.20:8080 --check http:/healthz -- ./server --port 8080
`;

export function addRegisterCommand(program: Command, io: CliIo): void {
  program
    .command("register")
    .description("run a service, and have it as a target of a pool for as long as its check passes")
    .usage("<pool/address> --check <type> [options] -- <command...>")
    .argument("[pool/address]", "such as app/10.0.4.20:8080")
    .argument("[command...]", "the service, behind `--`; no shell")
    .option("--check <type>", "tcp, http:PATH, https:PATH, tls, grpc[:SERVICE] or command:PROGRAM")
    .option("--check-address <address>", "where the check asks (default: the target's address)")
    .option("--check-host <name>", "host name that an HTTP or TLS check sends")
    .option("--interval <duration>", "from one check to the next", "1s")
    .option("--timeout <duration>", "of one check", "1s")
    .option("--rise <number>", "passed checks that put it up", "1")
    .option("--fall <number>", "failed checks that take it out", "3")
    .option("--socket <path>", "admin socket of a balancer, once for each (default: as other commands)", each)
    .option("--admin <url>", "admin API of a balancer over TCP, once for each", each)
    .option("--token-file <path>", "token for --admin: one for all, or one for each", each)
    .option("--consul <url>", "server or agent of a Consul, once for each of the same cluster", each)
    .option("--prefix <prefix>", "keys of the pool in Consul (default: upstreams/POOL/)")
    .option("--consul-token-file <path>", "ACL token: session write and key_prefix write")
    .option("--consul-ca-file <path>", "PEM file of who vouches for Consul's certificate")
    .option("--ttl <duration>", "how long the target stays when nobody renews its lease", "10s")
    .option("--weight <number>", "share of new work (default: 1)")
    .option("--max-fails <number>", "failed reports that take it out for --fail-timeout")
    .option("--fail-timeout <duration>", "such as 10s")
    .option("--max-connections <number>", "at a time, on each balancer")
    .option("--backup", "takes work only while no other target of the pool does")
    .option("--slow-start <duration>", "its share grows to its weight in this time (default: the pool's)")
    .option("--drain-timeout <duration>", "longest wait for its work to end", "30s")
    .option("--drain-for <duration>", "the wait where nobody tells what work is left: Consul", "5s")
    .option("--stop-timeout <duration>", "from SIGTERM to SIGKILL for the service", "10s")
    .option("--restart", "start a service that ended by itself again, after 1s and up to 60s")
    .addHelpText("after", more)
    .action(async (name: string | undefined, command: readonly string[], options: RegisterOptions) => {
      // Only now: other commands need none of it.
      const { decodeRegisterArguments } = await import("./register-arguments.ts");
      const decoded = decodeRegisterArguments(name, command, options, io);
      if ("problems" in decoded) {
        for (const problem of decoded.problems) io.err(`evenkeel: ${problem}\n`);
        io.err("(evenkeel register --help tells more)\n");
        return io.setExitCode(exitCodes.error);
      }
      const { runRegistration } = await import("./register-run.ts");
      await runRegistration(decoded.plan, io);
    });
}
