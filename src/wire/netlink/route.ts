// Addresses and links of this machine as rtnetlink says them: requests to add, renew and remove an address, to list
// addresses and links, and the reading of what comes back or is told unasked. The change's way, pure. Which address may be
// removed is not judged here: nobody but io/owned-addresses.ts may encode a removal.
//
//   address   family u8 | prefix length u8 | flags u8 | scope u8 | interface u32 | attributes        struct ifaddrmsg
//   link      family u8 | 0 | hardware type u16 | interface i32 | flags u32 | change u32 | attributes struct ifinfomsg
//
// rtnetlink(7), linux/if_addr.h, linux/if_link.h. Numbers are in host order.

import { good, type Result } from "../../core/failure.ts";
import { addressAt, addressLength, type Family, familyOf, putAddress } from "../ip-bytes.ts";
import { macAt, macBytes } from "../mac.ts";
import {
  type AttributeCursor,
  attributesOf,
  malformed,
  type NetlinkMessage,
  nextAttribute,
  readHostU32,
  readText,
  readU8,
} from "./reader.ts";
import {
  closeMessage,
  messageFlag,
  type NetlinkRequest,
  type NetlinkWriter,
  netlinkWriter,
  openMessageOf,
  putBytes,
  putText,
  putU8,
  written,
} from "./writer.ts";

/** An address as one interface has it. */
export type AddressPlace = {
  /** Canonical text. */
  readonly address: string;
  readonly prefixLength: number;
  readonly interfaceIndex: number;
};

export type AddressLifetime = {
  /** Whole seconds until the kernel removes the address by itself; undefined never. */
  readonly validSeconds: number | undefined;
  /** Until it is no longer chosen as the source of new connections; 0 never is. At most as long as valid. */
  readonly preferredSeconds: number | undefined;
};

export type AddressRequest = AddressPlace &
  AddressLifetime & {
    readonly scope: AddressScope;
    /** `eth0:vip`, IPv4 only, at most 15 bytes and beginning with the interface's name. */
    readonly label: string | undefined;
    /** IFA_PROTO: whose address it is, 1 to 255. Kernels before 5.18 forget it. */
    readonly protocol: number;
  };

export type AddressScope = "global" | "site" | "link" | "host";
const scopes: Record<AddressScope, number> = { global: 0, site: 200, link: 253, host: 254 };

/** What the kernel says of an address. */
export type AddressEntry = AddressPlace & {
  readonly family: Family;
  readonly scope: number;
  /** IFA_F_… of linux/if_addr.h. */
  readonly flags: number;
  readonly label: string | undefined;
  /** 0 when nobody, or an old kernel, said. */
  readonly protocol: number;
  readonly validSeconds: number | undefined;
  readonly preferredSeconds: number | undefined;
};

export const addressFlag = {
  secondary: 0x01,
  noDuplicateDetection: 0x02,
  duplicate: 0x08,
  tentative: 0x40,
  permanent: 0x80,
} as const;

export type LinkEntry = {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_…: 1 is Ethernet. */
  readonly hardwareType: number;
  /** Undefined where the interface has none of 6 bytes. */
  readonly mac: string | undefined;
  readonly mtu: number;
  /** IFF_… of linux/if.h. */
  readonly flags: number;
};

export const linkFlag = { up: 0x1, loopback: 0x8, running: 0x40, noArp: 0x80, lowerUp: 0x10000 } as const;
export const ethernetHardware = 1;

/**
 * Switched on, with a carrier, and ready to send. The carrier's flag falls at once when the cable is cut; that it is ready
 * comes up to a second after the carrier is back (RFC 2863's operational state, net/core/link_watch.c), and whatever is
 * sent before that is thrown away without an error.
 */
export function isLinkUp(link: LinkEntry): boolean {
  const wanted = linkFlag.up | linkFlag.running | linkFlag.lowerUp;
  return (link.flags & wanted) === wanted;
}

const message = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
} as const;
const addressAttribute = { address: 1, local: 2, label: 3, cacheInfo: 6, flags: 8, protocol: 11 } as const;
const linkAttribute = { address: 1, name: 3, mtu: 4 } as const;
const addressHeaderBytes = 8;
const linkHeaderBytes = 16;
const cacheInfoBytes = 16;
const forever = 0xffffffff;

