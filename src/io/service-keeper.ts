// Starts the keeper of services (service-keeper-main.ts) and talks to it. The change's way, in the supervisor. When the keeper
// itself dies, the services that it had are killed from here by their groups, and another is started with the next order.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  beatInterval,
  type KeeperOrder,
  type KeeperReport,
  type ServiceSignal,
  type ServiceStart,
} from "./service-keeper-message.ts";

export type ServiceKeeper = {
  /** Starts a service; `run` is a number that was not used before. */
  start(run: number, start: ServiceStart): void;
  signal(run: number, signal: ServiceSignal): void;
  /** Kills what still runs and lets the keeper go. */
  close(): void;
};

/** `hear` is called with what becomes of services; after a keeper's death with `ended` for each that it had. */
export function createServiceKeeper(hear: (report: KeeperReport) => void): ServiceKeeper {
  let child: ChildProcess | undefined;
  let beats: NodeJS.Timeout | undefined;
  let closed = false;
  /** Runs that were ordered and have not ended; the group's leader once it is known. */
  const runs = new Map<number, number | undefined>();

  const lost = (from: ChildProcess) => {
    if (child !== from) return;
    child = undefined;
    clearInterval(beats);
    const left = [...runs];
    runs.clear();
    for (const [run, pid] of left) {
      if (pid !== undefined) killGroup(pid);
      if (!closed) hear({ kind: "ended", run, code: undefined, signal: undefined, error: "keeper" });
    }
  };
  const open = (): ChildProcess => {
    if (child !== undefined) return child;
    // The extension is this file's own: `.js` in the published package.
    const main = fileURLToPath(import.meta.url).replace(/service-keeper(\.[a-z]+)$/, "service-keeper-main$1");
    const { NODE_OPTIONS: _ours, ...environment } = process.env;
    const started = fork(main, [], {
      serialization: "json",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      detached: true,
      cwd: "/",
      env: environment,
      execArgv: ["--max-old-space-size=24", "--max-semi-space-size=1"],
    });
    child = started;
    started.on("message", (report: KeeperReport) => {
      if (report.kind === "started") runs.set(report.run, report.pid);
      if (report.kind === "ended" && !runs.delete(report.run)) return;
      if (!closed) hear(report);
    });
    started.once("error", () => lost(started));
    started.once("exit", () => lost(started));
    beats = setInterval(() => send(started, { kind: "beat" }), beatInterval).unref();
    return started;
  };
  const send = (to: ChildProcess, order: KeeperOrder) => {
    // One that cannot be written to is ending: its exit tells us, and kills what it had.
    if (to.connected) to.send(order, () => {});
  };
  return {
    start(run, start) {
      runs.set(run, undefined);
      send(open(), { kind: "start", run, start });
    },
    signal(run, signal) {
      if (child !== undefined) send(child, { kind: "signal", run, signal });
    },
    close() {
      closed = true;
      clearInterval(beats);
      if (child?.connected === true) child.disconnect();
    },
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It ended with its keeper, or is not ours to signal.
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}
