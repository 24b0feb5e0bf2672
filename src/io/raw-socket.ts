// Raw IP sockets of one interface and one protocol: VRRP advertisements over IPv4 and IPv6, and ICMPv6 for neighbour
// discovery. The change's way, in a process whose only work is this. Takes and gives bytes: what they mean stands in
// src/wire. Nothing here blocks; wait-loop.ts waits. What an adversary can fill is the kernel's receive buffer, which has
// a limit, and one packet's room: longer ones are counted and dropped.

import { assert } from "../core/assert.ts";
import { good, type Result } from "../core/failure.ts";
import { addressAt, type Family, putAddress } from "../wire/ip-bytes.ts";
import { bindSocket, type CallResult, closeDescriptor } from "./libc.ts";
import {
  type ControlItem,
  controlsOf,
  type MessageRoom,
  messageRoom,
  payloadOf,
  protocolFamily,
  rawSocket,
  receiveMessage,
  senderOf,
  sendMessage,
  setOptionBytes,
  setOptionNumber,
} from "./libc-sockets.ts";
import { type SocketPlace, socketFailure } from "./socket-failure.ts";

export type NetworkInterface = { readonly name: string; readonly index: number };

export type RawSocketOptions = {
  readonly family: Family;
  /** IP protocol number: 112 for VRRP, 58 for ICMPv6. */
  readonly protocol: number;
  readonly interface: NetworkInterface;
  /**
   * Where sent packets come from, an address of the interface (over IPv6 its link-local one, RFC 9568 section 5.1.2.1).
   * Undefined: the kernel chooses.
   */
  readonly source: string | undefined;
  /** The group to join; undefined for unicast peers only, and then only packets to `source` are received. */
  readonly group: string | undefined;
  /** TTL or hop limit, and traffic class, of everything sent. */
  readonly timeToLive: number;
  readonly trafficClass: number;
  /** Prefix of failures' codes, as `vrrp.socket`. */
  readonly code: string;
};

export type RawSocket = {
  readonly fd: number;
  readonly options: RawSocketOptions;
  readonly rooms: MessageRooms;
  readonly counters: RawSocketCounters;
  /** The socket address of the last destination, kept because it is nearly always the next one's too. */
  to: { readonly address: string; readonly bytes: Uint8Array } | undefined;
};

/** Memory for one message each way. All sockets of a process share it: they take turns. */
export type MessageRooms = { readonly receiving: MessageRoom; readonly sending: MessageRoom };

export function messageRooms(): MessageRooms {
  return { receiving: messageRoom(PACKET_BYTES_MAX), sending: messageRoom(PACKET_BYTES_MAX) };
}

export type RawSocketCounters = {
  received: number;
  sent: number;
  /** Longer than PACKET_BYTES_MAX: dropped here. */
  tooLong: number;
  /** Dropped by the kernel because its buffer was full: SO_RXQ_OVFL. Grows with the next packet received. */
  overflowed: number;
};

/** An IPv4 packet is whole, header included; of an IPv6 packet there is the payload and what its header said. */
export type RawPacket =
  | { readonly family: 4; readonly interfaceIndex: number; readonly bytes: Uint8Array }
  | {
      readonly family: 6;
      readonly interfaceIndex: number;
      readonly bytes: Uint8Array;
      readonly source: string;
      readonly destination: string;
      readonly hopLimit: number;
      readonly trafficClass: number | undefined;
    };

/** The longest VRRP packet has 60 + 8 + 255 x 16 bytes; nobody has cause to send longer ones. */
export const PACKET_BYTES_MAX = 4352;
/** More than the receive buffer holds: an end in case packets come in as fast as they are thrown away. */
const drainMax = 4096;
/** Packets read in one turn, so that a flood cannot keep a process from its timers. */
export const BURST_MAX = 64;