const { request, acknowledge, dump, create, exclusive } = messageFlag;
/** NLM_F_REPLACE. */
const replace = 0x100;

/** The groups to listen to: links, IPv4 addresses, IPv6 addresses. RTMGRP_… */
export const routeGroups = 0x1 | 0x10 | 0x100;

function familyNumber(family: Family): number {
  return family === 4 ? 2 : 10;
}

function openAddress(
  writer: NetlinkWriter,
  place: AddressPlace,
  header: { readonly type: number; readonly flags: number; readonly sequence: number },
  scope: number,
): number {
  const family = familyOf(place.address);
  const fixed = new Uint8Array(addressHeaderBytes);
  // Over IPv6 an address is usable at once: it was checked for duplicates by the election.
  const flags = family === 6 ? addressFlag.noDuplicateDetection : 0;
  fixed.set([familyNumber(family), place.prefixLength, flags, scope]);
  new DataView(fixed.buffer).setUint32(4, place.interfaceIndex, true);
  const start = openMessageOf(writer, header, fixed);
  const bytes = new Uint8Array(addressLength(family));
  putAddress(bytes, 0, family, place.address);
  putBytes(writer, addressAttribute.local, bytes);
  putBytes(writer, addressAttribute.address, bytes);
  return start;
}

/**
 * `add` is refused with EEXIST when the interface has the address; `renew` sets the lifetime of one that is there, and
 * adds it when it is gone.
 */
