// Takes the tracked connections of targets that are lost out of the kernel's memory: without it a UDP client that keeps
// sending stays with a dead target for ever, and a TCP client until its own timeout. The change's way, behind every change of
// a map (the other way round, a packet in between would lead to the same target again). All that are lost within one turn
// of the event loop are looked for together: a look goes through all tracked connections, 11 ms when there are none.

import type { Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { ConnectionFilter, Netfilter } from "../../io/netfilter.ts";
import type { LostTarget } from "./change.ts";
import type { Carried, CarriedTarget } from "./plan.ts";

/** A connection whose first packet was under way during the change is met by the second look. */
export const secondLookAfter: Milliseconds = 1_000;
const namesLoggedMax = 20;

type Burial = {
  readonly filter: ConnectionFilter;
  readonly what: string;
  /** Asked before each look: a target may have come back. */
  readonly still: () => boolean;
};

export type BurialsOptions = {
  readonly log: Log;
  readonly netfilter: () => Netfilter | undefined;
  readonly localAddresses: (family: 4 | 6) => readonly string[];
};

export class Burials {
  readonly #options: BurialsOptions;
  readonly #waiting: Burial[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: BurialsOptions) {
    this.#options = options;
  }

  /** Connections of a listener to a target that is dead, as long as `still` says so. */
  buryTarget({ carried, target }: LostTarget, still: () => boolean): void {
    this.#twice({ filter: filterOf(carried, target), what: `${carried.listener} to ${target.address}`, still });
  }

  /**
   * Flows that began while nobody took the listener's datagrams: the kernel remembers them as its own, and would never lead
   * them to a target. TCP clients begin anew by themselves.
   */
  buryUnserved(carried: Carried): void {
    if (carried.protocol !== "udp") return;
    const { bind, wildcard, family } = carried;
    const hosts = wildcard ? this.#options.localAddresses(family) : [bind.host];
    for (const host of hosts) {
      const filter: ConnectionFilter = { protocol: "udp", target: { host, port: bind.port }, direct: true };
      this.#twice({ filter, what: `${carried.listener} to nobody`, still: () => true });
    }
  }

  stop(): void {
    this.#waiting.length = 0;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #twice(burial: Burial): void {
    this.#waiting.push(burial);
    if (this.#waiting.length === 1) setImmediate(() => this.#look());
  }

  #look(): void {
    const burials = this.#waiting.splice(0);
    if (burials.length === 0) return;
    this.#bury(burials);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#bury(burials);
    }, secondLookAfter);
    timer.unref();
    this.#timers.add(timer);
  }

  #bury(burials: readonly Burial[]): void {
    const due = burials.filter(({ still }) => still());
    const netfilter = this.#options.netfilter();
    const [first] = due;
    if (netfilter === undefined || first === undefined) return;
    // For one the kernel looks itself, two times; what is looked for here is taken apart one by one, but for all at once.
    const filters = due.map(({ filter }) => filter);
    const deleted = filters.length === 1 ? netfilter.deleteConnections(first.filter) : netfilter.deleteEach(filters);
    const { log } = this.#options;
    const what = due.slice(0, namesLoggedMax).map((burial) => burial.what);
    if (!deleted.ok) log.error("connections of lost targets stay", { what, detail: deleted.failure.detail });
    else if (deleted.value > 0) log.info("connections of lost targets ended", { what, connections: deleted.value });
  }
}

/** A listener's connections to a target. */
export function filterOf({ protocol, bind, wildcard }: Carried, { host, port }: CarriedTarget): ConnectionFilter {
  const called = wildcard ? { port: bind.port } : { host: bind.host, port: bind.port };
  return { protocol, target: { host, port }, called };
}
