// The types of the virtual router machine: what it knows, what it is told, what it asks for. The change's way; plain data,
// so that a state can be shown to an operator, recorded and compared. The machine is virtual-router.ts.

import type { Milliseconds } from "../core/clock.ts";
import type { VirtualAddress } from "../model/virtual-router.ts";
import type { Advertisement } from "../wire/vrrp/advertisement.ts";
import type { ReceivedAdvertisement } from "../wire/vrrp/decode.ts";
import type { VrrpFaultCode, VrrpOddityCode } from "../wire/vrrp/faults.ts";
import type { Standing, Standings } from "./tracks.ts";

/** RFC 9568 section 6.4, and keepalived's fault. Notify commands are told MASTER for `active`. */
export type Mode = "init" | "backup" | "active" | "fault";

/** Why the mode changed last. */
export type ModeCause =
  | "created"
  | "started"
  | "stopped"
  /** Priority 255: the addresses are its own. */
  | "owner"
  /** Nobody was heard for the down interval, or the active resigned and the skew time is over. */
  | "silence"
  | "resignation"
  | "higherPriority"
  /** Equal priority, and the other's address is the greater one. */
  | "higherAddress"
  | "takeoverByHand"
  | "releaseByHand"
  | "tracks"
  | "fault"
  | "recovered"
  | "syncGroup"
  /** It slept longer than its lease. */
  | "woke";

export type Timers = {
  /** Backup: the active is dead. */
  readonly down: Milliseconds | undefined;
  /** Active: the next advertisement. */
  readonly advertise: Milliseconds | undefined;
  /** Active or resigning: the last word once more. */
  readonly copy: Milliseconds | undefined;
  /** Active: the second round of announcements, the next refresh, the round after a lower-priority active. */
  readonly announce: Milliseconds | undefined;
  readonly refresh: Milliseconds | undefined;
  readonly announceLower: Milliseconds | undefined;
  /** Resigning: no successor spoke. */
  readonly resign: Milliseconds | undefined;
};

/** It sent priority 0 and still holds the addresses, until the successor speaks. */
export type Resigning = {
  readonly to: "init" | "backup" | "fault";
  readonly cause: ModeCause;
  /** How often it has resigned. */
  readonly sent: number;
};

/** What another node said last, believed. */
export type Said = {
  readonly address: string;
  readonly priority: number;
  readonly interval: Milliseconds;
  readonly at: Milliseconds;
};

export type VirtualRouterState = {
  readonly mode: Mode;
  readonly since: Milliseconds;
  readonly cause: ModeCause;
  /** Between start and stop. */
  readonly running: boolean;
  /** From where it speaks; undefined while the interface has no address of the family. */
  readonly ownAddress: string | undefined;
  readonly standings: Standings;
  /** What keeps it in fault besides tracks: causes that the edges gave, or `syncGroup`. */
  readonly faults: readonly string[];
  /** The effective one. */
  readonly priority: number;
  /** What an operator asked for, and the priority that goes with it instead of the counted one. */
  readonly byHand: { readonly wish: "takeover" | "release"; readonly priority: number } | undefined;
  /** The active's interval: our own until a version 3 active told us another. */
  readonly activeInterval: Milliseconds;
  /** From here on a live active of lower priority is no longer spared; undefined: no such one was heard. */
  readonly preemptAt: Milliseconds | undefined;
  /** The active resigned: what fires next is its succession. */
  readonly succeeding: boolean;
  readonly timers: Timers;
  /** How often the last word was said by now. */
  readonly copiesSent: number;
  readonly resigning: Resigning | undefined;
  /** In a sync group: its time has come, the others' has not. */
  readonly wantsActive: boolean;
  /** Addresses that the node had before it started: never added, never removed. */
  readonly foreign: readonly string[];
  /** What it has asked to be added, and not yet to be removed. */
  readonly held: readonly VirtualAddress[];
  /** Each other node's last word, the latest last; at most `saidMax`. */
  readonly said: readonly Said[];
  /** How often it became active. */
  readonly takeovers: number;
};

export const saidMax = 32;

export type VirtualRouterInput =
  /** `present`: addresses that the node has already; `ownAddress` as in the state. */
  | { readonly type: "start"; readonly ownAddress: string | undefined; readonly present: readonly string[] }
  | { readonly type: "stop" }
  | { readonly type: "tick" }
  | { readonly type: "received"; readonly received: ReceivedAdvertisement }
  | { readonly type: "ownAddress"; readonly address: string | undefined }
  | { readonly type: "track"; readonly name: string; readonly standing: Standing }
  /**
   * The node cannot serve: link down, no address, socket broken, the kernel refused an address. `graceful`: the addresses
   * may stay until a successor speaks.
   */
  | { readonly type: "fault"; readonly cause: string; readonly graceful: boolean }
  | { readonly type: "clear"; readonly cause: string }
  /** The operator wants the addresses here, away from here, or where the election puts them. */
  | { readonly type: "takeover" }
  | { readonly type: "release" }
  | { readonly type: "resume" }
  /** The process stood still for so long, by the clock that goes on in sleep. */
  | { readonly type: "woke"; readonly gap: Milliseconds }
  /** Somebody took an address that is held off the interface. */
  | { readonly type: "addressLost"; readonly address: string }
  /** From the sync group: all of its members want to; another one has become backup. */
  | { readonly type: "groupActive" }
  | { readonly type: "groupBackup" }
  /** The configuration that is handed in differs from the one of the step before. */
  | { readonly type: "configured" };

export type VirtualRouterEffect =
  /** To the multicast group or to every peer. It renews the lease of the addresses that are held: timing.ts, leaseAfter. */
  | { readonly type: "advertise"; readonly advertisement: Advertisement }
  | { readonly type: "addAddresses"; readonly addresses: readonly VirtualAddress[] }
  | { readonly type: "removeAddresses"; readonly addresses: readonly VirtualAddress[] }
  | { readonly type: "announce"; readonly addresses: readonly VirtualAddress[]; readonly repeat: number }
  | {
      readonly type: "mode";
      readonly from: Mode;
      readonly to: Mode;
      readonly cause: ModeCause;
      readonly priority: number;
    }
  | { readonly type: "priority"; readonly from: number; readonly to: number }
  | { readonly type: "dropped"; readonly code: VrrpFaultCode; readonly source: string }
  | { readonly type: "odd"; readonly code: VrrpOddityCode; readonly source: string }
  | { readonly type: "alarm"; readonly code: AlarmCode; readonly detail: string }
  /** The operator's wish cannot be fulfilled. */
  | { readonly type: "denied"; readonly code: DeniedCode; readonly detail: string }
  /** What waits in the socket was sent to somebody who slept: read it and throw it away. */
  | { readonly type: "drainSocket" }
  /** The sync group is to be judged: see sync-group.ts. */
  | { readonly type: "wantsActive" }
  /** Stopped, addresses gone: the sockets may be closed. */
  | { readonly type: "stopped" };

export type AlarmCode =
  | "vrrp.alarm.secondActive"
  | "vrrp.alarm.secondOwner"
  | "vrrp.alarm.addressRemoved"
  | "vrrp.alarm.noSuccessor"
  | "vrrp.alarm.slept";

export type DeniedCode = "vrrp.denied.notRunning" | "vrrp.denied.fault" | "vrrp.denied.priority" | "vrrp.denied.owner";

export type VirtualRouterStep = {
  readonly state: VirtualRouterState;
  readonly effects: readonly VirtualRouterEffect[];
};
