// Entries of the kernel's connection tracking (ctnetlink): asked for by target, read, deleted. The change's way, pure. The
// kernel narrows a dump down where it can (Linux 5.8); older ones ignore the filter and send every entry of the family, so
// what is read is judged again (connection-filter.ts) before anything is counted or deleted. A filter is never sent with
// a deletion: nobody would judge, and older kernels do not know it there.
// linux/netfilter/nfnetlink_conntrack.h.

import { good, type Result } from "../../core/failure.ts";
import {
  type AttributeCursor,
  attributesOf,
  malformed,
  type NetlinkMessage,
  nestedAttributes,
  nextAttribute,
  readBytes,
  readU8,
  readU16,
  readU32,
} from "./reader.ts";
import {
  closeMessage,
  closeNest,
  messageFlag,
  type NetlinkRequest,
  type NetlinkWriter,
  netfilterHeaderBytes,
  netlinkWriter,
  openMessage,
  openNest,
  putBytes,
  putHostU32,
  putU8,
  putU16,
  putU32,
  written,
} from "./writer.ts";

/** One end of a tuple. The address has 4 or 16 bytes; the port is 0 in protocols that have none. */
export type ConnectionEnd = { readonly address: Uint8Array; readonly port: number };

/** A direction: the packets that look like this belong to the connection. */
export type ConnectionTuple = {
  /** IPPROTO number. */
  readonly protocol: number;
  readonly source: ConnectionEnd;
  readonly destination: ConnectionEnd;
};

export type Connection = {
  /** As the first packet was when it came in. */
  readonly original: ConnectionTuple;
  /** As the answers are when they come in; where it is not `original` turned round, there is address translation. */
  readonly reply: ConnectionTuple;
  readonly mark: number;
  /** enum tcp_conntrack: 3 is ESTABLISHED, 7 TIME_WAIT, 8 CLOSE. Undefined outside TCP. */
  readonly tcpState: number | undefined;
  /** What names the entry to the kernel, for encodeDeletions; views of the datagram like everything above. */
  readonly name: ConnectionName;
};

export type ConnectionName = {
  /** 2 or 10. */
  readonly family: number;
  /** CTA_TUPLE_ORIG as it was sent. */
  readonly originalTuple: Uint8Array;
  readonly id: number | undefined;
  readonly zone: number | undefined;
};

const subsystem = 1;
const familyIpv4 = 2;
const familyIpv6 = 10;
const message = { new: 0, get: 1, delete: 2 } as const;
const entry = {
  original: 1,
  reply: 2,
  protocolInfo: 4,
  mark: 8,
  id: 12,
  zone: 18,
  markMask: 21,
  filter: 25,
} as const;
const tuple = { ip: 1, protocol: 2 } as const;
const ip = { source4: 1, destination4: 2, source6: 3, destination6: 4 } as const;
const protocol = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const protocolInfoTcp = 1;
const tcpState = 1;
const filter = { original: 1, reply: 2 } as const;
/** Bits of a filter: which parts of its tuple count. */
const filterPart = { sourceAddress: 1, protocolNumber: 8, sourcePort: 16 } as const;

const { request, acknowledge, dump } = messageFlag;

function typeOf(number: number): number {
  return (subsystem << 8) | number;
}

function familyOf(address: Uint8Array): number {
  return address.length === 4 ? familyIpv4 : familyIpv6;
}

export type DumpFilter = {
  readonly protocol: number;
  /** The end that packets of this direction come from. */
  readonly direction: "original" | "reply";
  readonly source: ConnectionEnd;
  readonly mark: number | undefined;
  /** Judged behind the kernel, by connection-filter.ts: where the other direction goes, any address where there is none. */
  readonly called?: { readonly address: Uint8Array | undefined; readonly port: number } | undefined;
  readonly direct?: true;
};