export function encodeAddressRequest(what: "add" | "renew", wanted: AddressRequest, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(256);
  const flags = request | acknowledge | create | (what === "add" ? exclusive : replace);
  const start = openAddress(writer, wanted, { type: message.newAddress, flags, sequence }, scopes[wanted.scope]);
  if (wanted.label !== undefined) putText(writer, addressAttribute.label, wanted.label);
  // struct ifa_cacheinfo: preferred, valid, created, updated.
  const lifetime = new Uint8Array(cacheInfoBytes);
  const view = new DataView(lifetime.buffer);
  view.setUint32(0, wanted.preferredSeconds ?? forever, true);
  view.setUint32(4, wanted.validSeconds ?? forever, true);
  putBytes(writer, addressAttribute.cacheInfo, lifetime);
  putU8(writer, addressAttribute.protocol, wanted.protocol);
  closeMessage(writer, start);
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/** Removes exactly this address with this prefix length from this interface. */
export function encodeAddressRemoval(place: AddressPlace, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(128);
  const header = { type: message.deleteAddress, flags: request | acknowledge, sequence };
  closeMessage(writer, openAddress(writer, place, header, 0));
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/** Asks for all addresses, of one family or both. Answers are read by decodeAddress. */
export function encodeAddressDump(family: Family | undefined, sequence: number): NetlinkRequest {
  const fixed = new Uint8Array(addressHeaderBytes);
  fixed[0] = family === undefined ? 0 : familyNumber(family);
  return dumpRequest(message.getAddress, fixed, sequence);
}

/** Asks for all links. Answers are read by decodeLink. */
export function encodeLinkDump(sequence: number): NetlinkRequest {
  return dumpRequest(message.getLink, new Uint8Array(linkHeaderBytes), sequence);
}

function dumpRequest(type: number, fixed: Uint8Array, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(64);
  closeMessage(writer, openMessageOf(writer, { type, flags: request | dump, sequence }, fixed));
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/** What a message of these groups tells. */
export type RouteNews =
  | { readonly kind: "addressAdded"; readonly entry: AddressEntry }
  | { readonly kind: "addressRemoved"; readonly entry: AddressEntry }
  | { readonly kind: "link"; readonly link: LinkEntry }
  | { readonly kind: "linkRemoved"; readonly link: LinkEntry };

/** Undefined when the message is about something else. Fails with `netlink.malformed`. */
export function decodeRouteNews(answer: NetlinkMessage): Result<RouteNews | undefined> {
  switch (answer.type) {
    case message.newAddress:
    case message.deleteAddress: {
      const decoded = decodeAddress(answer.payload);
      if (!decoded.ok) return decoded;
      const kind = answer.type === message.newAddress ? "addressAdded" : "addressRemoved";
      return good(decoded.value === undefined ? undefined : { kind, entry: decoded.value });
    }
    case message.newLink:
    case message.deleteLink: {
      const decoded = decodeLink(answer.payload);
      if (!decoded.ok) return decoded;
      // Of family bridge and the like: ports of a bridge, said with the header of a link.
      if (answer.payload[0] !== 0) return good(undefined);
      return good({ kind: answer.type === message.newLink ? "link" : "linkRemoved", link: decoded.value });
    }
    default:
      return good(undefined);
  }
}

function decodeAddress(payload: Uint8Array): Result<AddressEntry | undefined> {
  if (payload.length < addressHeaderBytes) return malformed(`an address message of ${payload.length} bytes`);
  const family: Family | undefined = payload[0] === 2 ? 4 : payload[0] === 10 ? 6 : undefined;
  if (family === undefined) return good(undefined);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let local: string | undefined;
  let address: string | undefined;
  let label: string | undefined;
  let flags = payload[2] ?? 0;
  let protocol = 0;
  let lifetime: ReturnType<typeof readLifetime> | undefined;
  const attributes = attributesOf(payload, addressHeaderBytes);
  while (nextAttribute(attributes)) {
    if (attributes.type === addressAttribute.local) local = readAddress(attributes, family);
    else if (attributes.type === addressAttribute.address) address = readAddress(attributes, family);
    else if (attributes.type === addressAttribute.label) label = readText(attributes);
    else if (attributes.type === addressAttribute.flags) flags = readHostU32(attributes);
    else if (attributes.type === addressAttribute.protocol) protocol = readU8(attributes);
    else if (attributes.type === addressAttribute.cacheInfo) lifetime = readLifetime(attributes);
  }
  // Where there is a peer, `address` is the peer's.
  const own = local ?? address;
  if (attributes.malformed || own === undefined)
    return malformed("an address message with attributes of another width");
  return good({
    family,
    address: own,
    prefixLength: payload[1] ?? 0,
    interfaceIndex: view.getUint32(4, true),
    scope: payload[3] ?? 0,
    flags,
    label,
    protocol,
    validSeconds: lifetime?.validSeconds,
    preferredSeconds: lifetime?.preferredSeconds,
  });
}

function readAddress(attributes: AttributeCursor, family: Family): string | undefined {
  if (attributes.stop - attributes.start !== addressLength(family)) return undefined;
  return addressAt(attributes.bytes, attributes.start, family);
}

function readLifetime(attributes: AttributeCursor): AddressLifetime {
  if (attributes.stop - attributes.start < cacheInfoBytes) {
    return { validSeconds: undefined, preferredSeconds: undefined };
  }
  const seconds = (at: number) => {
    const value = attributes.view.getUint32(attributes.start + at, true);
    return value === forever ? undefined : value;
  };
  return { preferredSeconds: seconds(0), validSeconds: seconds(4) };
}

function decodeLink(payload: Uint8Array): Result<LinkEntry> {
  if (payload.length < linkHeaderBytes) return malformed(`a link message of ${payload.length} bytes`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let name: string | undefined;
  let mac: string | undefined;
  let mtu = 0;
  const attributes = attributesOf(payload, linkHeaderBytes);
  while (nextAttribute(attributes)) {
    if (attributes.type === linkAttribute.name) name = readText(attributes);
    else if (attributes.type === linkAttribute.mtu) mtu = readHostU32(attributes);
    else if (attributes.type === linkAttribute.address && attributes.stop - attributes.start === macBytes) {
      mac = macAt(attributes.bytes, attributes.start);
    }
  }
  if (attributes.malformed || name === undefined) return malformed("a link message without a name");
  const hardwareType = view.getUint16(2, true);
  return good({ index: view.getInt32(4, true), name, hardwareType, mac, mtu, flags: view.getUint32(8, true) });
}
