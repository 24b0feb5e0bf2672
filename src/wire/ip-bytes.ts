// IP addresses between text and the bytes of a packet, for the formats of the change's way (VRRP, ARP, neighbour
// discovery): a few packets a second, so a text is what travels through the program and bytes exist in packets only. Must
// not be used on the request's way: it allocates.

import { formatIp, parseIp } from "../core/address.ts";
import { assert } from "../core/assert.ts";

export type Family = 4 | 6;

/** Bytes of an address of the family: 4 or 16. */
export function addressLength(family: Family): number {
  return family === 4 ? 4 : 16;
}

/** Which family a text belongs to; the text is an address, or the caller has made a mistake. */
export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** Writes the address at the offset, in network order. The text is an address of the family: configuration made sure. */
export function putAddress(bytes: Uint8Array, at: number, family: Family, address: string): void {
  const parsed = parseIp(address);
  assert(parsed !== undefined && parsed.family === family, `\`${address}\` is no IPv${family} address`);
  bytes.set(parsed.bytes, at);
}

/** Canonical text of the address at the offset. */
export function addressAt(bytes: Uint8Array, at: number, family: Family): string {
  return formatIp({ family, bytes: [...bytes.subarray(at, at + addressLength(family))] });
}

/**
 * Below, at or above 0 as the first address is smaller, equal or greater: as unsigned integers in network byte order
 * (RFC 9568 section 6.4.3). Addresses of two families have no order and none is ever asked for.
 */
export function compareAddresses(one: string, other: string): number {
  const left = parseIp(one);
  const right = parseIp(other);
  assert(left !== undefined && right !== undefined, `\`${one}\` and \`${other}\` are not both addresses`);
  assert(left.family === right.family, `\`${one}\` and \`${other}\` are of two families`);
  for (const [index, byte] of left.bytes.entries()) {
    const difference = byte - (right.bytes[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
