// The routes of one listener as they are counted: found by name, so that a route that a reload leaves counts on with what it
// has. The change's way; what a compiled route holds of it is bumped on the request's way.

import { RouteCounters } from "../state/slot-routes.ts";
import type { Counts } from "./counts.ts";

export class RouteBook {
  /** What comes to no route. */
  readonly unrouted: RouteCounters;
  private readonly counts: Counts;
  private readonly protocol: "http" | "tcp" | "udp";
  private readonly listener: string;
  private readonly byName = new Map<string, RouteCounters>();

  constructor(counts: Counts, protocol: "http" | "tcp" | "udp", listener: string) {
    this.counts = counts;
    this.protocol = protocol;
    this.listener = listener;
    this.unrouted = new RouteCounters(counts.rows, protocol, { listener, route: "" });
  }

  of(route: string): RouteCounters {
    const known = this.byName.get(route);
    if (known !== undefined) return known;
    const { listener } = this;
    const counters = new RouteCounters(this.counts.rows, this.protocol, { listener, route });
    this.byName.set(route, counters);
    return counters;
  }

  /** Routes of other names are gone; what is under way on them is still counted. */
  keepOnly(routes: readonly { readonly name: string }[]): void {
    const names = new Set(routes.map(({ name }) => name));
    for (const [name, counters] of this.byName) {
      if (names.has(name)) continue;
      this.byName.delete(name);
      this.counts.leavingRoutes.add(counters);
    }
  }

  /** The listener is gone, and nothing is under way on it. */
  giveBack(): void {
    this.unrouted.giveBack();
    for (const counters of this.byName.values()) counters.giveBack();
    this.byName.clear();
  }
}
