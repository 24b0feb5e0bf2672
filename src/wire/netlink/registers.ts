// Keys and data of a map's elements, as nftables keeps them in its 32-bit registers: each part of a concatenation begins
// a register of its own and is padded with zeros. Numbers of the kernel's own (slots of numgen and jhash, marks) stand in
// host order, what lies in packets (addresses, ports) in network order. The change's way; a wrong order here makes
// elements that never match, so use these rather than a DataView.

import { parseIp, type SocketAddress } from "../../core/address.ts";
import { assert } from "../../core/assert.ts";
import { aligned } from "./writer.ts";

/** 4 bytes: what `numgen`, `jhash` and `meta mark` give. */
export function hostNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** 2 bytes: `tcp dport`, `udp dport`, `th dport`. */
export function portNumber(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** 4 or 16 bytes: `ip daddr`, `ip6 daddr`. The host is an IP literal, as every address in a snapshot. */
export function addressBytes(host: string): Uint8Array {
  const address = parseIp(host);
  assert(address !== undefined, `\`${host}\` is an IP address`);
  return Uint8Array.from(address.bytes);
}

/** `a . b . c`: every part padded to whole registers. */
export function concatenation(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + aligned(part.length), 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += aligned(part.length);
  }
  return bytes;
}

/** `ip daddr . tcp dport` or `ip6 daddr . tcp dport`: 8 or 20 bytes. */
export function addressAndPort(address: SocketAddress): Uint8Array {
  return concatenation([addressBytes(address.host), portNumber(address.port)]);
}