/** Asks for the entries that match, of one family. Each answer is read by decodeConnection. */
export function encodeConnectionDump(wanted: DumpFilter, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(256);
  const { address, port } = wanted.source;
  const family = familyOf(address);
  const start = openMessage(writer, { type: typeOf(message.get), flags: request | dump, sequence, family });
  const direction = openNest(writer, entry[wanted.direction]);
  // Never for IPv6: there the kernel compares the wrong way round, and sends every entry but those of this address
  // (seen on Linux 6.18; the code is in all that filter).
  const byAddress = family === familyIpv4;
  if (byAddress) {
    const addresses = openNest(writer, tuple.ip);
    putBytes(writer, ip.source4, address);
    closeNest(writer, addresses);
  }
  const ports = openNest(writer, tuple.protocol);
  putU8(writer, protocol.number, wanted.protocol);
  putU16(writer, protocol.sourcePort, port);
  closeNest(writer, ports);
  closeNest(writer, direction);
  if (wanted.mark !== undefined) {
    putU32(writer, entry.mark, wanted.mark);
    putU32(writer, entry.markMask, 0xffffffff);
  }
  const parts = (byAddress ? filterPart.sourceAddress : 0) | filterPart.protocolNumber | filterPart.sourcePort;
  const bits = openNest(writer, entry.filter);
  putHostU32(writer, filter.original, wanted.direction === "original" ? parts : 0);
  putHostU32(writer, filter.reply, wanted.direction === "reply" ? parts : 0);
  closeNest(writer, bits);
  closeMessage(writer, start);
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/** Asks for every entry of a protocol and of a family, told by the bytes of its addresses. Read by decodeConnection. */
export function encodeProtocolDump(
  wanted: { readonly protocol: number; readonly addressBytes: number },
  sequence: number,
): NetlinkRequest {
  const writer = netlinkWriter(128);
  const family = wanted.addressBytes === 4 ? familyIpv4 : familyIpv6;
  const start = openMessage(writer, { type: typeOf(message.get), flags: request | dump, sequence, family });
  const direction = openNest(writer, entry.reply);
  const ports = openNest(writer, tuple.protocol);
  putU8(writer, protocol.number, wanted.protocol);
  closeNest(writer, ports);
  closeNest(writer, direction);
  const bits = openNest(writer, entry.filter);
  putHostU32(writer, filter.original, 0);
  putHostU32(writer, filter.reply, filterPart.protocolNumber);
  closeNest(writer, bits);
  closeMessage(writer, start);
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/**
 * Deletes each entry if it is still the one that was read (its id). Only the last message asks for an acknowledgement:
 * an entry that is gone already answers ENOENT by itself. At least one name.
 */
export function encodeDeletions(names: readonly ConnectionName[], sequence: number): NetlinkRequest {
  const writer = netlinkWriter(names.length * 128);
  for (const [index, name] of names.entries()) {
    const flags = index === names.length - 1 ? request | acknowledge : request;
    putDeletion(writer, name, { flags, sequence: sequence + index });
  }
  return { bytes: written(writer), first: sequence, last: sequence + names.length - 1, batch: false };
}

function putDeletion(
  writer: NetlinkWriter,
  name: ConnectionName,
  header: { readonly flags: number; readonly sequence: number },
): void {
  const start = openMessage(writer, { type: typeOf(message.delete), family: name.family, ...header });
  putBytes(writer, entry.original, name.originalTuple);
  if (name.id !== undefined) putU32(writer, entry.id, name.id);
  if (name.zone !== undefined) putU16(writer, entry.zone, name.zone);
  closeMessage(writer, start);
}

/** An entry, or undefined when the message is about something else. Fails with `netlink.malformed`. */
export function decodeConnection(answer: NetlinkMessage): Result<Connection | undefined> {
  if (answer.type !== typeOf(message.new)) return good(undefined);
  let original: ConnectionTuple | undefined;
  let originalTuple: Uint8Array | undefined;
  let reply: ConnectionTuple | undefined;
  let state: number | undefined;
  let mark = 0;
  let id: number | undefined;
  let zone: number | undefined;
  const attributes = attributesOf(answer.payload, netfilterHeaderBytes);
  while (nextAttribute(attributes)) {
    switch (attributes.type) {
      case entry.original:
        original = readTuple(attributes);
        originalTuple = attributes.bytes.subarray(attributes.start, attributes.stop);
        break;
      case entry.reply:
        reply = readTuple(attributes);
        break;
      case entry.protocolInfo:
        state = readTcpState(attributes);
        break;
      case entry.mark:
        mark = readU32(attributes);
        break;
      case entry.id:
        id = readU32(attributes);
        break;
      case entry.zone:
        zone = readU16(attributes);
        break;
    }
  }
  if (attributes.malformed) return malformed("a connection whose attributes end too early or have another width");
  if (original === undefined || originalTuple === undefined || reply === undefined) {
    return malformed("a connection lacks a direction or a part of one");
  }
  const name = { family: familyOf(original.source.address), originalTuple, id, zone };
  return good({ original, reply, mark, tcpState: state, name });
}

/** Undefined when an address or the protocol is missing. */
function readTuple(parent: AttributeCursor): ConnectionTuple | undefined {
  const attributes = nestedAttributes(parent);
  let addresses: { source: Uint8Array; destination: Uint8Array } | undefined;
  let ports: { protocol: number; source: number; destination: number } | undefined;
  while (nextAttribute(attributes)) {
    if (attributes.type === tuple.ip) addresses = readAddresses(attributes);
    else if (attributes.type === tuple.protocol) ports = readPorts(attributes);
  }
  if (addresses === undefined || ports === undefined) return undefined;
  return {
    protocol: ports.protocol,
    source: { address: addresses.source, port: ports.source },
    destination: { address: addresses.destination, port: ports.destination },
  };
}

function readAddresses(parent: AttributeCursor) {
  const attributes = nestedAttributes(parent);
  let source: Uint8Array | undefined;
  let destination: Uint8Array | undefined;
  while (nextAttribute(attributes)) {
    if (attributes.type === ip.source4) source = readBytes(attributes, 4);
    else if (attributes.type === ip.destination4) destination = readBytes(attributes, 4);
    else if (attributes.type === ip.source6) source = readBytes(attributes, 16);
    else if (attributes.type === ip.destination6) destination = readBytes(attributes, 16);
  }
  if (source === undefined || destination === undefined) return undefined;
  return source.length === destination.length ? { source, destination } : undefined;
}

function readPorts(parent: AttributeCursor) {
  const attributes = nestedAttributes(parent);
  let number: number | undefined;
  let source = 0;
  let destination = 0;
  while (nextAttribute(attributes)) {
    if (attributes.type === protocol.number) number = readU8(attributes);
    else if (attributes.type === protocol.sourcePort) source = readU16(attributes);
    else if (attributes.type === protocol.destinationPort) destination = readU16(attributes);
  }
  return number === undefined ? undefined : { protocol: number, source, destination };
}

function readTcpState(parent: AttributeCursor): number | undefined {
  const kinds = nestedAttributes(parent);
  let state: number | undefined;
  while (nextAttribute(kinds)) {
    if (kinds.type !== protocolInfoTcp) continue;
    const attributes = nestedAttributes(kinds);
    while (nextAttribute(attributes)) if (attributes.type === tcpState) state = readU8(attributes);
  }
  return state;
}
