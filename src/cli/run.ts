// `evenkeel run -c FILE...`: the balancer itself. Wires the supervisor to what may ask something of it: signals and the admin
// API. Exit 0 after a drain; 1 when it could not start, with every reason on stderr.

import type { Socket } from "node:net";
import { resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { Option } from "commander";
import type { AdminServer } from "../admin/server.ts";
import type { AdapterName } from "../control/read-foreign.ts";
import type { Supervisor } from "../control/supervisor.ts";
import type { HeartbeatConfig } from "../control/workers/heartbeat.ts";
import type { SlotsConfig } from "../control/workers/worker-slots.ts";
import { formatSocketAddress } from "../core/address.ts";
import { type Log, type LogLevel, logLevels } from "../core/log.ts";
import { type CliIo, type ExitCode, exitCodes } from "./cli-io.ts";
import { adapterOption, configOption } from "./config-option.ts";
import { programVersion } from "./version.ts";

export type RunOptions = {
  /** Several are one configuration. */
  readonly configFiles: readonly string[];
  /** Reads all of them; by default each is known by its name. */
  readonly adapter?: AdapterName | undefined;
  readonly pidFile: string | undefined;
  readonly workerPath: string;
  /** Waits other than the usual ones. */
  readonly slots?: Partial<SlotsConfig>;
  readonly heartbeat?: Partial<HeartbeatConfig>;
  readonly log: Log;
  readonly err: (text: string) => void;
};

const workerPath = fileURLToPath(new URL("../worker/main.ts", import.meta.url));

export function addRunCommand(program: Command, io: CliIo): void {
  program
    .command("run")
    .description("balance, in the foreground, until SIGTERM or SIGINT (SIGHUP reloads, SIGUSR1 reopens the logs)")
    .addOption(configOption())
    .addOption(adapterOption())
    .addOption(new Option("--log-level <level>", "least level to log").choices(logLevels).default("info"))
    .option("--pid-file <path>", "write the process id here once every worker serves")
    .action(async (options: { config: string[]; adapter?: AdapterName; logLevel: LogLevel; pidFile?: string }) => {
      const { openProgramLog } = await import("../io/program-log.ts");
      const code = await runNode({
        configFiles: options.config,
        adapter: options.adapter,
        pidFile: options.pidFile === undefined ? undefined : resolve(options.pidFile),
        workerPath,
        log: openProgramLog(options.logLevel),
        err: io.err,
      });
      io.setExitCode(code);
    });
}

/** Runs a node from its start to its end and returns the exit code. Takes the process's signals. */
export async function runNode(options: RunOptions): Promise<ExitCode> {
  // These two end a process that does not take them, and may come before there is anything to reload or reopen.
  process.on("SIGHUP", () => {});
  process.on("SIGUSR1", () => {});
  const { loadConfig } = await import("../control/load-config.ts");
  // Absolute, so that they mean the same files on every reload.
  const { adapter } = options;
  const paths = options.configFiles.map((file) => resolve(file));
  const load = () => loadConfig(paths, { adapter });
  const loaded = await loadConfig(options.configFiles, { adapter });
  for (const warning of loaded.warnings) options.log.warn("configuration", { warning });
  if (!loaded.ok) return refuse(options, loaded.problems);

  const { Supervisor } = await import("../control/supervisor.ts");
  const { openAdminServer } = await import("../admin/server.ts");
  const { claimSocketPath } = await import("../io/socket-path.ts");
  const { PeerNames } = await import("../io/peer-credentials.ts");
  const { log } = options;
  const clock = () => performance.now();
  const supervisor = new Supervisor({
    config: loaded.config,
    load,
    workerPath: options.workerPath,
    slots: options.slots ?? {},
    heartbeat: options.heartbeat ?? {},
    version: programVersion(),
    log,
    clock,
  });
  // Both are tried before anything is said, so that a second start hears of every address that it cannot have.
  const failures = [...supervisor.open()];
  const { admin: where } = loaded.config;
  const claimed = await claimSocketPath(where.socket);
  const peers = new PeerNames();
  const peerName = (connection: Socket) => peers.nameOf(connection);
  const admin = claimed.ok
    ? await openAdminServer({ admin: where, controlled: supervisor, log, clock, peerName })
    : claimed;
  if (!admin.ok) failures.push(admin.failure);
  if (failures.length > 0 || !admin.ok) {
    if (admin.ok) await admin.value.close();
    return refuse(
      options,
      failures.map((failure) => failure.detail),
    );
  }
  return serve(supervisor, admin.value, options);
}

function refuse(options: RunOptions, reasons: readonly string[]): ExitCode {
  for (const reason of reasons) options.err(`evenkeel: ${reason}\n`);
  return exitCodes.error;
}

async function serve(supervisor: Supervisor, admin: AdminServer, options: RunOptions): Promise<ExitCode> {
  const { log, pidFile } = options;
  takeSignals(supervisor, log);
  // Started with --disable-sigusr1 (see ./evenkeel), Node keeps SIGUSR1 blocked even for a process that listens to it.
  const { unblockSignal } = await import("../io/libc.ts");
  const unblocked = unblockSignal("SIGUSR1");
  if (!unblocked.ok) log.error("SIGUSR1 will not reopen the logs", { error: unblocked.name });
  const failures = await supervisor.start();
  if (failures.length > 0) {
    await admin.close();
    return refuse(
      options,
      failures.map((failure) => failure.detail),
    );
  }
  if (await supervisor.serving()) await announce(supervisor, log, pidFile);
  await supervisor.gone();
  await admin.close();
  if (pidFile !== undefined) {
    const { removePidFile } = await import("../io/pid-file.ts");
    removePidFile(pidFile, process.pid);
  }
  log.info("ended");
  return exitCodes.good;
}

async function announce(supervisor: Supervisor, log: Log, pidFile: string | undefined): Promise<void> {
  const { config, generation } = supervisor;
  const listeners = config.listeners.map(({ name, protocol, bind }) => ({
    name,
    protocol,
    address: formatSocketAddress(bind),
  }));
  const { socket: admin, http } = config.admin;
  const adminHttp = http === undefined ? undefined : formatSocketAddress(http.bind);
  log.info("ready", { node: config.node, generation, workers: config.workers, listeners, admin, adminHttp });
  if (pidFile === undefined) return;
  const { writePidFile } = await import("../io/pid-file.ts");
  const written = writePidFile(pidFile, process.pid);
  if (!written.ok) log.error("pid file not written", { code: written.failure.code, detail: written.failure.detail });
}

function takeSignals(supervisor: Supervisor, log: Log): void {
  let ending = false;
  const drain = (signal: NodeJS.Signals) => {
    // The second one means: now.
    const deadlineMs = ending ? 0 : supervisor.config.drainTimeout;
    log.info("draining", { signal, deadlineMs });
    if (ending) return supervisor.drain(deadlineMs);
    ending = true;
    // Whoever still calls the floating addresses is served until they are somebody else's.
    void supervisor.resign().then(() => supervisor.drain(deadlineMs));
  };
  process.on("SIGTERM", drain);
  process.on("SIGINT", drain);
  process.on("SIGUSR1", () => supervisor.reopenLogs());
  process.on("SIGHUP", () => {
    log.info("reload asked for", { signal: "SIGHUP" });
    // Its outcome is logged where it is decided; a throw is a broken invariant and ends the process.
    void supervisor.reload();
  });
}
