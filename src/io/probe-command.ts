// The command probe: a program, without a shell, in a process group of its own, so that at the deadline it is killed with
// all that it started. An edge, on the change's way: health checks, tracks and notify commands. Its output is read to the end
// and mostly thrown away; what it leaves behind in its group when it exits is killed too, unless it was started to leave it.

import { type ChildProcess, spawn } from "node:child_process";
import { Attempt, type Prober, type ProbeShared, type ProbeTarget } from "./probe.ts";
import { type Account, environmentOf, findAccount, identityOf } from "./user-account.ts";

/** Bytes of the output that are kept, of each of stdout and stderr. */
const outputBytesMax = 1024;
/** How long after its exit the last of its output may take: a process of another group may hold the pipe for ever. */
const outputGraceMs = 200;

/** A program as an operator configured it. */
export type OperatorProgram = {
  readonly command: readonly string[];
  /** Beside our own. */
  readonly environment: Readonly<Record<string, string>>;
  /** A user's name; undefined: ours. */
  readonly user: string | undefined;
  /**
   * What it started goes on when it has ended, as a daemon that a notify command starts. Then its output goes nowhere: a
   * pipe to us would end with us, and the daemon with the pipe.
   */
  readonly leavesProcesses: boolean;
};

/** Codes: probe.command.exit, .signal, .missing, .denied, probe.timeout. */
export function createCommandProber(target: ProbeTarget, command: readonly string[], shared: ProbeShared): Prober {
  const environment = {
    EVENKEEL_POOL: target.pool,
    EVENKEEL_TARGET: target.address,
    EVENKEEL_HOST: target.host,
    EVENKEEL_PORT: String(target.port),
  };
  return createProgramProber({ command, environment, user: undefined, leavesProcesses: false }, shared);
}

/** Codes: those of the command prober, and user.missing. The outcome's text is the start of what the program said. */
export function createProgramProber(program: OperatorProgram, shared: Pick<ProbeShared, "clock">): Prober {
  let current: Attempt | undefined;
  return {
    start(timeoutMs, end) {
      const attempt = new Attempt(shared.clock, timeoutMs, end);
      current = attempt;
      attempt.doing = `running ${program.command[0]}`;
      if (program.user === undefined) {
        runProgram(program, attempt, undefined);
        return;
      }
      // Looked up each time: a user's number may change, and the one of a removed user may be given to another.
      void findAccount(program.user).then((found) => {
        if (attempt.over) return;
        if (found.ok) runProgram(program, attempt, found.value);
        else attempt.fail(found.failure.code, found.failure.detail);
      });
    },
    close() {
      current?.giveUp();
    },
  };
}

function runProgram(program: OperatorProgram, attempt: Attempt, account: Account | undefined): void {
  const { command, environment, leavesProcesses } = program;
  const [name = "", ...words] = command;
  let child: ChildProcess;
  try {
    child = spawn(name, words, {
      env: { ...process.env, ...environmentOf(account), ...environment },
      detached: true,
      stdio: leavesProcesses ? "ignore" : ["ignore", "pipe", "pipe"],
      ...identityOf(account),
    });
  } catch (error) {
    // Node tells of some errors by an event and throws the others: EPERM for another user, ENOTDIR, E2BIG.
    setImmediate(() => failToStart(attempt, name, error instanceof Error ? error : new Error(String(error))));
    return;
  }
  attempt.release = () => endGroup(child);
  const output = readOutput(child);
  child.once("error", (error: NodeJS.ErrnoException) => failToStart(attempt, name, error));
  child.once("exit", (code, signal) => {
    // What it started must not outlive it, and must not keep its pipes open.
    if (!leavesProcesses) killGroup(child);
    const judge = () => judgeExit(attempt, code, signal, output());
    const timer = setTimeout(judge, outputGraceMs);
    child.once("close", () => {
      clearTimeout(timer);
      judge();
    });
  });
}

function failToStart(attempt: Attempt, program: string, error: NodeJS.ErrnoException): void {
  if (error.code === "ENOENT" || error.code === "ENOTDIR")
    attempt.fail("probe.command.missing", `there is no program ${program}`);
  else if (error.code === "EACCES" || error.code === "EPERM")
    attempt.fail("probe.command.denied", `this user may not run ${program}`);
  else attempt.failBy(error);
}

/** The start of what it writes to stdout, and to stderr when that is nothing. */
function readOutput(child: ChildProcess): () => string {
  const [out, err] = [child.stdout, child.stderr].map((stream) => {
    let kept = Buffer.alloc(0);
    stream?.on("data", (bytes: Buffer) => {
      const room = outputBytesMax - kept.length;
      if (room > 0) kept = Buffer.concat([kept, bytes.subarray(0, room)]);
    });
    stream?.on("error", () => {});
    return () => kept.toString("utf8").trim();
  });
  return () => out?.() || err?.() || "";
}

function judgeExit(attempt: Attempt, code: number | null, signal: string | null, output: string): void {
  const said = output === "" ? "" : `: ${output}`;
  if (code === 0) attempt.pass(output === "" ? `exit 0 in ${attempt.tookMs.toFixed(0)} ms` : output);
  else if (code !== null) attempt.fail("probe.command.exit", `exit ${code}${said}`);
  else attempt.fail("probe.command.signal", `ended by ${signal ?? "a signal"}${said}`);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // Nobody of the group is left, as it should be.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function endGroup(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) killGroup(child);
  child.stdout?.destroy();
  child.stderr?.destroy();
}
