// Builds netlink messages: a header, the netfilter header behind it, attributes one after the other or nested. The
// change's way; it grows its memory as it needs and knows no table, set or connection. Lengths are filled in when a
// message or nest is closed, so nobody has to count before. Must not be asked for an attribute above 65,535 bytes.
//
//   message    length u32 | type u16 | flags u16 | sequence u32 | port id u32 | family u8 | version u8 | resource u16 BE | attributes
//   attribute  length u16 | type u16 | payload, padded to 4 bytes; the length counts the 4 bytes before it, not the padding
//
// netlink(7) and linux/netlink.h. Numbers without BE are in host order, which is little endian wherever the program runs.

import { assert } from "../../core/assert.ts";

export type NetlinkWriter = { bytes: Uint8Array; view: DataView; end: number };

/** What one send carries, and which sequence numbers its answers have. */
export type NetlinkRequest = {
  readonly bytes: Uint8Array;
  /** Of the first message. */
  readonly first: number;
  /** Of the message that asks for an acknowledgement: the last whose answer is waited for. */
  readonly last: number;
  /** True when the first message stands for all: once it is refused, no other is answered. */
  readonly batch: boolean;
};

export const messageFlag = {
  request: 0x1,
  multi: 0x2,
  acknowledge: 0x4,
  interrupted: 0x10,
  dump: 0x300,
  exclusive: 0x200,
  create: 0x400,
  /** In an answer: only the header of the message that it answers is repeated. */
  capped: 0x100,
  /** In an answer: attributes follow. */
  explained: 0x200,
} as const;

export const headerBytes = 16;
/** Family, version and resource: struct nfgenmsg. */
export const netfilterHeaderBytes = 4;
export const attributeHeaderBytes = 4;
export const attributeBytesMax = 0xffff;
const nested = 0x8000;

export type MessageHeader = {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** AF_UNSPEC 0, NFPROTO_INET 1, AF_INET 2, AF_INET6 10. */
  readonly family: number;
  /** The subsystem, in the messages that begin and end a batch. */
  readonly resource?: number;
};

export function netlinkWriter(roomBytes = 4096): NetlinkWriter {
  const bytes = new Uint8Array(roomBytes);
  return { bytes, view: new DataView(bytes.buffer), end: 0 };
}

/** What was written so far; not a copy. */
export function written(writer: NetlinkWriter): Uint8Array {
  return writer.bytes.subarray(0, writer.end);
}

function claim(writer: NetlinkWriter, count: number): number {
  const start = writer.end;
  if (start + count > writer.bytes.length) {
    const grown = new Uint8Array(Math.max(writer.bytes.length * 2, start + count));
    grown.set(writer.bytes);
    writer.bytes = grown;
    writer.view = new DataView(grown.buffer);
  }
  writer.end = start + count;
  return start;
}

/** Length up to the next multiple of four: NLMSG_ALIGN, NLA_ALIGN. */
export function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** Where the message begins, for closeMessage. */
export function openMessage(writer: NetlinkWriter, header: MessageHeader): number {
  const start = claim(writer, headerBytes + netfilterHeaderBytes);
  const { view } = writer;
  view.setUint16(start + 4, header.type, true);
  view.setUint16(start + 6, header.flags, true);
  view.setUint32(start + 8, header.sequence, true);
  view.setUint32(start + 12, 0, true);
  view.setUint8(start + 16, header.family);
  view.setUint8(start + 17, 0);
  view.setUint16(start + 18, header.resource ?? 0);
  return start;
}

/** As openMessage, for subsystems with a header of their own (route.ts) behind the common one. */
export function openMessageOf(
  writer: NetlinkWriter,
  header: { readonly type: number; readonly flags: number; readonly sequence: number },
  fixed: Uint8Array,
): number {
  const start = claim(writer, headerBytes + aligned(fixed.length));
  const { view } = writer;
  view.setUint16(start + 4, header.type, true);
  view.setUint16(start + 6, header.flags, true);
  view.setUint32(start + 8, header.sequence, true);
  view.setUint32(start + 12, 0, true);
  writer.bytes.set(fixed, start + headerBytes);
  return start;
}

export function closeMessage(writer: NetlinkWriter, start: number): void {
  writer.view.setUint32(start, writer.end - start, true);
}

function putHeader(writer: NetlinkWriter, type: number, payloadBytes: number): number {
  const length = attributeHeaderBytes + payloadBytes;
  assert(length <= attributeBytesMax, `attribute ${type} of ${length} bytes`);
  const start = claim(writer, aligned(length));
  writer.view.setUint16(start, length, true);
  writer.view.setUint16(start + 2, type, true);
  // Memory is used once, so the padding is zero already.
  return start + attributeHeaderBytes;
}

/** Where the nest begins, for closeNest. */
export function openNest(writer: NetlinkWriter, type: number): number {
  return putHeader(writer, type | nested, 0) - attributeHeaderBytes;
}

export function closeNest(writer: NetlinkWriter, start: number): void {
  const length = writer.end - start;
  assert(length <= attributeBytesMax, `nest of ${length} bytes`);
  writer.view.setUint16(start, length, true);
}

export function putBytes(writer: NetlinkWriter, type: number, payload: Uint8Array): void {
  const start = putHeader(writer, type, payload.length);
  writer.bytes.set(payload, start);
}

/** ASCII, ended by a zero byte as the kernel wants names. */
export function putText(writer: NetlinkWriter, type: number, text: string): void {
  const start = putHeader(writer, type, text.length + 1);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    assert(code > 0 && code < 0x80, `name \`${text}\``);
    writer.bytes[start + index] = code;
  }
}

export function putU8(writer: NetlinkWriter, type: number, value: number): void {
  const start = putHeader(writer, type, 1);
  writer.view.setUint8(start, value);
}

/** Network order. */
export function putU16(writer: NetlinkWriter, type: number, value: number): void {
  const start = putHeader(writer, type, 2);
  writer.view.setUint16(start, value);
}

/** Network order, as nearly all of netfilter's numbers. */
export function putU32(writer: NetlinkWriter, type: number, value: number): void {
  const start = putHeader(writer, type, 4);
  writer.view.setUint32(start, value);
}

/** Host order: the few that are flags of the kernel's own. */
export function putHostU32(writer: NetlinkWriter, type: number, value: number): void {
  const start = putHeader(writer, type, 4);
  writer.view.setUint32(start, value, true);
}
