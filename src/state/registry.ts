// The desired targets of all pools: what the file, the sources and the API say, laid over each other. The change's way, and
// pure: no clock (time comes as data), no disk, no network. Who drives it (src/control/targets/live-targets.ts) brings it every
// change as a step and does what the step says: tell the events, give the workers the pools that changed, keep the entries.
//
// - First of file, source, API is a target's owner; its fields hold, with what the API said of it over them.
// - What the API said of another owner's target waits while that target is gone, and what it said of a pool while the file
//   names no such pool. Both stay on disk and hold again when the target or the pool comes back.
// - A target of the API's own whose address the file or a source brings as well gets that owner, and the API's fields lie
//   over that one's. It is still there when the other drops it.
// - DELETE of such a target takes back what the API said; the target stays with its owner.
// - A lease that runs out takes back all that was said with it: the API's own target, or its fields over another's. After
//   a restart every lease has its whole time again, since its holder could not renew it meanwhile.

import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import type { Pool, Target } from "../model/pool.ts";
import { parseTargetAddress } from "./address-order.ts";
import {
  type DesiredChange,
  type DesiredTarget,
  desiredTargetsMax,
  type KeptEntry,
  keptEntriesMax,
  type TargetOrder,
} from "./desired.ts";
import { PoolLayers, type Word } from "./pool-layers.ts";
import { judgeOrder, type Scene } from "./target-order.ts";

/** What one step made different. */
export type RegistryStep = {
  readonly changes: readonly DesiredChange[];
  /** Pools that are another object in `desiredPools` than before, or are no longer there. */
  readonly pools: readonly string[];
  /** `entries` gives something else than before: it is to be kept on disk. */
  readonly keeps: boolean;
  /** Pools with another number of targets than before that wait because the pool has desiredTargetsMax. */
  readonly overflows: readonly { readonly pool: string; readonly leftOut: number }[];
};

export type AskedOrder = {
  readonly pool: string;
  /** As somebody wrote it; what is kept is its canonical text. */
  readonly address: string;
  readonly order: TargetOrder;
  /** `api unix:root`, `api token:deploy`. */
  readonly by: string;
  readonly nowMs: Milliseconds;
  /** Milliseconds since 1970, for whoever reads the entry. */
  readonly wallMs: Milliseconds;
};

/** What `undo` needs to take an order back. Opaque to others. */
export type OrderUndo = {
  readonly pool: string;
  readonly address: string;
  readonly former: Word | undefined;
  readonly placed: Word | undefined;
};

export type OrderStep = RegistryStep & {
  readonly before: DesiredTarget | undefined;
  readonly after: DesiredTarget | undefined;
  readonly undo: OrderUndo;
};

const nothing: RegistryStep = { changes: [], pools: [], keeps: false, overflows: [] };

function refused(code: string, detail: string) {
  return bad({ code, origin: "client", retrySafe: false, detail });
}

export class Registry {
  /** Of every pool that the file names or the API has said something of. */
  readonly #layers = new Map<string, PoolLayers>();
  /** Names in the file's order. */
  #named: readonly string[] = [];
  #pools: readonly Pool[] = [];
  #entryCount = 0;
  /** Entries that have a lease. */
  readonly #leased = new Set<KeptEntry>();
  /** No lease runs out before; renewals leave it behind, and the next `expire` finds the true one. */
  #earliestMs: Milliseconds | undefined;
  /** Entries of orders that were taken back, and what stood there before them. */
  readonly #withdrawn = new WeakMap<KeptEntry, { readonly former: Word | undefined }>();

