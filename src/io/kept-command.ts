// Runs one command of an operator to its end: without a shell, with a deadline, the end of its output kept, and never outliving
// us (kept-command-main.ts). An edge, on the change's way. A process that the command leaves behind stays, but it must not
// hold the command's output: it would be cut off when we end, and die of it at its next line.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Milliseconds } from "../core/clock.ts";
import type { CommandOrder, CommandReport } from "./kept-command-message.ts";

export type CommandAsked = {
  readonly words: readonly string[];
  /** The whole environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly timeout: Milliseconds;
  /** Gives it up: it is killed. */
  readonly signal: AbortSignal;
  /** Bytes of the end of its output that are kept; stdout and stderr as they come. */
  readonly outputBytesMax: number;
};

export type CommandEnd =
  | { readonly type: "exit"; readonly code: number }
  | { readonly type: "signal"; readonly signal: string }
  /** An errno: there is no such program, or this user may not run it. */
  | { readonly type: "unstarted"; readonly error: string }
  | { readonly type: "timeout" }
  | { readonly type: "givenUp" }
  /** It has ended well, and something that it left holds its output. */
  | { readonly type: "held" };

export type CommandOutcome = { readonly end: CommandEnd; readonly output: string };

/** From SIGTERM to SIGKILL. */
const killDelay: Milliseconds = 5_000;
/** How long after its end the last of its output may take. */
const outputGrace: Milliseconds = 1_000;

export function runKeptCommand(asked: CommandAsked): Promise<CommandOutcome> {
  // The extension is this file's own: `.js` in the published package.
  const main = fileURLToPath(import.meta.url).replace(/kept-command(\.[a-z]+)$/, "kept-command-main$1");
  const { NODE_OPTIONS: _ours, ...own } = process.env;
  const keeper = fork(main, [], {
    serialization: "json",
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    detached: true,
    cwd: "/",
    env: own,
    execArgv: ["--max-old-space-size=24", "--max-semi-space-size=1"],
  });
  return new Promise((resolve) => new Run(asked, keeper, resolve).begin());
}

class Run {
  readonly #asked: CommandAsked;
  readonly #keeper: ChildProcess;
  readonly #resolve: (outcome: CommandOutcome) => void;
  readonly #tail: () => string;
  #why: "timeout" | "givenUp" | undefined;
  #end: CommandEnd | undefined;
  #over = false;
  #timers: NodeJS.Timeout[] = [];
  readonly #abort = () => this.#stop("givenUp", "SIGKILL");

  constructor(asked: CommandAsked, keeper: ChildProcess, resolve: (outcome: CommandOutcome) => void) {
    this.#asked = asked;
    this.#keeper = keeper;
    this.#resolve = resolve;
    this.#tail = keepTail(keeper, asked.outputBytesMax);
  }

  begin(): void {
    const { words: command, environment, directory, timeout, signal } = this.#asked;
    const keeper = this.#keeper;
    keeper.on("message", (said: CommandReport) => this.#ended(said));
    keeper.once("error", (error) => this.#finish({ type: "unstarted", error: error.message }));
    keeper.once("close", () =>
      this.#finish(this.#end ?? { type: "signal", signal: "SIGKILL (its keeper was killed)" }),
    );
    this.#send({ kind: "start", command, environment, directory });
    this.#timers.push(setTimeout(() => this.#stop("timeout", "SIGTERM"), timeout));
    if (signal.aborted) this.#abort();
    else signal.addEventListener("abort", this.#abort);
  }

  #send(order: CommandOrder): void {
    // One that cannot be written to is ending, and its end is told.
    if (this.#keeper.connected) this.#keeper.send(order, () => {});
  }

  #stop(why: "timeout" | "givenUp", signal: "SIGTERM" | "SIGKILL"): void {
    this.#why ??= why;
    this.#send({ kind: "signal", signal });
    if (signal === "SIGTERM")
      this.#timers.push(setTimeout(() => this.#send({ kind: "signal", signal: "SIGKILL" }), killDelay));
  }

  #ended(said: CommandReport): void {
    const end = this.#judge(said);
    this.#end = end;
    const isGood = end.type === "exit" && end.code === 0;
    // The pipes close with the keeper, unless somebody else has them.
    this.#timers.push(setTimeout(() => this.#finish(isGood ? { type: "held" } : end), outputGrace));
  }

  #judge({ code, signal, error }: CommandReport): CommandEnd {
    if (error !== undefined) return { type: "unstarted", error };
    if (this.#why !== undefined) return { type: this.#why };
    return signal === undefined ? { type: "exit", code: code ?? 0 } : { type: "signal", signal };
  }

  #finish(end: CommandEnd): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#asked.signal.removeEventListener("abort", this.#abort);
    this.#keeper.stdout?.destroy();
    this.#keeper.stderr?.destroy();
    this.#resolve({ end, output: this.#tail() });
  }
}

/** The end of what is written to stdout and stderr. */
function keepTail(child: ChildProcess, bytesMax: number): () => string {
  let kept = Buffer.alloc(0);
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (bytes: Buffer) => {
      const all = Buffer.concat([kept, bytes]);
      kept = all.subarray(Math.max(0, all.length - bytesMax));
    });
    stream?.on("error", () => {});
  }
  // A character that was cut at the front is no character.
  return () =>
    kept
      .toString("utf8")
      .replace(/^\ufffd+/, "")
      .trimEnd();
}
