// Records of DNS as targets of a pool: RFC 2782's priorities and weights in our words, one target for each address and
// port. The change's way, pure. It must not ask anything, and must not drop a record without a word.

import { targetsPerPoolMax, weightMax } from "../config/limits.ts";
import { formatSocketAddress, isUnspecified, parseIp, parseSocketAddress } from "../core/address.ts";
import { type Target, targetDefaults } from "../model/pool.ts";
import type { DamagedEntry, SourcePool } from "./source.ts";

/** One address of one record. */
export type DnsPlace = {
  /** What the operator finds it by: `10.0.4.20`, or `one.example.com:8080` of an SRV record. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  /** Of SRV; lower ones first. Address records have 0. */
  readonly priority: number;
  /** Of SRV, as published. Address records have 1. */
  readonly weight: number;
};

/**
 * Targets in the order of their addresses. Priority: those that are not of the lowest one are backups; RFC 2782 has a
 * client try them when the others cannot be reached, as a backup is. Two levels is what a pool has: the third and
 * those after it are backups like the second. Weight 0 becomes 1: RFC 2782 draws a number from 0 to the sum of all
 * weights and gives 0 to such a record, which is exactly the share of a weight of 1 beside the others'. Several records
 * of one address and port: the lowest priority holds, weights of equal ones are added, for so would be their draws.
 * Damage: `source.entry.address` (an address that nobody can connect to, or port 0) and `source.entry.limit`.
 */
export function targetsOfPlaces(
  places: readonly DnsPlace[],
  pool: SourcePool,
): { readonly targets: readonly Target[]; readonly damaged: readonly DamagedEntry[] } {
  const damaged: DamagedEntry[] = [];
  const lowest = places.reduce((least, place) => Math.min(least, place.priority), Number.POSITIVE_INFINITY);
  const merged = new Map<string, DnsPlace>();
  for (const place of places) {
    const address = usableAddress(place);
    if (address === undefined) {
      const detail = `${formatSocketAddress(place)} is no address of a target`;
      damaged.push({ key: place.key, code: "source.entry.address", detail, kept: false });
      continue;
    }
    const weighed = { ...place, weight: Math.max(1, place.weight) };
    merged.set(address, mergeTwins(merged.get(address), weighed));
  }
  const all = [...merged].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  const spared = all[targetsPerPoolMax];
  if (spared !== undefined) {
    const detail = `this address and ${all.length - targetsPerPoolMax - 1} after it are beyond the limit of ${targetsPerPoolMax}`;
    damaged.push({ key: spared[1].key, code: "source.entry.limit", detail, kept: false });
  }
  const targets = all.slice(0, targetsPerPoolMax).map(([address, place]) => ({
    ...targetDefaults,
    address,
    host: place.host,
    port: place.port,
    weight: place.weight,
    backup: place.priority > lowest,
    slowStart: pool.slowStart,
  }));
  return { targets, damaged };
}

/** `0.0.0.0` and `::` are what filtering resolvers answer for names they block: a connection to them would be to ourselves. */
function usableAddress(place: DnsPlace): string | undefined {
  const address = parseIp(place.host);
  if (address === undefined || isUnspecified(address)) return undefined;
  const parsed = parseSocketAddress(formatSocketAddress(place));
  return parsed.ok ? formatSocketAddress(parsed.value) : undefined;
}

function mergeTwins(one: DnsPlace | undefined, other: DnsPlace): DnsPlace {
  if (one === undefined || other.priority < one.priority) return other;
  if (other.priority > one.priority) return one;
  return { ...one, weight: Math.min(weightMax, one.weight + other.weight) };
}
