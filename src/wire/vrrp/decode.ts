// Reads VRRP packets: a whole IPv4 packet as a raw socket gives it, or the payload of an IPv6 packet with what the kernel
// says of its header. The change's way. Strict and total: whatever the bytes, it answers with what they say or with the
// one fault that killed the packet, never an exception. It knows no configuration: whether the packet is for us, and
// whether we believe it, is judged in src/ha. Layouts in encode.ts.

import { addWords, foldChecksum, pseudoHeaderSum } from "../checksum.ts";
import { addressAt, addressLength, type Family } from "../ip-bytes.ts";
import {
  type Advertisement,
  authenticationHeaderProtocol,
  type ChecksumForm,
  type Envelope,
  passwordBytes,
  vrrpGroup,
  vrrpProtocol,
  vrrpTrafficClass,
} from "./advertisement.ts";
import { vrrpHeaderBytes } from "./encode.ts";
import type { VrrpFaultCode, VrrpOddityCode } from "./faults.ts";

export type ReceivedAdvertisement = Envelope & {
  readonly advertisement: Advertisement;
  readonly ttl: number;
  /** Undefined where the kernel was not asked for it. */
  readonly trafficClass: number | undefined;
  /** How the sender counts its checksum; `pseudoHeader` in version 2 means nothing. */
  readonly checksumForm: ChecksumForm;
  readonly oddities: readonly VrrpOddityCode[];
};

export type DecodedAdvertisement =
  | { readonly ok: true; readonly value: ReceivedAdvertisement }
  | { readonly ok: false; readonly code: VrrpFaultCode };

export type DecodeOptions = {
  /**
   * 255 as RFC 9568 section 5.1.1.3 demands; less only for unicast peers behind routers, whom RFC 9568 does not know and
   * from whom keepalived takes any TTL.
   */
  readonly ttlMin: number;
  /** How we count ours over IPv4 in version 3: the other one is right too, and odd. */
  readonly checksumForm: ChecksumForm;
};

function dead(code: VrrpFaultCode): DecodedAdvertisement {
  return { ok: false, code };
}

const ipv4HeaderMin = 20;

/**
 * A whole IPv4 packet. Bytes behind its total length are the link's padding and don't count. RFC 9568 section 7.1,
 * RFC 791 section 3.1.
 */
export function decodeIpv4Packet(bytes: Uint8Array, options: DecodeOptions): DecodedAdvertisement {
  if (bytes.length < ipv4HeaderMin) return dead("vrrp.ip.truncated");
  const first = bytes[0] ?? 0;
  if (first >> 4 !== 4) return dead("vrrp.ip.version");
  const headerLength = (first & 0xf) * 4;
  const totalLength = readU16(bytes, 2);
  if (headerLength < ipv4HeaderMin || headerLength > bytes.length) return dead("vrrp.ip.headerLength");
  if (totalLength < headerLength) return dead("vrrp.ip.totalLength");
  if (totalLength > bytes.length) return dead("vrrp.ip.truncated");
  // "More fragments" and the offset; "don't fragment" is welcome.
  if ((readU16(bytes, 6) & 0x3fff) !== 0) return dead("vrrp.ip.fragment");
  const protocol = bytes[9];
  if (protocol === authenticationHeaderProtocol) return dead("vrrp.ip.authenticationHeader");
  if (protocol !== vrrpProtocol) return dead("vrrp.ip.protocol");
  const ttl = bytes[8] ?? 0;
  if (ttl < options.ttlMin) return dead("vrrp.ip.ttl");
  if (!isHostV4(bytes[12] ?? 0)) return dead("vrrp.ip.source");
  return decodeMessage(
    bytes.subarray(headerLength, totalLength),
    {
      family: 4,
      source: addressAt(bytes, 12, 4),
      destination: addressAt(bytes, 16, 4),
      ttl,
      trafficClass: bytes[1] ?? 0,
    },
    options,
  );
}

/** What the kernel tells beside the payload: IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS. */
export type Ipv6Envelope = Envelope & {
  readonly hopLimit: number;
  /** Undefined where it was not asked for. */
  readonly trafficClass: number | undefined;
};

/** The payload of an IPv6 packet of protocol 112: a raw socket never gives the header (RFC 3542 section 3). */
export function decodeIpv6Payload(
  bytes: Uint8Array,
  envelope: Ipv6Envelope,
  options: DecodeOptions,
): DecodedAdvertisement {
  if (envelope.hopLimit < options.ttlMin) return dead("vrrp.ip.ttl");
  if (envelope.source === "::" || /^ff[0-9a-f]{2}:/.test(envelope.source)) return dead("vrrp.ip.source");
  const { source, destination, hopLimit, trafficClass } = envelope;
  return decodeMessage(bytes, { family: 6, source, destination, ttl: hopLimit, trafficClass }, options);
}

