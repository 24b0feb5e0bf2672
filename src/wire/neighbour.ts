// Neighbour discovery for IPv6 (RFC 4861): what ARP is for IPv4. The unsolicited advertisement announces that an address
// has moved, the solicitation asks a gateway whether it lives, and an advertisement that comes back is read. The change's
// way. ICMPv6 messages without the IPv6 header: a raw socket's kernel writes that (hop limit 255, which receivers demand).
//
//   advertisement   136 | 0 | checksum 2 | R S O 0..., 4 | target 16 | option 2 (target link-layer) | 1 | mac 6
//   solicitation    135 | 0 | checksum 2 | 0, 4          | target 16 | option 1 (source link-layer) | 1 | mac 6

import { addWords, foldChecksum, pseudoHeaderSum } from "./checksum.ts";
import { addressAt, putAddress } from "./ip-bytes.ts";
import { macAt, putMac } from "./mac.ts";

export const icmpv6Protocol = 58;
/** Where announcements go: every node of the link. */
export const allNodes = "ff02::1";
export const neighbourHopLimit = 255;
const bodyBytes = 24;
export const neighbourMessageBytes = bodyBytes + 8;
const type = { solicitation: 135, advertisement: 136 } as const;
const flag = { router: 0x80, solicited: 0x40, override: 0x20 } as const;
const linkLayerOption = { source: 1, target: 2 } as const;

/** Every way in which a message can be no neighbour advertisement of ours to read; stable, each with its counter. */
export const neighbourFaults = {
  "neighbour.length.short": {
    counter: "evenkeel_neighbour_dropped_length_short_total",
    detail: "shorter than a neighbour advertisement",
  },
  "neighbour.type": {
    counter: "evenkeel_neighbour_dropped_type_total",
    detail: "not a neighbour advertisement of code 0",
  },
  "neighbour.hopLimit": {
    counter: "evenkeel_neighbour_dropped_hop_limit_total",
    detail: "the hop limit is not 255: it came through a router",
  },
  "neighbour.checksum": { counter: "evenkeel_neighbour_dropped_checksum_total", detail: "the checksum is wrong" },
  "neighbour.option": {
    counter: "evenkeel_neighbour_dropped_option_total",
    detail: "an option of length 0, or one that goes beyond the message",
  },
} as const;

export type NeighbourFaultCode = keyof typeof neighbourFaults;

export type NeighbourAdvertisement = {
  readonly target: string;
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
  /** Undefined where the sender left the option out, as it may when it was asked by unicast. */
  readonly mac: string | undefined;
};

export type DecodedNeighbour =
  | { readonly ok: true; readonly value: NeighbourAdvertisement }
  | { readonly ok: false; readonly code: NeighbourFaultCode };

/**
 * The announcement of a takeover, to `ff02::1`: solicited clear, override set, and the router flag where this node
 * forwards (RFC 9568 section 6.4.2 sets it always, for it speaks of routers; keepalived sets it as the interface forwards,
 * and a host that is told of a router which does not forward loses its default route).
 */
export function encodeUnsolicitedAdvertisement(announcement: {
  readonly mac: string;
  readonly address: string;
  /** Of the IPv6 packet: an address of the interface, the announced one or its link-local one. */
  readonly source: string;
  readonly router: boolean;
}): Uint8Array {
  const { mac, address, source, router } = announcement;
  const flags = flag.override | (router ? flag.router : 0);
  return encode(
    { type: type.advertisement, flags, target: address, option: linkLayerOption.target, mac },
    source,
    allNodes,
  );
}

/** Asks who has an address, to the group in which its owner listens (`solicitedNode`). */
export function encodeSolicitation(question: {
  readonly mac: string;
  readonly address: string;
  readonly source: string;
}): Uint8Array {
  const { mac, address, source } = question;
  const fields = { type: type.solicitation, flags: 0, target: address, option: linkLayerOption.source, mac };
  return encode(fields, source, solicitedNode(address));
}

type Fields = {
  readonly type: number;
  readonly flags: number;
  readonly target: string;
  readonly option: number;
  readonly mac: string;
};

function encode(fields: Fields, source: string, destination: string): Uint8Array {
  const bytes = new Uint8Array(neighbourMessageBytes);
  bytes[0] = fields.type;
  bytes[4] = fields.flags;
  putAddress(bytes, 8, 6, fields.target);
  bytes[24] = fields.option;
  bytes[25] = 1;
  putMac(bytes, 26, fields.mac);
  const checksum = checksumOf(bytes, source, destination);
  bytes[2] = checksum >> 8;
  bytes[3] = checksum & 0xff;
  return bytes;
}

/** What belongs into the field while that is 0; 0 when a right checksum is there already. RFC 4443 section 2.3. */
function checksumOf(bytes: Uint8Array, source: string, destination: string): number {
  const pseudo = { family: 6, source, destination, protocol: icmpv6Protocol, length: bytes.length } as const;
  return foldChecksum(addWords(pseudoHeaderSum(pseudo), bytes, 0, bytes.length));
}

/** `ff02::1:ff` and the last three bytes of the address: RFC 4291 section 2.7.1. */
export function solicitedNode(address: string): string {
  const bytes = new Uint8Array(16);
  putAddress(bytes, 0, 6, address);
  bytes.set([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
  return addressAt(bytes, 0, 6);
}

/** Reads an advertisement as a raw socket gives it. RFC 4861 section 7.1.2. */
export function decodeNeighbourAdvertisement(
  bytes: Uint8Array,
  envelope: { readonly source: string; readonly destination: string; readonly hopLimit: number },
): DecodedNeighbour {
  if (bytes.length < bodyBytes) return { ok: false, code: "neighbour.length.short" };
  if (bytes[0] !== type.advertisement || bytes[1] !== 0) return { ok: false, code: "neighbour.type" };
  if (envelope.hopLimit !== neighbourHopLimit) return { ok: false, code: "neighbour.hopLimit" };
  if (checksumOf(bytes, envelope.source, envelope.destination) !== 0) return { ok: false, code: "neighbour.checksum" };
  let mac: string | undefined;
  for (let at = bodyBytes; at < bytes.length; ) {
    const length = (bytes[at + 1] ?? 0) * 8;
    if (length === 0 || at + length > bytes.length) return { ok: false, code: "neighbour.option" };
    if (bytes[at] === linkLayerOption.target && length === 8) mac = macAt(bytes, at + 2);
    at += length;
  }
  const flags = bytes[4] ?? 0;
  return {
    ok: true,
    value: {
      target: addressAt(bytes, 8, 6),
      router: (flags & flag.router) !== 0,
      solicited: (flags & flag.solicited) !== 0,
      override: (flags & flag.override) !== 0,
      mac,
    },
  };
}
