// Whether a log can be written where the configuration wants it, asked before the configuration is taken up: the worker
// that finds out later could only go on without. Makes the directory when it is missing. The change's way.

import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { bad, good, type Result } from "../core/failure.ts";

/** Fails with `log.path.unwritable`; the detail names path and cause. The file itself is left as it is. */
export function claimLogPath(path: string): Result<true> {
  try {
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) accessSync(path, constants.W_OK);
    else closeSync(openSync(path, "a", 0o640));
    return good(true);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    const detail = `the access log ${path} cannot be written: ${cause}`;
    return bad({ code: "log.path.unwritable", origin: "self", retrySafe: false, detail });
  }
}