/** Neither "this network", loopback, multicast nor the reserved classes above it (RFC 6890). */
function isHostV4(firstByte: number): boolean {
  return firstByte !== 0 && firstByte !== 127 && firstByte < 224;
}

type Header = Envelope & {
  readonly family: Family;
  readonly ttl: number;
  readonly trafficClass: number | undefined;
};

function decodeMessage(bytes: Uint8Array, header: Header, options: DecodeOptions): DecodedAdvertisement {
  const { family } = header;
  if (bytes.length < vrrpHeaderBytes) return dead("vrrp.length.short");
  const first = bytes[0] ?? 0;
  const version = first >> 4;
  if (!(version === 3 || (version === 2 && family === 4))) return dead("vrrp.version");
  if ((first & 0xf) !== 1) return dead("vrrp.type");
  const vrid = bytes[1] ?? 0;
  if (vrid === 0) return dead("vrrp.vrid.zero");
  const count = bytes[3] ?? 0;
  // Version 2 allows it (keepalived sends it when it has no address); version 3: RFC 9568 section 5.2.5, erratum 8299.
  if (count === 0 && version === 3) return dead("vrrp.addresses.none");
  const authentication = version === 2 ? (bytes[4] ?? 0) : 0;
  if (authentication === 2) return dead("vrrp.authentication.header");
  if (authentication > 2) return dead("vrrp.authentication.type");
  const width = addressLength(family);
  const addressesEnd = vrrpHeaderBytes + count * width;
  const end = addressesEnd + (version === 2 ? passwordBytes : 0);
  if (bytes.length < end) return dead("vrrp.length.short");
  if (bytes.length > end) return dead("vrrp.length.trailing");
  const form = checksumFormOf(bytes, version, header);
  if (form === undefined) return dead("vrrp.checksum");
  const interval = version === 2 ? (bytes[5] ?? 0) * 1000 : (readU16(bytes, 4) & 0xfff) * 10;
  if (interval === 0) return dead("vrrp.interval.zero");
  const addresses = Array.from({ length: count }, (_, index) =>
    addressAt(bytes, vrrpHeaderBytes + index * width, family),
  );
  const password = authentication === 1 ? readPassword(bytes, addressesEnd) : undefined;
  const advertisement = { version, family, vrid, priority: bytes[2] ?? 0, interval, password, addresses } as const;
  const { source, destination, ttl, trafficClass } = header;
  const oddities = odditiesOf(advertisement, header, form, options);
  return { ok: true, value: { advertisement, source, destination, ttl, trafficClass, checksumForm: form, oddities } };
}

/**
 * Undefined when it is wrong in every way. Version 3 over IPv4: with the pseudo-header, without, or, from keepalived
 * before 2.0 to unicast peers, with the multicast group where the destination should be.
 */
function checksumFormOf(bytes: Uint8Array, version: 2 | 3, header: Header): ChecksumForm | undefined {
  const { family } = header;
  const own = addWords(0, bytes, 0, bytes.length);
  const plain = foldChecksum(own) === 0;
  if (version === 2) return plain ? "pseudoHeader" : undefined;
  const withHeaderTo = (destination: string) => {
    const pseudo = { family, source: header.source, destination, protocol: vrrpProtocol, length: bytes.length };
    return foldChecksum(own + pseudoHeaderSum(pseudo)) === 0;
  };
  if (withHeaderTo(header.destination)) return "pseudoHeader";
  if (family === 6) return undefined;
  if (plain) return "asVersion2";
  return withHeaderTo(vrrpGroup[4]) ? "pseudoHeader" : undefined;
}

function readPassword(bytes: Uint8Array, at: number): string {
  let end = at + passwordBytes;
  while (end > at && bytes[end - 1] === 0) end--;
  return String.fromCharCode(...bytes.subarray(at, end));
}

function odditiesOf(
  advertisement: Advertisement,
  header: Header,
  form: ChecksumForm,
  options: DecodeOptions,
): readonly VrrpOddityCode[] {
  const oddities: VrrpOddityCode[] = [];
  if (header.trafficClass !== undefined && header.trafficClass !== vrrpTrafficClass) oddities.push("vrrp.odd.tos");
  const counted = advertisement.version === 3 && advertisement.family === 4;
  if (counted && form !== options.checksumForm) oddities.push("vrrp.odd.checksumForm");
  // RFC 9568 section 5.2.9 demands it of the sender; keepalived only warns.
  if (advertisement.family === 6 && !/^fe[89ab][0-9a-f]:/.test(advertisement.addresses[0] ?? "")) {
    oddities.push("vrrp.odd.linkLocal");
  }
  return oddities;
}

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
