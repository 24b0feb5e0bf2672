// The keeper: a small process that starts the services of the active node and sees to it that they do not outlive the
// supervisor. However that ends, kill -9 included, the channel between them closes, and the keeper kills every service with
// its whole group before it ends itself; it does the same when the supervisor has been silent for longer than the lease, as
// one that was stopped is. The change's way. It knows nothing of roles, and restarts nothing.

import { type ChildProcess, spawn } from "node:child_process";
import { ignoreSignals } from "./privileges.ts";
import { bootClock } from "./realtime.ts";
import { type KeeperOrder, type KeeperReport, type ServiceStart, serviceLease } from "./service-keeper-message.ts";

const lookInterval = 250;

const now = bootClock();
const running = new Map<number, ChildProcess>();
/** Those of them that silence does not end. */
const lasting = new Set<number>();
let heardAt = now();

function report(said: KeeperReport): void {
  if (process.connected) process.send?.(said, undefined, undefined, leaveUnheard);
}

// A write may fail before the end of the channel is told, and without this would end us with the services running.
function leaveUnheard(error: Error | null): void {
  if (error !== null) leave();
}

function leave(): void {
  killAll();
  process.exit(0);
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // Nobody of the group is left, or what is left is not ours to signal any more.
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}

function killAll(): void {
  for (const child of running.values()) killGroup(child, "SIGKILL");
}

function start(run: number, { command, environment, directory, uid, gid, outlivesSilence }: ServiceStart): void {
  const [program = "", ...words] = command;
  const ended = (code: number | null, signal: string | null, error: string | undefined) => {
    if (!running.delete(run)) return;
    lasting.delete(run);
    report({ kind: "ended", run, code: code ?? undefined, signal: signal ?? undefined, error });
  };
  let child: ChildProcess;
  try {
    child = spawn(program, words, {
      env: environment,
      // A group and session of its own: what ends us by a terminal or by name is not for it, and it is ended as a whole.
      detached: true,
      stdio: ["ignore", "inherit", "inherit"],
      ...(directory === undefined ? {} : { cwd: directory }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
  } catch (error) {
    // Node tells of some errors by an event and throws the others: EPERM for another user, ENOTDIR, E2BIG.
    const what = error instanceof Error && "code" in error ? String(error.code) : String(error);
    report({ kind: "ended", run, code: undefined, signal: undefined, error: what });
    return;
  }
  running.set(run, child);
  if (outlivesSilence === true) lasting.add(run);
  child.once("error", (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) ended(null, null, error.code ?? error.message);
  });
  child.once("exit", (code, signal) => {
    // What it left behind would run on beside its successor.
    killGroup(child, "SIGKILL");
    ended(code, signal, undefined);
  });
  if (child.pid !== undefined) report({ kind: "started", run, pid: child.pid });
}

/** True when the services had to be killed: nobody spoke for them in time. */
function checkLease(): boolean {
  const gapMs = now() - heardAt;
  if (gapMs <= serviceLease) return false;
  heardAt = now();
  const leased = [...running].filter(([run]) => !lasting.has(run));
  if (leased.length === 0) return false;
  for (const [, child] of leased) killGroup(child, "SIGKILL");
  report({ kind: "leaseOver", gapMs: Math.round(gapMs) });
  return true;
}

function obey(order: KeeperOrder): void {
  // Before the order counts as a sign of life: it may have waited in the channel while everything stood still.
  checkLease();
  heardAt = now();
  switch (order.kind) {
    case "beat":
      return;
    case "start":
      start(order.run, order.start);
      return;
    case "signal": {
      const child = running.get(order.run);
      if (child === undefined) return;
      if (order.signal === "SIGTERM" || order.signal === "SIGKILL") killGroup(child, order.signal);
      else child.kill(order.signal);
      return;
    }
    default:
      order satisfies never;
  }
}

function main(): void {
  const ignored = ignoreSignals(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);
  if (!ignored.ok) process.stderr.write(`service keeper: ${ignored.failure.detail}\n`);
  process.on("message", (order: KeeperOrder) => obey(order));
  // A supervisor that is gone has closed the channel.
  process.once("disconnect", leave);
  setInterval(checkLease, lookInterval);
  report({ kind: "ready" });
}

main();
