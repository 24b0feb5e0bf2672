// A lock that one process holds on a file, flock(2): the kernel takes it back with the process, however that ends, so
// nothing is left to clean up. For what two programs must not keep in one place. The change's way.

import { constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { bad, good, type Result } from "../core/failure.ts";
import { closeDescriptor, lockDescriptor } from "./libc.ts";

/**
 * Takes the lock of a file, which is made where it is missing, with its directory, and holds the holder's process id; it is held until this
 * process ends. Codes: `state.inUse` (with who has it), `state.unwritable`.
 */
export function lockFile(path: string): Result<true> {
  let fd: number;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    // Node opens with O_CLOEXEC: no child of ours carries the lock on.
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o640);
  } catch (error) {
    return refused("state.unwritable", `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const locked = lockDescriptor(fd);
  if (locked.ok) {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
    return good(true);
  }
  const holder = readFileSync(fd, "utf8").trim();
  closeDescriptor(fd);
  if (locked.name !== "EAGAIN") return refused("state.unwritable", `${path}: ${locked.name}`);
  const who = holder === "" ? "another evenkeel" : `another evenkeel (pid ${holder})`;
  return refused("state.inUse", `${who} keeps its changes there; give each its own stateDirectory (${path})`);
}

function refused(code: string, detail: string) {
  return bad({ code, origin: "self", retrySafe: false, detail });
}
