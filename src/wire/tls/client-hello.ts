// What a TLS client says before anything is secret: the host name it wants and the protocols it speaks, read for routing
// a connection that stays encrypted from end to end. On the request's way, once per connection. The bytes are read and
// never changed, since the target gets them as they came. Must not judge what only the two ends can (versions, ciphers,
// keys), and must not be asked about a connection that was not configured to be TLS.

import type { Arena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { Fault } from "./faults.ts";
import { type HelloNames, readProtocols, readServerName } from "./hello-names.ts";
import { findMessageEnd, joinRecords, MESSAGE_HEAD_BYTES, messageInOne } from "./records.ts";

/**
 * Bytes from the first one to the end of the ClientHello, record headers included, unless the caller says otherwise. As
 * nginx's preread buffer. A client with post-quantum keys sends about 1.8 KiB, one with a session ticket somewhat more.
 */
export const CLIENT_HELLO_BYTES_MAX = 16384;

/** The listener owns one and has it filled for every connection: copy what must outlive the event. */
export type ClientHello = HelloNames & {
  /** After `Parsed.incomplete`: bytes that must be there, counted from the first, before another call can say more. */
  needed: number;
};

export function clientHello(): ClientHello {
  return { needed: 0, serverName: "", protocols: [] };
}

export type ClientHelloParser = {
  /**
   * Reads the ClientHello whose first record begins at `start`. Returns `Parsed.incomplete` (no fault so far;
   * `hello.needed` says how many bytes are wanted), `Parsed.complete` (`hello` is filled) or a fault: minus the index
   * into `tlsFaults`. RFC 8446 sections 4.1.2, 4.2 and 5.1; nothing is allocated before the hello is complete. What
   * follows the hello is not looked at.
   */
  parse(start: number, end: number, hello: ClientHello): number;
};

/** RFC 8446 section 4.2. */
const Extension = { serverName: 0, protocols: 16 } as const;

/** Version and random (RFC 8446 section 4.1.2). */
const FIXED_BYTES = 34;
const SESSION_ID_BYTES_MAX = 32;

/**
 * `bytesMax` as CLIENT_HELLO_BYTES_MAX; the parser keeps as much memory, in which a hello of several records is put
 * together. One parser serves any number of connections.
 */
export function createClientHelloParser(arena: Arena, bytesMax: number = CLIENT_HELLO_BYTES_MAX): ClientHelloParser {
  const joined = Buffer.alloc(bytesMax);
  return {
    parse(start, end, hello) {
      hello.serverName = "";
      hello.protocols.length = 0;
      const { bytes } = arena;
      const messageEnd = findMessageEnd(bytes, start, end, bytesMax, hello);
      if (messageEnd <= 0) return messageEnd;
      const messageStart = messageInOne(bytes, start, messageEnd);
      if (messageStart >= 0) return parseHello(bytes, messageStart + MESSAGE_HEAD_BYTES, messageEnd, hello);
      const length = joinRecords(bytes, start, messageEnd, joined);
      return parseHello(joined, MESSAGE_HEAD_BYTES, length, hello);
    },
  };
}

/** The body of the message, all of it. Before TLS 1.3 it may end without extensions. */
function parseHello(bytes: Buffer, start: number, end: number, hello: ClientHello): number {
  let at = start + FIXED_BYTES;
  if (at >= end || bytes[at]! > SESSION_ID_BYTES_MAX) return Fault.helloInvalid;
  at += 1 + bytes[at]!;
  if (at + 2 > end) return Fault.helloInvalid;
  const suitesBytes = (bytes[at]! << 8) | bytes[at + 1]!;
  if (suitesBytes === 0 || suitesBytes % 2 === 1) return Fault.helloInvalid;
  at += 2 + suitesBytes;
  // Compression methods: one at least.
  if (at >= end || bytes[at] === 0) return Fault.helloInvalid;
  at += 1 + bytes[at]!;
  if (at === end) return Parsed.complete;
  if (at + 2 > end || at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!) !== end) return Fault.helloInvalid;
  return parseExtensions(bytes, at + 2, end, hello);
}

/**
 * Extensions that we don't read may be anything, reserved ones of RFC 8701 too. None may come twice (RFC 8446 section
 * 4.2); of those that we read a second one is refused, because the target might believe that one.
 */
function parseExtensions(bytes: Buffer, start: number, end: number, hello: ClientHello): number {
  let named = false;
  let listed = false;
  let at = start;
  while (at < end) {
    const data = at + 4;
    if (data > end) return Fault.helloInvalid;
    const type = (bytes[at]! << 8) | bytes[at + 1]!;
    at = data + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
    if (at > end) return Fault.helloInvalid;
    let result: number = Parsed.complete;
    if (type === Extension.serverName) {
      result = named ? Fault.serverNameInvalid : readServerName(bytes, data, at, hello);
      named = true;
    } else if (type === Extension.protocols) {
      result = listed ? Fault.protocolsInvalid : readProtocols(bytes, data, at, hello);
      listed = true;
    }
    if (result < 0) return result;
  }
  return Parsed.complete;
}
