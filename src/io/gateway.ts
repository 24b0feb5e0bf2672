// Asks a router of the link whether it is there, by ARP or by a neighbour solicitation, and waits for its own answer. The
// change's way. It is the one question that decides in a true partition: of two nodes that no longer hear each other, the
// one that still reaches the router should have the addresses. Never asks in the name of a virtual address, from which the
// whole link would learn that the address is here. Its sockets stay open from one question to the next.

import { parseIp } from "../core/address.ts";
import { good, type Result } from "../core/failure.ts";
import { decodeArp, encodeArpRequest } from "../wire/arp.ts";
import { familyOf } from "../wire/ip-bytes.ts";
import {
  decodeNeighbourAdvertisement,
  encodeSolicitation,
  icmpv6Protocol,
  neighbourHopLimit,
  solicitedNode,
} from "../wire/neighbour.ts";
import { type AddressEntry, addressFlag, isLinkUp, type LinkEntry } from "../wire/netlink/route.ts";
import {
  type ArpSocket,
  closeArpSocket,
  type FilterRoom,
  openArpSocket,
  receiveFrame,
  sendFrame,
} from "./arp-socket.ts";
import { addressesOf, findLink } from "./netlink-route.ts";
import type { NetlinkExchange } from "./netlink-socket.ts";
import { closeRawSocket, type MessageRooms, openRawSocket, receivePacket, sendPacket } from "./raw-socket.ts";

export type GatewayQuestion = {
  readonly address: string;
  readonly interface: string;
  /** Addresses in whose name it must not ask. */
  readonly avoid: () => readonly string[];
};

/** What the gateways of a process share. */
export type GatewayShared = {
  readonly exchange: NetlinkExchange;
  readonly filterRoom: FilterRoom;
  readonly messageRooms: MessageRooms;
};

/** One way to the router, open. */
export type GatewayLine = {
  /** Sends the question once. */
  ask(): Result<true>;
  /** Reads what has come. True: its answer is there. */
  hear(): Result<boolean>;
  /** Still the same interface, and our address on it still there. */
  isCurrent(): Result<boolean>;
  close(): void;
};

/** Answers read in one turn; the filter lets through only what the router says. */
const framesPerTurn = 32;

/**
 * Opens the way to the router. Codes: interface.missing, gateway.linkDown, gateway.noAddress (IPv6: no link-local address
 * yet), gateway.noHardwareAddress, those of openArpSocket and openRawSocket, address.*, netlink.*.
 */
export function openGatewayLine(question: GatewayQuestion, shared: GatewayShared): Result<GatewayLine> {
  const link = findLink(shared.exchange, question.interface);
  if (!link.ok) return link;
  if (!isLinkUp(link.value)) return refusal("gateway.linkDown", `${question.interface} is down or has no carrier`);
  const { mac } = link.value;
  if (mac === undefined) {
    return refusal(
      "gateway.noHardwareAddress",
      `${question.interface} has no hardware address: there is nobody to ask on it`,
    );
  }
  const addresses = addressesOf(shared.exchange, link.value.index);
  if (!addresses.ok) return addresses;
  const place: Place = { question, shared, link: link.value, mac };
  return familyOf(question.address) === 4
    ? openArpLine(place, addresses.value)
    : openNeighbourLine(place, addresses.value);
}

type Place = {
  readonly question: GatewayQuestion;
  readonly shared: GatewayShared;
  readonly link: LinkEntry;
  readonly mac: string;
};

function refusal(code: string, detail: string) {
  return { ok: false, failure: { code, origin: "self", retrySafe: true, detail } } as const;
}

/**
 * In whose name to ask over IPv4: an address of ours in the router's network; without one 0.0.0.0, which nobody learns from
 * and which a router answers all the same (RFC 5227 section 2.1.1).
 */
export function pickSender(router: string, own: readonly AddressEntry[], avoid: readonly string[]): string {
  const found = own.find(
    ({ family, address, prefixLength }) =>
      family === 4 && !avoid.includes(address) && sharesNetwork(address, router, prefixLength),
  );
  return found?.address ?? "0.0.0.0";
}

function sharesNetwork(one: string, other: string, prefixLength: number): boolean {
  const [left, right] = [numberOf(one), numberOf(other)];
  if (left === undefined || right === undefined || prefixLength >= 32) return false;
  const width = 2 ** (32 - prefixLength);
  return Math.floor(left / width) === Math.floor(right / width);
}

