// The nft command: a whole ruleset applied as text in one transaction, a table listed, the version. The change's way, at
// start, at reload and at the end; 17 to 24 ms a call, so what changes while clients are served goes through
// netfilter.ts. The text is the caller's and is taken as it is: that it touches only the table `inet evenkeel` is decided
// where it is generated.

import { spawnSync } from "node:child_process";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { type CommandEnd, commandEnvironment, runCommand } from "./bounded-command.ts";
import { netAdminRemedy } from "./netfilter.ts";

const program = "nft";
/** For a ruleset of some 100,000 elements, on a machine that is busy. */
const applyTimeMax = 30_000;
const versionTimeMax = 5_000;
/** Of nft's own words in a failure; it repeats the line it did not like, which may be a map of 4,099 elements. */
const wordsLengthMax = 2_000;
/** NFT_NAME_MAXLEN, and nft's own syntax of names. */
const tableName = /^[A-Za-z_][A-Za-z0-9_/\\.-]{0,254}$/;

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

const missing = failure("nft.missing", "there is no program `nft` on this machine: install the package nftables");

/**
 * `nft -f -`: all of the text or nothing. Codes: nft.missing, nft.denied, nft.refused (with nft's words), nft.timeout (it
 * was killed, and whether the text was applied is unknown), nft.failed.
 */
export async function applyRuleset(text: string): Promise<Result<true>> {
  return verdict(await runCommand({ program, args: ["-f", "-"], input: text, timeMax: applyTimeMax }));
}

/** `nft --check`: the kernel tries all of it and changes nothing. Codes as for applyRuleset. */
export async function checkRuleset(text: string): Promise<Result<true>> {
  return verdict(await runCommand({ program, args: ["-c", "-f", "-"], input: text, timeMax: applyTimeMax }));
}

/**
 * The table of family inet as nft prints it, or undefined when there is none; terse without the elements of maps and sets.
 * Codes as for applyRuleset.
 */
export async function listTable(
  table: string,
  options: { readonly terse?: boolean } = {},
): Promise<Result<string | undefined>> {
  if (!tableName.test(table)) return bad(failure("nft.refused", `\`${table}\` is no name of a table`));
  const args = [...(options.terse ? ["--terse"] : []), "list", "table", "inet", table];
  const end = await runCommand({ program, args, input: "", timeMax: applyTimeMax });
  if (end.kind === "ended" && end.code === 0) return good(end.stdout);
  if (end.kind === "ended" && /^Error: No such file or directory/m.test(end.stderr)) return good(undefined);
  const why = verdict(end);
  return why.ok ? good(undefined) : why;
}

function verdict(end: CommandEnd): Result<true> {
  switch (end.kind) {
    case "ended":
      return end.code === 0 ? good(true) : bad(refusal(end.stderr));
    case "killed":
      return bad(failure("nft.failed", `nft was ended by ${end.signal}${said(end.stderr)}`));
    case "late":
      return bad(failure("nft.timeout", `nft had not ended after ${applyTimeMax / 1000} s${said(end.stderr)}`));
    case "failed":
      return bad(end.error === "ENOENT" ? missing : failure("nft.failed", `nft could not be started: ${end.error}`));
    default:
      return end satisfies never;
  }
}

function refusal(stderr: string): Failure {
  if (/Operation not permitted/.test(stderr)) {
    return failure("nft.denied", `nft may not change rules: ${netAdminRemedy}`);
  }
  return failure("nft.refused", `nft refused the rules${said(stderr)}`);
}

function said(stderr: string): string {
  const words = stderr.trim();
  if (words === "") return "";
  return words.length > wordsLengthMax ? `: ${words.slice(0, wordsLengthMax)} ...` : `: ${words}`;
}

/** `1.0.6`. Waits for the command (5 ms), so it is for the start. Codes: nft.missing, nft.failed. */
export function nftVersion(): Result<string> {
  const ran = spawnSync(program, ["--version"], {
    env: commandEnvironment(),
    encoding: "utf8",
    timeout: versionTimeMax,
    killSignal: "SIGKILL",
  });
  if (ran.error !== undefined) {
    const absent = "code" in ran.error && ran.error.code === "ENOENT";
    return bad(absent ? missing : failure("nft.failed", `nft --version: ${ran.error.message}`));
  }
  const version = /v(\d+(?:\.\d+)*)/.exec(ran.stdout)?.[1];
  if (version !== undefined) return good(version);
  return bad(failure("nft.failed", `nft --version gave no version${said(ran.stderr)}`));
}
