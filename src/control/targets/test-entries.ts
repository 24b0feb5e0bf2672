// Numbered states of what the API said, to be kept and found again. For tests only; nothing that runs may import it.

import type { KeptEntry } from "../../state/desired.ts";
import { entryOf } from "../../state/test-pools.ts";

/** The entries of state n: as many and as they are only there; none for 0. */
export function stateOf(n: number): readonly KeptEntry[] {
  return Array.from({ length: n === 0 ? 0 : 1 + ((n * 37) % 90) }, (_, index) =>
    entryOf("app", `10.0.0.${index + 1}:80`, {
      patch: { weight: (n * 31 + index) % 65_536, failTimeout: 1 + ((n * index) % 9_999) },
      lease: index % 3 === 0 ? { holder: `holder-${n}`, ttlMs: 1_000 + index } : undefined,
      atMs: n,
    }),
  );
}

/** Which state these entries are, by the first; whether they are all of it is for the caller to compare. */
export function numberOf(entries: readonly KeptEntry[]): number {
  return entries[0]?.atMs ?? 0;
}
