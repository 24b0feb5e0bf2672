// The few calls of the C library for which Node has no public API: a listening socket with options set between
// socket(2) and bind(2), and its descriptor kept as a number; a netlink socket; the signals that a thread blocks. Loaded
// through koffi, by the supervisor and, for shared memory, by workers at their start. Constants are those of Linux on
// x86-64, arm64 and riscv64. Nothing here knows listeners or workers.

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
const cFlock: (fd: number, operation: number) => number = library.func("int flock(int, int)");
const cFcntl: (fd: number, command: number, type: "int", argument: number) => number =
  library.func("int fcntl(int, int, ...)");
const cConnect: (fd: number, address: Uint8Array, length: number) => number = library.func(
  "int connect(int, const void *, uint32_t)",
);
const cSend: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = library.func(
  "intptr_t send(int, const void *, size_t, int)",
);
const cRecv: (fd: number, into: Uint8Array, length: number, flags: number) => number = library.func(
  "intptr_t recv(int, void *, size_t, int)",
);
const cSigmask: (how: number, set: Uint8Array, old: null) => number = library.func(
  "int pthread_sigmask(int, const void *, void *)",
);

export const addressFamily = { v4: 2, v6: 10 } as const;
const familyNetlink = 16;
const sockStream = 1;
const sockDgram = 2;
const sockRaw = 3;
const sockCloexec = 0o2000000;
const messageTruncated = 0x20;
const fcntlDupCloexec = 1030;
const lockExclusive = 2;
const lockNonBlocking = 4;
const sigUnblock = 1;
/** sizeof(sigset_t) of glibc and musl. */
const signalSetBytes = 128;

export type SocketOption = "reuseAddress" | "reusePort" | "v6Only" | "freeBind" | "freeBindV6";
const optionNumbers: Record<SocketOption, { readonly level: number; readonly name: number }> = {
  reuseAddress: { level: 1, name: 2 },
  reusePort: { level: 1, name: 15 },
  v6Only: { level: 41, name: 26 },
  // An address that the machine does not have, or not yet.
  freeBind: { level: 0, name: 15 },
  freeBindV6: { level: 41, name: 78 },
};

/** Options that take a number. The `Forced` ones go beyond the machine's limits and need CAP_NET_ADMIN. Sizes in bytes. */
export type NumberOption =
  | "reuseAddress"
  | "sendBuffer"
  | "sendBufferForced"
  | "receiveBuffer"
  | "receiveBufferForced"
  | "netlinkCappedAnswers"
  | "netlinkExplainedAnswers";
const solNetlink = 270;
const numberOptions: Record<NumberOption, { readonly level: number; readonly name: number }> = {
  reuseAddress: { level: 1, name: 2 },
  sendBuffer: { level: 1, name: 7 },
  sendBufferForced: { level: 1, name: 32 },
  receiveBuffer: { level: 1, name: 8 },
  receiveBufferForced: { level: 1, name: 33 },
  netlinkCappedAnswers: { level: solNetlink, name: 10 },
  netlinkExplainedAnswers: { level: solNetlink, name: 11 },
};
const receiveTimeout = { level: 1, name: 20 } as const;

/** What a call gave: a number at least 0, or the name of the error (`EADDRINUSE`) and its number. */
export type CallResult =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly errno: number; readonly name: string };

/** Second names, on Linux, of EAGAIN and EOPNOTSUPP. */
const otherNames: ReadonlySet<string> = new Set(["EWOULDBLOCK", "ENOTSUP"]);
const errorNames = new Map(
  Object.entries(constants.errno).flatMap(([name, number]) => (otherNames.has(name) ? [] : [[number, name]])),
);

/** `EADDRINUSE` for 98; `errno 4242` for a number that has no name here. */
export function errorName(errno: number): string {
  return errorNames.get(errno) ?? `errno ${errno}`;
}

/** Of a call that gives -1 and errno for a failure; nothing may be called between it and this. */
export function resultOf(value: number): CallResult {
  if (value >= 0) return { ok: true, value };
  const errno = koffi.errno();
  return { ok: false, errno, name: errorName(errno) };
}

/** A TCP socket, closed on exec. The value is its descriptor. socket(2). */
export function streamSocket(family: number): CallResult {
  return resultOf(cSocket(family, sockStream | sockCloexec, 0));
}

/** A UDP socket, closed on exec. The value is its descriptor. socket(2). */
export function datagramSocket(family: number): CallResult {
  return resultOf(cSocket(family, sockDgram | sockCloexec, 0));
}

/** Switches an option on. setsockopt(2). */
export function setOption(fd: number, option: SocketOption): CallResult {
  const { level, name } = optionNumbers[option];
  const on = new Uint8Array(new Int32Array([1]).buffer);
  return resultOf(cSetsockopt(fd, level, name, on, on.byteLength));
}

/** Takes the lock of an open file, or fails with EAGAIN when another holds it. flock(2). */
export function lockDescriptor(fd: number): CallResult {
  return resultOf(cFlock(fd, lockExclusive | lockNonBlocking));
}

/** A netlink socket of the network namespace that this process is in, closed on exec. netlink(7). */
export function netlinkSocket(protocol: number): CallResult {
  return resultOf(cSocket(familyNetlink, sockRaw | sockCloexec, protocol));
}

/** From now on the socket sends to the kernel and takes from nobody else. connect(2) with sockaddr_nl, port id 0. */
export function connectToKernel(fd: number): CallResult {
  const address = new Uint8Array(12);
  address[0] = familyNetlink;
  return resultOf(cConnect(fd, address, address.byteLength));
}

/** One datagram, whole or not at all. send(2). */
export function sendDatagram(fd: number, bytes: Uint8Array): CallResult {
  return resultOf(cSend(fd, bytes, bytes.byteLength, 0));
}

/** One datagram; the value is its true length, above that of `into` when it was cut. recv(2), MSG_TRUNC. */
export function receiveDatagram(fd: number, into: Uint8Array): CallResult {
  return resultOf(cRecv(fd, into, into.byteLength, messageTruncated));
}

/** setsockopt(2), netlink(7). */
export function setNumber(fd: number, option: NumberOption, value: number): CallResult {
  const { level, name } = numberOptions[option];
  const number = new Uint8Array(new Int32Array([value]).buffer);
  return resultOf(cSetsockopt(fd, level, name, number, number.byteLength));
}

/** How long a receive waits before it fails with EAGAIN. SO_RCVTIMEO. */
export function setReceiveTimeout(fd: number, milliseconds: number): CallResult {
  // struct timeval of a 64-bit machine: seconds and microseconds, 8 bytes each.
  const time = new BigInt64Array([BigInt(Math.floor(milliseconds / 1000)), BigInt((milliseconds % 1000) * 1000)]);
  const bytes = new Uint8Array(time.buffer);
  return resultOf(cSetsockopt(fd, receiveTimeout.level, receiveTimeout.name, bytes, bytes.byteLength));
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
  return errno === 0 ? { ok: true, value: 0 } : { ok: false, errno, name: errorName(errno) };
}