const level = { socket: 1, ip: 0, ipv6: 41 } as const;
const socketOption = { receiveBuffer: 8, priority: 12, bindToDevice: 25, overflowCount: 40 } as const;
const ipOption = {
  typeOfService: 1,
  timeToLive: 2,
  packetInfo: 8,
  multicastInterface: 32,
  multicastTimeToLive: 33,
  multicastLoop: 34,
  join: 35,
  multicastAll: 49,
} as const;
const ipv6Option = {
  hopLimit: 16,
  multicastInterface: 17,
  multicastHopLimit: 18,
  multicastLoop: 19,
  join: 20,
  multicastAll: 29,
  receivePacketInfo: 49,
  packetInfo: 50,
  receiveHopLimit: 51,
  hopLimitOf: 52,
  receiveTrafficClass: 66,
  trafficClass: 67,
} as const;
const receiveBufferBytes = 128 * 1024;
/** The highest that needs no CAP_NET_ADMIN; qdiscs with bands send it first. */
const priorityInteractive = 6;
/** struct in6_pktinfo; struct in_pktinfo has 12. */
const packetInfo6Bytes = 20;

/**
 * Opens a socket that takes part in its protocol on one interface, closed on exec. Own multicast packets are not heard.
 * Codes, behind the prefix: .denied, .interfaceMissing, .sourceMissing, .familyMissing, .limit, .failed.
 */
export function openRawSocket(options: RawSocketOptions, rooms: MessageRooms): Result<RawSocket> {
  const { family, protocol } = options;
  const opened = rawSocket(family === 4 ? protocolFamily.v4 : protocolFamily.v6, protocol);
  if (!opened.ok) return socketFailure(placeOf(options), "socket", opened);
  const fd = opened.value;
  for (const { call, apply } of stepsOf(options)) {
    const result = apply(fd);
    if (result.ok) continue;
    closeDescriptor(fd);
    return socketFailure(placeOf(options), call, result);
  }
  const counters = { received: 0, sent: 0, tooLong: 0, overflowed: 0 };
  return good({ fd, options, rooms, counters, to: undefined });
}

export function closeRawSocket(socket: RawSocket): void {
  closeDescriptor(socket.fd);
}

function placeOf(options: RawSocketOptions): SocketPlace {
  return { code: options.code, interface: options.interface.name, source: options.source };
}

type Step = { readonly call: string; readonly apply: (fd: number) => CallResult };

function stepsOf(options: RawSocketOptions): readonly Step[] {
  const number = (call: string, at: number, name: number, value: number): Step => ({
    call,
    apply: (fd) => setOptionNumber(fd, at, name, value),
  });
  const steps: Step[] = [
    // First: what came to other interfaces before this line would be heard too.
    {
      call: "SO_BINDTODEVICE",
      apply: (fd) => setOptionBytes(fd, level.socket, socketOption.bindToDevice, zeroEnded(options.interface.name)),
    },
    number("SO_RCVBUF", level.socket, socketOption.receiveBuffer, receiveBufferBytes),
    number("SO_RXQ_OVFL", level.socket, socketOption.overflowCount, 1),
  ];
  if (options.family === 4) putSteps4(steps, options, number);
  else putSteps6(steps, options, number);
  // After the traffic class, which sets a priority of its own.
  steps.push(number("SO_PRIORITY", level.socket, socketOption.priority, priorityInteractive));
  if (options.group === undefined && options.source !== undefined) {
    const address = socketAddress(options, options.source);
    steps.push({ call: "bind", apply: (fd) => bindSocket(fd, address) });
  }
  return steps;
}

type NumberStep = (call: string, at: number, name: number, value: number) => Step;

