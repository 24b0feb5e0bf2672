// How counters lie in the memory that a worker shares with the supervisor: a header, then rows of 64-byte units, each with a
// head that says what it counts, its figures as doubles ("slots"), and its labels as text. The worker bumps figures on the
// request's way; who writes and who reads rows is src/state/slot-rows.ts and slot-reader.ts. Nothing here touches memory.
//
//   unit 0       | magic | version | - | end of the rows (in slots) |
//   each row     | life | kind | taken | units << 16 | label bytes |   2 slots of four 32-bit words
//                | figure | figure | ...                            |   one slot each, in the order of `rowFields`
//                | labels, UTF-8, separated by NUL                  |   up to the end of its last unit
//
// `life` is odd while the row counts, and even when it was given back; it grows with each step. `taken` is the supervisor's
// word: the even life whose figures it has added to what is left of them. A row is used again only when both are the same,
// so that nothing is lost between a worker that gives back and a supervisor that has not looked yet.

import { durationSlots } from "./slot-durations.ts";

/** "eKc" and the layout's number: a worker of another version of the program counts in memory of its own. */
export const regionMagic = 0x654b6301;
export const layoutVersion = 1;

/**
 * Bytes of one worker's memory. It is sparse: pages that no row has reached do not exist. A target takes 320 to 448 bytes
 * and 192 to 256 for each route that leads to it, so there is room for about 100,000 of them.
 */
export const regionBytesMax = 64 * 1024 * 1024;
/** The same where the memory is the worker's own and its figures travel in its status answers. */
export const privateRegionBytesMax = 8 * 1024 * 1024;

export const unitSlots = 8;
export const rowHeadSlots = 2;
export const labelSeparator = "\0";
/** Three names and an address are at most 4 times 64 bytes; what is longer is cut. */
export const labelBytesMax = 512;

/** Words (32 bits) of the header. */
export const HeaderWord = { magic: 0, version: 1, end: 3 } as const;
/** Words of a row's head, from its first slot. */
export const RowWord = { life: 0, kind: 1, taken: 2, size: 3 } as const;

/** What a row counts. The numbers are part of the layout. */
export const RowKind = {
  worker: 1,
  listener: 2,
  /** Datagrams that went nowhere, by reason. */
  drop: 3,
  /** A named limit that bit, or a fault, by code. */
  limit: 4,
  target: 5,
  /** Routes of HTTP, TCP and UDP listeners; the latter have one, without a name. */
  exchangeRoute: 6,
  tunnelRoute: 7,
  flowRoute: 8,
  /** What ended on a route at a target: HTTP exchanges, TCP connections, flows. */
  exchanges: 9,
  tunnels: 10,
  flows: 11,
} as const;
export type RowKind = (typeof RowKind)[keyof typeof RowKind];

/** A figure that says how much there is now: it goes with its worker. All others only grow, and stay. */
export type RowField = { readonly name: string; readonly gauge: boolean };

const grows = (...names: readonly string[]): RowField[] => names.map((name) => ({ name, gauge: false }));
const gauges = (...names: readonly string[]): RowField[] => names.map((name) => ({ name, gauge: true }));
/** By first digit: index 1 to 5; index 0 counts what ended without a status. */
const statusClasses = [0, 1, 2, 3, 4, 5].map((digit) => `class${digit}`);
const durations = Array.from({ length: durationSlots }, (_, index) => `duration${index}`);
const routeFields = [...gauges("active"), ...grows(...durations)];
const endFields = grows(...statusClasses);

/** Of each kind: its labels, and its figures in the order of their slots. */
export const rowKinds: Readonly<
  Record<RowKind, { readonly labels: readonly string[]; readonly fields: readonly RowField[] }>
> = {
  [RowKind.worker]: {
    labels: [],
    fields: [
      ...grows("busySeconds", "idleSeconds", "cpuSeconds", "rowsRefused"),
      ...gauges("memoryBytes", "lagSeconds", "rowsUsed"),
    ],
  },
  [RowKind.listener]: {
    labels: ["listener"],
    fields: [
      ...grows("connectionsAccepted"),
      ...gauges("connectionsOpen"),
      ...grows("exchanges", ...statusClasses, "bytesFromClients", "bytesToClients"),
      ...grows("datagramsFromClients", "datagramsToClients", "flowsOpened"),
      ...gauges("flowsOpen"),
      ...grows("tunnelsOpened"),
      ...gauges("tunnelsOpen"),
    ],
  },
  [RowKind.drop]: { labels: ["listener", "reason"], fields: grows("count") },
  [RowKind.limit]: { labels: ["listener", "code"], fields: grows("count") },
  [RowKind.target]: {
    labels: ["pool", "target"],
    fields: [
      ...grows("connectionsOpened"),
      ...gauges("connectionsIdle", "active"),
      ...grows("exchanges", "failures", "retries", "bytesToTarget", "bytesFromTarget"),
      ...grows("datagramsToTarget", "datagramsFromTarget", ...statusClasses, ...durations),
    ],
  },
  [RowKind.exchangeRoute]: { labels: ["listener", "route"], fields: routeFields },
  [RowKind.tunnelRoute]: { labels: ["listener", "route"], fields: routeFields },
  [RowKind.flowRoute]: { labels: ["listener", "route"], fields: routeFields },
  [RowKind.exchanges]: { labels: ["listener", "route", "pool", "target"], fields: endFields },
  [RowKind.tunnels]: { labels: ["listener", "route", "pool", "target"], fields: endFields },
  [RowKind.flows]: { labels: ["listener", "route", "pool", "target"], fields: endFields },
};

export const everyRowKind: readonly RowKind[] = Object.values(RowKind);

export function isRowKind(kind: number): kind is RowKind {
  return Number.isInteger(kind) && kind >= RowKind.worker && kind <= RowKind.flows;
}

/** Offset of a figure behind a row's head. Throws at load time, not later, when there is none. */
export function slotOf(kind: RowKind, name: string): number {
  const index = rowKinds[kind].fields.findIndex((field) => field.name === name);
  if (index < 0) throw new Error(`rows of kind ${kind} have no figure ${name}`);
  return index;
}

/** Units of a row with so many bytes of labels. */
export function rowUnits(kind: RowKind, labelBytes: number): number {
  const slots = rowHeadSlots + rowKinds[kind].fields.length + Math.ceil(labelBytes / 8);
  return Math.ceil(slots / unitSlots);
}

/** Label of the rows that count for what found no room; a name of an operator cannot begin like this. */
export const overflowLabel = "(other)";
