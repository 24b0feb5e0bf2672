// A source's watch as the end-to-end tests see it: all that it told is kept, and can be waited for. Bound to a scope.

import { performance } from "node:perf_hooks";
import type { Failure } from "../../src/core/failure.ts";
import type { Source } from "../../src/model/source.ts";
import { openSource } from "../../src/sources/open.ts";
import type { SourceReading, SourceWatch } from "../../src/sources/source.ts";
import { atEnd, type Scope, until } from "./kit.ts";

/** A watch, with all that it told. */
export type Watched = {
  readonly watch: SourceWatch;
  readonly readings: SourceReading[];
  readonly failures: Failure[];
  /** Addresses of the newest reading; undefined: there is none. */
  addresses(): readonly string[] | undefined;
  /** Waits for a newest reading of exactly these addresses, in any order. */
  has(addresses: readonly string[], timeoutMs?: number): Promise<void>;
  /** The next reading, with the time at which it was told. */
  next(): Promise<{ readonly reading: SourceReading; readonly atMs: number }>;
};

export function watchSource(scope: Scope, source: Source): Watched {
  const readings: SourceReading[] = [];
  const failures: Failure[] = [];
  let waiting: ((told: { readonly reading: SourceReading; readonly atMs: number }) => void) | undefined;
  const listener = {
    read: (reading: SourceReading) => {
      readings.push(reading);
      waiting?.({ reading, atMs: performance.now() });
      waiting = undefined;
    },
    failed: (failure: Failure) => {
      failures.push(failure);
    },
  };
  const deps = { clock: () => performance.now(), random: Math.random, known: [] };
  const watch = openSource(source, { name: "app", slowStart: 0 }, listener, deps);
  atEnd(scope, () => watch.close());
  const addresses = () => readings.at(-1)?.targets.map((target) => target.address);
  const told = () =>
    `${JSON.stringify(watch.status())}\n${JSON.stringify(addresses())}\n${failures.map((failure) => `${failure.code} ${failure.detail}`).join("\n")}`;
  return {
    watch,
    readings,
    failures,
    addresses,
    has: async (wanted, timeoutMs) => {
      const text = [...wanted].sort().join();
      const options = { everyMs: 1, onTimeout: told, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      await until(`the targets ${text}`, () => addresses()?.join() === text, options);
    },
    next: () =>
      new Promise((resolve) => {
        waiting = resolve;
      }),
  };
}

/** What every source in these tests has. */
export const quickRules = {
  required: false,
  startTimeout: 10_000,
  requestTimeout: 1_000,
  retry: { first: 50, most: 500 },
  dump: { path: undefined, format: "json" },
} as const;

export function median(figures: readonly number[]): number {
  return [...figures].sort((one, other) => one - other)[figures.length >> 1] ?? Number.NaN;
}
