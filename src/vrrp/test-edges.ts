// A machine for tests of vrrp-node.ts: links, addresses and a network in memory, a clock that is turned by hand, and a list of
// everything that was done, in order.

import type { Milliseconds } from "../core/clock.ts";
import { bad, good } from "../core/failure.ts";
import type { GuardianOrder } from "../io/guardian-message.ts";
import { type OwnedAddress, ownerMark, type VirtualAddress } from "../io/owned-addresses.ts";
import type { RawPacket } from "../io/raw-socket.ts";
import { announceDefault, type VirtualRouter } from "../model/virtual-router.ts";
import type { RouterSetup } from "../state/vrrp-protocol.ts";
import type { AddressEntry, LinkEntry } from "../wire/netlink/route.ts";
import type { Advertisement } from "../wire/vrrp/advertisement.ts";
import { decodeIpv4Packet } from "../wire/vrrp/decode.ts";
import { encodeAdvertisement, encodeIpv4Packet } from "../wire/vrrp/encode.ts";
import type { Edges, PortKey } from "./edges.ts";

export type TestMachine = {
  readonly edges: Edges;
  readonly done: string[];
  readonly orders: GuardianOrder[];
  readonly links: LinkEntry[];
  readonly addresses: AddressEntry[];
  now: Milliseconds;
  /** With which failure's code each send, claim or guard order ends; undefined: it works. */
  sendFails: string | undefined;
  claimFails: string | undefined;
  guardFails: boolean;
  /** Packets that wait on every open port. */
  deliver(advertisement: Advertisement, source: string): void;
  /** What was done since the last call. */
  take(): readonly string[];
};

export const testLink: LinkEntry = {
  index: 2,
  name: "eth0",
  hardwareType: 1,
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  flags: 0x10041,
};

export function testAddress(address: string, more: Partial<AddressEntry> = {}): AddressEntry {
  const base = { prefixLength: 24, interfaceIndex: 2, family: 4, scope: 0, flags: 0x80, label: undefined } as const;
  return { ...base, address, protocol: 0, validSeconds: undefined, preferredSeconds: undefined, ...more };
}

export function testSetup(more: Partial<VirtualRouter> = {}, gateKey = 1): RouterSetup {
  const router: VirtualRouter = {
    name: "VI_1",
    interface: "eth0",
    vrid: 51,
    version: 3,
    family: 4,
    priority: 100,
    advertisementInterval: 1_000,
    advertisementCopies: 1,
    downAdvertisements: 3,
    preempt: true,
    preemptDelay: 0,
    startAs: "backup",
    addresses: [{ address: "10.0.0.100", prefixLength: 32, interface: undefined }],
    silentAddresses: [],
    sourceAddress: undefined,
    unicastPeers: [],
    password: undefined,
    announce: { ...announceDefault, repeat: 1 },
    tracks: [],
    syncGroup: undefined,
    v3ChecksumAsV2: false,
    addressMismatch: "warn",
    ...more,
  };
  return { router, gateKey };
}

export function testMachine(): TestMachine {
  const done: string[] = [];
  const waiting = new Map<string, RawPacket[]>();
  const ready = new Map<string, () => void>();
  const fail = (code: string) => bad({ code, origin: "self", retrySafe: false, detail: code } as const);
  const machine: TestMachine = {
    edges: {
      now: () => machine.now,
      readLinks: () => good([...machine.links]),
      readAddresses: () => good([...machine.addresses]),
      openPort: (key, onReady) => {
        done.push(`open ${key.source} ${key.peers}`);
        const id = keyText(key);
        waiting.set(id, []);
        ready.set(id, onReady);
        return good({
          send: (destination, packet) => {
            if (machine.sendFails !== undefined) return fail(machine.sendFails);
            done.push(`send ${describe(packet, key.source, destination)} to ${destination}`);
            return good(true);
          },
          receive: () => good(waiting.get(id)?.shift()),
          drain: () => {
            waiting.get(id)?.splice(0);
            done.push("drain");
          },
          close: () => {
            waiting.delete(id);
            ready.delete(id);
            done.push(`close ${key.source}`);
          },
        });
      },
      claim: (wanted, validSeconds) => {
        if (machine.claimFails !== undefined) return fail(machine.claimFails);
        done.push(`claim ${wanted.address} for ${validSeconds} s`);
        machine.addresses.push(entryOf(wanted));
        return good({ wanted, marked: true });
      },
      release: (proof) => {
        done.push(`release ${proof.wanted.address}`);
        return good(drop(machine.addresses, proof));
      },
      forget: (proof) => {
        done.push(`forget ${proof.wanted.address}`);
      },
      renew: (proof, validSeconds) => {
        done.push(`renew ${proof.wanted.address} for ${validSeconds} s`);
        return good("renewed");
      },
      announce: ({ address }) => {
        done.push(`announce ${address}`);
        return good(true);
      },
      guard: (order) => {
        if (machine.guardFails) return fail("guardian.missing");
        machine.orders.push(order);
        return good(true);
      },
      renewGate: (key, lease) => {
        done.push(`gate ${key} for ${lease} ms`);
        return good(true);
      },
      disarmGate: (key) => {
        done.push(`disarm ${key}`);
        return good(true);
      },
    },
    done,
    orders: [],
    links: [testLink],
    addresses: [testAddress("10.0.0.1")],
    now: 10_000,
    sendFails: undefined,
    claimFails: undefined,
    guardFails: false,
    deliver: (advertisement, source) => {
      const envelope = { source, destination: "224.0.0.18" };
      const bytes = encodeIpv4Packet(encodeAdvertisement(advertisement, envelope), envelope);
      for (const [id, packets] of waiting) {
        packets.push({ family: 4, interfaceIndex: 2, bytes });
        ready.get(id)?.();
      }
    },
    take: () => done.splice(0),
  };
  return machine;
}

function keyText(key: PortKey): string {
  return `${key.interface.index} ${key.source} ${key.peers}`;
}

function describe(packet: Uint8Array, source: string, destination: string): string {
  const whole = encodeIpv4Packet(packet, { source, destination });
  const decoded = decodeIpv4Packet(whole, { ttlMin: 255, checksumForm: "pseudoHeader" });
  return decoded.ok ? `${decoded.value.advertisement.vrid}/${decoded.value.advertisement.priority}` : decoded.code;
}

function entryOf(wanted: VirtualAddress): AddressEntry {
  const { address, prefixLength, interfaceIndex } = wanted;
  return testAddress(address, { prefixLength, interfaceIndex, protocol: ownerMark, validSeconds: 2, flags: 0 });
}

function drop(addresses: AddressEntry[], { wanted }: OwnedAddress): "removed" | "gone" {
  const at = addresses.findIndex((entry) => entry.address === wanted.address && entry.protocol === ownerMark);
  if (at < 0) return "gone";
  addresses.splice(at, 1);
  return "removed";
}
