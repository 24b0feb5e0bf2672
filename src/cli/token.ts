// `evenkeel token new|ls|rm`: the tokens that let programs speak to the admin API over TCP. The file holds hashes alone; a
// token is printed once, when it is made. The program that runs sees every change of the file with the next request. Exit 0;
// 3 when the name is taken or unknown; 1 when the file cannot be read or written.

import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Command, Option } from "commander";
import { createToken, isTokenName, parseTokens, tokenFileBytesMax, tokenNameExpected } from "../admin/token-file.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatTable } from "./table.ts";

const fileDefault = "/etc/evenkeel/token";

type TokenOptions = { readonly file: string };

export function addTokenCommand(program: Command, io: CliIo): void {
  const token = program.command("token").description("make and list tokens for the admin API over TCP");
  const sub = (name: string, description: string) =>
    token
      .command(name)
      .description(description)
      .option("--file <path>", "the tokenFile of the configuration", fileDefault);
  sub("new", "make a token, print it once, and add its hash to the file")
    .argument("<name>", "who will use it; changes are recorded under this name")
    .option("--read", "it may only read")
    .action((name: string, options: TokenOptions & { readonly read?: boolean }) => make(name, options, io));
  sub("ls", "list the names of the tokens, and what they may do")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((options: TokenOptions & { readonly output: string }) => list(options, io));
  sub("rm", "take a token out of the file: it is refused from the next request on")
    .argument("<name>", "its name")
    .action((name: string, options: TokenOptions) => remove(name, options, io));
}

function make(name: string, { file, read }: TokenOptions & { readonly read?: boolean }, io: CliIo): void {
  if (!isTokenName(name)) {
    fail(`\`${name}\` is no name of a token; expected ${tokenNameExpected}`, io);
    return;
  }
  const { token, line } = createToken(name, read === true ? "read" : "write");
  const written = rewrite(file, (text) => {
    if (parseTokens(text).entries.some((entry) => entry.name === name)) {
      return refuse("token.taken", `${file} has a token ${name} already: evenkeel token rm ${name}, or another name`);
    }
    return good(text === "" || text.endsWith("\n") ? `${text}${line}` : `${text}\n${line}`);
  });
  if (!written.ok) {
    failBy(written.failure, io);
    return;
  }
  io.out(`${token}\n`);
  io.err(`this is the only time that the token is shown; ${file} keeps its hash\n`);
  io.setExitCode(exitCodes.good);
}

function list({ file, output }: TokenOptions & { readonly output: string }, io: CliIo): void {
  const text = readTokens(file);
  if (!text.ok) {
    fail(text.failure.detail, io);
    return;
  }
  const { entries, problems } = parseTokens(text.value);
  const rows = entries.map(({ name, rights }) => ({ name, rights }));
  if (output === "json") io.out(`${JSON.stringify(rows, undefined, 2)}\n`);
  else if (rows.length > 0)
    io.out(
      formatTable(
        [{ title: "NAME" }, { title: "MAY" }],
        rows.map(({ name, rights }) => [name, rights]),
      ),
    );
  for (const problem of problems) io.err(`${file}: ${problem}\n`);
  io.setExitCode(problems.length === 0 ? exitCodes.good : exitCodes.degraded);
}

function remove(name: string, { file }: TokenOptions, io: CliIo): void {
  const written = rewrite(file, (text) => {
    const kept = text.split("\n").filter((line) => parseTokens(line).entries[0]?.name !== name);
    if (kept.length < text.split("\n").length) return good(kept.join("\n"));
    return refuse("token.unknown", `${file} has no token ${name}`);
  });
  if (!written.ok) {
    failBy(written.failure, io);
    return;
  }
  io.out(`the token ${name} is refused from now on\n`);
  io.setExitCode(exitCodes.good);
}

function readTokens(path: string): Result<string> {
  try {
    if (statSync(path).size > tokenFileBytesMax)
      return refuse("token.file", `${path} is too large for a file of tokens`);
    return good(readFileSync(path, "utf8"));
  } catch (error) {
    return refuse("token.file", describeError(path, error));
  }
}

/**
 * Puts what `change` makes of the file in its place: whole or not at all, on disk before the name points to it, mode 0600, its
 * owner as before. A draft that exists already is somebody else at work. Codes: token.file, and those of `change`.
 */
function rewrite(path: string, change: (text: string) => Result<string>): Result<true> {
  const draft = `${resolveLink(path)}.new`;
  let fd: number | undefined;
  try {
    fd = openSync(draft, "wx", 0o600);
    const before = statSync(path, { throwIfNoEntry: false });
    const text = change(before === undefined ? "" : readFileSync(path, "utf8"));
    if (text.ok) {
      // The program that runs may be another user than we are.
      if (before !== undefined) fchownSync(fd, before.uid, before.gid);
      fchmodSync(fd, 0o600);
      writeSync(fd, text.value);
      fsyncSync(fd);
      renameSync(draft, resolveLink(path));
      syncDirectory(dirname(draft));
    } else {
      rmSync(draft);
    }
    return text.ok ? good(true) : text;
  } catch (error) {
    if (fd !== undefined) rmSync(draft, { force: true });
    return refuse("token.file", describeError(fd === undefined ? draft : path, error));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function resolveLink(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? path : realpathSync(path);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function describeError(path: string, error: unknown): string {
  const { code, message }: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  if (code === "EEXIST")
    return `${path} exists: somebody is changing the tokens now, or was interrupted (then remove it)`;
  return `token file ${path}: ${message}`;
}

function refuse(code: string, detail: string): { readonly ok: false; readonly failure: Failure } {
  return bad({ code, origin: "self", retrySafe: false, detail });
}

function failBy({ code, detail }: Failure, io: CliIo): void {
  fail(detail, io);
  if (code !== "token.file") io.setExitCode(exitCodes.refused);
}

function fail(detail: string, io: CliIo): void {
  io.err(`evenkeel: ${detail}\n`);
  io.setExitCode(exitCodes.error);
}
