// A file that holds the program's process id, for init scripts that want one. Written whole or not at all; removed at
// the end if it is still ours. The change's way.

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { bad, good, type Result } from "../core/failure.ts";

/** Code: pidFile.failed. */
export function writePidFile(path: string, pid: number): Result<true> {
  try {
    const draft = `${path}.${pid}`;
    writeFileSync(draft, `${pid}\n`, { mode: 0o644 });
    renameSync(draft, path);
    return good(true);
  } catch (error) {
    return bad({
      code: "pidFile.failed",
      origin: "self",
      retrySafe: false,
      detail: `pid file ${path}: ${String(error)}`,
    });
  }
}

/** Leaves a file alone that a successor has written. */
export function removePidFile(path: string, pid: number): void {
  let written: string;
  try {
    written = readFileSync(path, "utf8");
  } catch {
    // Somebody removed it before us: what we wanted.
    return;
  }
  if (written.trim() === String(pid)) rmSync(path, { force: true });
}