function putSteps4(steps: Step[], options: RawSocketOptions, number: NumberStep): void {
  const { group, trafficClass, timeToLive } = options;
  steps.push(
    number("IP_TOS", level.ip, ipOption.typeOfService, trafficClass),
    number("IP_TTL", level.ip, ipOption.timeToLive, timeToLive),
    number("IP_MULTICAST_TTL", level.ip, ipOption.multicastTimeToLive, timeToLive),
    number("IP_MULTICAST_LOOP", level.ip, ipOption.multicastLoop, 0),
    // Else the socket hears every group that any program of this machine has joined.
    number("IP_MULTICAST_ALL", level.ip, ipOption.multicastAll, 0),
  );
  const outgoing = multicastInterface(options, "0.0.0.0");
  steps.push({
    call: "IP_MULTICAST_IF",
    apply: (fd) => setOptionBytes(fd, level.ip, ipOption.multicastInterface, outgoing),
  });
  if (group === undefined) return;
  const joined = multicastInterface(options, group);
  steps.push({ call: "IP_ADD_MEMBERSHIP", apply: (fd) => setOptionBytes(fd, level.ip, ipOption.join, joined) });
}

/** struct ip_mreqn: group, address, interface index. */
function multicastInterface(options: RawSocketOptions, group: string): Uint8Array {
  const bytes = new Uint8Array(12);
  putAddress(bytes, 0, 4, group);
  if (options.source !== undefined) putAddress(bytes, 4, 4, options.source);
  new DataView(bytes.buffer).setInt32(8, options.interface.index, true);
  return bytes;
}

function putSteps6(steps: Step[], options: RawSocketOptions, number: NumberStep): void {
  const { group, trafficClass, timeToLive } = options;
  steps.push(
    number("IPV6_TCLASS", level.ipv6, ipv6Option.trafficClass, trafficClass),
    number("IPV6_UNICAST_HOPS", level.ipv6, ipv6Option.hopLimit, timeToLive),
    number("IPV6_MULTICAST_HOPS", level.ipv6, ipv6Option.multicastHopLimit, timeToLive),
    number("IPV6_MULTICAST_LOOP", level.ipv6, ipv6Option.multicastLoop, 0),
    number("IPV6_MULTICAST_ALL", level.ipv6, ipv6Option.multicastAll, 0),
    number("IPV6_MULTICAST_IF", level.ipv6, ipv6Option.multicastInterface, options.interface.index),
    number("IPV6_RECVPKTINFO", level.ipv6, ipv6Option.receivePacketInfo, 1),
    number("IPV6_RECVHOPLIMIT", level.ipv6, ipv6Option.receiveHopLimit, 1),
    number("IPV6_RECVTCLASS", level.ipv6, ipv6Option.receiveTrafficClass, 1),
  );
  if (group === undefined) return;
  // struct ipv6_mreq: group, interface index.
  const joined = new Uint8Array(20);
  putAddress(joined, 0, 6, group);
  new DataView(joined.buffer).setInt32(16, options.interface.index, true);
  steps.push({ call: "IPV6_JOIN_GROUP", apply: (fd) => setOptionBytes(fd, level.ipv6, ipv6Option.join, joined) });
}

