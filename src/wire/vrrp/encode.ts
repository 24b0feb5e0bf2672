// Writes VRRP packets: the message alone, for a raw socket whose kernel adds the IP header, and the whole IP packet, for
// sockets that want it whole. The change's way. What it is given was checked by the configuration: a value that does not
// fit its field is our mistake and ends the process.
//
// Version 2 over IPv4 (RFC 3768 section 5.1; the last 8 bytes are zero without a password)
//
//   0               8               16              24              32
//   | version 2| 1  | virtual rtr id| priority      | count         |
//   | auth type     | interval, s   | checksum                      |
//   | IPv4 address, one for each of the count                       |
//   | authentication data, 8 bytes                                  |
//
// Version 3 over IPv4 and IPv6 (RFC 9568 section 5.2)
//
//   | version 3| 1  | virtual rtr id| priority      | count         |
//   | 0     | interval, 1/100 s     | checksum                      |
//   | IPv4 or IPv6 address, one for each of the count               |

import { assert } from "../../core/assert.ts";
import { addWords, foldChecksum, pseudoHeaderSum } from "../checksum.ts";
import { addressLength, putAddress } from "../ip-bytes.ts";
import {
  type Advertisement,
  type ChecksumForm,
  type Envelope,
  passwordBytes,
  v2IntervalMax,
  v3IntervalMax,
  vrrpProtocol,
  vrrpTrafficClass,
  vrrpTtl,
} from "./advertisement.ts";

export const vrrpHeaderBytes = 8;
export const checksumOffset = 6;
const ipv4HeaderBytes = 20;
const ipv6HeaderBytes = 40;

/**
 * The VRRP message. Version 2 counts its checksum over the message, authentication bytes included (RFC 3768 section
 * 5.3.8, keepalived vrrp.c). Version 3 counts a pseudo-header before it; over IPv4 RFC 9568 section 5.2.8 left it out
 * again, which keepalived and FRR do not, so `asVersion2` is for the few who do. Over IPv6 there is but one way.
 */
export function encodeAdvertisement(
  advertisement: Advertisement,
  envelope: Envelope,
  form: ChecksumForm = "pseudoHeader",
): Uint8Array {
  const { version, family, addresses } = advertisement;
  assert(version === 3 || family === 4, "version 2 is IPv4's");
  assert(addresses.length <= 255, `${addresses.length} addresses in one advertisement`);
  const width = addressLength(family);
  const addressesEnd = vrrpHeaderBytes + addresses.length * width;
  const bytes = new Uint8Array(addressesEnd + (version === 2 ? passwordBytes : 0));
  bytes[0] = (version << 4) | 1;
  bytes[1] = checked(advertisement.vrid, 1, 255, "vrid");
  bytes[2] = checked(advertisement.priority, 0, 255, "priority");
  bytes[3] = addresses.length;
  if (version === 2) putV2Fields(bytes, advertisement, addressesEnd);
  else putV3Interval(bytes, advertisement.interval);
  for (const [index, address] of addresses.entries()) {
    putAddress(bytes, vrrpHeaderBytes + index * width, family, address);
  }
  const plain = version === 2 || (family === 4 && form === "asVersion2");
  const before = plain ? 0 : pseudoHeaderSum({ ...envelope, family, protocol: vrrpProtocol, length: bytes.length });
  putU16(bytes, checksumOffset, foldChecksum(addWords(before, bytes, 0, bytes.length)));
  return bytes;
}

function putV2Fields(bytes: Uint8Array, advertisement: Advertisement, at: number): void {
  const { interval, password } = advertisement;
  bytes[4] = password === undefined ? 0 : 1;
  assert(interval <= v2IntervalMax, `an interval of ${interval} ms in version 2`);
  bytes[5] = checked(interval / 1000, 1, 255, "interval in seconds");
  if (password === undefined) return;
  assert(password.length <= passwordBytes, "a password above 8 bytes");
  for (let index = 0; index < password.length; index++) {
    bytes[at + index] = checked(password.charCodeAt(index), 1, 255, "character of a password");
  }
}

function putV3Interval(bytes: Uint8Array, interval: number): void {
  assert(interval <= v3IntervalMax, `an interval of ${interval} ms in version 3`);
  putU16(bytes, 4, checked(interval / 10, 1, 4095, "interval in hundredths"));
}

function checked(value: number, min: number, max: number, what: string): number {
  assert(Number.isInteger(value) && value >= min && value <= max, `${what} ${value}`);
  return value;
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

/**
 * The message behind an IPv4 header as keepalived writes it: TOS 0xc0, TTL 255, no options, identification 0 (the kernel
 * fills it in where it sends the header), header checksum counted.
 *
 *   | 4 | 5 | TOS           | total length                  |
 *   | identification        | flags | fragment offset       |
 *   | TTL   | protocol      | header checksum               |
 *   | source                                                |
 *   | destination                                           |
 */
export function encodeIpv4Packet(message: Uint8Array, envelope: Envelope): Uint8Array {
  const bytes = new Uint8Array(ipv4HeaderBytes + message.length);
  bytes[0] = 0x45;
  bytes[1] = vrrpTrafficClass;
  putU16(bytes, 2, bytes.length);
  bytes[8] = vrrpTtl;
  bytes[9] = vrrpProtocol;
  putAddress(bytes, 12, 4, envelope.source);
  putAddress(bytes, 16, 4, envelope.destination);
  putU16(bytes, 10, foldChecksum(addWords(0, bytes, 0, ipv4HeaderBytes)));
  bytes.set(message, ipv4HeaderBytes);
  return bytes;
}

/**
 * What follows an IPv6 header: VRRP (112) or ICMPv6 (58), hop limit 255 as both demand.
 *
 *   | 6 | traffic class | flow label                        |
 *   | payload length                | next hdr | hop limit  |
 *   | source, 16 bytes                                      |
 *   | destination, 16 bytes                                 |
 */
export function encodeIpv6Packet(
  message: Uint8Array,
  envelope: Envelope & { readonly protocol: number; readonly trafficClass: number },
): Uint8Array {
  const bytes = new Uint8Array(ipv6HeaderBytes + message.length);
  bytes[0] = 0x60 | (envelope.trafficClass >> 4);
  bytes[1] = (envelope.trafficClass & 0xf) << 4;
  putU16(bytes, 4, message.length);
  bytes[6] = envelope.protocol;
  bytes[7] = 255;
  putAddress(bytes, 8, 6, envelope.source);
  putAddress(bytes, 24, 6, envelope.destination);
  bytes.set(message, ipv6HeaderBytes);
  return bytes;
}
