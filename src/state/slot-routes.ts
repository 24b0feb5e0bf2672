// What a worker counts of a route: what is under way on it, how long it took, and which status it ended with at which target.
// On the request's way, once at the begin and once at the end of each exchange, connection or flow. Rows of a route with a
// target are claimed when the first one ends there: most of the pairs that a configuration could name never meet.

import type { Milliseconds } from "../core/clock.ts";
import type { TargetCounters } from "./counters.ts";
import { countDuration } from "./slot-durations.ts";
import { RowKind, slotOf } from "./slot-layout.ts";
import type { Seat, SlotRows } from "./slot-rows.ts";

/** What ended on one route at one target, or at none, by the class of its status. */
export class EndCounters implements Seat {
  slots: Float64Array;
  base: number;

  constructor({ slots, base }: Seat) {
    this.slots = slots;
    this.base = base;
  }

  count(digit: number): void {
    const at = this.base + digit;
    this.slots[at] = this.slots[at]! + 1;
  }
}

const routeKinds = {
  http: { route: RowKind.exchangeRoute, ends: RowKind.exchanges },
  tcp: { route: RowKind.tunnelRoute, ends: RowKind.tunnels },
  udp: { route: RowKind.flowRoute, ends: RowKind.flows },
} as const;
const R = {
  active: slotOf(RowKind.exchangeRoute, "active"),
  durations: slotOf(RowKind.exchangeRoute, "duration0"),
} as const;

/** A route, or the lack of one, of a listener: what is under way on it, how long it took, and where it ended how. */
export class RouteCounters implements Seat {
  slots: Float64Array;
  base: number;
  /** Exchanges, connections or flows under way. */
  active = 0;
  readonly #rows: SlotRows;
  readonly #protocol: "http" | "tcp" | "udp";
  readonly #names: { readonly listener: string; readonly route: string };
  readonly #ends = new Map<TargetCounters, EndCounters>();
  /** What no target was found for, by pool. */
  readonly #unserved = new Map<string, EndCounters>();

  constructor(
    rows: SlotRows,
    protocol: "http" | "tcp" | "udp",
    names: { readonly listener: string; readonly route: string },
  ) {
    const { slots, base } = rows.claim(routeKinds[protocol].route, [names.listener, names.route]);
    this.slots = slots;
    this.base = base;
    this.#rows = rows;
    this.#protocol = protocol;
    this.#names = names;
  }

  begin(): void {
    this.active += 1;
    this.slots[this.base + R.active] = this.active;
  }

  /** One of those that began is over, or goes on elsewhere, and is not counted here. */
  leave(): void {
    this.active -= 1;
    this.slots[this.base + R.active] = this.active;
  }

  /** One of those that began is over: after so long, with a status of that first digit, at this target or at none. */
  end(target: TargetCounters | undefined, pool: string, digit: number, ms: Milliseconds): void {
    this.leave();
    countDuration(this.slots, this.base + R.durations, ms);
    if (target === undefined) this.#unservedOf(pool).count(digit);
    else if (target.lastRoute === this) target.lastEnds!.count(digit);
    else this.#endsOf(target).count(digit);
  }

  #endsOf(target: TargetCounters): EndCounters {
    let ends = this.#ends.get(target);
    if (ends === undefined) {
      ends = this.#claim(target.pool, target.address);
      this.#ends.set(target, ends);
      target.routes.add(this);
    }
    target.lastRoute = this;
    target.lastEnds = ends;
    return ends;
  }

  #unservedOf(pool: string): EndCounters {
    let ends = this.#unserved.get(pool);
    if (ends === undefined) {
      ends = this.#claim(pool, "");
      this.#unserved.set(pool, ends);
    }
    return ends;
  }

  #claim(pool: string, address: string): EndCounters {
    const { listener, route } = this.#names;
    return new EndCounters(this.#rows.claim(routeKinds[this.#protocol].ends, [listener, route, pool, address]));
  }

  /** The target is gone. */
  forget(target: TargetCounters): void {
    const ends = this.#ends.get(target);
    this.#ends.delete(target);
    if (ends !== undefined) this.#rows.giveBack(ends);
  }

  /** It is gone itself, and nothing is under way on it. */
  giveBack(): void {
    for (const [target, ends] of this.#ends) {
      this.#rows.giveBack(ends);
      target.routes.delete(this);
      if (target.lastRoute === this) target.lastRoute = undefined;
    }
    this.#ends.clear();
    for (const ends of this.#unserved.values()) this.#rows.giveBack(ends);
    this.#unserved.clear();
    this.#rows.giveBack(this);
  }
}
