// What every source is to the rest of the program: something that watches one pool's list in a store and tells each new
// reading. The change's way. It must not decide what becomes of a reading: the registry does.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import type { Random } from "../core/random.ts";
import type { Target } from "../model/pool.ts";
import type { Source } from "../model/source.ts";

/** An entry of the store that cannot be read as a target. */
export type DamagedEntry = {
  /** As the store names it. */
  readonly key: string;
  /** `source.entry.address`, `source.entry.json`, `source.entry.field`, `source.entry.twice`, `source.entry.limit`. */
  readonly code: string;
  readonly detail: string;
  /** It was readable before, and is used as it was then. */
  readonly kept: boolean;
};

/** The whole list as the store has it now. Targets in the order of their addresses, none twice. */
export type SourceReading = {
  readonly targets: readonly Target[];
  readonly damaged: readonly DamagedEntry[];
  /** The store's own number of this state, where it has one (Consul's index, etcd's revision). */
  readonly revision: string | undefined;
};

export type SourceListener = {
  /** An answer of the store, also when it is the same as before. Called within the event that brought it. */
  readonly read: (reading: SourceReading) => void;
  /** A request failed; it will be tried again. Nothing of the list has changed. */
  readonly failed: (failure: Failure) => void;
};

/** How a watch stands, for status and metrics. */
export type SourceWatchStatus = {
  /** The endpoint or server that is asked now. */
  readonly endpoint: string;
  readonly connected: boolean;
  /** Since the last good answer; undefined: there was none. */
  readonly answeredAgoMs: Milliseconds | undefined;
  readonly answers: number;
  readonly failures: number;
  readonly lastFailure: string | undefined;
};

export type SourceWatch = {
  status(): SourceWatchStatus;
  /** Ends it at once; nothing is told any more. */
  close(): void;
};

/** What a target of a source has where its entry says nothing. */
export type SourcePool = { readonly name: string; readonly slowStart: Milliseconds };

/** What opening a source takes besides itself. */
export type SourceDeps = {
  /** Monotonic. */
  readonly clock: Clock;
  readonly random: Random;
  /** The store's targets when it was last read, perhaps by an earlier run: what a damaged entry goes on with. */
  readonly known: readonly Target[];
};

/** Begins to ask at once, and goes on until it is closed. Nothing is told before it has returned. */
export type OpenSource = (source: Source, pool: SourcePool, listener: SourceListener, deps: SourceDeps) => SourceWatch;
