// What the process that speaks VRRP needs of the machine it runs on: the seam between what is decided (vrrp-node.ts) and
// the kernel (kernel-edges.ts), so that a test can bring a network and a clock of its own. The change's way; types alone.

import type { Milliseconds } from "../core/clock.ts";
import type { Result } from "../core/failure.ts";
import type { GuardianOrder } from "../io/guardian-message.ts";
import type { OwnedAddress, VirtualAddress } from "../io/owned-addresses.ts";
import type { NetworkInterface, RawPacket } from "../io/raw-socket.ts";
import type { Family } from "../wire/ip-bytes.ts";
import type { AddressEntry, LinkEntry } from "../wire/netlink/route.ts";

/** One socket serves all virtual routers that agree in these. */
export type PortKey = {
  readonly family: Family;
  readonly interface: NetworkInterface;
  readonly source: string;
  readonly peers: "multicast" | "unicast";
};

export type Port = {
  send(destination: string, packet: Uint8Array): Result<true>;
  /** The next packet that waits; undefined when none does. Its bytes hold until the next call. */
  receive(): Result<RawPacket | undefined>;
  /** Throws away what waits. */
  drain(): void;
  close(): void;
};

export type Announcement = {
  readonly link: LinkEntry;
  /** Of an IPv6 announcement's packet. */
  readonly source: string;
  readonly address: string;
};

export type Edges = {
  /** Goes on in sleep: CLOCK_BOOTTIME. */
  now(): Milliseconds;
  readLinks(): Result<readonly LinkEntry[]>;
  readAddresses(): Result<readonly AddressEntry[]>;
  /** `onReady` is called when packets wait. Codes: vrrp.socket.*, wait.limit. */
  openPort(key: PortKey, onReady: () => void): Result<Port>;
  claim(wanted: VirtualAddress, validSeconds: number): Result<OwnedAddress>;
  release(proof: OwnedAddress): Result<"removed" | "gone">;
  /** It is gone, or somebody else's by now. */
  forget(proof: OwnedAddress): void;
  /** By our own hand, where no guardian does it. */
  renew(proof: OwnedAddress, validSeconds: number): Result<"renewed" | "gone">;
  announce(announcement: Announcement): Result<true>;
  /** Fails while there is no guardian. */
  guard(order: GuardianOrder): Result<true>;
  renewGate(key: number, lease: Milliseconds): Result<true>;
  disarmGate(key: number): Result<true>;
};
