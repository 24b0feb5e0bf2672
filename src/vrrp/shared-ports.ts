// The sockets through which virtual routers speak, each shared by all that agree in interface, family, source and kind of
// peers: a socket hears every advertisement of its interface, so one for each virtual router would read every packet as
// often as there are virtual routers. The change's way. It opens, closes and decodes; who believes a packet is not its business.

import { good, type Result } from "../core/failure.ts";
import type { RawPacket } from "../io/raw-socket.ts";
import { type DecodedAdvertisement, decodeIpv4Packet, decodeIpv6Payload } from "../wire/vrrp/decode.ts";
import type { Edges, Port, PortKey } from "./edges.ts";

export type SharedPort = { readonly id: string; readonly key: PortKey; readonly port: Port; users: number };

export type SharedPorts = {
  readonly edges: Pick<Edges, "openPort">;
  readonly open: Map<string, SharedPort>;
  /** Those on which packets wait, in the order in which the kernel told. */
  readonly ready: Set<SharedPort>;
};

export function sharedPorts(edges: Pick<Edges, "openPort">): SharedPorts {
  return { edges, open: new Map(), ready: new Set() };
}

export function portId(key: PortKey): string {
  return `${key.interface.index} ${key.family} ${key.source} ${key.peers}`;
}

/** The port for this key, opened when nobody has it yet. Codes: vrrp.socket.*, wait.limit. */
export function usePort(ports: SharedPorts, key: PortKey): Result<SharedPort> {
  const id = portId(key);
  const known = ports.open.get(id);
  if (known !== undefined) {
    known.users++;
    return good(known);
  }
  const opened = ports.edges.openPort(key, () => ports.ready.add(shared));
  if (!opened.ok) return opened;
  const shared: SharedPort = { id, key, port: opened.value, users: 1 };
  ports.open.set(id, shared);
  return good(shared);
}

/** The last one to leave closes it. */
export function leavePort(ports: SharedPorts, shared: SharedPort): void {
  shared.users--;
  if (shared.users > 0) return;
  ports.open.delete(shared.id);
  ports.ready.delete(shared);
  shared.port.close();
}

/** The virtual router that a packet names, before anything of it is believed; 0 when it is too short to name one. */
export function vridOf(packet: RawPacket): number {
  const at = packet.family === 4 ? ((packet.bytes[0] ?? 0) & 0xf) * 4 : 0;
  return packet.bytes[at + 1] ?? 0;
}

export function decodePacket(
  packet: RawPacket,
  options: { readonly ttlMin: number; readonly v3ChecksumAsV2: boolean },
): DecodedAdvertisement {
  const { ttlMin, v3ChecksumAsV2 } = options;
  const decoding = { ttlMin, checksumForm: v3ChecksumAsV2 ? "asVersion2" : "pseudoHeader" } as const;
  return packet.family === 4
    ? decodeIpv4Packet(packet.bytes, decoding)
    : decodeIpv6Payload(packet.bytes, packet, decoding);
}
