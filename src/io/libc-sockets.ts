// Calls of the C library for sockets that Node cannot open: raw IP, link layer, netlink groups, and messages with control
// data (sender, interface, hop limit). The change's way; only the processes that speak VRRP or guard its addresses load
// this. Constants are those of Linux on x86-64, arm64 and riscv64; structures those of a 64-bit little-endian machine.
// Knows no protocol: what options mean stands in raw-socket.ts and packet-socket.ts.

import koffi from "koffi";
import { type CallResult, resultOf } from "./libc.ts";
import { allocateForever, type NativeMemory } from "./native-memory.ts";

const library = koffi.load(null);

const cSocket: (domain: number, type: number, protocol: number) => number = library.func("int socket(int, int, int)");
const cBind: (fd: number, address: Uint8Array, length: number) => number = library.func(
  "int bind(int, const void *, uint32_t)",
);
const cSetsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number =
  library.func("int setsockopt(int, int, int, const void *, uint32_t)");
const cSendto: (fd: number, bytes: Uint8Array, n: number, flags: number, to: Uint8Array | null, m: number) => number =
  library.func("intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)");
const cRecv: (fd: number, into: Uint8Array, length: number, flags: number) => number = library.func(
  "intptr_t recv(int, void *, size_t, int)",
);
const cSendmsg: (fd: number, message: bigint, flags: number) => number = library.func(
  "intptr_t sendmsg(int, uintptr_t, int)",
);
const cRecvmsg: (fd: number, message: bigint, flags: number) => number = library.func(
  "intptr_t recvmsg(int, uintptr_t, int)",
);
const cPpoll: (descriptors: Uint8Array, count: number, timeout: Uint8Array | null, mask: null) => number = library.func(
  "int ppoll(void *, unsigned long, const void *, const void *)",
);
const cPipe: (descriptors: Uint8Array, flags: number) => number = library.func("int pipe2(void *, int)");
const cFcntl: (fd: number, command: number, type: "int", argument: number) => number =
  library.func("int fcntl(int, int, ...)");
const cRead: (fd: number, into: Uint8Array, length: number) => number = library.func(
  "intptr_t read(int, void *, size_t)",
);
const cWrite: (fd: number, bytes: Uint8Array, length: number) => number = library.func(
  "intptr_t write(int, const void *, size_t)",
);

export const protocolFamily = { v4: 2, v6: 10, netlink: 16, packet: 17 } as const;
const familyUnix = 1;
const sockDgram = 2;
const sockRaw = 3;
const closeOnExec = 0o2000000;
const nonBlocking = 0o4000;
const fcntlSetDescriptorFlags = 2;
const fcntlGetFlags = 3;
const fcntlSetFlags = 4;
const dontWait = 0x40;
const messageTruncated = 0x20;

/** A raw socket, closed on exec, that never blocks. socket(2). */
export function rawSocket(domain: number, protocol: number): CallResult {
  return resultOf(cSocket(domain, sockRaw | closeOnExec | nonBlocking, protocol));
}

/** A datagram socket between processes of this machine, closed on exec. unix(7). */
export function localSocket(): CallResult {
  return resultOf(cSocket(familyUnix, sockDgram | closeOnExec | nonBlocking, 0));
}

/** bind(2) to an abstract name: it leaves no file, is the network namespace's own, and is free when the last holder ends. */
export function bindAbstract(fd: number, name: string): CallResult {
  const text = Buffer.from(name);
  const address = Buffer.concat([new Uint8Array(new Uint16Array([familyUnix]).buffer), Buffer.from([0]), text]);
  return resultOf(cBind(fd, address, address.length));
}

/** setsockopt(2) with the option's bytes as they are. */
export function setOptionBytes(fd: number, level: number, name: number, value: Uint8Array): CallResult {
  return resultOf(cSetsockopt(fd, level, name, value, value.byteLength));
}

/** setsockopt(2) with an int. */
export function setOptionNumber(fd: number, level: number, name: number, value: number): CallResult {
  return setOptionBytes(fd, level, name, new Uint8Array(new Int32Array([value]).buffer));
}

/** One datagram to a whole sockaddr; never waits. sendto(2). */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): CallResult {
  return resultOf(cSendto(fd, bytes, bytes.byteLength, dontWait, address, address.byteLength));
}

/** One datagram; the value is its true length, above that of `into` when it was cut. EAGAIN: there is none. recv(2). */
export function receiveNow(fd: number, into: Uint8Array): CallResult {
  return resultOf(cRecv(fd, into, into.byteLength, dontWait | messageTruncated));
}

/** Waits until one of the pollfd structures is ready; null waits for ever. The value is how many are. ppoll(2). */
export function pollDescriptors(descriptors: Uint8Array, count: number, timeout: Uint8Array | null): CallResult {
  return resultOf(cPpoll(descriptors, count, timeout, null));
}

export type PipeResult =
  | { readonly ok: true; readonly readEnd: number; readonly writeEnd: number }
  | (CallResult & { readonly ok: false });

/** A pipe, closed on exec at both ends. pipe(2). */
export function openPipe(): PipeResult {
  const ends = new Int32Array(2);
  const result = resultOf(cPipe(new Uint8Array(ends.buffer), closeOnExec));
  if (!result.ok) return result;
  return { ok: true, readEnd: ends[0] ?? -1, writeEnd: ends[1] ?? -1 };
}

