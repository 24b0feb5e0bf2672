// Where a release's record and its lock are kept, and where the intents of its targets are said: what a release asks of a
// store, whatever it is made of. The change's way; types only. A store decides nothing.

import type { Milliseconds } from "../../core/clock.ts";
import type { Result } from "../../core/failure.ts";
import type { Intent } from "../../model/pool.ts";

/** Whoever has the lock may go on for so long without a renewal. Consul takes no less than 10 s, and may wait twice that. */
export const lockTtl: Milliseconds = 15_000;
/** From one renewal to the next. */
export const renewInterval: Milliseconds = 4_000;

export type LockAsked = {
  /** Who asks: holder.ts. */
  readonly holder: string;
  /** Whether a holder is known to be gone, so that its lock may be taken at once. */
  readonly isGone: (holder: string) => boolean;
};

/** What is kept of the last release of the pool. */
export type Kept = {
  /** JSON of the record; undefined: there never was one. */
  readonly text: string | undefined;
  /** Who has the lock now. */
  readonly holder: string | undefined;
};

/** The lock, once it is had. */
export type Lock = {
  /** Greater than that of every holder before. */
  readonly fence: number;
  /** The record as the holder before left it. */
  readonly text: string | undefined;
  /** Good when it is where any later holder finds it. Code: release.lost when somebody else has the lock by now. */
  keep(text: string): Promise<Result<true>>;
  /** Codes: release.lost; any other failure may be over with the next try. */
  renew(): Promise<Result<true>>;
  /** Gives the lock back. Whatever fails then is left to its time. */
  leave(): Promise<void>;
};

export type ReleaseKeep = {
  /** For people: `consul evenkeel/releases/app/`. */
  readonly name: string;
  /** Codes: release.held (its detail names the holder), those of the transport. */
  acquire(asked: LockAsked): Promise<Result<Lock>>;
  look(): Promise<Result<Kept>>;
};

/** Where intents are said. */
export type IntentBoard = {
  /** Stable: it stands in the record. */
  readonly name: string;
  /** What it says now: the intent, and a text by which `restore` can put it back. */
  read(address: string): Promise<Result<{ readonly intent: Intent; readonly before: string }>>;
  /** Good when the board has it. Saying the same again changes nothing. */
  set(address: string, intent: Exclude<Intent, "up">): Promise<Result<true>>;
  restore(address: string, before: string): Promise<Result<true>>;
};

export type ReleaseStoreMeans = {
  readonly keep: ReleaseKeep;
  /** The first is told first, and taken back last. */
  readonly boards: readonly IntentBoard[];
  close(): void;
};