function numberOf(address: string): number | undefined {
  return parseIp(address)?.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

function openArpLine(place: Place, own: readonly AddressEntry[]): Result<GatewayLine> {
  const { question, shared, link, mac } = place;
  const where = { name: link.name, index: link.index };
  const opened = openArpSocket({ interface: where, listenTo: [question.address] }, shared.filterRoom);
  if (!opened.ok) return opened;
  const socket = opened.value;
  const room = new Uint8Array(256);
  let senderAddress = pickSender(question.address, own, question.avoid());
  return good({
    ask: () => {
      const frame = encodeArpRequest({ mac, senderAddress, targetAddress: question.address });
      return sendFrame(socket, frame);
    },
    hear: () => hearReply({ socket, room, mac, router: question.address }),
    isCurrent: () => {
      const now = isSameLink(place);
      if (!now.ok || !now.value) return now;
      const addresses = addressesOf(shared.exchange, link.index);
      if (!addresses.ok) return addresses;
      senderAddress = pickSender(question.address, addresses.value, question.avoid());
      return good(true);
    },
    close: () => closeArpSocket(socket),
  });
}

type Listening = {
  readonly socket: ArpSocket;
  readonly room: Uint8Array;
  readonly mac: string;
  readonly router: string;
};

/** Only an answer to us counts: what the router says by itself does not show that it hears us. */
function hearReply({ socket, room, mac, router }: Listening): Result<boolean> {
  let heard = false;
  for (let count = 0; count < framesPerTurn; count++) {
    const frame = receiveFrame(socket, room);
    if (!frame.ok) return frame;
    if (frame.value === undefined) break;
    const decoded = decodeArp(frame.value);
    if (!decoded.ok || decoded.value.operation !== "reply") continue;
    const { senderAddress, senderMac, targetMac } = decoded.value;
    if (senderAddress === router && targetMac === mac && senderMac !== mac) heard = true;
  }
  return good(heard);
}

function isSameLink(place: Place): Result<boolean> {
  const found = findLink(place.shared.exchange, place.question.interface);
  if (!found.ok) return found;
  if (!isLinkUp(found.value)) return refusal("gateway.linkDown", `${found.value.name} is down or has no carrier`);
  return good(found.value.index === place.link.index && found.value.mac === place.mac);
}

function isUsable(entry: AddressEntry): boolean {
  return (entry.flags & (addressFlag.tentative | addressFlag.duplicate)) === 0;
}

/** In whose name to ask over IPv6: our own link-local address, never a virtual one. */
export function pickLinkLocal(own: readonly AddressEntry[], avoid: readonly string[]): string | undefined {
  return own.find(
    (entry) =>
      entry.family === 6 && isUsable(entry) && /^fe[89ab]/.test(entry.address) && !avoid.includes(entry.address),
  )?.address;
}

function openNeighbourLine(place: Place, own: readonly AddressEntry[]): Result<GatewayLine> {
  const { question, shared, link, mac } = place;
  const source = pickLinkLocal(own, question.avoid());
  if (source === undefined) {
    return refusal("gateway.noAddress", `${link.name} has no link-local address of its own that may be used yet`);
  }
  const opened = openRawSocket(
    {
      family: 6,
      protocol: icmpv6Protocol,
      interface: { name: link.name, index: link.index },
      source,
      group: undefined,
      timeToLive: neighbourHopLimit,
      trafficClass: 0,
      code: "gateway.socket",
    },
    shared.messageRooms,
  );
  if (!opened.ok) return opened;
  const socket = opened.value;
  return good({
    ask: () =>
      sendPacket(
        socket,
        solicitedNode(question.address),
        encodeSolicitation({ mac, address: question.address, source }),
      ),
    hear: () => {
      let heard = false;
      for (let count = 0; count < framesPerTurn; count++) {
        const packet = receivePacket(socket);
        if (!packet.ok) return packet;
        if (packet.value === undefined) break;
        if (packet.value.family !== 6) continue;
        const decoded = decodeNeighbourAdvertisement(packet.value.bytes, packet.value);
        if (decoded.ok && decoded.value.solicited && decoded.value.target === question.address) heard = true;
      }
      return good(heard);
    },
    isCurrent: () => {
      const now = isSameLink(place);
      if (!now.ok || !now.value) return now;
      const addresses = addressesOf(shared.exchange, link.index);
      return addresses.ok ? good(pickLinkLocal(addresses.value, question.avoid()) === source) : addresses;
    },
    close: () => closeRawSocket(socket),
  });
}
