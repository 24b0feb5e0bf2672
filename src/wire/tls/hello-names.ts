// The two extensions of a ClientHello that say where it wants to go: server_name (RFC 6066 section 3) and the list of
// application protocols (RFC 7301 section 3.1). On the request's way, once per connection. A host name is taken to a
// route, a log and a metric, so only bytes that a host name can have are let through.

import { Parsed } from "../parsed.ts";
import { Fault } from "./faults.ts";

export type HelloNames = {
  /** Of the server_name extension, in lower case without a final dot; "" when the client names no host. */
  serverName: string;
  /** The first names of its ALPN list, PROTOCOLS_MAX at most, as they were sent (one byte a character): `h2`, `http/1.1`. */
  readonly protocols: string[];
};

/** Protocols that are kept; a longer list is checked to its end all the same. */
export const PROTOCOLS_MAX = 8;

/** What DNS can hold, and then some: a name takes 253 characters there. */
const HOST_NAME_BYTES_MAX = 255;
const HOST_NAME_TYPE = 0;
const DOT = 0x2e;

const Letter = { none: 0, plain: 1, upper: 2 } as const;

/**
 * What may stand in a label. The underscore is no letter of a host name (RFC 1123 section 2.1), but programs name
 * services with it and every TLS library sends it; nothing is separated or quoted by it.
 */
const LABEL = new Uint8Array(256);
for (const character of "abcdefghijklmnopqrstuvwxyz0123456789-_") LABEL[character.charCodeAt(0)] = Letter.plain;
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") LABEL[character.charCodeAt(0)] = Letter.upper;

/**
 * Reads the extension's data. Returns `Parsed.complete` or a fault. Names of other types than host name, of which none
 * exists, are skipped by the length that RFC 6066 gives all of them; a second host name is refused.
 */
export function readServerName(bytes: Buffer, start: number, end: number, names: HelloNames): number {
  let at = start + 2;
  if (at >= end || at + u16(bytes, start) !== end) return Fault.serverNameInvalid;
  while (at < end) {
    const type = bytes[at];
    const name = at + 3;
    if (name > end) return Fault.serverNameInvalid;
    at = name + u16(bytes, at + 1);
    if (at > end || at === name) return Fault.serverNameInvalid;
    if (type !== HOST_NAME_TYPE) continue;
    if (names.serverName !== "") return Fault.serverNameInvalid;
    const result = readHostName(bytes, name, at, names);
    if (result < 0) return result;
  }
  return Parsed.complete;
}

/** The final dot, which RFC 6066 forbids and some clients send, is dropped as it is of a Host line. */
function readHostName(bytes: Buffer, start: number, end: number, names: HelloNames): number {
  if (end - start > HOST_NAME_BYTES_MAX) return Fault.hostNameInvalid;
  const stop = bytes[end - 1] === DOT ? end - 1 : end;
  let upper = false;
  let labelStart = start;
  for (let at = start; at <= stop; at++) {
    if (at === stop || bytes[at] === DOT) {
      if (at === labelStart) return Fault.hostNameInvalid;
      labelStart = at + 1;
      continue;
    }
    const letter = LABEL[bytes[at]!]!;
    if (letter === Letter.none) return Fault.hostNameInvalid;
    if (letter === Letter.upper) upper = true;
  }
  const text = bytes.toString("latin1", start, stop);
  names.serverName = upper ? text.toLowerCase() : text;
  return Parsed.complete;
}

/** Reads the extension's data. Returns `Parsed.complete` or a fault. Values reserved by RFC 8701 are no protocols. */
export function readProtocols(bytes: Buffer, start: number, end: number, names: HelloNames): number {
  let at = start + 2;
  if (at >= end || at + u16(bytes, start) !== end) return Fault.protocolsInvalid;
  while (at < end) {
    const name = at + 1;
    at = name + bytes[at]!;
    if (at > end || at === name) return Fault.protocolsInvalid;
    if (names.protocols.length === PROTOCOLS_MAX || isReserved(bytes, name, at)) continue;
    names.protocols.push(bytes.toString("latin1", name, at));
  }
  return Parsed.complete;
}

/** RFC 8701 section 2: 0x0a0a, 0x1a1a and so on to 0xfafa. */
function isReserved(bytes: Buffer, start: number, end: number): boolean {
  return end - start === 2 && bytes[start] === bytes[start + 1] && (bytes[start]! & 0x0f) === 0x0a;
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
