// The three who say which targets one pool has, one over the other: the file, the source, the API. Out of them comes the
// pool as it is desired, and what a change of one of them made different. The change's way, pure; part of registry.ts, which
// alone changes it. What did not change stays the same object, so that nobody has to look into it to know.
//
// The order of targets, the same on every node: those of the file as the file has them, then the source's by address, then
// the API's own by address (address-order.ts). A target stands where its owner is.

import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import { same } from "../core/same.ts";
import { type Pool, type Target, targetDefaults } from "../model/pool.ts";
import type { Source } from "../model/source.ts";
import { addressKey, byKey, placeOf } from "./address-order.ts";
import { type DesiredChange, type DesiredTarget, desiredTargetsMax, type KeptEntry, type Owner } from "./desired.ts";
import { layOver, patchFields, sameTarget } from "./target-patch.ts";

/** What the API says of one address. */
export type Word = {
  /** Another object whenever it says something else; a renewal leaves it. */
  readonly entry: KeptEntry;
  readonly host: string;
  readonly port: number;
  /** Of its place among the API's: addressKey. */
  readonly key: string;
  /** When the lease runs out, on the clock of the steps; undefined without a lease. */
  readonly deadlineMs: Milliseconds | undefined;
};

type Placed = { readonly key: string; readonly target: Target };
type Desired = { readonly target: Target; readonly owner: Owner };

const none: ReadonlyMap<string, never> = new Map<string, never>();

function ownerOf(source: Source): Owner {
  return source.type === "consulService" ? "consul" : source.type;
}

export class PoolLayers {
  readonly name: string;
  /** The file's pool. Kept while the next one differs in nothing but targets. */
  #file: Pool | undefined;
  #fileTargets: ReadonlyMap<string, Target> = none;
  /** In order; undefined: the source has said nothing yet. */
  #reading: readonly Placed[] | undefined;
  #read: ReadonlyMap<string, Placed> = none;
  readonly #words = new Map<string, Word>();
  /** The same in order. */
  readonly #wordsInOrder: Word[] = [];
  #desired: ReadonlyMap<string, Desired> = none;
  #pool: Pool | undefined;
  /** The file's pool that this one has its rules from. */
  #composedFrom: Pool | undefined;
  #leftOut = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** As it is desired; undefined when the file has no such pool. */
  get pool(): Pool | undefined {
    return this.#pool;
  }

  /** Targets beyond desiredTargetsMax: the last of the order. They wait. */
  get leftOut(): number {
    return this.#leftOut;
  }

  get isFull(): boolean {
    return this.#desired.size >= desiredTargetsMax;
  }

  /** In order. */
  get words(): readonly Word[] {
    return this.#wordsInOrder;
  }

  get hasFile(): boolean {
    return this.#file !== undefined;
  }

  /** Nobody says anything of this pool any more. */
  get isEmpty(): boolean {
    return this.#file === undefined && this.#reading === undefined && this.#words.size === 0;
  }

  word(address: string): Word | undefined {
    return this.#words.get(address);
  }

  /** The file or the source say that there is such a target. */
  isForeign(address: string): boolean {
    return this.#fileTargets.has(address) || this.#read.has(address);
  }

  /**
   * A source that is gone takes its targets along. One that was changed leaves them until the new one has answered: a store
   * that cannot be reached must not empty a pool.
   */
  setFile(file: Pool | undefined): void {
    this.#fileTargets = file === undefined ? none : new Map(file.targets.map((target) => [target.address, target]));
    if (file?.source === undefined) this.setReading(undefined);
    const isAsBefore = file !== undefined && this.#file !== undefined && sameRules(this.#file, file);
    if (!isAsBefore) this.#file = file;
  }

