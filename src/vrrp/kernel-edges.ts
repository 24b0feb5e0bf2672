// The real edges of the process that speaks VRRP: raw sockets in its wait loop, rtnetlink, ARP and neighbour sockets, the
// gate's lease. The change's way. Opens what is needed when it is needed, and keeps it; decides nothing.

import { readFileSync } from "node:fs";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { disarmGate, gateExchange, renewLease } from "../io/address-gate.ts";
import { type ArpSocket, closeArpSocket, filterRoom, openArpSocket, sendFrame } from "../io/arp-socket.ts";
import type { GuardianOrder } from "../io/guardian-message.ts";
import { readAddresses, readLinks, routeExchange } from "../io/netlink-route.ts";
import {
  claimAddress,
  forgetAddress,
  type OwnedAddresses,
  ownedAddresses,
  releaseAddress,
  renewAddress,
} from "../io/owned-addresses.ts";
import {
  closeRawSocket,
  drainSocket,
  messageRooms,
  type RawSocket,
  receivePacket,
  sendPacket,
} from "../io/raw-socket.ts";
import { bootClock } from "../io/realtime.ts";
import { openNeighbourSocket, openVrrpSocket } from "../io/vrrp-socket.ts";
import { addSource, removeSource, type WaitLoop } from "../io/wait-loop.ts";
import { encodeGratuitousArp } from "../wire/arp.ts";
import { familyOf } from "../wire/ip-bytes.ts";
import { allNodes, encodeUnsolicitedAdvertisement } from "../wire/neighbour.ts";
import type { LinkEntry } from "../wire/netlink/route.ts";
import type { Announcement, Edges, Port, PortKey } from "./edges.ts";

export type KernelEdges = Edges & { readonly owned: OwnedAddresses };

export function kernelEdges(loop: WaitLoop, guard: (order: GuardianOrder) => Result<true>): KernelEdges {
  const rooms = messageRooms();
  const exchange = routeExchange();
  const gate = gateExchange();
  const owned = ownedAddresses(exchange);
  const announce = announcer(rooms);
  return {
    owned,
    now: bootClock(),
    readLinks: () => readLinks(exchange),
    readAddresses: () => readAddresses(exchange),
    openPort: (key, onReady) => openPort(loop, rooms, key, onReady),
    claim: (wanted, validSeconds) => claimAddress(owned, wanted, validSeconds),
    release: (proof) => (owned.held.has(proof) ? releaseAddress(owned, proof) : good("gone")),
    forget: (proof) => forgetAddress(owned, proof),
    renew: (proof, validSeconds) => (owned.held.has(proof) ? renewAddress(owned, proof, validSeconds) : good("gone")),
    announce,
    guard,
    renewGate: (key, lease) => renewLease(gate, key, lease),
    disarmGate: (key) => disarmGate(gate, key),
  };
}

type Rooms = ReturnType<typeof messageRooms>;

function openPort(loop: WaitLoop, rooms: Rooms, key: PortKey, onReady: () => void): Result<Port> {
  const opened = openVrrpSocket(key, rooms);
  if (!opened.ok) return opened;
  const socket = opened.value;
  const added = addSource(loop, { fd: socket.fd, onReady });
  if (!added.ok) {
    closeRawSocket(socket);
    return added;
  }
  return good({
    send: (destination, packet) => sendPacket(socket, destination, packet),
    receive: () => receivePacket(socket),
    drain: () => {
      drainSocket(socket);
    },
    close: () => {
      removeSource(loop, socket.fd);
      closeRawSocket(socket);
    },
  });
}

/** Interfaces come and go under the same names; sockets of those that went must not pile up. */
const announceSocketsMax = 64;

function announcer(rooms: Rooms): (announcement: Announcement) => Result<true> {
  const filters = filterRoom();
  const arps = new Map<number, ArpSocket>();
  const neighbours = new Map<string, RawSocket>();
  const arpOf = (link: LinkEntry): Result<ArpSocket> => {
    const known = arps.get(link.index);
    if (known !== undefined) return good(known);
    if (arps.size >= announceSocketsMax) dropAll(arps, closeArpSocket);
    const opened = openArpSocket({ interface: { name: link.name, index: link.index }, listenTo: [] }, filters);
    if (opened.ok) arps.set(link.index, opened.value);
    return opened;
  };
  const neighbourOf = (link: LinkEntry, source: string): Result<RawSocket> => {
    const id = `${link.index} ${source}`;
    const known = neighbours.get(id);
    if (known !== undefined) return good(known);
    if (neighbours.size >= announceSocketsMax) dropAll(neighbours, closeRawSocket);
    const opened = openNeighbourSocket({ interface: { name: link.name, index: link.index }, source }, rooms);
    if (opened.ok) neighbours.set(id, opened.value);
    return opened;
  };
  return ({ link, source, address }) => {
    const { mac } = link;
    // A tunnel or the loopback: nobody there asks for hardware addresses.
    if (mac === undefined) return good(true);
    if (familyOf(address) === 4) {
      const socket = arpOf(link);
      if (!socket.ok) return socket;
      const sent = sendFrame(socket.value, encodeGratuitousArp({ mac, address }));
      if (!sent.ok) close(arps, link.index, closeArpSocket);
      return sent;
    }
    const socket = neighbourOf(link, source);
    if (!socket.ok) return socket;
    const packet = encodeUnsolicitedAdvertisement({ mac, address, source, router: forwards(link.name) });
    const sent = sendPacket(socket.value, allNodes, packet);
    if (!sent.ok) close(neighbours, `${link.index} ${source}`, closeRawSocket);
    return sent;
  };
}

function close<Key, Socket>(sockets: Map<Key, Socket>, key: Key, end: (socket: Socket) => void): void {
  const socket = sockets.get(key);
  if (socket === undefined) return;
  sockets.delete(key);
  end(socket);
}

function dropAll<Key, Socket>(sockets: Map<Key, Socket>, end: (socket: Socket) => void): void {
  for (const socket of sockets.values()) end(socket);
  sockets.clear();
}

/** As the interface is set now: a host that is told of a router which does not forward loses its default route. */
function forwards(device: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv6/conf/${device}/forwarding`, "utf8").trim() !== "0";
  } catch {
    // IPv6 is switched off there, so nothing is forwarded.
    return false;
  }
}

/** While there is no guardian. */
export function noGuardian(): { readonly ok: false; readonly failure: Failure } {
  return bad({ code: "guardian.missing", origin: "self", retrySafe: false, detail: "there is no guardian just now" });
}
