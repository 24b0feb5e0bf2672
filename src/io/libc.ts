// The few calls of the C library for which Node has no public API: a listening socket with options set between
// socket(2) and bind(2), and its descriptor kept as a number; the signals that a thread blocks. Loaded through koffi, by the supervisor only. Constants are
// those of Linux on x86-64, arm64 and riscv64. Nothing here knows listeners or workers.

import { constants } from "node:os";
import koffi from "koffi";

// The program itself: the C library is linked into it, whatever its file is called (glibc, musl).
const library = koffi.load(null);

const cSocket: (domain: number, type: number, protocol: number) => number = library.func("int socket(int, int, int)");
const cSetsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number =
  library.func("int setsockopt(int, int, int, const void *, uint32_t)");
const cBind: (fd: number, address: Uint8Array, length: number) => number = library.func(
  "int bind(int, const void *, uint32_t)",
);
const cListen: (fd: number, backlog: number) => number = library.func("int listen(int, int)");
const cClose: (fd: number) => number = library.func("int close(int)");
const cFcntl: (fd: number, command: number, type: "int", argument: number) => number =
  library.func("int fcntl(int, int, ...)");
const cSigmask: (how: number, set: Uint8Array, old: null) => number = library.func(
  "int pthread_sigmask(int, const void *, void *)",
);

export const addressFamily = { v4: 2, v6: 10 } as const;
const sockStream = 1;
const sockCloexec = 0o2000000;
const fcntlDupCloexec = 1030;
const sigUnblock = 1;
/** sizeof(sigset_t) of glibc and musl. */
const signalSetBytes = 128;

export type SocketOption = "reuseAddress" | "reusePort" | "v6Only";
const optionNumbers: Record<SocketOption, { readonly level: number; readonly name: number }> = {
  reuseAddress: { level: 1, name: 2 },
  reusePort: { level: 1, name: 15 },
  v6Only: { level: 41, name: 26 },
};

/** What a call gave: a number at least 0, or the name of the error (`EADDRINUSE`) and its number. */
export type CallResult =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly errno: number; readonly name: string };

const errorNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function resultOf(value: number): CallResult {
  if (value >= 0) return { ok: true, value };
  const errno = koffi.errno();
  return { ok: false, errno, name: errorNames.get(errno) ?? `errno ${errno}` };
}

/** A TCP socket, closed on exec. The value is its descriptor. socket(2). */
export function streamSocket(family: number): CallResult {
  return resultOf(cSocket(family, sockStream | sockCloexec, 0));
}

/** Switches an option on. setsockopt(2). */
export function setOption(fd: number, option: SocketOption): CallResult {
  const { level, name } = optionNumbers[option];
  const on = new Uint8Array(new Int32Array([1]).buffer);
  return resultOf(cSetsockopt(fd, level, name, on, on.byteLength));
}

/** The address is a whole sockaddr_in or sockaddr_in6. bind(2). */
export function bindSocket(fd: number, address: Uint8Array): CallResult {
  return resultOf(cBind(fd, address, address.byteLength));
}

/** Also changes the backlog of a socket that listens already. listen(2). */
export function listenSocket(fd: number, backlog: number): CallResult {
  return resultOf(cListen(fd, backlog));
}

/** A second descriptor of the same socket, closed on exec. fcntl(2), F_DUPFD_CLOEXEC. */
export function duplicateDescriptor(fd: number): CallResult {
  return resultOf(cFcntl(fd, fcntlDupCloexec, "int", 3));
}

/** close(2). */
export function closeDescriptor(fd: number): CallResult {
  return resultOf(cClose(fd));
}

/** Lets the calling thread take the signal again; one that was sent meanwhile is delivered now. pthread_sigmask(3). */
export function unblockSignal(signal: NodeJS.Signals): CallResult {
  const set = new Uint8Array(signalSetBytes);
  const bit = constants.signals[signal] - 1;
  set[bit >> 3] = 1 << (bit & 7);
  // Unlike the calls above it gives the error itself.
  const errno = cSigmask(sigUnblock, set, null);
  return errno === 0 ? { ok: true, value: 0 } : { ok: false, errno, name: errorNames.get(errno) ?? `errno ${errno}` };
}
