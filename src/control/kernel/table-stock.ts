// What an existing table `inet evenkeel` holds, read from what nft lists: left by a process that crashed, that was told to
// keep its rules, or by ourselves before something went wrong. Pure; the change's way. Names are enough: they say what
// they stand for (plan.ts), and everything that could differ under the same name is written anew.

import type { TableContents } from "./change.ts";
import { baseNames, layoutMark } from "./table-text.ts";

export type TableStock =
  /** There is none, or it must go as a whole because it was laid out by another version. */
  | { readonly kind: "none" }
  | { readonly kind: "foreign" }
  | { readonly kind: "known"; readonly contents: TableContents };

/** `listing` is what `nft --terse list table` printed; undefined: there is no such table. */
export function takeStock(listing: string | undefined): TableStock {
  if (listing === undefined) return { kind: "none" };
  const named = (kind: string) =>
    new Set([...listing.matchAll(new RegExp(`^\\t${kind} (\\S+) \\{`, "gm"))].map((match) => match[1] ?? ""));
  const chains = named("chain");
  const maps = named("map");
  const sets = named("set");
  const base = baseNames();
  const whole =
    chains.has(layoutMark) &&
    base.chains.every((name) => chains.has(name)) &&
    base.maps.every((name) => maps.has(name) || sets.has(name));
  if (!whole) return { kind: "foreign" };
  return {
    kind: "known",
    contents: {
      chains: without(chains, base.chains),
      maps: without(maps, base.maps),
      counters: named("counter"),
      elements: undefined,
    },
  };
}

function without(names: ReadonlySet<string>, others: readonly string[]): ReadonlySet<string> {
  const out = new Set(others);
  return new Set([...names].filter((name) => !out.has(name)));
}