/** From now on a read or write that would wait fails with EAGAIN. fcntl(2), O_NONBLOCK. */
export function neverWait(fd: number): CallResult {
  const flags = resultOf(cFcntl(fd, fcntlGetFlags, "int", 0));
  return flags.ok ? resultOf(cFcntl(fd, fcntlSetFlags, "int", flags.value | nonBlocking)) : flags;
}

/** The descriptor outlives an exec: Node marks all that it inherits for closing. fcntl(2), FD_CLOEXEC off. */
export function keepOnExec(fd: number): CallResult {
  return resultOf(cFcntl(fd, fcntlSetDescriptorFlags, "int", 0));
}

/** read(2). The value 0 is the end. */
export function readSome(fd: number, into: Uint8Array): CallResult {
  return resultOf(cRead(fd, into, into.byteLength));
}

/** write(2). The value may be less than was given. */
export function writeSome(fd: number, bytes: Uint8Array): CallResult {
  return resultOf(cWrite(fd, bytes, bytes.byteLength));
}

// struct msghdr, then the one iovec, the address, the control data and the payload behind each other:
//   name ptr 0 | name length u32 8 | iovec ptr 16 | iovec count 24 | control ptr 32 | control length 40 | flags i32 48
const iovecAt = 64;
const nameAt = 80;
const nameMax = 32;
const controlAt = 112;
const controlMax = 144;
const payloadAt = 256;
const controlHeaderBytes = 16;

/** A struct msghdr with room for an address, control data and one payload; used again for every message. */
export type MessageRoom = NativeMemory & { readonly payloadMax: number };

export type ControlItem = { readonly level: number; readonly type: number; readonly data: Uint8Array };

export function messageRoom(payloadMax: number): MessageRoom {
  const memory = allocateForever(payloadAt + payloadMax);
  const { view, address } = memory;
  view.setBigUint64(0, address + BigInt(nameAt), true);
  view.setBigUint64(16, address + BigInt(iovecAt), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, address + BigInt(controlAt), true);
  view.setBigUint64(iovecAt, address + BigInt(payloadAt), true);
  return { ...memory, payloadMax };
}

/** One message; the value is its true length, above `payloadMax` when it was cut. EAGAIN: there is none. recvmsg(2). */
export function receiveMessage(fd: number, room: MessageRoom): CallResult {
  const { view } = room;
  view.setUint32(8, nameMax, true);
  view.setBigUint64(40, BigInt(controlMax), true);
  view.setBigUint64(iovecAt + 8, BigInt(room.payloadMax), true);
  return resultOf(cRecvmsg(fd, room.address, dontWait | messageTruncated));
}

/** The sender's sockaddr of the message last received; a view. */
export function senderOf(room: MessageRoom): Uint8Array {
  return room.bytes.subarray(nameAt, nameAt + Math.min(room.view.getUint32(8, true), nameMax));
}

/** The first `length` bytes of the message last received; a view. */
export function payloadOf(room: MessageRoom, length: number): Uint8Array {
  return room.bytes.subarray(payloadAt, payloadAt + Math.min(length, room.payloadMax));
}

/** The control data of the message last received, as views. cmsg(3). */
export function controlsOf(room: MessageRoom): readonly ControlItem[] {
  const items: ControlItem[] = [];
  const end = controlAt + Math.min(Number(room.view.getBigUint64(40, true)), controlMax);
  for (let at = controlAt; at + controlHeaderBytes <= end; ) {
    const length = Number(room.view.getBigUint64(at, true));
    if (length < controlHeaderBytes || at + length > end) break;
    const level = room.view.getInt32(at + 8, true);
    const type = room.view.getInt32(at + 12, true);
    items.push({ level, type, data: room.bytes.subarray(at + controlHeaderBytes, at + length) });
    at += (length + 7) & ~7;
  }
  return items;
}

/**
 * One message to a whole sockaddr, with one piece of control data of at most 32 bytes or none; never waits. The payload
 * is at most `payloadMax` bytes. sendmsg(2).
 */
export function sendMessage(
  fd: number,
  room: MessageRoom,
  message: { readonly to: Uint8Array; readonly payload: Uint8Array; readonly control: ControlItem | undefined },
): CallResult {
  const { bytes, view } = room;
  const { to, payload, control } = message;
  bytes.set(to, nameAt);
  view.setUint32(8, to.length, true);
  bytes.set(payload, payloadAt);
  view.setBigUint64(iovecAt + 8, BigInt(payload.length), true);
  view.setBigUint64(40, control === undefined ? 0n : BigInt(putControl(room, control)), true);
  return resultOf(cSendmsg(fd, room.address, dontWait));
}

/** Gives the length of all control data: CMSG_SPACE. */
function putControl(room: MessageRoom, control: ControlItem): number {
  const length = controlHeaderBytes + control.data.length;
  room.view.setBigUint64(controlAt, BigInt(length), true);
  room.view.setInt32(controlAt + 8, control.level, true);
  room.view.setInt32(controlAt + 12, control.type, true);
  room.bytes.set(control.data, controlAt + controlHeaderBytes);
  return (length + 7) & ~7;
}
