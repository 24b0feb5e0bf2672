// A store's keys and values read as targets, with a memory: an entry that cannot be read any more keeps its last good
// reading and is reported. One book belongs to one watch, whatever the store. The change's way, pure. It is handed the
// whole list each time: a key that is not in it is gone, and its last reading with it.

import { targetsPerPoolMax } from "../config/limits.ts";
import { decodeUpsyncValue, type EntryFields } from "../config/upsync-entry.ts";
import { formatSocketAddress, parseSocketAddress, type SocketAddress, socketAddressExpected } from "../core/address.ts";
import type { Failure, Result } from "../core/failure.ts";
import { type Target, targetDefaults } from "../model/pool.ts";
import type { DamagedEntry, SourcePool, SourceReading } from "./source.ts";

/** One entry as the store has it. */
export type StoreEntry = {
  /** As the store names it; no two of a list have the same. */
  readonly key: string;
  /** The part of the key that names the target. */
  readonly address: string;
  readonly value: string;
};

/** `upstreams/app` would also find the keys of `upstreams/app2`. */
export function folderOf(prefix: string): string {
  return prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`;
}

/** Characters of a key that are told. */
const keyLengthMax = 512;

/** What one value was read as the last time: a list of ten thousand has mostly the same ones again. */
type Page = {
  /** undefined: its target was known before. */
  readonly value: string | undefined;
  /** undefined: it has never been readable. */
  readonly target: Target | undefined;
  readonly failure: Failure | undefined;
};

export class EntryBook {
  readonly #pool: SourcePool;
  readonly #decode: (value: string) => Result<EntryFields>;
  /** By canonical address. */
  #pages = new Map<string, Page>();
  /** By the address as a key names it: of a long list it takes longer to parse these than anything else. */
  #places = new Map<string, Place | undefined>();

  /** `known` are targets that the store had when it was last read, perhaps by an earlier run: the last good readings. */
  constructor(
    pool: SourcePool,
    known: readonly Target[],
    decode: (value: string) => Result<EntryFields> = decodeUpsyncValue,
  ) {
    this.#pool = pool;
    this.#decode = decode;
    for (const target of known) {
      const kept = { ...target, slowStart: pool.slowStart };
      this.#pages.set(target.address, { value: undefined, target: kept, failure: undefined });
    }
  }

  /**
   * The whole list read. Damage: `source.entry.address` (no ip:port), `source.entry.twice` (another key names the same
   * address; the one in canonical form holds, else the first in order), `source.entry.limit`, and those of the decoder.
   */
  read(entries: readonly StoreEntry[], revision: string | undefined): SourceReading {
    const pages = new Map<string, Page>();
    const targets: Target[] = [];
    const damaged: DamagedEntry[] = [];
    const winners = new Map<string, string>();
    const located = entries.map((entry) => ({ entry, place: this.#locate(entry.address) }));
    this.#places = new Map(located.map(({ entry, place }) => [entry.address, place]));
    const inOrder = located.sort(byPlace);
    const spared = inOrder.slice(targetsPerPoolMax);
    for (const { entry, place } of inOrder.slice(0, targetsPerPoolMax)) {
      if (place === undefined) {
        const detail = `\`${shownKey(entry.address)}\` is not ${socketAddressExpected}`;
        damaged.push({ key: shownKey(entry.key), code: "source.entry.address", detail, kept: false });
        continue;
      }
      const winner = winners.get(place.address);
      if (winner !== undefined) {
        const detail = `${place.address} is named by \`${shownKey(winner)}\` as well, which holds`;
        damaged.push({ key: shownKey(entry.key), code: "source.entry.twice", detail, kept: false });
        continue;
      }
      winners.set(place.address, entry.key);
      const page = this.#turn(entry, place);
      pages.set(place.address, page);
      if (page.target !== undefined) targets.push(page.target);
      if (page.failure !== undefined) {
        const { code, detail } = page.failure;
        damaged.push({ key: shownKey(entry.key), code, detail, kept: page.target !== undefined });
      }
    }
    const first = spared[0];
    if (first !== undefined) {
      const detail = `this entry and ${spared.length - 1} after it are beyond the limit of ${targetsPerPoolMax}`;
      damaged.push({ key: shownKey(first.entry.key), code: "source.entry.limit", detail, kept: false });
    }
    this.#pages = pages;
    return { targets: targets.sort(byAddress), damaged, revision };
  }

  #locate(address: string): Place | undefined {
    if (this.#places.has(address)) return this.#places.get(address);
    const parts = parseSocketAddress(address);
    return parts.ok ? { address: formatSocketAddress(parts.value), parts: parts.value } : undefined;
  }

  #turn(entry: StoreEntry, place: Place): Page {
    const before = this.#pages.get(place.address);
    if (before?.value === entry.value) return before;
    const fields = this.#decode(entry.value);
    if (!fields.ok) return { value: entry.value, target: before?.target, failure: fields.failure };
    const target: Target = {
      address: place.address,
      host: place.parts.host,
      port: place.parts.port,
      weight: fields.value.weight,
      maxFails: fields.value.maxFails,
      failTimeout: fields.value.failTimeout,
      connectionsMax: targetDefaults.connectionsMax,
      backup: fields.value.backup,
      intent: fields.value.intent,
      slowStart: this.#pool.slowStart,
    };
    return { value: entry.value, target, failure: undefined };
  }
}

type Place = { readonly address: string; readonly parts: SocketAddress };
type Located = { readonly entry: StoreEntry; readonly place: Place | undefined };

/** By key, those first whose address is written in canonical form: they hold before others of the same address. */
function byPlace(one: Located, other: Located): number {
  return rank(one) - rank(other) || compare(one.entry.key, other.entry.key);
}

function rank({ entry, place }: Located): number {
  return place === undefined ? 2 : place.address === entry.address ? 0 : 1;
}

function byAddress(one: Target, other: Target): number {
  return compare(one.address, other.address);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function shownKey(key: string): string {
  return key.length > keyLengthMax ? `${key.slice(0, keyLengthMax)}...` : key;
}
