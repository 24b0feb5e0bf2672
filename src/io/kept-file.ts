// One small file that must not be lost. An edge of the change's way. It is written whole beside itself and moved into place
// when it is on disk, so that at every moment, also after a power cut, the file is the old one or the new one; the one before
// stays beside it as `<path>.last`. A first line carries a checksum of the rest: what does not bear it out is set aside under
// a name of its own, never used and never thrown away, and the last good one is used. One writer at a time is the caller's
// promise. Must not know what the text means.

import { createHash, randomUUID } from "node:crypto";
import { constants, copyFile, link, mkdir, open, readdir, readFile, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";

/** Bytes of a kept file: 100,000 entries of the longest kind are some 80 MiB. More is damage, or is refused. */
export const keptBytesMax = 128 * 1024 * 1024;

/** Files set aside that are left lying; the oldest goes when there is one more. */
export const asideFilesMax = 5;

/** Of the first line. A file of a later one was written by a later evenkeel. */
export const keptFormat = 1;

const fileMode = 0o640;
const directoryMode = 0o750;

/** The system calls that are made; a test hands in its own. As node:fs/promises. */
export type KeptFileCalls = {
  mkdir(path: string, options: { readonly recursive: true; readonly mode: number }): Promise<string | undefined>;
  open(path: string, flags: number, mode?: number): Promise<KeptFileHandle>;
  readFile(path: string): Promise<Buffer>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ readonly dev: number; readonly ino: number; readonly size: number }>;
  link(from: string, to: string): Promise<void>;
  copyFile(from: string, to: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
};

export type KeptFileHandle = {
  writeFile(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
};

const systemCalls: KeptFileCalls = { mkdir, open, readFile, readdir, stat, link, copyFile, rename, unlink };

/** Something an operator should know of a file that was read, for the log. */
export type KeptFinding = {
  readonly level: "info" | "warn" | "error";
  /**
   * `state.damaged` (set aside), `state.last.used` (the version before is in use), `state.lost` (neither is good),
   * `state.draft.removed` (somebody was killed while writing), `state.aside.removed` (there were too many).
   */
  readonly code: string;
  readonly path: string;
  readonly detail: string;
};

export type KeptReading = {
  /** undefined: nothing was ever kept, or (`state.lost`) nothing good is left. */
  readonly text: string | undefined;
  readonly findings: readonly KeptFinding[];
  /** Damaged files that could not be set aside (a disk that went read-only). Nothing may be written before they are. */
  readonly inTheWay: readonly string[];
};

function lastOf(path: string): string {
  return `${path}.last`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What the operator is to do, by errno. */
function remedyOf(code: string, path: string): string {
  const directory = dirname(path);
  switch (code) {
    case "ENOSPC":
      return `free space on the file system of ${directory}`;
    case "EDQUOT":
      return `the quota of this user on the file system of ${directory} is used up`;
    case "EACCES":
    case "EPERM":
      return `make ${directory} writable for the user that evenkeel runs as, or choose another stateDirectory`;
    case "EROFS":
      return `${directory} is on a file system that is mounted read-only: mount it writable or choose another stateDirectory`;
    case "ENOTDIR":
    case "EEXIST":
      return `something on the way to ${directory} is no directory: choose another stateDirectory`;
    default:
      return `see whether ${directory} and its disk are in order`;
  }
}

function failure(what: "unwritable" | "unreadable", path: string, error: unknown) {
  const cause = error instanceof Error ? error.message : String(error);
  const verb = what === "unwritable" ? "written" : "read";
  const detail = `${path} cannot be ${verb}: ${cause}: ${remedyOf(codeOf(error), path)}`;
  return bad({ code: `state.${what}`, origin: "self", retrySafe: false, detail });
}

/** The file's bytes: one line of JSON about the rest, then the rest. */
export function encodeKept(text: string): Buffer {
  const body = Buffer.from(text);
  const sha256 = createHash("sha256").update(body).digest("hex");
  const head = JSON.stringify({ evenkeel: "kept", format: keptFormat, bytes: body.length, sha256 });
  return Buffer.concat([Buffer.from(`${head}\n`), body]);
}

const headBytesMax = 200;

/** Fails with `state.damaged`, whose detail says how, and `state.format` for a file of a later evenkeel. */
export function decodeKept(bytes: Buffer): Result<string> {
  const damaged = (detail: string) => bad({ code: "state.damaged", origin: "self", retrySafe: false, detail });
  const end = bytes.subarray(0, headBytesMax).indexOf("\n");
  const head = /^\{"evenkeel":"kept","format":([1-9]\d{0,8}),"bytes":(\d{1,12}),"sha256":"([0-9a-f]{64})"\}$/.exec(
    bytes.toString("latin1", 0, Math.max(0, end)),
  );
  if (bytes.length === 0) return damaged("it is empty");
  if (head === null) {
    const later = /^\{"evenkeel":"kept","format":(\d{1,9})[,}]/.exec(bytes.toString("latin1", 0, headBytesMax));
    if (Number(later?.[1] ?? 0) > keptFormat) return laterFormat(later?.[1] ?? "");
    return damaged("its first line is not the one that evenkeel writes");
  }
  const [, format, length, sha256] = head;
  if (Number(format) > keptFormat) return laterFormat(format ?? "");
  const body = bytes.subarray(end + 1);
  if (body.length !== Number(length)) return damaged(`it has ${body.length} of ${length} bytes`);
  const found = createHash("sha256").update(body).digest("hex");
  return found === sha256
    ? good(body.toString())
    : damaged("its checksum is another: somebody has changed it, or the disk has");
}

function laterFormat(format: string) {
  const detail = `it has format ${format}, which a later evenkeel wrote: run that one, or move the file away`;
  return bad({ code: "state.format", origin: "self", retrySafe: false, detail });
}

/**
 * Replaces the file's text, mode 0640, in a directory that is made when it is missing (0750). When it resolves well the text
 * is on disk, and the one before is `<path>.last`. Fails with `state.unwritable`; the file is then as it was, but when only the
 * last step, telling the disk of the new name, has failed: then the new text may be there. Say again what is to be there.
 */
export async function keepFile(path: string, text: string, calls: KeptFileCalls = systemCalls): Promise<Result<true>> {
  // Unique: a writer that should not be there may move only its own draft into place.
  const draft = `${path}.draft-${randomUUID().slice(0, 8)}`;
  let isInPlace = false;
  try {
    const bytes = encodeKept(text);
    if (bytes.length > keptBytesMax) throw new Error(`${bytes.length} bytes are more than ${keptBytesMax}`);
    await makeDirectory(dirname(path), calls);
    await writeDraft(draft, bytes, calls);
    await keepLast(path, `${draft}-last`, calls);
    await calls.rename(draft, path);
    isInPlace = true;
    await syncDirectory(dirname(path), calls);
    return good(true);
  } catch (error) {
    const { failure: why } = failure("unwritable", path, error);
    // Of no use, and on a full disk in the way.
    for (const leftover of [draft, `${draft}-last`]) await removeQuietly(leftover, calls);
    return bad(isInPlace ? why : { ...why, detail: `${why.detail}; what was there stays` });
  }
}

/** A directory that is new is itself an entry in another that has to be on disk. */
async function makeDirectory(directory: string, calls: KeptFileCalls): Promise<void> {
  const first = await calls.mkdir(directory, { recursive: true, mode: directoryMode });
  if (first === undefined) return;
  for (let made = directory; made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made), calls);
  }
}

async function writeDraft(draft: string, bytes: Uint8Array, calls: KeptFileCalls): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await calls.open(draft, flags, fileMode);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(directory: string, calls: KeptFileCalls): Promise<void> {
  const opened = await calls.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

/** Gives the present version a second name, `<path>.last`, which at no moment is missing once it was there. */
async function keepLast(path: string, draft: string, calls: KeptFileCalls): Promise<void> {
  try {
    await linkOrCopy(path, draft, calls);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return; // there is no version yet
    throw error;
  }
  await calls.rename(draft, lastOf(path));
  // Two names of one file: rename(2) leaves both. It was killed here the last time.
  await removeQuietly(draft, calls);
}

/** Gives the file a second name; where the file system has none, a copy that is on disk. */
async function linkOrCopy(path: string, copy: string, calls: KeptFileCalls): Promise<void> {
  try {
    await calls.link(path, copy);
    return;
  } catch (error) {
    if (!hasNoLinks(error)) throw error;
  }
  await calls.copyFile(path, copy, constants.COPYFILE_EXCL);
  const file = await calls.open(copy, constants.O_RDONLY);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** File systems without second names (vfat, some network ones) say so in several ways: link(2). */
function hasNoLinks(error: unknown): boolean {
  return ["EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EMLINK"].includes(codeOf(error));
}

/** For what may be left lying without harm: the next start removes it. */
async function removeQuietly(path: string, calls: KeptFileCalls): Promise<boolean> {
  return await calls.unlink(path).then(
    () => true,
    () => false,
  );
}

export type KeptFileOptions = {
  /** Milliseconds since 1970: the time in the names of what is set aside. */
  readonly wallClock: () => Milliseconds;
  readonly calls?: KeptFileCalls;
};

/**
 * Reads what keepFile wrote last, or, where that is damaged, what it wrote before. A damaged file is renamed to
 * `<path>.damaged-<UTC time>`. Removes what a killed writer left. Fails with `state.unreadable` (a right or the directory is
 * wrong: nothing is known of what is there) and `state.format`.
 */
export async function readKept(path: string, options: KeptFileOptions): Promise<Result<KeptReading>> {
  const calls = options.calls ?? systemCalls;
  const findings: KeptFinding[] = [];
  const inTheWay: string[] = [];
  const names = await listBeside(path, calls);
  if (!names.ok) return names;
  await removeDrafts(path, names.value, { calls, findings });
  let isDamaged = false;
  for (const version of [path, lastOf(path)]) {
    const found = await readVersion(version, calls);
    if (!found.ok && found.failure.code !== "state.damaged") return found;
    if (!found.ok) {
      isDamaged = true;
      const aside = await setAside(version, "move", options);
      findings.push(...describeDamage(version, found.failure.detail, aside));
      if (!aside.ok) inTheWay.push(version);
    } else if (found.value !== undefined) {
      if (version !== path) findings.push(describeLastUsed(path, isDamaged));
      return good({ text: found.value, findings, inTheWay });
    }
  }
  if (isDamaged) {
    const detail = `nothing good is left of ${path} and ${lastOf(path)}: what was kept there is not in use`;
    findings.push({ level: "error", code: "state.lost", path, detail });
  }
  return good({ text: undefined, findings, inTheWay });
}

function describeDamage(path: string, how: string, aside: Result<SetAside>): readonly KeptFinding[] {
  const finding = { level: "error", code: "state.damaged", path } as const;
  if (aside.ok) {
    return [
      { ...finding, detail: `${path} is damaged: ${how}; it is now ${aside.value.path}` },
      ...aside.value.findings,
    ];
  }
  const detail = `${path} is damaged: ${how}; until it can be set aside no change is kept: ${aside.failure.detail}`;
  return [{ ...finding, detail }];
}

function describeLastUsed(path: string, isDamaged: boolean): KeptFinding {
  const why = isDamaged ? "is damaged" : "is not there";
  const detail = `${path} ${why}: ${lastOf(path)}, the version before, is used; a change made after it is lost`;
  return { level: isDamaged ? "error" : "warn", code: "state.last.used", path: lastOf(path), detail };
}

/** undefined: there is no such file. */
async function readVersion(path: string, calls: KeptFileCalls): Promise<Result<string | undefined>> {
  try {
    const { size } = await calls.stat(path);
    if (size > keptBytesMax) {
      const detail = `its ${size} bytes are more than ${keptBytesMax}`;
      return bad({ code: "state.damaged", origin: "self", retrySafe: false, detail });
    }
    const decoded = decodeKept(await calls.readFile(path));
    if (decoded.ok || decoded.failure.code === "state.damaged") return decoded;
    return bad({ ...decoded.failure, detail: `${path}: ${decoded.failure.detail}` });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return good(undefined);
    // The disk gives it back no more: as good as damaged. Anything else is no word about the file.
    if (codeOf(error) !== "EIO") return failure("unreadable", path, error);
    return bad({ code: "state.damaged", origin: "self", retrySafe: false, detail: "the disk cannot read it (EIO)" });
  }
}

/** Names of what lies in the file's directory; none where there is no directory. */
async function listBeside(path: string, calls: KeptFileCalls): Promise<Result<readonly string[]>> {
  try {
    return good(await calls.readdir(dirname(path)));
  } catch (error) {
    return codeOf(error) === "ENOENT" ? good([]) : failure("unreadable", path, error);
  }
}

async function removeDrafts(
  path: string,
  names: readonly string[],
  { calls, findings }: { readonly calls: KeptFileCalls; readonly findings: KeptFinding[] },
): Promise<void> {
  for (const name of names) {
    if (!name.startsWith(`${basename(path)}.draft-`)) continue;
    const draft = join(dirname(path), name);
    if (!(await removeQuietly(draft, calls))) continue;
    const detail = `${draft} was left by a process that was killed while it wrote: removed`;
    findings.push({ level: "info", code: "state.draft.removed", path: draft, detail });
  }
}

export type SetAside = { readonly path: string; readonly findings: readonly KeptFinding[] };

/**
 * Puts the file away as `<path>.damaged-<UTC time>`: moved, or as a second name that keeps it as it is now, whatever replaces
 * it. A copy that is there already is not made again. Fails with `state.unwritable`.
 */
export async function setAside(
  path: string,
  how: "move" | "copy",
  { wallClock, calls = systemCalls }: KeptFileOptions,
): Promise<Result<SetAside>> {
  try {
    const start = `${basename(path)}.damaged-`;
    const directory = dirname(path);
    // The time sorts as text; a number after it, where two are of one millisecond, as well.
    const names = (await calls.readdir(directory)).filter((name) => name.startsWith(start)).sort();
    if (how === "copy") {
      const { dev, ino } = await calls.stat(path);
      for (const name of names) {
        const copy = join(directory, name);
        const known = await calls.stat(copy);
        if (known.dev === dev && known.ino === ino) return good({ path: copy, findings: [] });
      }
    }
    const time = new Date(wallClock()).toISOString().replaceAll(/[-:]/g, "");
    let name = `${start}${time}`;
    for (let number = 2; names.includes(name); number++) name = `${start}${time}-${number}`;
    const aside = join(directory, name);
    if (how === "move") await calls.rename(path, aside);
    else await linkOrCopy(path, aside, calls);
    await syncDirectory(directory, calls);
    const findings = await removeOldest(names, directory, calls);
    return good({ path: aside, findings });
  } catch (error) {
    return failure("unwritable", path, error);
  }
}

/** Makes room for one more. */
async function removeOldest(
  names: readonly string[],
  directory: string,
  calls: KeptFileCalls,
): Promise<readonly KeptFinding[]> {
  const findings: KeptFinding[] = [];
  for (const name of names.slice(0, Math.max(0, names.length + 1 - asideFilesMax))) {
    const path = join(directory, name);
    if (!(await removeQuietly(path, calls))) continue;
    const detail = `${path}, set aside long ago, was removed: ${asideFilesMax} such files are left lying`;
    findings.push({ level: "info", code: "state.aside.removed", path, detail });
  }
  return findings;
}
