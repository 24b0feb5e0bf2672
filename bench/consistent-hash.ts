// The figures of docs/decisions/0004-consistent-hash.md: a ketama ring, Maglev, and our slot table side by side. For each
// and for pools of several sizes: bytes, time to build, time to pick, how far the busiest target is above its share, and
// what moves when one target goes or one weight changes, beyond what has to. Run with `node bench/consistent-hash.ts`.

import { performance } from "node:perf_hooks";
import { hashText, mix } from "../src/balance/hash.ts";
import { fillSlots } from "../src/balance/slot-table.ts";

type Entry = { readonly address: string; readonly weight: number };
type Built = { readonly bytes: number; readonly find: (key: number) => number };
type Option = { readonly name: string; readonly build: (entries: readonly Entry[]) => Built };

const keyCount = 1_000_000;
const keys = Int32Array.from({ length: keyCount }, (_, index) => mix(index + 1));

/** A ring with `points` per weight, as nginx's `hash ... consistent` has 160. */
function ring(points: number): Option {
  const build = (entries: readonly Entry[]): Built => {
    const joined: number[] = [];
    for (const [index, { address, weight }] of entries.entries()) {
      for (let point = 0; point < points * weight; point++) {
        joined.push((hashText(`${address}-${point}`) >>> 0) * 2 ** 20 + index);
      }
    }
    const sorted = Float64Array.from(joined).sort();
    const places = Uint32Array.from(sorted, (value) => Math.floor(value / 2 ** 20));
    const owners = Uint16Array.from(sorted, (value) => value % 2 ** 20);
    const find = (key: number): number => {
      const wanted = key >>> 0;
      let low = 0;
      let high = places.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (places[middle]! < wanted) low = middle + 1;
        else high = middle;
      }
      return owners[low === places.length ? 0 : low]!;
    };
    return { bytes: places.byteLength + owners.byteLength, find };
  };
  return { name: `ring, ${points} points`, build };
}

/** Maglev (Eisenbud and others, 2016, section 3.4); a weight is so many turns a round. */
function maglev(slots: number): Option {
  const build = (entries: readonly Entry[]): Built => {
    const table = new Int32Array(slots).fill(-1);
    const next = new Float64Array(entries.length);
    const offsets = entries.map(({ address }) => (hashText(address) >>> 0) % slots);
    const skips = entries.map(({ address }) => ((hashText(`${address}#`) >>> 0) % (slots - 1)) + 1);
    let free = slots;
    const take = (index: number): void => {
      let slot: number;
      do {
        slot = (offsets[index]! + next[index]! * skips[index]!) % slots;
        next[index] = next[index]! + 1;
      } while (table[slot]! >= 0);
      table[slot] = index;
      free--;
    };
    while (free > 0) {
      for (let index = 0; index < entries.length; index++) {
        for (let turn = 0; turn < entries[index]!.weight && free > 0; turn++) take(index);
      }
    }
    const owners = Uint16Array.from(table);
    return { bytes: owners.byteLength, find: (key) => owners[(key >>> 0) % slots]! };
  };
  return { name: `Maglev, ${slots} slots`, build };
}

function slotTable(slots: number): Option {
  const build = (entries: readonly Entry[]): Built => {
    const owners = Uint16Array.from(fillSlots(entries, slots));
    return { bytes: owners.byteLength, find: (key) => owners[Math.floor(((key >>> 0) / 2 ** 32) * slots)]! };
  };
  return { name: `slot table, ${slots} slots`, build };
}

function entriesOf(count: number): Entry[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `10.${index >>> 8}.${index & 255}.7:8080`,
    weight: 1,
  }));
}

/** Share of the keys that moved though neither their old nor their new owner is the target that changed. */
function needless(
  before: Built,
  after: Built,
  names: { readonly old: readonly Entry[]; readonly now: readonly Entry[] },
  changed: string,
): number {
  let moved = 0;
  for (const key of keys) {
    const was = names.old[before.find(key)]!.address;
    const is = names.now[after.find(key)]!.address;
    if (was !== is && was !== changed && is !== changed) moved++;
  }
  return moved / keyCount;
}

function measure(option: Option, count: number): Record<string, string | number> {
  const entries = entriesOf(count);
  option.build(entries);
  const start = performance.now();
  const built = option.build(entries);
  const buildMs = performance.now() - start;

  const loads = new Float64Array(count);
  for (const key of keys) loads[built.find(key)]!++;
  const mean = keyCount / count;
  const spread = Math.sqrt(loads.reduce((sum, load) => sum + (load - mean) ** 2, 0) / count - mean) / mean;

  let sink = 0;
  const pickStart = performance.now();
  for (const key of keys) sink += built.find(key);
  const pickNs = ((performance.now() - pickStart) * 1e6) / keyCount + (sink < 0 ? 1 : 0);

  const lost = entries[count >> 1]!;
  const without = entries.filter((entry) => entry !== lost);
  const heavier = entries.map((entry) => (entry === lost ? { ...entry, weight: 2 } : entry));
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  return {
    option: option.name,
    targets: count,
    KiB: Number((built.bytes / 1024).toFixed(1)),
    "build ms": Number(buildMs.toFixed(1)),
    "pick ns": Number(pickNs.toFixed(1)),
    "share strays": percent(Number.isNaN(spread) ? 0 : spread),
    busiest: `+${percent(Math.max(...loads) / mean - 1)}`,
    "1/N": percent(1 / count),
    "removal, needless": percent(needless(built, option.build(without), { old: entries, now: without }, lost.address)),
    "weight, needless": percent(needless(built, option.build(heavier), { old: entries, now: heavier }, lost.address)),
  };
}

const options = [ring(160), maglev(4_099), maglev(65_537), slotTable(4_099), slotTable(16_384), slotTable(65_536)];
console.table([3, 10, 100, 1_000].flatMap((count) => options.map((option) => measure(option, count))));
