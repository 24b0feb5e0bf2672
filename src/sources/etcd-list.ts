// The keys of one prefix as etcd had them at a revision: read whole once, then carried on by the events of a watch. The
// change's way, pure. When an event does not fit to what is known it says so and the list is read anew: better once too
// often than a target that nobody can explain.

import type { StoreEntry } from "./entry-book.ts";
import type { EtcdEvent, EtcdHeader, EtcdPair, EtcdRange } from "./etcd-message.ts";

/** What is known, and whether the question for a sign of life that was asked then still fits. */
export type EtcdStanding = { readonly revision: bigint; readonly changes: number };

/** A pair, and its texts: decoded once, however often the list is asked for. */
type Kept = { readonly value: string; readonly entry: StoreEntry };

export class EtcdList {
  readonly #folder: string;
  /** By key in base64. */
  #kept = new Map<string, Kept>();
  #clusterId = "";
  #revision = 0n;
  #changes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Newest change that is known; a watch begins with the next one. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Keys, folders and damaged ones among them. */
  get size(): number {
    return this.#kept.size;
  }

  standing(): EtcdStanding {
    return { revision: this.#revision, changes: this.#changes };
  }

  /** The whole list, also that of a cluster made anew, whose revisions begin with 1. True: it differs from what was known. */
  replace(range: EtcdRange): boolean {
    const isFirst = this.#revision === 0n;
    const before = this.#kept;
    this.#kept = new Map();
    let isSame = before.size === range.pairs.length;
    for (const pair of range.pairs) {
      const known = before.get(pair.key);
      if (known?.value !== pair.value) isSame = false;
      this.#kept.set(pair.key, known?.value === pair.value ? known : this.#keep(pair));
    }
    this.#clusterId = range.header.clusterId;
    this.#revision = range.header.revision;
    this.#changes++;
    return isFirst || !isSame;
  }

  /**
   * Events of a message, in order. False: they don't fit. A message's header tells the store's newest revision, which is
   * ahead of the events while a watch catches up, so the events' own revisions count.
   */
  apply(header: EtcdHeader, events: readonly EtcdEvent[]): boolean {
    if (header.clusterId !== this.#clusterId) return false;
    for (const { type, pair } of events) {
      // Of one transaction all have the same.
      if (pair.modRevision < this.#revision) return false;
      this.#revision = pair.modRevision;
      if (type === "put") this.#kept.set(pair.key, this.#keep(pair));
      else this.#kept.delete(pair.key);
    }
    this.#changes++;
    return true;
  }

  /**
   * Whether the answer to a pulse says the same as is known. What has come by the watch since it was asked proves the watch
   * well by itself, and the answer says nothing any more.
   */
  fits(pulse: EtcdRange, asked: EtcdStanding): boolean {
    if (asked.changes !== this.#changes) return true;
    if (pulse.header.clusterId !== this.#clusterId || pulse.header.revision < this.#revision) return false;
    return pulse.pairs.length === 0 && pulse.count === BigInt(this.#kept.size);
  }

  /** Folders (keys that end in `/`) are passed over; a key in a folder below keeps its way there in the address. */
  entries(): readonly StoreEntry[] {
    const entries: StoreEntry[] = [];
    for (const { entry } of this.#kept.values()) if (!entry.key.endsWith("/")) entries.push(entry);
    return entries;
  }

  #keep(pair: EtcdPair): Kept {
    const key = textOf(pair.key);
    const address = key.startsWith(this.#folder) ? key.slice(this.#folder.length) : key;
    return { value: pair.value, entry: { key, address, value: textOf(pair.value) } };
  }
}

function textOf(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}
