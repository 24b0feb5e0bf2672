// Every pool's source, in the supervisor and there only: a node watches a store once, however many workers it has. A reload
// prepares what is new beside what runs, and makes it current or abandons it as a whole; a source that has not changed is
// left alone. The change's way. What becomes of a reading is decided by whoever is told.

import { assert } from "../../core/assert.ts";
import type { Milliseconds } from "../../core/clock.ts";
import type { Failure } from "../../core/failure.ts";
import type { Pool } from "../../model/pool.ts";
import { openSource } from "../../sources/open.ts";
import type { OpenSource } from "../../sources/source.ts";
import { PoolSource, type PoolSourceStatus, type SourceMeans } from "./pool-source.ts";

export type { PoolSourceStatus } from "./pool-source.ts";

export type SourceWatchesOptions = Omit<SourceMeans, "open" | "tellEvent"> & {
  /** For tests; by default the real stores. */
  readonly open?: OpenSource;
  /** `source.failed`, `source.recovered`, `source.entries`. */
  readonly tellEvent?: SourceMeans["tellEvent"];
};

type Held = { readonly key: string; readonly source: PoolSource };
type Prepared = { readonly all: ReadonlyMap<string, Held>; readonly opened: readonly PoolSource[] };

export class SourceWatches {
  readonly #means: SourceMeans;
  #current: ReadonlyMap<string, Held> = new Map();
  #prepared: Prepared | undefined;

  constructor(options: SourceWatchesOptions) {
    const { open = openSource, tellEvent = () => {} } = options;
    this.#means = { ...options, open, tellEvent };
  }

  /**
   * Opens a watch for each source that is new or has changed. Resolves when each of them has answered or its startTimeout
   * is over, with the failures of those that are required and have not; then commit() or abandon() must follow.
   */
  async prepare(pools: readonly Pool[], stateDirectory: string): Promise<readonly Failure[]> {
    assert(this.#prepared === undefined, "sources are prepared once at a time");
    const all = new Map<string, Held>();
    const opened: PoolSource[] = [];
    for (const pool of pools) {
      if (pool.source === undefined) continue;
      const key = JSON.stringify([pool.source, pool.slowStart, stateDirectory]);
      const now = this.#current.get(pool.name);
      if (now?.key === key) {
        all.set(pool.name, now);
        continue;
      }
      const source = new PoolSource(pool, pool.source, stateDirectory, this.#means);
      opened.push(source);
      all.set(pool.name, { key, source });
    }
    this.#prepared = { all, opened };
    const failures = await Promise.all(
      opened.map((source) => source.open(this.#current.get(source.pool.name)?.source)),
    );
    return failures.filter((failure) => failure !== undefined);
  }

  /**
   * Makes what was prepared current: closes what is no longer wanted, and tells the readings (or dumps) of what is new. Of
   * one that has neither nothing is told: what the pool had from its source before, it keeps until there is an answer.
   */
  commit(): void {
    const prepared = this.#prepared;
    assert(prepared !== undefined, "sources are prepared before they become current");
    const before = this.#current;
    this.#prepared = undefined;
    this.#current = prepared.all;
    const dropped = new Map<string, Promise<void>>();
    for (const [name, { source }] of before) {
      if (prepared.all.get(name)?.source !== source) dropped.set(name, source.drop());
    }
    for (const source of prepared.opened) source.makeCurrent(dropped.get(source.pool.name));
  }

  /** Closes what was prepared; what ran goes on as if nothing had been. */
  abandon(): void {
    for (const source of this.#prepared?.opened ?? []) void source.drop();
    this.#prepared = undefined;
  }

  /**
   * Of the pools that have one, in the configuration's order. While nothing is current those that are prepared: whoever asks
   * a program that is starting wants to know what it waits for.
   */
  status(): readonly PoolSourceStatus[] {
    const shown = this.#current.size > 0 ? this.#current : (this.#prepared?.all ?? this.#current);
    return [...shown.values()].map(({ source }) => source.status());
  }

  /** Ends every watch at once; resolves when what was still to be written to dumps is, or after the given time. */
  async close(patience: Milliseconds = 2_000): Promise<void> {
    this.abandon();
    const all = [...this.#current.values()];
    this.#current = new Map();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patience);
    await Promise.race([Promise.all(all.map(({ source }) => source.close())), promise]);
    clearTimeout(timer);
  }
}
