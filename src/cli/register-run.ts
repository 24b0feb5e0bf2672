// Wires what `evenkeel register` does to the world: boards, probes, the keeper, the process's signals and its exit code. The
// change's way. What happens when, src/control/register says.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { performance } from "node:perf_hooks";
import { createAdminBoard } from "../control/register/admin-board.ts";
import type { Board } from "../control/register/board.ts";
import { createConsulBoard } from "../control/register/consul-board.ts";
import { Registrar } from "../control/register/registrar.ts";
import { formatDuration } from "../core/units.ts";
import { unblockSignal } from "../io/libc.ts";
import { shorten } from "../io/probe.ts";
import { createProbers } from "../io/prober.ts";
import { createServiceKeeper } from "../io/service-keeper.ts";
import { askAdmin } from "./admin-client.ts";
import type { CliIo } from "./cli-io.ts";
import type { RegisterPlan } from "./register-arguments.ts";

/** Runs until all is over. Takes the process's signals. */
export async function runRegistration(plan: RegisterPlan, io: CliIo): Promise<void> {
  const clock = () => performance.now();
  const { pool, address, checkAt, check } = plan;
  const prober = createProbers(clock);
  const tell = (text: string) => io.err(`evenkeel: ${shorten(text)}\n`);
  const registrar = new Registrar({
    rules: plan.rules,
    check,
    openProber: () => prober(check.probe, { pool, address, host: checkAt.host, port: checkAt.port }),
    service: {
      command: plan.command,
      environment: environmentOf(io),
      directory: process.cwd(),
      uid: undefined,
      gid: undefined,
      outlivesSilence: true,
    },
    createKeeper: createServiceKeeper,
    boards: openBoards(plan, tell),
    drainFor: plan.drainFor,
    clock,
    alarm: (delay, ring) => {
      const timer = setTimeout(ring, Math.max(0, Math.ceil(delay)));
      return () => clearTimeout(timer);
    },
    random: Math.random,
    tell,
  });
  takeSignals(registrar, tell);
  // The service's own, which need not be one of ours.
  process.exitCode = await registrar.run();
}

function environmentOf({ environment }: CliIo): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function openBoards(plan: RegisterPlan, tell: (text: string) => void): readonly Board[] {
  const { pool, address, fields, ttl, consul } = plan;
  // Whoever reads the lease or the session should find us by it.
  const holder = `${hostname()}:${process.pid}:${randomBytes(6).toString("hex")}`
    .replaceAll(/[^!-~]/g, "-")
    .slice(-128);
  const boards = plan.places.map((place) =>
    createAdminBoard({
      name: place.name,
      ask: (question) => askAdmin(place, question),
      pool,
      address,
      fields,
      holder,
      ttl,
    }),
  );
  if (consul === undefined) return boards;
  if (consul.ttl > ttl) tell(`a session of Consul lives for ${formatDuration(consul.ttl)} at least; --ttl says less`);
  const { endpoints, prefix, tokenFile, caFile, value } = consul;
  const random = Math.random;
  return [
    ...boards,
    createConsulBoard({ endpoints, prefix, tokenFile, address, value, holder, ttl: consul.ttl, caFile, random }),
  ];
}

function takeSignals(registrar: Registrar, tell: (text: string) => void): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => registrar.stop(signal));
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => registrar.passOn(signal));
  // Started with --disable-sigusr1, Node keeps SIGUSR1 blocked even for a process that listens to it.
  const unblocked = unblockSignal("SIGUSR1");
  if (!unblocked.ok) tell(`SIGUSR1 will not reach the service: ${unblocked.name}`);
  // A log that nobody reads any more must not end the service.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}
