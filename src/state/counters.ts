// What a worker counts: figures in rows of memory that the supervisor reads (slot-rows.ts), each listener, route and target
// with a row of its own. On the request's way: a bump is a load and a store, without a look-up, without atomics and without
// a call. An object counts for somebody until it gives its row back; what is counted with it later counts for nobody.

import type { Milliseconds } from "../core/clock.ts";
import { countDuration } from "./slot-durations.ts";
import { RowKind, slotOf } from "./slot-layout.ts";
import type { EndCounters, RouteCounters } from "./slot-routes.ts";
import type { Seat, SlotRows } from "./slot-rows.ts";

/** The class that a status is counted in: its first digit, 0 for what is none. */
export function statusDigit(status: number): number {
  return status >= 100 && status < 600 ? Math.floor(status / 100) : 0;
}

const L = {
  connectionsAccepted: slotOf(RowKind.listener, "connectionsAccepted"),
  connectionsOpen: slotOf(RowKind.listener, "connectionsOpen"),
  exchanges: slotOf(RowKind.listener, "exchanges"),
  bytesFromClients: slotOf(RowKind.listener, "bytesFromClients"),
  bytesToClients: slotOf(RowKind.listener, "bytesToClients"),
  datagramsFromClients: slotOf(RowKind.listener, "datagramsFromClients"),
  datagramsToClients: slotOf(RowKind.listener, "datagramsToClients"),
  flowsOpened: slotOf(RowKind.listener, "flowsOpened"),
  flowsOpen: slotOf(RowKind.listener, "flowsOpen"),
  tunnelsOpened: slotOf(RowKind.listener, "tunnelsOpened"),
  tunnelsOpen: slotOf(RowKind.listener, "tunnelsOpen"),
  class0: slotOf(RowKind.listener, "class0"),
} as const;

export class ListenerCounters implements Seat {
  slots: Float64Array;
  base: number;
  readonly #rows: SlotRows;
  readonly #name: string;
  readonly #drops = new Map<string, Seat>();
  readonly #limits = new Map<string, Seat>();

  constructor(rows: SlotRows, name: string) {
    const { slots, base } = rows.claim(RowKind.listener, [name]);
    this.slots = slots;
    this.base = base;
    this.#rows = rows;
    this.#name = name;
  }

  get connectionsAccepted(): number {
    return this.slots[this.base + L.connectionsAccepted]!;
  }
  set connectionsAccepted(count: number) {
    this.slots[this.base + L.connectionsAccepted] = count;
  }

  get connectionsOpen(): number {
    return this.slots[this.base + L.connectionsOpen]!;
  }
  set connectionsOpen(count: number) {
    this.slots[this.base + L.connectionsOpen] = count;
  }

  get exchanges(): number {
    return this.slots[this.base + L.exchanges]!;
  }
  set exchanges(count: number) {
    this.slots[this.base + L.exchanges] = count;
  }

  get bytesFromClients(): number {
    return this.slots[this.base + L.bytesFromClients]!;
  }
  set bytesFromClients(count: number) {
    this.slots[this.base + L.bytesFromClients] = count;
  }

  get bytesToClients(): number {
    return this.slots[this.base + L.bytesToClients]!;
  }
  set bytesToClients(count: number) {
    this.slots[this.base + L.bytesToClients] = count;
  }

  get datagramsFromClients(): number {
    return this.slots[this.base + L.datagramsFromClients]!;
  }
  set datagramsFromClients(count: number) {
    this.slots[this.base + L.datagramsFromClients] = count;
  }

  get datagramsToClients(): number {
    return this.slots[this.base + L.datagramsToClients]!;
  }
  set datagramsToClients(count: number) {
    this.slots[this.base + L.datagramsToClients] = count;
  }

  get flowsOpened(): number {
    return this.slots[this.base + L.flowsOpened]!;
  }
  set flowsOpened(count: number) {
    this.slots[this.base + L.flowsOpened] = count;
  }

  get flowsOpen(): number {
    return this.slots[this.base + L.flowsOpen]!;
  }
  set flowsOpen(count: number) {
    this.slots[this.base + L.flowsOpen] = count;
  }

  get tunnelsOpened(): number {
    return this.slots[this.base + L.tunnelsOpened]!;
  }
  set tunnelsOpened(count: number) {
    this.slots[this.base + L.tunnelsOpened] = count;
  }

  get tunnelsOpen(): number {
    return this.slots[this.base + L.tunnelsOpen]!;
  }
  set tunnelsOpen(count: number) {
    this.slots[this.base + L.tunnelsOpen] = count;
  }

