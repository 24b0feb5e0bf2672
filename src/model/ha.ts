// What a node has to do with floating addresses, beside the virtual routers themselves: what is watched, whom to tell, and
// what runs only where the addresses are. Plain JSON data, whole (all defaults in, every name leads somewhere), written by
// src/config/build-ha.ts and read by src/control/ha. Who is active and what is up is not here: that is state.

import type { Milliseconds } from "../core/clock.ts";
import type { HealthCheck } from "./health-check.ts";
import type { VirtualRouter } from "./virtual-router.ts";

/** What a track looks at. */
export type Watch =
  /** Without a shell; exit status 0 passes. A run that lasts longer than the timeout is killed and has failed. */
  | {
      readonly kind: "command";
      readonly command: readonly string[];
      /** A user's name; undefined: the program's own. */
      readonly user: string | undefined;
      readonly interval: Milliseconds;
      readonly timeout: Milliseconds;
    }
  /** Up while the interface exists, is up and has its carrier. */
  | { readonly kind: "interface"; readonly interface: string }
  /** Up while at least so many processes of the name run (/proc/PID/comm; `match`: a text within their command line). */
  | {
      readonly kind: "process";
      readonly process: string;
      readonly match: string | undefined;
      readonly quorum: number;
      readonly interval: Milliseconds;
    }
  /**
   * Up while the file is there, is not there, or holds the number 0; missing counts as 0. `number` is keepalived's track_file:
   * neither up nor down, its number times the weight is added to the priority.
   */
  | {
      readonly kind: "file";
      readonly path: string;
      readonly upWhen: "present" | "absent" | "zero" | "number";
      readonly interval: Milliseconds;
    }
  /** Up while this node's data plane answers and each of the pools has an eligible target. */
  | { readonly kind: "balancer"; readonly pools: readonly string[] }
  /** Up while the address answers ARP (IPv6: neighbour solicitation) on the interface. */
  | {
      readonly kind: "gateway";
      readonly address: string;
      readonly interface: string;
      readonly interval: Milliseconds;
      readonly timeout: Milliseconds;
    }
  /** A health check of one address: its interval, timeout, rise and fall hold. */
  | { readonly kind: "healthCheck"; readonly host: string; readonly port: number; readonly check: HealthCheck };

/** One thing that is watched, once for all virtual routers that track it (VirtualRouter.tracks names it). */
export type Track = {
  /** `chk`; of those that need no definition `interface:eth0`, `balancer`, `balancer:web`, `gateway:10.0.4.1%eth0`. */
  readonly name: string;
  readonly watch: Watch;
  /** As keepalived counts: so many passed (failed) outcomes in a row bring it up (down), the first one decides alone. */
  readonly rise: number;
  readonly fall: number;
};

export const notifyEvents = ["active", "backup", "fault", "stop"] as const;
export type NotifyEvent = (typeof notifyEvents)[number];

/** Run without a shell, in their order, off the election's path. */
export type NotifyCommand = {
  readonly command: readonly string[];
  /** Appends keepalived's four: `INSTANCE` or `GROUP`, the name, `MASTER`, `BACKUP`, `FAULT` or `STOP`, the priority. */
  readonly appendState: boolean;
  readonly user: string | undefined;
  /** Then it is killed and the next one runs. */
  readonly timeout: Milliseconds;
};

export type Email = {
  readonly to: readonly string[];
  readonly from: string;
  readonly host: string;
  readonly port: number;
  /** `starttls` refuses a server that does not offer it; `tls` speaks it from the first byte. */
  readonly security: "none" | "starttls" | "tls";
  readonly username: string | undefined;
  /** Read when it is needed, so that a new password holds at once. */
  readonly passwordFile: string | undefined;
  readonly timeout: Milliseconds;
  readonly events: readonly NotifyEvent[];
};

export type Webhook = {
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** Of one try. */
  readonly timeout: Milliseconds;
  readonly tries: number;
  readonly events: readonly NotifyEvent[];
};

/** Who is told what becomes of one virtual router or sync group; what `ha.notify` says for all of them is in it. */
export type NotifyRule = {
  readonly of: "virtualRouter" | "syncGroup";
  readonly name: string;
  /** By event, in the order in which they run. */
  readonly commands: { readonly [Event in NotifyEvent]: readonly NotifyCommand[] };
  /** Paths; each gets the line `INSTANCE "VI_1" MASTER 100`. */
  readonly fifos: readonly string[];
  /** They also get a line for each change of the priority: `INSTANCE "VI_1" MASTER_PRIORITY 80`. */
  readonly priorityChanges: boolean;
  readonly emails: readonly Email[];
  readonly webhooks: readonly Webhook[];
};

/** A process that runs while the program does and reads one of the FIFOs: its path is appended to the command. */
export type FifoReader = {
  readonly path: string;
  readonly command: readonly string[];
  readonly user: string | undefined;
};

/** A process that runs only while the followed virtual router (or all of the sync group) is active on this node. */
export type Service = {
  readonly name: string;
  readonly command: readonly string[];
  readonly follow: { readonly kind: "virtualRouter" | "syncGroup"; readonly name: string };
  readonly user: string | undefined;
  readonly directory: string | undefined;
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  /** From SIGTERM to SIGKILL, before the addresses are given up. */
  readonly stopTimeout: Milliseconds;
  /** After it ended by itself: doubled each time up to the maximum, and back to the first once it has run that long. */
  readonly restartDelay: Milliseconds;
  readonly restartDelayMax: Milliseconds;
};

export type SyncGroup = {
  readonly name: string;
  /** At least two names of virtual routers. Tracks of the group are among each member's own. */
  readonly members: readonly string[];
};

export type HaConfig = {
  readonly virtualRouters: readonly VirtualRouter[];
  readonly syncGroups: readonly SyncGroup[];
  /** Every one that a virtual router names, and no other. */
  readonly tracks: readonly Track[];
  /** One for each virtual router and sync group that anybody is told of. */
  readonly notify: readonly NotifyRule[];
  /** One for each FIFO at most. */
  readonly fifoReaders: readonly FifoReader[];
  readonly services: readonly Service[];
  /** Interfaces that may be missing at the start: their virtual routers wait in fault. Any other is an error. */
  readonly awaitedInterfaces: readonly string[];
  /** With `spread: true`: all nodes of the plan that the priorities come from, in the order of the file. */
  readonly spreadNodes: readonly string[];
};

/** A node without floating addresses. */
export const haNone: HaConfig = {
  virtualRouters: [],
  syncGroups: [],
  tracks: [],
  notify: [],
  fifoReaders: [],
  services: [],
  awaitedInterfaces: [],
  spreadNodes: [],
};