  /** All pools of the file, with the file's targets. Those that it no longer names are gone from what is desired. */
  applyFile(pools: readonly Pool[]): RegistryStep {
    this.#named = pools.map(({ name }) => name);
    assert(new Set(this.#named).size === pools.length, "a file names each pool once");
    for (const pool of pools) this.#layersOf(pool.name).setFile(pool);
    const named = new Set(this.#named);
    for (const layers of this.#layers.values()) if (!named.has(layers.name)) layers.setFile(undefined);
    const step = this.#compose([...this.#layers.values()], false);
    this.#pools = this.#collect();
    return step;
  }

  /**
   * What a pool's source has now; undefined takes back what it had. A reading of a pool that the file does not name yet
   * waits for the file's next step; one of a pool without a source is ignored.
   */
  applyReading(pool: string, targets: readonly Target[] | undefined): RegistryStep {
    const layers = this.#layersOf(pool);
    layers.setReading(targets);
    return this.#step([layers], false);
  }

  /** What was kept on disk, once, at the start. Entries are as `entries` gave them; their leases begin anew. */
  applyKept(entries: readonly KeptEntry[], nowMs: Milliseconds): RegistryStep {
    assert(this.#entryCount === 0, "what was kept is applied before the API says anything");
    assert(entries.length <= keptEntriesMax, "no more entries were kept than may be");
    const touched = new Set<PoolLayers>();
    for (const entry of entries) {
      const place = parseTargetAddress(entry.address);
      assert(place.ok && place.value.address === entry.address, `${entry.address} was kept and is a canonical address`);
      const { host, port, key } = place.value;
      const deadlineMs = entry.lease === undefined ? undefined : nowMs + entry.lease.ttlMs;
      const layers = this.#layersOf(entry.pool);
      this.#setWord(layers, entry.address, { entry, host, port, key, deadlineMs });
      touched.add(layers);
    }
    return this.#step(touched, false);
  }

  /**
   * One order of the API. Fails with `pool.unknown`, `target.address`, `target.limit` (keptEntriesMax, desiredTargetsMax) and
   * the codes of judgeOrder (target-order.ts); nothing has changed then.
   */
  order({ pool, address: text, order, by, nowMs, wallMs }: AskedOrder): Result<OrderStep> {
    const place = parseTargetAddress(text);
    if (!place.ok) return place;
    const { address } = place.value;
    const layers = this.#layers.get(pool);
    const former = layers?.word(address);
    // What was said of a pool that is gone can still be taken back: it waits and counts.
    const takesBack = order.type === "remove" && former !== undefined;
    if (layers === undefined || !(layers.hasFile || takesBack)) {
      return refused("pool.unknown", `there is no pool ${pool}`);
    }
    const before = layers.desiredTarget(address, nowMs);
    const facts = { isDesired: before !== undefined, isForeign: layers.isForeign(address), former };
    const judged = judgeOrder({ pool, ...place.value, ...facts, by, nowMs, wallMs }, order);
    if (!judged.ok) return judged;
    const placed = judged.value;
    const refusal = placed === undefined ? undefined : this.#refuseGrowth(layers, placed, facts);
    if (refusal !== undefined) return refusal;
    this.#setWord(layers, address, placed);
    const keeps = placed?.entry !== former?.entry;
    const step = keeps ? this.#step([layers], true) : nothing;
    const after = layers.desiredTarget(address, nowMs);
    return good({ ...step, before, after, undo: { pool, address, former, placed } });
  }

  #refuseGrowth(layers: PoolLayers, { entry }: Word, facts: Pick<Scene, "isDesired" | "former">) {
    if (facts.former === undefined && this.#entryCount >= keptEntriesMax) {
      return refused("target.limit", `the API has said something of ${keptEntriesMax} targets; no more are kept`);
    }
    if (entry.exists && !facts.isDesired && layers.isFull) {
      return refused("target.limit", `pool ${entry.pool} has ${desiredTargetsMax} targets; it takes no more`);
    }
    return undefined;
  }

  /**
   * Takes an order back that could not be kept on disk. Several are taken back one by one, in whatever order; what has been
   * said of the same target later, and was not taken back, stays.
   */
  undo({ pool, address, former, placed }: OrderUndo): RegistryStep {
    if (placed?.entry === former?.entry) return nothing;
    if (placed !== undefined) this.#withdrawn.set(placed.entry, { former });
    const present = this.#layers.get(pool)?.word(address);
    if (present?.entry !== placed?.entry) return nothing;
    const word = this.#standing(former);
    if (word === undefined && present === undefined) return nothing;
    const layers = this.#layersOf(pool);
    this.#setWord(layers, address, word && withLaterDeadline(word, present));
    return this.#step([layers], true);
  }

  /** The word itself, or what stood before it when it was taken back meanwhile. */
  #standing(word: Word | undefined): Word | undefined {
    let standing = word;
    while (standing !== undefined) {
      const gone = this.#withdrawn.get(standing.entry);
      if (gone === undefined) return standing;
      standing = gone.former;
    }
    return undefined;
  }

  /** Takes back what was said with leases that have run out. */
  expire(nowMs: Milliseconds): RegistryStep {
    if (this.#earliestMs === undefined || this.#earliestMs > nowMs) return nothing;
    const touched = new Set<PoolLayers>();
    let earliestMs: Milliseconds | undefined;
    for (const entry of this.#leased) {
      const layers = this.#layersOf(entry.pool);
      const deadlineMs = layers.word(entry.address)?.deadlineMs;
      assert(deadlineMs !== undefined, `${entry.address} of ${entry.pool} is leased and has a deadline`);
      if (deadlineMs <= nowMs) {
        this.#setWord(layers, entry.address, undefined);
        touched.add(layers);
      } else if (earliestMs === undefined || deadlineMs < earliestMs) earliestMs = deadlineMs;
    }
    this.#earliestMs = earliestMs;
    return this.#step(touched, touched.size > 0);
  }

  /** When `expire` is to be called: no lease runs out before. It may find none that has; then this gives the next time. */
  nextExpiryAt(): Milliseconds | undefined {
    return this.#earliestMs;
  }

  /** The pools of the file in its order, each with the targets that it is to have. Unchanged ones are the same objects. */
  desiredPools(): readonly Pool[] {
    return this.#pools;
  }

  desiredPool(pool: string): Pool | undefined {
    return this.#layers.get(pool)?.pool;
  }

  /** A pool's targets with their owners, in order; undefined for a pool that the file does not name. */
  desired(pool: string, nowMs: Milliseconds): readonly DesiredTarget[] | undefined {
    const layers = this.#layers.get(pool);
    return layers?.pool === undefined ? undefined : layers.desiredTargets(nowMs);
  }

  /** One of them, in constant time; undefined also for what is no address. */
  desiredTarget(pool: string, address: string, nowMs: Milliseconds): DesiredTarget | undefined {
    const place = parseTargetAddress(address);
    return place.ok ? this.#layers.get(pool)?.desiredTarget(place.value.address, nowMs) : undefined;
  }

  /** Targets that a pool does not have because it has desiredTargetsMax already. */
  leftOut(pool: string): number {
    return this.#layers.get(pool)?.leftOut ?? 0;
  }

  /** What the API said of a target, also while it waits. */
  entry(pool: string, address: string): KeptEntry | undefined {
    const place = parseTargetAddress(address);
    return place.ok ? this.#layers.get(pool)?.word(place.value.address)?.entry : undefined;
  }

  /** All that the API said, for the disk: by name of the pool, then by address. An entry that is as it was is the same object. */
  entries(): readonly KeptEntry[] {
    const pools = [...this.#layers.values()].filter((layers) => layers.words.length > 0);
    pools.sort((left, right) => (left.name < right.name ? -1 : 1));
    return pools.flatMap((layers) => layers.words.map(({ entry }) => entry));
  }

  get entryCount(): number {
    return this.#entryCount;
  }

  #layersOf(pool: string): PoolLayers {
    let layers = this.#layers.get(pool);
    if (layers === undefined) {
      layers = new PoolLayers(pool);
      this.#layers.set(pool, layers);
    }
    return layers;
  }

  #setWord(layers: PoolLayers, address: string, word: Word | undefined): void {
    const former = layers.word(address);
    if (former !== undefined) this.#leased.delete(former.entry);
    this.#entryCount += (word === undefined ? 0 : 1) - (former === undefined ? 0 : 1);
    layers.setWord(address, word);
    if (this.#leased.size === 0) this.#earliestMs = undefined;
    if (word?.deadlineMs === undefined) return;
    this.#leased.add(word.entry);
    if (this.#earliestMs === undefined || word.deadlineMs < this.#earliestMs) this.#earliestMs = word.deadlineMs;
  }

  #compose(touched: Iterable<PoolLayers>, keeps: boolean): RegistryStep {
    const changes: DesiredChange[] = [];
    const pools: string[] = [];
    const overflows: { pool: string; leftOut: number }[] = [];
    for (const layers of touched) {
      const { pool, leftOut } = layers;
      for (const change of layers.compose()) changes.push(change);
      if (layers.pool !== pool) pools.push(layers.name);
      if (layers.leftOut !== leftOut) overflows.push({ pool: layers.name, leftOut: layers.leftOut });
      if (layers.isEmpty) this.#layers.delete(layers.name);
    }
    return { changes, pools, keeps, overflows };
  }

  /** One of those that leave the file as it is: the pools that are other objects now take the places of the former. */
  #step(touched: Iterable<PoolLayers>, keeps: boolean): RegistryStep {
    const step = this.#compose(touched, keeps);
    if (step.pools.length === 0) return step;
    const pools = [...this.#pools];
    for (const name of step.pools) {
      const pool = this.#layers.get(name)?.pool;
      assert(pool !== undefined, `pool ${name} changed and is named by the file`);
      pools[this.#named.indexOf(name)] = pool;
    }
    this.#pools = pools;
    return step;
  }

  /** All pools in the file's order: the former array when it has the same ones. */
  #collect(): readonly Pool[] {
    const pools = this.#named.map((name) => {
      const pool = this.#layers.get(name)?.pool;
      assert(pool !== undefined, `pool ${name} is named by the file`);
      return pool;
    });
    const isAsBefore = pools.length === this.#pools.length && pools.every((pool, index) => pool === this.#pools[index]);
    return isAsBefore ? this.#pools : pools;
  }
}

/** What the holder has renewed stays renewed when the order before that is taken back. */
function withLaterDeadline(word: Word, present: Word | undefined): Word {
  const { deadlineMs } = present ?? {};
  const isSameLease = word.entry.lease !== undefined && word.entry.lease.holder === present?.entry.lease?.holder;
  if (!isSameLease || deadlineMs === undefined || deadlineMs <= (word.deadlineMs ?? 0)) return word;
  return { ...word, deadlineMs };
}
