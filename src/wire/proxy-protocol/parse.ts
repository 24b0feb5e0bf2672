// The PROXY protocol's receiver, versions 1 and 2 (haproxy.org, proxy-protocol.txt of 2020/03/05). On the request's way,
// once per connection, before anything else is read from it. Faults are found from the first byte to the last, so a
// header that arrives in pieces is judged as the whole one is. Only a listener that was told to expect a header may call
// this: guessing whether one is there would let every client choose its address.

import type { Arena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { Fault } from "./faults.ts";
import { PREFIX_BYTES, Proxied, type ProxyHeader, SIGNATURE } from "./header.ts";
import { parseLine } from "./parse-v1.ts";
import { parseBinary } from "./parse-v2.ts";

/**
 * Bytes of a version 2 header, its first 16 included, unless the caller says otherwise. As nginx's. The protocol wants a
 * header to fit into 536; names and certificates' subjects in type-length-values can make it longer, never this long.
 */
export const PROXY_HEADER_BYTES_MAX = 4096;

/** The shortest of version 1: `PROXY UNKNOWN` CRLF. */
const LINE_BYTES_MIN = 15;

/**
 * Parses the header that begins at `start`. Returns `Parsed.incomplete` (no fault so far; `header.needed` says how many
 * bytes are wanted), `Parsed.complete` (`header` is filled) or a fault: minus the index into `proxyFaults`. Nothing is
 * allocated before the header is complete. `bytesMax`, at least 16, bounds version 2; version 1 has 107 bytes at most.
 */
export function parseProxyHeader(
  arena: Arena,
  start: number,
  end: number,
  header: ProxyHeader,
  bytesMax: number = PROXY_HEADER_BYTES_MAX,
): number {
  header.proxied = Proxied.nothing;
  header.clientAddress = "";
  header.clientPort = 0;
  header.destinationAddress = "";
  header.destinationPort = 0;
  header.end = start;
  header.needed = LINE_BYTES_MIN;
  if (start >= end) return Parsed.incomplete;
  if (arena.bytes[start] !== SIGNATURE[0]) return parseLine(arena.bytes, start, end, header);
  for (let i = 1; i < SIGNATURE.length; i++) {
    if (start + i >= end) {
      header.needed = PREFIX_BYTES;
      return Parsed.incomplete;
    }
    if (arena.bytes[start + i] !== SIGNATURE[i]) return Fault.headerMissing;
  }
  return parseBinary(arena.bytes, start, end, header, bytesMax);
}