  /** Responses by first digit, 1 to 5; 0 counts exchanges that ended without a status (client gone). */
  countClass(digit: number): void {
    const at = this.base + L.class0 + digit;
    this.slots[at] = this.slots[at]! + 1;
  }

  /** Datagrams that went nowhere. */
  countDrop(reason: string, count: number): void {
    this.#add(RowKind.drop, this.#drops, reason, count);
  }

  /** A named limit bit: code of the limit. */
  countLimit(code: string): void {
    this.#add(RowKind.limit, this.#limits, code, 1);
  }

  #add(kind: RowKind, seats: Map<string, Seat>, code: string, count: number): void {
    let seat = seats.get(code);
    if (seat === undefined) {
      seat = this.#rows.claim(kind, [this.#name, code]);
      seats.set(code, seat);
    }
    seat.slots[seat.base] = seat.slots[seat.base]! + count;
  }

  giveBack(): void {
    for (const seat of [...this.#drops.values(), ...this.#limits.values(), this]) this.#rows.giveBack(seat);
  }

  totals(): ListenerTotals {
    return {
      connectionsAccepted: this.connectionsAccepted,
      connectionsOpen: this.connectionsOpen,
      exchanges: this.exchanges,
      statusClasses: classesOf(this.slots, this.base + L.class0),
      bytesFromClients: this.bytesFromClients,
      bytesToClients: this.bytesToClients,
      datagramsFromClients: this.datagramsFromClients,
      datagramsToClients: this.datagramsToClients,
      flowsOpened: this.flowsOpened,
      flowsOpen: this.flowsOpen,
      tunnelsOpened: this.tunnelsOpened,
      tunnelsOpen: this.tunnelsOpen,
      drops: codesOf(this.#drops),
      limits: codesOf(this.#limits),
    };
  }
}

const T = {
  connectionsOpened: slotOf(RowKind.target, "connectionsOpened"),
  connectionsIdle: slotOf(RowKind.target, "connectionsIdle"),
  active: slotOf(RowKind.target, "active"),
  exchanges: slotOf(RowKind.target, "exchanges"),
  failures: slotOf(RowKind.target, "failures"),
  retries: slotOf(RowKind.target, "retries"),
  bytesToTarget: slotOf(RowKind.target, "bytesToTarget"),
  bytesFromTarget: slotOf(RowKind.target, "bytesFromTarget"),
  datagramsToTarget: slotOf(RowKind.target, "datagramsToTarget"),
  datagramsFromTarget: slotOf(RowKind.target, "datagramsFromTarget"),
  class0: slotOf(RowKind.target, "class0"),
  durations: slotOf(RowKind.target, "duration0"),
} as const;

export class TargetCounters implements Seat {
  slots: Float64Array;
  base: number;
  /** The route that led here last, and what ended on it here. */
  lastRoute: RouteCounters | undefined = undefined;
  lastEnds: EndCounters | undefined = undefined;
  readonly pool: string;
  readonly address: string;
  /** Those that have ever led here. */
  readonly routes = new Set<RouteCounters>();
  /** It has a row of its own; only then can be said how much there is now. */
  readonly own: boolean;
  readonly #rows: SlotRows;

  constructor(rows: SlotRows, pool: string, address: string) {
    const seat = rows.claim(RowKind.target, [pool, address]);
    this.slots = seat.slots;
    this.base = seat.base;
    this.own = !rows.isOverflow(seat);
    this.pool = pool;
    this.address = address;
    this.#rows = rows;
  }

  get connectionsOpened(): number {
    return this.slots[this.base + T.connectionsOpened]!;
  }
  set connectionsOpened(count: number) {
    this.slots[this.base + T.connectionsOpened] = count;
  }

  get connectionsIdle(): number {
    return this.slots[this.base + T.connectionsIdle]!;
  }
  set connectionsIdle(count: number) {
    this.slots[this.base + T.connectionsIdle] = count;
  }

  get active(): number {
    return this.slots[this.base + T.active]!;
  }
  set active(count: number) {
    this.slots[this.base + T.active] = count;
  }

  get exchanges(): number {
    return this.slots[this.base + T.exchanges]!;
  }
  set exchanges(count: number) {
    this.slots[this.base + T.exchanges] = count;
  }

  get failures(): number {
    return this.slots[this.base + T.failures]!;
  }
  set failures(count: number) {
    this.slots[this.base + T.failures] = count;
  }

  get retries(): number {
    return this.slots[this.base + T.retries]!;
  }
  set retries(count: number) {
    this.slots[this.base + T.retries] = count;
  }

  get bytesToTarget(): number {
    return this.slots[this.base + T.bytesToTarget]!;
  }
  set bytesToTarget(count: number) {
    this.slots[this.base + T.bytesToTarget] = count;
  }

  get bytesFromTarget(): number {
    return this.slots[this.base + T.bytesFromTarget]!;
  }
  set bytesFromTarget(count: number) {
    this.slots[this.base + T.bytesFromTarget] = count;
  }

  get datagramsToTarget(): number {
    return this.slots[this.base + T.datagramsToTarget]!;
  }
  set datagramsToTarget(count: number) {
    this.slots[this.base + T.datagramsToTarget] = count;
  }

  get datagramsFromTarget(): number {
    return this.slots[this.base + T.datagramsFromTarget]!;
  }
  set datagramsFromTarget(count: number) {
    this.slots[this.base + T.datagramsFromTarget] = count;
  }

  /** It answered a try, so long after it was begun: with the head of a final response, a connection, its first datagram. */
  countAnswer(ms: Milliseconds): void {
    countDuration(this.slots, this.base + T.durations, ms);
  }

  /** First digit of the status of a final response, also of one that is tried again elsewhere. */
  countClass(digit: number): void {
    const at = this.base + T.class0 + digit;
    this.slots[at] = this.slots[at]! + 1;
  }

  giveBack(): void {
    for (const route of this.routes) route.forget(this);
    this.routes.clear();
    this.lastRoute = undefined;
    this.lastEnds = undefined;
    this.#rows.giveBack(this);
  }

  totals(): TargetTotals {
    return {
      connectionsOpened: this.connectionsOpened,
      connectionsIdle: this.connectionsIdle,
      exchanges: this.exchanges,
      failures: this.failures,
      retries: this.retries,
      bytesToTarget: this.bytesToTarget,
      bytesFromTarget: this.bytesFromTarget,
      datagramsToTarget: this.datagramsToTarget,
      datagramsFromTarget: this.datagramsFromTarget,
    };
  }
}

/** The figures of a listener as plain data: for messages, sums and answers. */
export type ListenerTotals = {
  connectionsAccepted: number;
  /** Gauge. */
  connectionsOpen: number;
  exchanges: number;
  /** Responses by first digit: index 1 to 5; index 0 counts exchanges that ended without a status (client gone). */
  readonly statusClasses: number[];
  bytesFromClients: number;
  bytesToClients: number;
  /** Of UDP listeners. */
  datagramsFromClients: number;
  datagramsToClients: number;
  flowsOpened: number;
  /** Gauge. */
  flowsOpen: number;
  /** TCP clients that were connected to a target, and HTTP exchanges that became one. */
  tunnelsOpened: number;
  /** Gauge. */
  tunnelsOpen: number;
  /** Datagrams that went nowhere, by reason. */
  readonly drops: Record<string, number>;
  /** A named limit bit: code of the limit to count. */
  readonly limits: Record<string, number>;
};

/** The same of a target. */
export type TargetTotals = {
  connectionsOpened: number;
  /** Gauge: connections waiting in the idle pool. */
  connectionsIdle: number;
  /** Tries of HTTP exchanges and of TCP clients, and flows, that it was given. */
  exchanges: number;
  failures: number;
  retries: number;
  bytesToTarget: number;
  bytesFromTarget: number;
  datagramsToTarget: number;
  datagramsFromTarget: number;
};

export function listenerTotals(): ListenerTotals {
  return {
    connectionsAccepted: 0,
    connectionsOpen: 0,
    exchanges: 0,
    statusClasses: [0, 0, 0, 0, 0, 0],
    bytesFromClients: 0,
    bytesToClients: 0,
    datagramsFromClients: 0,
    datagramsToClients: 0,
    flowsOpened: 0,
    flowsOpen: 0,
    tunnelsOpened: 0,
    tunnelsOpen: 0,
    drops: {},
    limits: {},
  };
}

export function targetTotals(): TargetTotals {
  return {
    connectionsOpened: 0,
    connectionsIdle: 0,
    exchanges: 0,
    failures: 0,
    retries: 0,
    bytesToTarget: 0,
    bytesFromTarget: 0,
    datagramsToTarget: 0,
    datagramsFromTarget: 0,
  };
}

function classesOf(slots: Float64Array, at: number): number[] {
  return Array.from(slots.subarray(at, at + 6));
}

function codesOf(seats: ReadonlyMap<string, Seat>): Record<string, number> {
  return Object.fromEntries([...seats].map(([code, { slots, base }]) => [code, slots[base]!]));
}
