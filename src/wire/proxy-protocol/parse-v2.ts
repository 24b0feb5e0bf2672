// Version 2, binary (proxy-protocol.txt section 2.2). On the request's way, once per connection. What follows the
// addresses, type-length-values, is walked so that a checksum is found and a header whose parts do not add up is refused,
// as HAProxy does; nothing else of it is used.
//
//    0             12        13         14       16
//   +-- signature --+- 2 cmd -+- fam tr -+- len --+- addresses, ports -+- type len value -+- ...
//                                                 |<------------- len bytes ------------->|

import { Parsed } from "../parsed.ts";
import { addressText } from "./addresses.ts";
import { crc32c } from "./crc32c.ts";
import { Fault } from "./faults.ts";
import { Command, Family, PREFIX_BYTES, Proxied, type ProxyHeader, VERSION_2 } from "./header.ts";

/** Two addresses, and two ports but for unix. */
const IPV4_BYTES = 12;
const IPV6_BYTES = 36;
const UNIX_BYTES = 216;

/** Type and length. */
const VECTOR_HEAD_BYTES = 3;
const CRC32C_TYPE = 0x03;
const CRC32C_BYTES = 4;

/** The signature has been seen. Returns as `parseProxyHeader` does. */
export function parseBinary(bytes: Buffer, start: number, end: number, header: ProxyHeader, bytesMax: number): number {
  header.version = 2;
  header.needed = PREFIX_BYTES;
  if (start + 12 >= end) return Parsed.incomplete;
  const command = bytes[start + 12]!;
  if ((command & 0xf0) !== VERSION_2) return Fault.versionUnsupported;
  const local = (command & 0x0f) === Command.local;
  if (!local && (command & 0x0f) !== Command.proxy) return Fault.commandInvalid;

  if (start + 13 >= end) return Parsed.incomplete;
  const family = bytes[start + 13]! >> 4;
  const transport = bytes[start + 13]! & 0x0f;
  // LOCAL discards the block "including the family which is ignored".
  if (!local && family > Family.unix) return Fault.familyInvalid;
  if (!local && transport > Proxied.datagram) return Fault.transportInvalid;

  if (end - start < PREFIX_BYTES) return Parsed.incomplete;
  const total = PREFIX_BYTES + (bytes[start + 14]! << 8) + bytes[start + 15]!;
  if (total > bytesMax) return Fault.headerTooLarge;
  // Where nothing says what the block holds, nothing in it can be judged: it is skipped by its length.
  const opaque = local || family === Family.unspecified || transport === Proxied.nothing;
  const vectors = PREFIX_BYTES + (opaque ? 0 : blockBytes(family));
  if (vectors > total) return Fault.headerTooShort;
  if (end - start < total) {
    header.needed = total;
    return Parsed.incomplete;
  }
  if (!opaque) {
    const fault = judgeVectors(bytes, start, start + vectors, start + total);
    if (fault !== 0) return fault;
    if (family !== Family.unix) readEnds(bytes, start + PREFIX_BYTES, header, family, transport);
  }
  header.end = start + total;
  return Parsed.complete;
}

function blockBytes(family: number): number {
  if (family === Family.ipv4) return IPV4_BYTES;
  return family === Family.ipv6 ? IPV6_BYTES : UNIX_BYTES;
}

function readEnds(bytes: Buffer, at: number, header: ProxyHeader, family: number, transport: number): void {
  const length = family === Family.ipv4 ? 4 : 16;
  header.proxied = transport === Proxied.stream ? Proxied.stream : Proxied.datagram;
  header.clientAddress = addressText(bytes, at, length);
  header.destinationAddress = addressText(bytes, at + length, length);
  const ports = at + 2 * length;
  header.clientPort = (bytes[ports]! << 8) | bytes[ports + 1]!;
  header.destinationPort = (bytes[ports + 2]! << 8) | bytes[ports + 3]!;
}

/** 0, or a fault. Two checksums are refused: each would be right only with the other one in it. */
function judgeVectors(bytes: Buffer, start: number, vectorsStart: number, end: number): number {
  let checksumAt = -1;
  let at = vectorsStart;
  while (at < end) {
    const valueAt = at + VECTOR_HEAD_BYTES;
    if (valueAt > end) return Fault.vectorInvalid;
    const next = valueAt + (bytes[at + 1]! << 8) + bytes[at + 2]!;
    if (next > end) return Fault.vectorInvalid;
    if (bytes[at] === CRC32C_TYPE) {
      if (checksumAt !== -1 || next - valueAt !== CRC32C_BYTES) return Fault.vectorInvalid;
      checksumAt = valueAt;
    }
    at = next;
  }
  if (checksumAt === -1) return 0;
  const stated = bytes.readUInt32BE(checksumAt);
  return crc32c(bytes, start, end, checksumAt) === stated ? 0 : Fault.checksumDiffers;
}
