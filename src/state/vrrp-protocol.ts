// What the supervisor and the process that speaks VRRP say to each other: one line of JSON each, over one descriptor. The
// change's way. The supervisor says what is wanted (virtual routers, tracks, an operator's orders); the other decides who
// is active, and tells. When the supervisor's end closes, it is gone, and the other gives its addresses up in order.

import type { Milliseconds } from "../core/clock.ts";
import type { LogFields } from "../core/log.ts";
import type { VirtualRouter } from "../model/virtual-router.ts";

/** The descriptor of the process that speaks VRRP, a socket pair's end, both ways. */
export const vrrpChannelFd = 3;

/** Below it an advertisement interval needs real-time priority: an ordinary process under load waits that long. */
export const ordinaryIntervalMin: Milliseconds = 100;

/** As src/ha/tracks.ts counts it: a number is what a tracked file says. */
export type TrackStanding = "unknown" | "up" | "down" | number;

/** How the kernel's gate (src/io/address-gate.ts) is there: the supervisor installs it, whoever speaks VRRP uses it. */
export type GateUse = "renewedByKernel" | "renewedByHand" | "none";

export type RouterSetup = {
  readonly router: VirtualRouter;
  /** Of the gate: 1 to 65535, no other's. */
  readonly gateKey: number;
};

export type VrrpOrder = "takeover" | "release" | "resume";
export const vrrpOrders: readonly VrrpOrder[] = ["takeover", "release", "resume"];

/** The supervisor says that it lives, so often; silent for longer than the other span, and it is taken for hung. */
export const supervisorBeat: Milliseconds = 1_000;
export const supervisorSilenceMax: Milliseconds = 10_000;

export type ToVrrp =
  /** All virtual routers there are to be; answered by `configured` with the same id. */
  | {
      readonly type: "configure";
      readonly id: number;
      readonly setups: readonly RouterSetup[];
      readonly gate: GateUse;
      /** Interfaces that may be missing: no complaint about those. */
      readonly awaitedInterfaces: readonly string[];
      /** All that is known by now; tracks that are not named are unknown. */
      readonly standings: Readonly<Record<string, TrackStanding>>;
    }
  | { readonly type: "track"; readonly name: string; readonly standing: TrackStanding }
  /** Answered by `ordered` with the same id. */
  | { readonly type: "order"; readonly id: number; readonly router: string; readonly order: VrrpOrder }
  /** Answered by `status` with the same id. */
  | { readonly type: "status"; readonly id: number }
  | { readonly type: "beat" }
  /** Resign everywhere, give all up, say `stopped` and end. */
  | { readonly type: "stop" };

export type VrrpMode = "init" | "backup" | "active" | "fault";

export type ModeChange = {
  readonly router: string;
  readonly from: VrrpMode;
  readonly to: VrrpMode;
  /** As src/ha/virtual-router-state.ts names it: `silence`, `higherPriority`, `tracks`. */
  readonly cause: string;
  readonly priority: number;
  /** How often it has become active since the process began. */
  readonly takeovers: number;
  /** Another node has spoken within the down interval, if only to resign: it lives, and may still end what it ran. */
  readonly heardLately: boolean;
};

export type FromVrrp =
  /** Sent first. `realtime` is undefined where the priority was granted, else why not. */
  | {
      readonly type: "ready";
      readonly pid: number;
      readonly guardianPid: number;
      readonly realtime: string | undefined;
    }
  | { readonly type: "configured"; readonly id: number }
  | ({ readonly type: "mode" } & ModeChange)
  /** It has said priority 0, or says that it stays after all. */
  | { readonly type: "resigning"; readonly router: string; readonly resigning: boolean }
  /** The effective priority, as tracks and operators moved it. */
  | { readonly type: "priority"; readonly router: string; readonly from: number; readonly to: number }
  /** Something that an operator must look at, once as it begins. */
  | { readonly type: "alarm"; readonly router: string; readonly code: string; readonly detail: string }
  /** `denied` is undefined when the order was taken. */
  | {
      readonly type: "ordered";
      readonly id: number;
      readonly denied: { readonly code: string; readonly detail: string } | undefined;
    }
  | { readonly type: "status"; readonly id: number; readonly status: VrrpStatus }
  | {
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields: LogFields;
    }
  /** An interface came anew: the gate's rules are to be installed again. */
  | { readonly type: "interfaceRenewed"; readonly interface: string }
  | { readonly type: "stopped" };

export type PeerStatus = {
  readonly address: string;
  readonly priority: number;
  readonly intervalMs: Milliseconds;
  /** Since it was heard last. */
  readonly agoMs: Milliseconds;
};

export type RouterStatus = {
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly version: 2 | 3;
  readonly mode: VrrpMode;
  /** For so long. */
  readonly modeMs: Milliseconds;
  readonly cause: string;
  readonly priority: number;
  readonly priorityConfigured: number;
  readonly byHand: "takeover" | "release" | undefined;
  /** It has said priority 0 and serves until its successor speaks. */
  readonly resigning: boolean;
  readonly ownAddress: string | undefined;
  readonly advertisementIntervalMs: Milliseconds;
  /** So often it says each advertisement while it is active. */
  readonly advertisementCopies: number;
  readonly addresses: readonly {
    readonly address: string;
    /** `held`: we put it there; `foreign`: it was there before us and is never touched; `away`: not on this node. */
    readonly here: "held" | "foreign" | "away";
  }[];
  /** Why it is in fault, besides tracks. */
  readonly faults: readonly { readonly cause: string; readonly detail: string }[];
  readonly tracks: readonly {
    readonly name: string;
    readonly standing: TrackStanding;
    readonly weight: number;
    readonly reverse: boolean;
    /** What it adds to the priority now. */
    readonly adds: number;
  }[];
  readonly peers: readonly PeerStatus[];
  readonly takeovers: number;
  readonly advertisementsSent: number;
  readonly advertisementsReceived: number;
  /** By code: src/wire/vrrp/faults.ts. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly odd: Readonly<Record<string, number>>;
  /** By code, with the last one's words. */
  readonly alarms: Readonly<Record<string, AlarmRecord>>;
};

export type AlarmRecord = { readonly count: number; readonly detail: string; readonly agoMs: Milliseconds };

export type VrrpStatus = {
  readonly pid: number;
  readonly guardianPid: number;
  readonly realtime: string | undefined;
  readonly gate: GateUse;
  readonly routers: readonly RouterStatus[];
  /** Packets that reached no virtual router of ours, by interface and code. */
  readonly stray: Readonly<Record<string, Readonly<Record<string, number>>>>;
};
