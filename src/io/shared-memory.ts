// Memory that two processes have at once: a file without a name (memfd_create(2)) that is handed over as a descriptor and
// mapped on both sides. It cannot shrink under a reader (file sealing), so looking at it never ends a process. The change's
// way; what lies in it is its owner's business. A mapping stays for the life of the process.

import { closeSync, fstatSync } from "node:fs";
import koffi from "koffi";
import { bad, good, type Result } from "../core/failure.ts";
import { type CallResult, closeDescriptor, resultOf } from "./libc.ts";

const library = koffi.load(null);

const cMemfdCreate: (name: string, flags: number) => number = library.func("int memfd_create(const char *, uint32_t)");
const cFtruncate: (fd: number, length: number) => number = library.func("int ftruncate(int, int64_t)");
const cFcntl: (fd: number, command: number, type: "int", argument: number) => number =
  library.func("int fcntl(int, int, ...)");
const cMmap: (at: null, length: number, protection: number, flags: number, fd: number, offset: number) => unknown =
  library.func("void *mmap(void *, size_t, int, int, int, int64_t)");

const closeOnExec = 1;
const allowSealing = 2;
const addSeals = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW: its size is what it is, and so are its seals. */
const sealSize = 1 | 2 | 4;
const protectReadWrite = 1 | 2;
const mapShared = 1;
/** MAP_FAILED, (void *) -1. */
const mapFailed = 2n ** 64n - 1n;

export type SharedMemory = {
  /** Closed on exec, unless it is handed to a child by name. Stays open: the next child gets it too. */
  readonly fd: number;
  /** Zeros at first; a page exists once it was written to. */
  readonly memory: ArrayBuffer;
};

/** New memory of so many bytes, a multiple of 4096. Codes: memory.shared.create, memory.shared.map. */
export function createSharedMemory(name: string, bytes: number): Result<SharedMemory> {
  const made = resultOf(cMemfdCreate(name, closeOnExec | allowSealing));
  if (!made.ok) return failed("memory.shared.create", "memfd_create", made);
  const fd = made.value;
  const sized = resultOf(cFtruncate(fd, bytes));
  const sealed = sized.ok ? resultOf(cFcntl(fd, addSeals, "int", sealSize)) : sized;
  if (!sealed.ok) {
    closeDescriptor(fd);
    return failed("memory.shared.create", sized.ok ? "fcntl(F_ADD_SEALS)" : "ftruncate", sealed);
  }
  const mapped = map(fd, bytes);
  if (mapped.ok) return good({ fd, memory: mapped.value });
  closeDescriptor(fd);
  return mapped;
}

/** Memory that a parent handed over as this descriptor, whole; the descriptor is closed. Code: memory.shared.map. */
export function openSharedMemory(fd: number): Result<ArrayBuffer> {
  let bytes: number;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size === 0) return notMapped(`descriptor ${fd} is no memory`);
    bytes = stat.size;
  } catch (error) {
    return notMapped(`descriptor ${fd}: ${String(error)}`);
  }
  const mapped = map(fd, bytes);
  closeSync(fd);
  return mapped;
}

function map(fd: number, bytes: number): Result<ArrayBuffer> {
  const at = cMmap(null, bytes, protectReadWrite, mapShared, fd, 0);
  const error = resultOf(-1);
  if (koffi.address(at) === mapFailed) return failed("memory.shared.map", "mmap", error);
  try {
    return good(koffi.view(at, bytes));
  } catch (error) {
    // A Node that is built to look at no memory outside its own (V8's sandbox) refuses.
    return notMapped(`no view of mapped memory: ${String(error)}`);
  }
}

function failed(code: string, call: string, result: CallResult): Result<never> {
  const reason = result.ok ? "no error" : result.name;
  return bad({ code, origin: "self", retrySafe: false, detail: `${call}: ${reason}` });
}

function notMapped(detail: string): Result<never> {
  return bad({ code: "memory.shared.map", origin: "self", retrySafe: false, detail });
}
