// The keeper of one command: a small process that starts it and sees to it that it does not outlive whoever wanted it.
// However that one ends, kill -9 included, the channel between them closes, and the keeper kills the command with its whole
// group. What the command leaves behind when it ends by itself (a service that it started) stays. The change's way.

import { type ChildProcess, spawn } from "node:child_process";
import type { CommandOrder, CommandReport } from "./kept-command-message.ts";
import { ignoreSignals } from "./privileges.ts";

let child: ChildProcess | undefined;

function report(said: CommandReport): void {
  if (!process.connected) return;
  // The last word: the process that asked closes the channel behind it.
  process.send?.(said, undefined, undefined, (error) => {
    if (error !== null || said.kind === "ended") process.exit(0);
  });
}

function killGroup(signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // Nobody of the group is left, or what is left is not ours to signal.
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}

function start({ command, environment, directory }: Extract<CommandOrder, { readonly kind: "start" }>): void {
  const [program = "", ...words] = command;
  const failed = (error: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    report({ kind: "ended", code: undefined, signal: undefined, error: code });
  };
  try {
    child = spawn(program, words, {
      env: environment,
      cwd: directory,
      detached: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
  } catch (error) {
    // Node tells of some errors by an event and throws the others: ENOTDIR, E2BIG.
    failed(error);
    return;
  }
  child.once("error", (error) => {
    if (child?.pid === undefined) failed(error);
  });
  child.once("exit", (code, signal) => {
    child = undefined;
    report({ kind: "ended", code: code ?? undefined, signal: signal ?? undefined, error: undefined });
  });
}

function main(): void {
  const ignored = ignoreSignals(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);
  if (!ignored.ok) process.stderr.write(`${ignored.failure.detail}\n`);
  process.on("message", (order: CommandOrder) => {
    switch (order.kind) {
      case "start":
        return start(order);
      case "signal":
        return killGroup(order.signal);
      default:
        order satisfies never;
    }
  });
  process.once("disconnect", () => {
    killGroup("SIGKILL");
    process.exit(0);
  });
}

main();
