// Takes apart what the kernel sent: a datagram into messages, a message into attributes. The change's way, strict: a
// length that is too small or reaches beyond what is there is a failure, never an exception and never a guess, though
// the sender is the kernel: what is read here decides what is deleted. Layout in writer.ts. Copies nothing: payloads are
// views of the datagram and die with it.

import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import { aligned, attributeHeaderBytes, headerBytes } from "./writer.ts";

export type NetlinkMessage = {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  /** Everything behind the 16 bytes of the header; a view of the datagram. */
  readonly payload: Uint8Array;
};

/** Of every subsystem: an answer to one message; the end of a dump. */
export const messageType = { answer: 2, done: 3 } as const;

export function malformed(detail: string): { readonly ok: false; readonly failure: Failure } {
  return bad({ code: "netlink.malformed", origin: "self", retrySafe: false, detail });
}

/** All messages of one datagram. Fails with `netlink.malformed`. netlink(7). */
export function decodeMessages(datagram: Uint8Array): Result<readonly NetlinkMessage[]> {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < datagram.length; ) {
    if (datagram.length - at < headerBytes) return malformed(`${datagram.length - at} bytes behind the last message`);
    const length = view.getUint32(at, true);
    if (length < headerBytes || length > datagram.length - at) {
      return malformed(`a message of ${length} bytes where ${datagram.length - at} are left`);
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      portId: view.getUint32(at + 12, true),
      payload: datagram.subarray(at + headerBytes, at + length),
    });
    at += aligned(length);
  }
  return good(messages);
}

/** Walks over attributes; each of its numbers is of the attribute that nextAttribute came to. */
export type AttributeCursor = {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly parent: AttributeCursor | undefined;
  readonly end: number;
  next: number;
  type: number;
  /** Of the payload, without padding. */
  start: number;
  stop: number;
  /** Once true, there is no next attribute: here, and in the cursors that this one was made from. */
  malformed: boolean;
};

/** Over a message's payload from `skip` on: behind the netfilter header, say. */
export function attributesOf(payload: Uint8Array, skip: number): AttributeCursor {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const tooShort = skip > payload.length;
  const next = Math.min(skip, payload.length);
  const end = payload.length;
  return { bytes: payload, view, parent: undefined, end, next, type: 0, start: 0, stop: 0, malformed: tooShort };
}

/** Over what is nested in the cursor's attribute. */
export function nestedAttributes(parent: AttributeCursor): AttributeCursor {
  const { bytes, view, start, stop } = parent;
  return { bytes, view, parent, end: stop, next: start, type: 0, start: 0, stop: 0, malformed: false };
}

function refuse(cursor: AttributeCursor): void {
  for (let each: AttributeCursor | undefined = cursor; each !== undefined; each = each.parent) each.malformed = true;
}

/** Goes to the next attribute; false at the end, and when the cursor is `malformed`. */
export function nextAttribute(cursor: AttributeCursor): boolean {
  if (cursor.malformed) return false;
  const left = cursor.end - cursor.next;
  if (left === 0) return false;
  const length = left < attributeHeaderBytes ? 0 : cursor.view.getUint16(cursor.next, true);
  if (length < attributeHeaderBytes || length > left) {
    refuse(cursor);
    return false;
  }
  // The two highest bits say "nested" and "network order"; the kernel is not consistent in setting them.
  cursor.type = cursor.view.getUint16(cursor.next + 2, true) & 0x3fff;
  cursor.start = cursor.next + attributeHeaderBytes;
  cursor.stop = cursor.next + length;
  cursor.next = Math.min(cursor.next + aligned(length), cursor.end);
  return true;
}

function hasBytes(cursor: AttributeCursor, count: number): boolean {
  if (cursor.stop - cursor.start === count) return true;
  refuse(cursor);
  return false;
}

/** The attribute's number; 0, and the cursor malformed, when it has another width. Network order where not said otherwise. */
export function readU8(cursor: AttributeCursor): number {
  return hasBytes(cursor, 1) ? cursor.view.getUint8(cursor.start) : 0;
}

export function readU16(cursor: AttributeCursor): number {
  return hasBytes(cursor, 2) ? cursor.view.getUint16(cursor.start) : 0;
}

export function readU32(cursor: AttributeCursor): number {
  return hasBytes(cursor, 4) ? cursor.view.getUint32(cursor.start) : 0;
}

/** Exact up to 2^53, beyond that the nearest number: 9 PB. */
export function readU64(cursor: AttributeCursor): number {
  if (!hasBytes(cursor, 8)) return 0;
  return cursor.view.getUint32(cursor.start) * 2 ** 32 + cursor.view.getUint32(cursor.start + 4);
}

export function readHostU32(cursor: AttributeCursor): number {
  return hasBytes(cursor, 4) ? cursor.view.getUint32(cursor.start, true) : 0;
}

/** Text that one zero byte ends, at the end. */
export function readText(cursor: AttributeCursor): string {
  const zero = cursor.bytes.indexOf(0, cursor.start);
  if (zero !== cursor.stop - 1) {
    refuse(cursor);
    return "";
  }
  return String.fromCharCode(...cursor.bytes.subarray(cursor.start, zero));
}

/** A view of `count` bytes. */
export function readBytes(cursor: AttributeCursor, count: number): Uint8Array {
  return hasBytes(cursor, count) ? cursor.bytes.subarray(cursor.start, cursor.stop) : cursor.bytes.subarray(0, 0);
}