  /** Ignored for a pool of the file that has no source: an answer that comes too late. */
  setReading(targets: readonly Target[] | undefined): void {
    if (targets === undefined || (this.#file !== undefined && this.#file.source === undefined)) {
      this.#reading = undefined;
      this.#read = none;
      return;
    }
    const known = this.#read;
    const read = new Map<string, Placed>();
    for (const target of targets) {
      const key = known.get(target.address)?.key ?? addressKey(target);
      read.set(target.address, { key, target });
    }
    this.#read = read;
    this.#reading = [...read.values()].sort(byKey);
  }

  /** The API's word of an address, or none any more. */
  setWord(address: string, word: Word | undefined): void {
    const former = this.#words.get(address);
    const key = (word ?? former)?.key;
    if (key === undefined) return;
    const at = placeOf(this.#wordsInOrder, key);
    if (word === undefined) {
      this.#words.delete(address);
      this.#wordsInOrder.splice(at, 1);
    } else {
      this.#words.set(address, word);
      this.#wordsInOrder.splice(at, former === undefined ? 0 : 1, word);
    }
  }

  /** One target as it is desired now, in constant time. */
  desiredTarget(address: string, nowMs: Milliseconds): DesiredTarget | undefined {
    const desired = this.#desired.get(address);
    return desired === undefined ? undefined : this.#describe(desired, nowMs);
  }

  desiredTargets(nowMs: Milliseconds): readonly DesiredTarget[] {
    return Array.from(this.#desired.values(), (desired) => this.#describe(desired, nowMs));
  }

  #describe({ target, owner }: Desired, nowMs: Milliseconds): DesiredTarget {
    const word = this.#words.get(target.address);
    const patch = owner === "api" ? undefined : word?.entry.patch;
    const patched = patch === undefined ? [] : patchFields.filter((field) => patch[field] !== undefined);
    const { lease } = word?.entry ?? {};
    if (lease === undefined) return { target, owner, patched, lease: undefined };
    return { target, owner, patched, lease: { ...lease, leftMs: Math.max(0, (word?.deadlineMs ?? nowMs) - nowMs) } };
  }

  /** Puts the layers together again after some of them were set, and tells what differs. Takes time by the pool's size. */
  compose(): readonly DesiredChange[] {
    const laying = new Laying(this.name, this.#desired);
    const file = this.#file;
    if (file !== undefined) this.#layDown(file, laying);
    this.#desired = laying.desired;
    this.#leftOut = laying.leftOut;
    this.#pool = file === undefined ? undefined : this.#toPool(file, laying.targets);
    return laying.end();
  }

  #layDown(file: Pool, laying: Laying): void {
    const words = this.#words;
    for (const target of this.#fileTargets.values()) laying.lay("file", target, words.get(target.address));
    if (file.source !== undefined && this.#reading !== undefined) {
      const owner = ownerOf(file.source);
      for (const { target } of this.#reading) {
        if (!this.#fileTargets.has(target.address)) laying.lay(owner, target, words.get(target.address));
      }
    }
    for (const word of this.#wordsInOrder) {
      const { entry, host, port } = word;
      if (!entry.exists || this.isForeign(entry.address)) continue;
      laying.lay("api", { address: entry.address, host, port, ...targetDefaults, slowStart: file.slowStart }, word);
    }
  }

  /** The former object, or its array of targets, where nothing in it differs. */
  #toPool(file: Pool, targets: readonly Target[]): Pool {
    const former = this.#pool;
    const rulesAreAsBefore = this.#composedFrom === file;
    this.#composedFrom = file;
    const isAsBefore =
      former?.targets.length === targets.length && former.targets.every((target, index) => target === targets[index]);
    if (!isAsBefore) return { ...file, targets };
    return rulesAreAsBefore ? former : { ...file, targets: former.targets };
  }
}

/** One composing: targets are laid down in their order, beside what was there before. */
class Laying {
  readonly desired = new Map<string, Desired>();
  readonly targets: Target[] = [];
  leftOut = 0;
  readonly #pool: string;
  readonly #former: ReadonlyMap<string, Desired>;
  /** Of the former ones. */
  #stayed = 0;
  readonly #changes: DesiredChange[] = [];

  constructor(pool: string, former: ReadonlyMap<string, Desired>) {
    this.#pool = pool;
    this.#former = former;
  }

  lay(owner: Owner, below: Target, word: Word | undefined): void {
    if (this.targets.length >= desiredTargetsMax) {
      this.leftOut++;
      return;
    }
    const { address } = below;
    const target = layOver(below, word?.entry.patch);
    const former = this.#former.get(address);
    if (former !== undefined) this.#stayed++;
    if (former !== undefined && sameTarget(former.target, target)) {
      this.targets.push(former.target);
      this.desired.set(address, former.owner === owner ? former : { owner, target: former.target });
      return;
    }
    this.targets.push(target);
    this.desired.set(address, { owner, target });
    this.#changes.push({ pool: this.#pool, address, owner, before: former?.target, after: target });
  }

  /** What differs, those that are gone last. */
  end(): readonly DesiredChange[] {
    if (this.#stayed === this.#former.size) return this.#changes;
    for (const [address, { target, owner }] of this.#former) {
      if (this.desired.has(address)) continue;
      this.#changes.push({ pool: this.#pool, address, owner, before: target, after: undefined });
    }
    return this.#changes;
  }
}

/** Everything about a pool but its targets. */
function sameRules(left: Pool, right: Pool): boolean {
  if (left === right) return true;
  assert(left.name === right.name, `pool ${left.name} is compared with ${right.name}`);
  return same({ ...left, targets: [] }, { ...right, targets: [] });
}
