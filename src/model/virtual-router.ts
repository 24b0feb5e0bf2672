// A virtual router as the rest of the program reads it: which addresses, with whom they are shared, and what decides who
// has them. Plain JSON data, whole (no optional fields, all defaults in), so that the process that speaks VRRP can be
// handed it as it is. Nothing here says who is active: that is the machine's state (src/ha/virtual-router.ts).

import type { Milliseconds } from "../core/clock.ts";

export type VirtualAddress = {
  /** Canonical text. */
  readonly address: string;
  readonly prefixLength: number;
  /** Where it is put; undefined: the virtual router's own interface. */
  readonly interface: string | undefined;
};

export type UnicastPeer = {
  readonly address: string;
  /** Packets with a smaller TTL are dropped: 255 on the same link; keepalived takes any, so its adapter gives 0. */
  readonly ttlMin: number;
};

/** One thing that is watched, and what it does here. The thing itself is defined elsewhere, by name. */
export type TrackEntry = {
  /** `chk`, `interface:eth0`, `balancer`. */
  readonly name: string;
  /**
   * -253 to 253. Above 0 it is added to the priority while the track is up, below 0 subtracted while it is down; 0: the
   * virtual router is in fault while it is down. As keepalived counts.
   */
  readonly weight: number;
  /** keepalived's `reverse`: what counts when up counts when down, and the other way round. */
  readonly reverse: boolean;
};

/** Gratuitous ARP and unsolicited neighbour advertisements. keepalived's vrrp_garp_master_*, vrrp_garp_lower_prio_*. */
export type AnnouncePolicy = {
  /** So many for each address when it becomes active, and as many once more after the delay; a delay of 0: only the first. */
  readonly repeat: number;
  readonly delay: Milliseconds;
  /** While active, `refreshRepeat` for each address this often; 0 switches it off. */
  readonly refresh: Milliseconds;
  readonly refreshRepeat: number;
  /** The same as repeat and delay, after another active of lower priority was heard. */
  readonly lowerPriorityRepeat: number;
  readonly lowerPriorityDelay: Milliseconds;
};

export type VirtualRouter = {
  readonly name: string;
  readonly interface: string;
  /** 1 to 255; one on an interface and family. */
  readonly vrid: number;
  readonly version: 2 | 3;
  /** That of the addresses; version 2 is IPv4 only. */
  readonly family: 4 | 6;
  /** 1 to 254, or 255: the addresses are this node's own. */
  readonly priority: number;
  /** Version 2: whole seconds, 1 to 255. Version 3: whole hundredths of a second up to 40.95 s. */
  readonly advertisementInterval: Milliseconds;
  /**
   * So often an active says the same within an interval, closely behind each other (src/ha/timing.ts, copyDelay): a network
   * that loses some of it must not make a backup take over. 1: once, as RFC 9568 has it.
   */
  readonly advertisementCopies: number;
  /** After so many missing advertisements, and its skew time, a backup takes over: 3, as RFC 9568 has it. */
  readonly downAdvertisements: number;
  readonly preempt: boolean;
  /** How long a live active of lower priority is left alone; 0: not at all. Counts from its first advertisement heard. */
  readonly preemptDelay: Milliseconds;
  /** What keepalived calls `state`. It decides nothing, as there: 255 starts as active, everybody else as backup. */
  readonly startAs: "backup" | "active";
  /** At least one, all of the family, in the order in which they are advertised; the first of IPv6 is link-local. */
  readonly addresses: readonly VirtualAddress[];
  /** Move along and are not advertised (keepalived's virtual_ipaddress_excluded); of any family. */
  readonly silentAddresses: readonly VirtualAddress[];
  /** From where it speaks; undefined: the interface's first address of the family (IPv6: link-local). */
  readonly sourceAddress: string | undefined;
  /** Empty: multicast. */
  readonly unicastPeers: readonly UnicastPeer[];
  /** Version 2 only: `auth_type PASS`. 1 to 8 bytes, one a character (latin1), whatever the configuration's encoding. */
  readonly password: string | undefined;
  readonly announce: AnnouncePolicy;
  readonly tracks: readonly TrackEntry[];
  /** Virtual routers of one group are active together or not at all. */
  readonly syncGroup: string | undefined;
  /** Version 3 over IPv4: counts the checksum without pseudo-header. Both ways are taken from others. */
  readonly v3ChecksumAsV2: boolean;
  /** An active that advertises other addresses than ours: believed, with a warning, or not, as keepalived up to 2.3.2. */
  readonly addressMismatch: "warn" | "refuse";
};

/** What stands where nothing is configured. Refresh is off in keepalived: a switch that forgot would never be told again. */
export const announceDefault: AnnouncePolicy = {
  repeat: 5,
  delay: 5_000,
  refresh: 60_000,
  refreshRepeat: 1,
  lowerPriorityRepeat: 5,
  lowerPriorityDelay: 5_000,
};

/** Every address that moves with the virtual router. */
export function movingAddresses(router: VirtualRouter): readonly VirtualAddress[] {
  return [...router.addresses, ...router.silentAddresses];
}
