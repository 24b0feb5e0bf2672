// A link-layer socket for ARP on one interface: announcements of a takeover, questions to a gateway and their answers. The
// change's way; whole Ethernet frames in and out (src/wire/arp.ts). On a busy network every host hears thousands of ARP
// questions a second, so a filter in the kernel lets through only what named senders say. Must not be used to answer
// questions: the kernel does that for the addresses that it has.

import { good, type Result } from "../core/failure.ts";
import { arpEtherType } from "../wire/arp.ts";
import { putAddress } from "../wire/ip-bytes.ts";
import { bindSocket, closeDescriptor } from "./libc.ts";
import { protocolFamily, rawSocket, receiveNow, sendTo, setOptionBytes } from "./libc-sockets.ts";
import { allocateForever, type NativeMemory } from "./native-memory.ts";
import type { NetworkInterface } from "./raw-socket.ts";
import { socketFailure } from "./socket-failure.ts";

export type ArpSocket = {
  readonly fd: number;
  readonly interface: NetworkInterface;
  /** struct sockaddr_ll. */
  readonly address: Uint8Array;
};

/** Whose messages one socket may listen to. A jump of the filter reaches 255 instructions. */
export const LISTENED_SENDERS_MAX = 64;
/** The least that Ethernet carries, without its checksum. */
const frameBytesMin = 60;
const frameBytesMax = 256;
const code = "arp.socket";
const attachFilter = { level: 1, name: 26 } as const;
const broadcast = 0xff;

/** Memory for one filter program, shared by all sockets of a process. */
export type FilterRoom = NativeMemory;

export function filterRoom(): FilterRoom {
  return allocateForever(programAt + (LISTENED_SENDERS_MAX + 3) * instructionBytes);
}

const programAt = 16;
const instructionBytes = 8;

/**
 * Sends frames, and hears ARP messages whose sender address is one of `listenTo`; with none it receives nothing.
 * Codes: arp.socket.denied, .interfaceMissing, .linkDown, .limit, .failed.
 */
export function openArpSocket(
  options: { readonly interface: NetworkInterface; readonly listenTo: readonly string[] },
  room: FilterRoom,
): Result<ArpSocket> {
  const place = { code, interface: options.interface.name };
  // Protocol 0 until the filter stands: what came before it would wait in the queue.
  const opened = rawSocket(protocolFamily.packet, 0);
  if (!opened.ok) return socketFailure(place, "socket", opened);
  const fd = opened.value;
  const hears = options.listenTo.length > 0;
  const address = linkAddress(options.interface.index);
  const filtered = hears ? attachSenderFilter(fd, options.listenTo, room) : undefined;
  if (filtered?.ok === false) {
    closeDescriptor(fd);
    return socketFailure(place, "SO_ATTACH_FILTER", filtered);
  }
  const bound = hears ? bindSocket(fd, address) : undefined;
  if (bound?.ok === false) {
    closeDescriptor(fd);
    return socketFailure(place, "bind", bound);
  }
  return good({ fd, interface: options.interface, address });
}

export function closeArpSocket(socket: ArpSocket): void {
  closeDescriptor(socket.fd);
}

/** struct sockaddr_ll: family, protocol in network order, interface, hardware type, packet type, length, address. */
function linkAddress(interfaceIndex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, protocolFamily.packet, true);
  view.setUint16(2, arpEtherType);
  view.setInt32(4, interfaceIndex, true);
  bytes[11] = 6;
  bytes.fill(broadcast, 12, 18);
  return bytes;
}

function attachSenderFilter(fd: number, senders: readonly string[], room: FilterRoom) {
  const program = encodeSenderFilter(senders);
  room.bytes.set(program, programAt);
  // struct sock_fprog: count u16, then a pointer at 8. The kernel copies the program.
  room.view.setUint16(0, program.length / instructionBytes, true);
  room.view.setBigUint64(8, room.address + BigInt(programAt), true);
  return setOptionBytes(fd, attachFilter.level, attachFilter.name, room.bytes.subarray(0, programAt));
}

const load = 0x20;
const jumpEqual = 0x15;
const give = 0x06;
/** Sender protocol address in an Ethernet frame that carries ARP: 14 + 14. */
const senderAt = 28;

/**
 * A classic BPF program of 8 bytes an instruction that accepts frames whose ARP sender address is one of these, at most
 * LISTENED_SENDERS_MAX. linux/filter.h: code u16, jump if true u8, if false u8, value u32.
 */
export function encodeSenderFilter(senders: readonly string[]): Uint8Array {
  const listed = senders.slice(0, LISTENED_SENDERS_MAX);
  const bytes = new Uint8Array((listed.length + 3) * instructionBytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put = (instruction: number, whenTrue: number, value: number) => {
    view.setUint16(at, instruction, true);
    view.setUint8(at + 2, whenTrue);
    view.setUint32(at + 4, value, true);
    at += instructionBytes;
  };
  put(load, 0, senderAt);
  const sender = new Uint8Array(4);
  for (const [index, address] of listed.entries()) {
    putAddress(sender, 0, 4, address);
    // True: over the rest of the comparisons and over "give nothing".
    put(jumpEqual, listed.length - index, new DataView(sender.buffer).getUint32(0));
  }
  put(give, 0, 0);
  put(give, 0, frameBytesMax);
  return bytes;
}

/** One frame, filled up to what Ethernet carries at least. Codes: arp.socket.linkDown, .interfaceMissing, .blocked, .busy, .failed. */
export function sendFrame(socket: ArpSocket, frame: Uint8Array): Result<true> {
  let bytes = frame;
  if (frame.length < frameBytesMin) {
    bytes = new Uint8Array(frameBytesMin);
    bytes.set(frame);
  }
  const sent = sendTo(socket.fd, bytes, socket.address);
  return sent.ok ? good(true) : socketFailure({ code, interface: socket.interface.name }, "sendto", sent);
}

/**
 * The next frame that waits, in `room`, or undefined when none does. 256 bytes of room are enough.
 * Codes: arp.socket.linkDown (told once when the link goes), .failed.
 */
export function receiveFrame(socket: ArpSocket, room: Uint8Array): Result<Uint8Array | undefined> {
  const received = receiveNow(socket.fd, room);
  if (received.ok) return good(room.subarray(0, Math.min(received.value, room.length)));
  if (received.name === "EAGAIN" || received.name === "EINTR") return good(undefined);
  return socketFailure({ code, interface: socket.interface.name }, "recv", received);
}
