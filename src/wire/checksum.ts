// The checksum of the internet protocols: the complement of the one's-complement sum of 16-bit words (RFC 1071), and the
// pseudo-headers that VRRPv3 and ICMPv6 put before what is summed. The change's way. Knows no format.
//
//   IPv4   source 4 | destination 4 | zero 1 | protocol 1 | length 2                          (RFC 9293 section 3.1)
//   IPv6   source 16 | destination 16 | length 4 | zero 3 | next header 1                     (RFC 8200 section 8.1)

import { addressLength, type Family, putAddress } from "./ip-bytes.ts";

/** Adds the words from `start` up to `end` to a sum; an odd last byte counts as the high half of a word. Not folded. */
export function addWords(sum: number, bytes: Uint8Array, start: number, end: number): number {
  let total = sum;
  let at = start;
  for (; at + 1 < end; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return at < end ? total + ((bytes[at] ?? 0) << 8) : total;
}

/** What stands in the field: 16 bits. Over a range that holds a right checksum already it is 0. */
export function foldChecksum(sum: number): number {
  let folded = sum;
  // A sum may have more bits than the operators on 32 bits keep.
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

export type PseudoHeader = {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  /** 112 VRRP, 58 ICMPv6. */
  readonly protocol: number;
  /** Bytes of what follows the IP header. */
  readonly length: number;
};

/** The sum of the pseudo-header, to go on with in `addWords`. */
export function pseudoHeaderSum(header: PseudoHeader): number {
  const { family, source, destination } = header;
  const width = addressLength(family);
  const addresses = new Uint8Array(2 * width);
  putAddress(addresses, 0, family, source);
  putAddress(addresses, width, family, destination);
  // Both layouts sum up to this: the upper half of IPv6's length is 0 below 64 KiB.
  return addWords(header.protocol + header.length, addresses, 0, addresses.length);
}