/** A name as the kernel takes it: bytes and a zero. */
function zeroEnded(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0`);
}

/** A whole sockaddr_in or sockaddr_in6 of this interface. */
function socketAddress(options: RawSocketOptions, address: string): Uint8Array {
  if (options.family === 4) {
    const bytes = new Uint8Array(16);
    bytes[0] = protocolFamily.v4;
    putAddress(bytes, 4, 4, address);
    return bytes;
  }
  const bytes = new Uint8Array(28);
  bytes[0] = protocolFamily.v6;
  putAddress(bytes, 8, 6, address);
  // A link-local address means nothing without its interface; the kernel ignores it beside others.
  new DataView(bytes.buffer).setUint32(24, options.interface.index, true);
  return bytes;
}

/**
 * Sends one message from the socket's source: the payload behind the IP header, which the kernel writes.
 * Codes, behind the prefix: .blocked, .linkDown, .noRoute, .sourceMissing, .interfaceMissing, .busy, .failed.
 */
export function sendPacket(socket: RawSocket, destination: string, payload: Uint8Array): Result<true> {
  const { options } = socket;
  assert(payload.length <= PACKET_BYTES_MAX, `a packet of ${payload.length} bytes`);
  if (socket.to?.address !== destination) {
    socket.to = { address: destination, bytes: socketAddress(options, destination) };
  }
  const result = sendMessage(socket.fd, socket.rooms.sending, {
    to: socket.to.bytes,
    payload,
    control: options.source === undefined ? undefined : sourceControl(options, options.source),
  });
  if (!result.ok) return socketFailure(placeOf(options), "sendmsg", result);
  socket.counters.sent++;
  return good(true);
}

/** Names the source for this one message: an address that is added later must not become it. ip(7), ipv6(7). */
function sourceControl(options: RawSocketOptions, source: string): ControlItem {
  if (options.family === 4) {
    const data = new Uint8Array(12);
    new DataView(data.buffer).setInt32(0, options.interface.index, true);
    putAddress(data, 4, 4, source);
    return { level: level.ip, type: ipOption.packetInfo, data };
  }
  const data = new Uint8Array(packetInfo6Bytes);
  putAddress(data, 0, 6, source);
  new DataView(data.buffer).setUint32(16, options.interface.index, true);
  return { level: level.ipv6, type: ipv6Option.packetInfo, data };
}

/**
 * The next packet that waits, or undefined when none does. Its bytes are a view that the next call overwrites.
 * Codes, behind the prefix: .linkDown, .interfaceMissing, .failed; the socket tells of each once and goes on.
 */
export function receivePacket(socket: RawSocket): Result<RawPacket | undefined> {
  for (let tries = 0; tries < BURST_MAX; tries++) {
    const result = receiveMessage(socket.fd, socket.rooms.receiving);
    if (!result.ok) {
      if (result.name === "EAGAIN" || result.name === "EINTR") return good(undefined);
      return socketFailure(placeOf(socket.options), "recvmsg", result);
    }
    const packet = takePacket(socket, result.value);
    if (packet !== undefined) return good(packet);
  }
  return good(undefined);
}

function takePacket(socket: RawSocket, length: number): RawPacket | undefined {
  const { counters, options, rooms } = socket;
  const controls = controlsOf(rooms.receiving);
  const dropped = controls.find((item) => item.level === level.socket && item.type === socketOption.overflowCount);
  if (dropped !== undefined) counters.overflowed = hostNumberIn(dropped.data);
  if (length > PACKET_BYTES_MAX) {
    counters.tooLong++;
    return undefined;
  }
  counters.received++;
  const bytes = payloadOf(rooms.receiving, length);
  if (options.family === 4) return { family: 4, interfaceIndex: options.interface.index, bytes };
  const find = (type: number) => controls.find((item) => item.level === level.ipv6 && item.type === type)?.data;
  const info = find(ipv6Option.packetInfo);
  const hopLimit = find(ipv6Option.hopLimitOf);
  const trafficClass = find(ipv6Option.trafficClass);
  // Both were asked for, so the kernel sends them; a packet without them could not be judged.
  if (info?.length !== packetInfo6Bytes || hopLimit === undefined) return undefined;
  return {
    family: 6,
    interfaceIndex: hostNumberIn(info.subarray(16)),
    bytes,
    source: addressAt(senderOf(rooms.receiving), 8, 6),
    destination: addressAt(info, 0, 6),
    hopLimit: hostNumberIn(hopLimit),
    trafficClass: trafficClass === undefined ? undefined : hostNumberIn(trafficClass),
  };
}

function hostNumberIn(bytes: Uint8Array): number {
  return bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

/** Throws away what waits: after a pause it says how the world was. Gives how many packets that were. */
export function drainSocket(socket: RawSocket): number {
  const before = socket.counters.received + socket.counters.tooLong;
  for (let tries = 0; tries < drainMax; tries++) {
    const result = receiveMessage(socket.fd, socket.rooms.receiving);
    if (!result.ok && result.name === "EAGAIN") break;
    if (result.ok) takePacket(socket, result.value);
  }
  return socket.counters.received + socket.counters.tooLong - before;
}
