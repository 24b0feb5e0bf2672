// Tracked connections counted for many targets in one look. A look goes through the kernel's whole table, 11 ms for its
// usual 262,144 buckets however few are filled, so a hundred targets asked one by one would keep the supervisor for a
// second. The change's way, pure. Who belongs to whom is judged by connection-filter.ts alone.

import { type ConnectionFilter, dumpFilters, isUnderWay, leadsToTarget } from "./connection-filter.ts";
import type { Connection, ConnectionEnd, DumpFilter } from "./conntrack.ts";

type Asked = { readonly index: number; readonly wanted: DumpFilter };

/** What one dump answers: filters of one protocol and one family, found by the end that packets come from. */
export type TallyGroup = {
  readonly protocol: number;
  /** Bytes of an address: 4 or 16. */
  readonly addressBytes: number;
  readonly asked: ReadonlyMap<string, readonly Asked[]>;
};

export function tallyGroups(filters: readonly ConnectionFilter[]): readonly TallyGroup[] {
  const groups = new Map<string, TallyGroup & { readonly asked: Map<string, Asked[]> }>();
  for (const [index, filter] of filters.entries()) {
    for (const wanted of dumpFilters(filter)) {
      const { protocol, source } = wanted;
      const name = `${protocol} ${source.address.length}`;
      const group = groups.get(name) ?? { protocol, addressBytes: source.address.length, asked: new Map() };
      groups.set(name, group);
      const key = keyOf(source);
      group.asked.set(key, [...(group.asked.get(key) ?? []), { index, wanted }]);
    }
  }
  return [...groups.values()];
}

/** Adds one to the count of each filter that the connection meets, if it is under way. */
export function tally(connection: Connection, group: TallyGroup, counts: number[]): void {
  if (!isUnderWay(connection)) return;
  for (const index of metBy(connection, group)) counts[index] = (counts[index] ?? 0) + 1;
}

/** The filters that the connection meets, under way or not, by their index; a filter that both its ends meet, twice. */
export function metBy(connection: Connection, group: TallyGroup): readonly number[] {
  const met: number[] = [];
  for (const end of [connection.reply.source, connection.original.source]) {
    for (const { index, wanted } of group.asked.get(keyOf(end)) ?? []) {
      const comesFrom = wanted.direction === "reply" ? connection.reply.source : connection.original.source;
      if (comesFrom === end && leadsToTarget(connection, wanted)) met.push(index);
    }
  }
  return met;
}

function keyOf({ address, port }: ConnectionEnd): string {
  return String.fromCharCode(port, ...address);
}
