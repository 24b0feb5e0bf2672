// The memory that workers count in, one piece a worker, in the hands of the supervisor: made before the worker, handed over as
// a descriptor, read here while it runs and once more when it has ended, then given to its successor. A worker that is killed
// loses no count. Where memory cannot be shared its figures come with its status answers instead. The change's way.

import type { Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { createSharedMemory } from "../../io/shared-memory.ts";
import { overflowLabel, privateRegionBytesMax, RowKind, regionBytesMax } from "../../state/slot-layout.ts";
import { formatRegion } from "../../state/slot-rows.ts";
import type { Snapshot } from "../../state/snapshot.ts";
import type { WorkerStatus } from "../../state/worker-protocol.ts";
import { targetKey } from "../kernel/kernel-status.ts";
import { Ledger, LedgerRegion, type Series } from "./ledger.ts";

/** Rows that workers have given back are freed so often, and lines of what is gone are forgotten. */
export const reclaimInterval: Milliseconds = 5_000;

export type CounterRegionsOptions = {
  readonly log: Log;
  /** What the workers serve now: whatever it does not name is forgotten once no worker counts for it. */
  readonly snapshot: () => Snapshot;
  /** For tests. */
  readonly createMemory?: typeof createSharedMemory;
};

type Region = {
  readonly ledger: LedgerRegion;
  readonly memory: ArrayBuffer;
  /** undefined: it is a copy of the worker's own memory. */
  readonly fd: number | undefined;
  running: boolean;
};

export class CounterRegions {
  readonly #options: CounterRegionsOptions;
  readonly #ledger = new Ledger();
  /** By worker slot; they are used again for the next worker of the slot, and never unmapped. */
  readonly #regions = new Map<number, Region>();
  #cannotShare = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CounterRegionsOptions) {
    this.#options = options;
  }

  /** A worker is about to start in this slot: the descriptor of its memory, undefined when it has to use its own. */
  begin(slot: number): number | undefined {
    this.#timer ??= setInterval(() => this.reclaim(), reclaimInterval).unref();
    const region = this.#regions.get(slot) ?? this.#create(slot);
    this.#regions.set(slot, region);
    region.running = true;
    this.#ledger.add(region.ledger);
    return region.fd;
  }

  /** The worker of this slot has ended, and nobody writes to its memory any more. */
  ended(slot: number): void {
    const region = this.#regions.get(slot);
    if (region?.running !== true) return;
    region.running = false;
    this.#ledger.end(region.ledger);
    region.ledger.reader.clear();
  }

  /** What a worker answered may hold the rows that it could not share. */
  answered(slot: number, { rows }: WorkerStatus): void {
    const region = this.#regions.get(slot);
    if (rows === undefined || region?.running !== true) return;
    const bytes = Buffer.from(rows, "base64");
    if (bytes.length > region.memory.byteLength) {
      this.#ledger.damaged += 1;
      return;
    }
    new Uint8Array(region.memory).set(bytes);
    this.#ledger.reclaim();
  }

  /** Some worker shares no memory: its figures are as old as its last status answer. */
  get stale(): boolean {
    for (const { running, fd, ledger } of this.#regions.values()) {
      if (running && (fd === undefined || ledger.reader.empty)) return true;
    }
    return false;
  }

  /** All that was counted since the program began, up to now. */
  sums(): Iterable<Series> {
    const sums = this.#ledger.sum();
    this.#forget();
    return sums;
  }

  get health(): { readonly shared: boolean; readonly damaged: number; readonly refused: number } {
    const { damaged, refused } = this.#ledger;
    return { shared: !this.stale, damaged, refused };
  }

  reclaim(): void {
    this.#ledger.reclaim();
    this.#forget();
  }

  #create(slot: number): Region {
    const { log, createMemory = createSharedMemory } = this.#options;
    const made = this.#cannotShare ? undefined : createMemory("evenkeel-counters", regionBytesMax);
    if (made?.ok === true) {
      const { memory, fd } = made.value;
      formatRegion(memory);
      return { ledger: new LedgerRegion(memory, slot), memory, fd, running: false };
    }
    if (made !== undefined) {
      this.#cannotShare = true;
      const { code, detail } = made.failure;
      log.warn("counters are not shared with workers: those of a worker that dies are lost", { code, detail });
    }
    const memory = new ArrayBuffer(privateRegionBytesMax);
    formatRegion(memory);
    return { ledger: new LedgerRegion(memory, slot), memory, fd: undefined, running: false };
  }

  #forget(): void {
    if (!this.#ledger.idle) return;
    const isWanted = wantedBy(this.#options.snapshot());
    this.#ledger.forget(isWanted);
  }
}

/** Whether a snapshot names all that a line is about. */
export function wantedBy({
  listeners,
  pools,
  workerCount,
}: Snapshot): (series: Pick<Series, "kind" | "labels">) => boolean {
  const routes = new Set<string>();
  const listenerNames = new Set<string>();
  for (const listener of listeners) {
    listenerNames.add(listener.name);
    routes.add(routeKey(listener.name, ""));
    if (listener.protocol === "udp") continue;
    for (const { name } of listener.routes) routes.add(routeKey(listener.name, name));
  }
  const poolNames = new Set(pools.map(({ name }) => name));
  const targets = new Set(pools.flatMap((pool) => pool.targets.map(({ address }) => targetKey(pool.name, address))));
  return ({ kind, labels: [first = "", second = "", pool = "", target = ""] }) => {
    if (first === overflowLabel) return true;
    switch (kind) {
      case RowKind.worker:
        return Number(first) < workerCount;
      case RowKind.listener:
      case RowKind.drop:
      case RowKind.limit:
        return listenerNames.has(first);
      case RowKind.target:
        return targets.has(targetKey(first, second));
      case RowKind.exchangeRoute:
      case RowKind.tunnelRoute:
      case RowKind.flowRoute:
        return routes.has(routeKey(first, second));
      case RowKind.exchanges:
      case RowKind.tunnels:
      case RowKind.flows:
        if (!routes.has(routeKey(first, second))) return false;
        return target === "" ? pool === "" || poolNames.has(pool) : targets.has(targetKey(pool, target));
      default:
        return kind satisfies never;
    }
  };
}

function routeKey(listener: string, route: string): string {
  return `${listener} ${route}`;
}
