// The messages between the supervisor and one worker, over Node's child-process channel (JSON). The supervisor owns the
// listening sockets and sends each as a handle beside its `listen` message; a worker owns connections only.

import type { Milliseconds } from "../core/clock.ts";
import type { ListenerTotals, TargetTotals } from "./counters.ts";
import type { PoolChange } from "./pool-change.ts";
import type { Snapshot } from "./snapshot.ts";

/** The descriptor by which a worker is handed the memory that it counts in, behind Node's own channel. */
export const counterMemoryFd = 4;
/** A word of its command line, followed by that number; without it the worker counts in memory of its own. */
export const counterMemoryArgument = "--counters=";

/** How often a worker says `beat`. */
export const beatInterval: Milliseconds = 1_000;

export type ToWorker =
  /** Swap in this snapshot; answered by `applied`. Listeners that it no longer names are closed, their connections finish. */
  | {
      readonly type: "snapshot";
      readonly snapshot: Snapshot;
      /** Every target that the supervisor's probes have out at this moment; the others they have not. */
      readonly unhealthy: readonly TargetHealth[];
    }
  /** The same for a worker that has a snapshot, when only pools have changed since; answered by `applied`. */
  | ({ readonly type: "pools" } & PoolsChange)
  /** What the probes have changed their mind about since. */
  | { readonly type: "health"; readonly changes: readonly TargetHealth[] }
  /**
   * Accept on the handle that comes with the message, for the listener of that name; answered by `listening`. `address` is
   * what it is bound to: a UDP listener on every address has several.
   */
  | { readonly type: "listen"; readonly listener: string; readonly address: string }
  /** Stop accepting, finish exchanges, then exit 0; at the deadline close what is left and exit 0. */
  | { readonly type: "drain"; readonly deadlineMs: Milliseconds }
  | { readonly type: "reopenLogs" }
  /** Answered by `status` with the same id. */
  | { readonly type: "status"; readonly id: number }
  /** Another worker saw a target fail: count it as our own report. */
  | { readonly type: "report"; readonly pool: string; readonly target: string };

export type FromWorker =
  | { readonly type: "ready" }
  /** Said every `beatInterval` from `ready` to its end: its event loop turns. Any other message says so too. */
  | { readonly type: "beat" }
  | { readonly type: "applied"; readonly generation: number }
  | { readonly type: "listening"; readonly listener: string }
  | { readonly type: "status"; readonly id: number; readonly status: WorkerStatus }
  /** It let go of a full listener and has room again: it wants the handle once more, by another `listen`. */
  | { readonly type: "room"; readonly listener: string }
  /** A failed report of live traffic, to be passed on to the other workers. */
  | { readonly type: "report"; readonly pool: string; readonly target: string; readonly code: string }
  /** Its passive judge took a target out, or finds it healthy again. */
  | { readonly type: "passive"; readonly pool: string; readonly target: string; readonly out: boolean }
  /** Something an operator should read; the supervisor logs it. */
  | {
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Record<string, unknown>;
    };

/** A generation that differs from the worker's own in these pools alone. */
export type PoolsChange = {
  readonly generation: number;
  /** Against what the worker was sent last. */
  readonly pools: readonly PoolChange[];
  /** Every target of theirs that the probes have out at this moment; the others of theirs they have not. */
  readonly unhealthy: readonly TargetHealth[];
};

/** What the supervisor's probes say of one target. */
export type TargetHealth = {
  readonly pool: string;
  readonly target: string;
  readonly healthy: boolean;
  /** Why not, as a code. */
  readonly reason: string | undefined;
};

export type WorkerStatus = {
  readonly pid: number;
  readonly generation: number;
  readonly draining: boolean;
  readonly listeners: readonly { readonly name: string; readonly counters: ListenerTotals }[];
  readonly targets: readonly TargetStatus[];
  /** The rows that it counts in, as base64, when the supervisor does not share their memory. */
  readonly rows?: string | undefined;
};

export type TargetStatus = {
  readonly pool: string;
  readonly address: string;
  /** Everything that is under way there: exchanges, tunnels and flows. */
  readonly active: number;
  /** Of those: TCP tunnels, being connected or there, and exchanges that have become tunnels. */
  readonly activeTunnels: number;
  readonly activeFlows: number;
  /** Its weight, or the part of it that it has while its slow start lasts. */
  readonly effectiveWeight: number;
  readonly health: "unknown" | "healthy" | "unhealthy";
  /** Why and for how long it is out, when health is unhealthy. */
  readonly reason: string | undefined;
  readonly outForMs: Milliseconds;
  readonly counters: TargetTotals;
};
