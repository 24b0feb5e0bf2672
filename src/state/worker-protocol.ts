// The messages between the supervisor and one worker, over Node's child-process channel (JSON). The supervisor owns the
// listening sockets and sends each as a handle beside its `listen` message; a worker owns connections only.

import type { Milliseconds } from "../core/clock.ts";
import type { ListenerCounters, TargetCounters } from "./counters.ts";
import type { Snapshot } from "./snapshot.ts";

/** How often a worker says `beat`. */
export const beatInterval: Milliseconds = 1_000;

export type ToWorker =
  /** Swap in this snapshot; answered by `applied`. Listeners that it no longer names are closed, their connections finish. */
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  /** Accept on the handle that comes with the message, for the listener of that name; answered by `listening`. */
  | { readonly type: "listen"; readonly listener: string }
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
  /** Something an operator should read; the supervisor logs it. */
  | {
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Record<string, unknown>;
    };

export type WorkerStatus = {
  readonly pid: number;
  readonly generation: number;
  readonly draining: boolean;
  readonly listeners: readonly { readonly name: string; readonly counters: ListenerCounters }[];
  readonly targets: readonly TargetStatus[];
};

export type TargetStatus = {
  readonly pool: string;
  readonly address: string;
  /** Exchanges under way. */
  readonly active: number;
  readonly health: "unknown" | "healthy" | "unhealthy";
  /** Why and for how long it is out, when health is unhealthy. */
  readonly reason: string | undefined;
  readonly outForMs: Milliseconds;
  readonly counters: TargetCounters;
};
