// The tokens that may speak to the admin API over TCP: a file of names and hashes, so that whoever reads the file can use none
// of them. The change's way. It is looked at anew with every request and read again when it has changed: a token that was
// taken out is refused from the next request on, without a reload.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { type BigIntStats, readFileSync, statSync } from "node:fs";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { Log } from "../core/log.ts";

/** Bytes of the file; a thousand tokens are about 100 KiB. */
export const tokenFileBytesMax = 256 * 1024;

export type TokenRights = "write" | "read";

export type TokenEntry = {
  readonly name: string;
  /** SHA-256 of the token's text. */
  readonly digest: Uint8Array;
  /** `read`: GET and HEAD alone. */
  readonly rights: TokenRights;
};

export type TokenList = {
  readonly entries: readonly TokenEntry[];
  /** Lines that give nobody access, a sentence each. */
  readonly problems: readonly string[];
};

const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
export const tokenNameExpected = "at most 64 of letters, digits, `_`, `-` and `.`, the last two not in front";
/** So that a token that lies about somewhere is known for what it is. */
const tokenPrefix = "ek_";
const tokenBytes = 32;

export function isTokenName(name: string): boolean {
  return namePattern.test(name);
}

/** A new token, 256 bits from the system, and the line that lets it in. The token is not kept anywhere. */
export function createToken(name: string, rights: TokenRights): { readonly token: string; readonly line: string } {
  const token = `${tokenPrefix}${randomBytes(tokenBytes).toString("base64url")}`;
  const hex = Buffer.from(digestOf(token)).toString("hex");
  return { token, line: `${name} sha256:${hex}${rights === "read" ? " read" : ""}\n` };
}

/**
 * Reads `NAME sha256:HEX`, or `NAME sha256:HEX read`, a line each; `#` begins a comment. A line that is neither lets nobody
 * in and is told; so is a name that was there before, since it could not be taken out by its name.
 */
export function parseTokens(text: string): TokenList {
  const entries: TokenEntry[] = [];
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.replace(/#.*$/, "").trim();
    if (words === "") continue;
    const match = /^(\S+)\s+sha256:([0-9a-fA-F]{64})(?:\s+(read))?$/.exec(words);
    const [, name = "", hex = "", limited] = match ?? [];
    if (match === null || !isTokenName(name)) {
      problems.push(`line ${index + 1} is no \`NAME sha256:HEX\``);
    } else if (entries.some((entry) => entry.name === name)) {
      problems.push(`line ${index + 1}: the name ${name} is there twice`);
    } else {
      entries.push({ name, digest: Buffer.from(hex, "hex"), rights: limited === undefined ? "write" : "read" });
    }
  }
  return { entries, problems };
}

/** Every entry is compared, in a time that does not tell which one fitted, or how far. */
export function findToken(entries: readonly TokenEntry[], token: string): TokenEntry | undefined {
  const digest = digestOf(token);
  let found: TokenEntry | undefined;
  for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry;
  return found;
}

function digestOf(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

const nobody: TokenList = { entries: [], problems: [] };
const writableByOthers = 0o022n;

export class TokenFile {
  readonly #path: string;
  readonly #log: Log;
  /** What tells one state of the file from another. */
  #seen = "";
  #tokens: TokenList = nobody;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  /** undefined for a token that the file does not let in now; without the file, or with one that others may write, for any. */
  find(token: string): TokenEntry | undefined {
    this.#look();
    return findToken(this.#tokens.entries, token);
  }

  #look(): void {
    const stat = statOf(this.#path);
    const now = stat.ok ? describeState(stat.value) : stat.failure.detail;
    if (now === this.#seen) return;
    this.#seen = now;
    const read = stat.ok ? readTokens(this.#path, stat.value) : stat;
    this.#tokens = read.ok ? read.value : nobody;
    if (!read.ok) return void this.#log.error("no token is valid", { path: this.#path, reason: read.failure.detail });
    const { entries, problems } = read.value;
    for (const problem of problems) this.#log.error("line of the token file not used", { path: this.#path, problem });
    this.#log.info("token file read", { path: this.#path, tokens: entries.length });
  }
}

function statOf(path: string): Result<BigIntStats> {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? refuse("there is no such file: `evenkeel token new NAME` makes it") : good(stat);
  } catch (error) {
    return refuse(describeError(error));
  }
}

/** Another text for every other state of the file. */
function describeState({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}

function readTokens(path: string, { size, mode }: BigIntStats): Result<TokenList> {
  // Whoever may write it may let himself in.
  if ((mode & writableByOthers) !== 0n) return refuse("others than its owner may write it: chmod 600");
  if (size > tokenFileBytesMax) return refuse(`it has more than ${tokenFileBytesMax} bytes`);
  try {
    return good(parseTokens(readFileSync(path, "utf8")));
  } catch (error) {
    return refuse(describeError(error));
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refuse(detail: string): { readonly ok: false; readonly failure: Failure } {
  return bad({ code: "admin.tokenFile", origin: "self", retrySafe: true, detail });
}
