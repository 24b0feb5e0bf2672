// The sockets that a virtual router needs on its interface: advertisements by multicast or to named peers, and the
// questions and announcements of IPv6 neighbours. The change's way. Only the numbers of the protocols stand here; how a
// raw socket is opened, and what is sent over it, stands elsewhere.

import { good, type Result } from "../core/failure.ts";
import type { Family } from "../wire/ip-bytes.ts";
import { icmpv6Protocol, neighbourHopLimit } from "../wire/neighbour.ts";
import { vrrpGroup, vrrpProtocol, vrrpTrafficClass, vrrpTtl } from "../wire/vrrp/advertisement.ts";
import { closeDescriptor } from "./libc.ts";
import { setOptionBytes } from "./libc-sockets.ts";
import { type MessageRooms, type NetworkInterface, openRawSocket, type RawSocket } from "./raw-socket.ts";
import { socketFailure } from "./socket-failure.ts";

export type VrrpSocketOptions = {
  readonly family: Family;
  readonly interface: NetworkInterface;
  /** Our own address on the interface; over IPv6 the link-local one, by multicast. */
  readonly source: string;
  /** `unicast` joins no group and receives only what was sent to `source`. */
  readonly peers: "multicast" | "unicast";
};

/**
 * Protocol 112, TTL or hop limit 255, traffic class 0xc0. RFC 9568 section 5.1.
 * Codes: vrrp.socket.denied, .interfaceMissing, .sourceMissing, .familyMissing, .limit, .failed; sending and receiving
 * have theirs in raw-socket.ts with the same prefix.
 */
export function openVrrpSocket(options: VrrpSocketOptions, rooms: MessageRooms): Result<RawSocket> {
  return openRawSocket(
    {
      family: options.family,
      protocol: vrrpProtocol,
      interface: options.interface,
      source: options.source,
      group: options.peers === "multicast" ? vrrpGroup[options.family] : undefined,
      timeToLive: vrrpTtl,
      trafficClass: vrrpTrafficClass,
      code: "vrrp.socket",
    },
    rooms,
  );
}

const icmpv6Filter = { level: 58, name: 1 } as const;
const advertisementType = 136;

/**
 * Sends solicitations and unsolicited advertisements, hears neighbour advertisements and nothing else of ICMPv6. The
 * source stands in the checksum, so it is named here. Codes: neighbour.socket.… as for openVrrpSocket.
 */
export function openNeighbourSocket(
  options: { readonly interface: NetworkInterface; readonly source: string },
  rooms: MessageRooms,
): Result<RawSocket> {
  const code = "neighbour.socket";
  const opened = openRawSocket(
    {
      family: 6,
      protocol: icmpv6Protocol,
      interface: options.interface,
      source: options.source,
      // Announcements to all nodes come here without a group of our own; answers come to our address.
      group: "ff02::1",
      timeToLive: neighbourHopLimit,
      trafficClass: vrrpTrafficClass,
      code,
    },
    rooms,
  );
  if (!opened.ok) return opened;
  // RFC 3542 section 3.2: a set bit keeps that type out.
  const blocked = new Uint8Array(32).fill(0xff);
  blocked[advertisementType >> 3] = 0xff & ~(1 << (advertisementType & 7));
  const filtered = setOptionBytes(opened.value.fd, icmpv6Filter.level, icmpv6Filter.name, blocked);
  if (filtered.ok) return good(opened.value);
  closeDescriptor(opened.value.fd);
  return socketFailure({ code, interface: options.interface.name }, "ICMPV6_FILTER", filtered);
}
