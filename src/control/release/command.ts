// The operator's commands of a release: placeholders filled in, by ssh or here, with the release's names in the environment, and
// what came of them in words. The change's way, an edge.

import { fillWord, type Placeholder } from "../../config/release-leaf.ts";
import type { Milliseconds } from "../../core/clock.ts";
import type { CommandAsked, CommandOutcome } from "../../io/kept-command.ts";
import { noteLengthMax, outputTailBytesMax, type ReleaseCommand, type SshAccess } from "../../model/release.ts";
import type { StepOutcome } from "../../release/machine.ts";

export type RunCommand = (asked: CommandAsked) => Promise<CommandOutcome>;

export type CommandValues = Readonly<Record<Placeholder, string>>;

/** What goes to the command beside its own environment: EVENKEEL_RELEASE_ID and the like. */
export type CommandNames = Readonly<Record<string, string>>;

/** How long ssh may take to connect. */
const connectTimeout = 10;

/** The words that are run on this machine. */
export function wordsOf(
  { words, on }: Pick<ReleaseCommand, "words" | "on">,
  {
    ssh,
    values,
    names,
  }: { readonly ssh: SshAccess | undefined; readonly values: CommandValues; readonly names: CommandNames },
): readonly string[] {
  const filled = words.map((word) => fillWord(word, values));
  if (on === "here" || ssh === undefined) return filled;
  return [...sshWords(ssh, values), remoteLine(filled, names)];
}

/** `ssh` up to the host. Nobody is there to be asked for a password. */
export function sshWords(ssh: SshAccess, values: CommandValues): readonly string[] {
  const { host, user, port, identityFile, options } = ssh;
  return [
    "ssh",
    ...["-o", "BatchMode=yes", "-o", `ConnectTimeout=${connectTimeout}`],
    // A machine that has gone away is noticed.
    ...["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"],
    ...options.flatMap((option) => ["-o", fillWord(option, values)]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(identityFile === undefined ? [] : ["-i", identityFile]),
    "--",
    fillWord(host, values),
  ];
}

/** ssh hands one line to the shell of the user on the other side (ssh(1)), so every word is quoted for it. */
function remoteLine(words: readonly string[], names: CommandNames): string {
  const environment = Object.entries(names).map(([name, value]) => `${name}=${value}`);
  return ["env", ...environment, ...words].map(quoteWord).join(" ");
}

/** For POSIX shells (XCU 2.2.2): nothing means anything between single quotes. */
export function quoteWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export type CommandWhole = {
  readonly run: RunCommand;
  readonly words: readonly string[];
  readonly names: CommandNames;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly timeout: Milliseconds;
  readonly signal: AbortSignal;
};

export async function runStepCommand(whole: CommandWhole): Promise<StepOutcome> {
  const { run, words, names, environment, directory, timeout, signal } = whole;
  const own = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const all = { ...Object.fromEntries(own), ...names };
  const asked = { words, environment: all, directory, timeout, signal, outputBytesMax: outputTailBytesMax };
  const { end, output } = await run(asked);
  const failed = (part: string, detail: string): StepOutcome => ({
    type: "failed",
    code: `release.command.${part}`,
    detail,
    output: output === "" ? undefined : output,
  });
  switch (end.type) {
    case "exit":
      if (end.code === 0) return { type: "done", note: lastLine(output) };
      if (end.code === 255 && words[0] === "ssh") return failed("ssh", "ssh failed (255)");
      return failed("exit", `it exited with ${end.code}`);
    case "signal":
      return failed("signal", `it was ended by ${end.signal}`);
    case "unstarted":
      return failed("missing", describeUnstarted(words[0] ?? "", end.error));
    case "timeout":
      return failed("timeout", `it did not end within ${timeout / 1000} s, and was ended`);
    case "givenUp":
      return failed("interrupted", "it was ended, since the release was told to stop at once");
    case "held":
      return failed(
        "output",
        "it has ended, but something that it started holds its output, and would die when that is cut: give it its own (>/var/log/app.log 2>&1 </dev/null &), or start it by systemd",
      );
    default:
      return end satisfies never;
  }
}

export function describeUnstarted(program: string, error: string): string {
  if (error === "ENOENT" || error === "ENOTDIR") return `there is no program ${program}`;
  if (error === "EACCES" || error === "EPERM") return `this user may not run ${program}`;
  return `${program} could not be run: ${error}`;
}

function lastLine(output: string): string | undefined {
  const line = output.split("\n").findLast((one) => one.trim() !== "");
  return line?.trim().slice(0, noteLengthMax);
}
