// Runs a program of the machine to its end and keeps what it said: bounded in time and in output, without a shell, with the
// folders of administrators' programs in its PATH and its messages in English. The change's way. Must not be used for
// what runs as long as we do.

import { type ChildProcess, spawn } from "node:child_process";

/** Of each of standard output and standard error; what comes after is read and dropped. */
export const COMMAND_OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export type CommandEnd =
  | { readonly kind: "ended"; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: "killed"; readonly signal: string; readonly stderr: string }
  | { readonly kind: "late"; readonly stderr: string }
  /** It never ran: `ENOENT` when there is no such program. */
  | { readonly kind: "failed"; readonly error: string };

export type Command = {
  readonly program: string;
  readonly args: readonly string[];
  readonly input: string;
  /** Milliseconds until it is killed. */
  readonly timeMax: number;
};

/** The environment for the machine's own programs: a user's PATH lacks the folders that nft and ip lie in. */
export function commandEnvironment(): Readonly<Record<string, string>> {
  const path = process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  return { PATH: `${path}:/usr/local/sbin:/usr/sbin:/sbin`, LC_ALL: "C" };
}

export function runCommand(command: Command): Promise<CommandEnd> {
  const { program, args, input, timeMax } = command;
  return new Promise((resolve) => {
    const child = spawn(program, [...args], { env: commandEnvironment(), stdio: ["pipe", "pipe", "pipe"] });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
      // A child of its own may keep the pipes open; we don't wait for that one.
      leave(child);
      resolve({ kind: "late", stderr: stderr() });
    }, timeMax);
    child.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve({ kind: "failed", error: error.code ?? error.message });
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (late) return;
      if (code !== null) resolve({ kind: "ended", code, stdout: stdout(), stderr: stderr() });
      else resolve({ kind: "killed", signal: signal ?? "a signal", stderr: stderr() });
    });
    child.stdin.on("error", () => {
      // It ended without reading all of its input; its exit code and its words say why.
    });
    child.stdin.end(input);
  });
}

function leave(child: ChildProcess): void {
  child.stdin?.destroy();
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < COMMAND_OUTPUT_BYTES_MAX) chunks.push(chunk);
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}
