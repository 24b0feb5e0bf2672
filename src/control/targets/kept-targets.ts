// What the API said of targets, on disk: `targets.json` in the state directory, one entry a line (kept-entry.ts). Joins the
// entries with the file that must not be lost (src/io/kept-file.ts). The change's way. Must not be content with less than
// all: an entry that cannot be read is told, and the file it stood in is put away before another takes its place.

import { join } from "node:path";
import type { Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { lockFile } from "../../io/file-lock.ts";
import { type KeptFileCalls, keepFile, readKept, setAside } from "../../io/kept-file.ts";
import type { KeptEntry } from "../../state/desired.ts";
import { type DecodedEntries, decodeEntries, encodeEntry } from "./kept-entry.ts";

/** Name of the file in the state directory. */
export const keptTargetsName = "targets.json";

/** Lines that cannot be read and are told one by one. */
export const badLinesToldMax = 20;

export type KeptTargetsOptions = {
  /** Milliseconds since 1970. */
  readonly wallClock?: () => Milliseconds;
  readonly calls?: KeptFileCalls;
  /** Of a path; it is asked before the first write. */
  readonly lock?: (path: string) => Result<true>;
};

type Aside = { readonly path: string; readonly how: "move" | "copy" };
type Waiting = (kept: Result<true>) => void;

export class KeptTargets {
  readonly path: string;
  readonly #log: Log;
  readonly #wallClock: () => Milliseconds;
  readonly #calls: { readonly calls?: KeptFileCalls };
  /** To be put away before anything is written. */
  #inTheWay: readonly Aside[] = [];
  /** What the next write writes: the last that was asked for. */
  #entries: readonly KeptEntry[] = [];
  #waiting: Waiting[] = [];
  #writing = false;
  readonly #lock: (path: string) => Result<true>;
  #isLocked = false;
  /** An entry's line is made once. */
  readonly #lines = new WeakMap<KeptEntry, string>();

  constructor(
    stateDirectory: string,
    log: Log,
    { wallClock = Date.now, calls, lock = lockFile }: KeptTargetsOptions = {},
  ) {
    this.path = join(stateDirectory, keptTargetsName);
    this.#log = log;
    this.#wallClock = wallClock;
    this.#lock = lock;
    this.#calls = calls === undefined ? {} : { calls };
  }

  /**
   * The entries as they were kept last, none where nothing was. Whatever is damaged is set aside and told in the log with its
   * new name. Fails with `state.unreadable` and `state.format`: then nothing is known of what is there, and nothing may be
   * written over it.
   */
  async load(): Promise<Result<readonly KeptEntry[]>> {
    const options = { wallClock: this.#wallClock, ...this.#calls };
    const found = await readKept(this.path, options);
    if (!found.ok) return found;
    for (const { level, code, path, detail } of found.value.findings) this.#log[level](detail, { code, path });
    this.#inTheWay = found.value.inTheWay.map((path) => ({ path, how: "move" }));
    const { text = "", findings } = found.value;
    const { entries, badLines } = decodeEntries(text);
    if (badLines.length > 0) {
      const last = findings.find(({ code }) => code === "state.last.used");
      await this.#putAway(last?.path ?? this.path, badLines);
    }
    return good(entries);
  }

  async #putAway(path: string, badLines: DecodedEntries["badLines"]): Promise<void> {
    const aside = await setAside(path, "copy", { wallClock: this.#wallClock, ...this.#calls });
    if (!aside.ok) this.#inTheWay = [...this.#inTheWay, { path, how: "copy" }];
    for (const { line, detail } of badLines.slice(0, badLinesToldMax)) {
      // The first line of the file is its head.
      this.#log.error(`an entry cannot be read and is left out: ${detail}`, {
        code: "state.entry",
        path,
        line: line + 1,
      });
    }
    const where = aside.ok ? { copy: aside.value.path } : { detail: aside.failure.detail };
    this.#log.error("entries of the API are left out; a copy of the file is kept", {
      code: "state.entry",
      path,
      count: badLines.length,
      ...where,
    });
  }

  /**
   * Resolves well once these entries, or those of a later call, are on disk. While a write is under way all others wait for
   * the next one together; it writes what the last of them gave, so a caller hands over all there is each time. A failed
   * write (`state.unwritable`) fails all who wait: their entries were made on top of what is not on disk.
   */
  save(entries: readonly KeptEntry[]): Promise<Result<true>> {
    return new Promise((resolve) => {
      this.#entries = entries;
      this.#waiting.push(resolve);
      if (!this.#writing) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const served = this.#waiting;
      this.#waiting = [];
      const kept = await this.#write(this.#entries);
      if (!kept.ok) served.push(...this.#waiting.splice(0));
      for (const resolve of served) resolve(kept);
    }
    this.#writing = false;
  }

  async #write(entries: readonly KeptEntry[]): Promise<Result<true>> {
    // Of two programs that keep their changes in one place each would lose the other's.
    if (!this.#isLocked) {
      const locked = this.#lock(`${this.path}.lock`);
      if (!locked.ok) return locked;
      this.#isLocked = true;
    }
    const failure = await this.#clearTheWay();
    if (failure !== undefined) return bad(failure);
    const lines = entries.map((entry) => {
      const line = this.#lines.get(entry) ?? `${encodeEntry(entry)}\n`;
      this.#lines.set(entry, line);
      return line;
    });
    return await keepFile(this.path, lines.join(""), this.#calls.calls);
  }

  /** What could not be put away at the start must not be written over: perhaps it can be now. */
  async #clearTheWay(): Promise<Failure | undefined> {
    while (this.#inTheWay.length > 0) {
      const [first, ...rest] = this.#inTheWay;
      if (first === undefined) return undefined;
      const aside = await setAside(first.path, first.how, { wallClock: this.#wallClock, ...this.#calls });
      if (!aside.ok) return aside.failure;
      this.#inTheWay = rest;
      const fields = { code: "state.damaged", path: first.path, aside: aside.value.path };
      this.#log.warn("what could not be read at the start is set aside now", fields);
    }
    return undefined;
  }
}
