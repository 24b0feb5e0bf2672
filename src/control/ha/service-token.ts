// Fencing tokens: a number that is greater with every takeover, on whichever node it happens, so that a resource which the
// service writes to can refuse the one that has been replaced and does not know it yet. The change's way. It is the wall clock
// in milliseconds, or one more than the last if that is not less: kept in a file, so that neither a restart nor a clock that is
// set back makes it fall. Across nodes it grows as long as their clocks differ by less than two takeovers are apart: with NTP.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";

export type TokenSource = {
  /** The next token; it is on disk before it is given. */
  next(): number;
};

/** A stored token further ahead of the clock than that is told of: the clock was wrong when it was made, or is now. */
const aheadMs = 3_600_000;

/** The token in the text of the file, or undefined. */
export function parseToken(text: string): number | undefined {
  const value = /^\d{1,16}\n?$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** One for all services of a node. `wallClock`: milliseconds since 1970. A file that cannot be kept is told of and borne. */
export function createTokenSource(options: {
  readonly path: string;
  readonly wallClock: Clock;
  readonly log: Log;
}): TokenSource {
  const { path, wallClock, log } = options;
  let last = readToken(path, log);
  return {
    next() {
      const now = Math.floor(wallClock());
      if (last - now > aheadMs) {
        log.warn("fencing tokens are ahead of the clock", { path, last, code: "service.token.ahead" });
      }
      last = Math.max(last + 1, now);
      try {
        writeToken(path, last);
      } catch (error) {
        // It still grows while this process lives, and after it with the clock.
        log.error("fencing token not kept", { path, code: "service.token.unwritable", reason: String(error) });
      }
      return last;
    },
  };
}

function readToken(path: string, log: Log): number {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    log.error("fencing token not read", { path, code: "service.token.unreadable", reason: String(error) });
    return 0;
  }
  const token = parseToken(text);
  if (token === undefined) log.error("fencing token not read", { path, code: "service.token.broken" });
  return token ?? 0;
}

/** The new content or the old one, also when the power fails. */
function writeToken(path: string, token: number): void {
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.next`;
  const fd = openSync(next, "w", 0o600);
  try {
    writeSync(fd, `${token}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(next, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
