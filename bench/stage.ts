// The stage of one run: a temporary directory, free loopback ports, and every process that the run starts, pinned to a
// core. Whatever way the run ends, `strike` ends what it started, by process id, and removes the directory. It must not
// touch a process that it did not start.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { listTree } from "./measure/processes.ts";

/** Below the range Linux takes for outgoing connections (32768 and up), so that no client of ours sits on a port we chose. */
const PORT_MIN = 17_000;
const PORT_MAX = 32_000;
const STOP_DEADLINE_MS = 5_000;
const FILES_WANTED = 65_536;

export type Command = {
  /** Names the files that take its output: `<name>.out` and `<name>.err`. */
  readonly name: string;
  readonly argv: readonly string[];
  /** A core list as taskset reads it: `0`, `1-3`. */
  readonly cores: string;
  /** A network namespace as `ip netns` knows it; that of this process by default. */
  readonly namespace?: string;
  readonly cwd?: string;
};

export type Started = {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves with how it ended, for a reader: `exit 1`, `signal SIGTERM`. */
  readonly ended: Promise<string>;
  /** The last lines it wrote to standard error. */
  complaint(): string;
};

export class Stage {
  readonly directory: string;
  readonly #stopDeadlineMs: number;
  #portNext = PORT_MIN;
  readonly #started = new Map<number, Started>();
  readonly #undoings: (() => void)[] = [];

  /** In memory where the machine has /dev/shm, so that no access log waits for a disk. */
  constructor(stopDeadlineMs: number = STOP_DEADLINE_MS) {
    this.#stopDeadlineMs = stopDeadlineMs;
    const root = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
    this.directory = mkdtempSync(join(root, "evenkeel-bench-"));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A loopback port that nobody listens on now and that this stage has not given out before. */
  async freePort(): Promise<number> {
    while (this.#portNext < PORT_MAX) {
      const port = this.#portNext++;
      if (await bindable(port)) return port;
    }
    throw new Error(`no free port between ${PORT_MIN} and ${PORT_MAX}`);
  }

  /**
   * Starts a program on the given cores. It gets SIGTERM from the kernel should this process die without a chance to
   * clean up (setpriv --pdeathsig), and no signal from the terminal: Ctrl-C reaches us, and we end it.
   */
  start(command: Command, stdin: "ignore" | "pipe" = "ignore"): Started {
    const errorPath = this.path(`${command.name}.err`);
    const out = openSync(this.path(`${command.name}.out`), "a");
    const error = openSync(errorPath, "a");
    const inside = command.namespace === undefined ? [] : enter(command.namespace);
    const argv = ["--pdeathsig", "TERM", "taskset", "-c", command.cores, ...inside, ...command.argv];
    const child = spawn("setpriv", argv, {
      cwd: command.cwd ?? this.directory,
      detached: true,
      stdio: [stdin, out, error],
    });
    closeSync(out);
    closeSync(error);
    const ended = new Promise<string>((resolve) => {
      child.once("error", (cause) => resolve(`could not start: ${cause.message}`));
      child.once("exit", (code, signal) => resolve(signal === null ? `exit ${code}` : `signal ${signal}`));
    });
    const pid = child.pid;
    if (pid === undefined)
      throw new Error(`${command.argv[0]} could not be started: is setpriv (util-linux) installed?`);
    const complaint = (): string => readFileSync(errorPath, "utf8").trimEnd().split("\n").slice(-5).join("\n");
    const started: Started = { name: command.name, pid, child, ended, complaint };
    this.#started.set(pid, started);
    ended.then(() => this.#started.delete(pid));
    return started;
  }

  /** SIGTERM, then SIGKILL to whatever of its process tree is left at the deadline (five seconds). */
  async stop(started: Started): Promise<void> {
    const tree = listTree(started.pid);
    signal(started.pid, "SIGTERM");
    const deadline = performance.now() + this.#stopDeadlineMs;
    while (tree.some(alive) && performance.now() < deadline) await delay(20);
    for (const pid of tree) if (alive(pid)) signal(pid, "SIGKILL");
    await started.ended;
    this.#started.delete(started.pid);
  }

  /** The first process of each command that runs. */
  pids(): readonly number[] {
    return [...this.#started.keys()];
  }

  /** Called when the stage is struck, once every process has ended; the last one first. */
  atStrike(undo: () => void): void {
    this.#undoings.push(undo);
  }

  /** Ends everything and removes the directory. Safe to call twice. */
  async strike(): Promise<void> {
    await Promise.all([...this.#started.values()].map((started) => this.stop(started)));
    for (const undo of this.#undoings.splice(0).reverse()) undo();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What stands in front of a command so that it runs in a namespace; its process id stays its own. */
export function enter(namespace: string): string[] {
  return ["nsenter", `--net=/run/netns/${namespace}`];
}

/** Raises the limit of open files of this process and its children as far as we may, and returns it. */
export function raiseFileLimit(): number {
  spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${FILES_WANTED}:${FILES_WANTED}`]);
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const soft = line?.[1];
  return soft === undefined || soft === "unlimited" ? FILES_WANTED : Number(soft);
}

function bindable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** A process that has ended but whose parent has not yet collected it counts as gone. */
function alive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.charAt(stat.lastIndexOf(")") + 2) !== "Z";
  } catch (cause) {
    if (isGone(cause)) return false;
    throw cause;
  }
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (cause) {
    if (!isGone(cause)) throw cause;
  }
}

/** It ended between two looks: ESRCH from kill and from a read in /proc, ENOENT from an open in /proc. */
function isGone(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ESRCH" || cause.code === "ENOENT");
}
