// All UDP listeners of one worker: a table of flows each, over the snapshots. Its tables are asked on the request's way;
// it is itself on the change's way, and looks at the clock for them.

import type { Milliseconds } from "../core/clock.ts";
import type { ListenerTotals } from "../state/counters.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Context } from "./context.ts";
import type { ClientSocket, ClientSocketOwner } from "./datagram-engine.ts";
import { FlowFaults } from "./flow-faults.ts";
import { flowRecord } from "./flow-record.ts";
import { FlowTable } from "./flow-table.ts";
import { heldMemory } from "./held-datagram.ts";
import type { PoolState } from "./pool-state.ts";

export class FlowTables {
  private readonly context: Context;
  private readonly shared = { memory: heldMemory(), record: flowRecord() };
  private readonly tables = new Map<string, FlowTable>();

  constructor(context: Context) {
    this.context = context;
  }

  /** Takes the listeners of the snapshot, with the pools compiled of it. One that is gone ends with its flows. */
  apply(snapshot: Snapshot, pools: ReadonlyMap<string, PoolState>): void {
    const gone = new Map(this.tables);
    for (const config of snapshot.listeners) {
      if (config.protocol !== "udp") continue;
      const table = this.tables.get(config.name) ?? new FlowTable(this.context, this.shared, config);
      table.configure(config, pools.get(config.pool), snapshot.workerCount);
      this.tables.set(config.name, table);
      gone.delete(config.name);
    }
    for (const [name, table] of gone) {
      table.endAll(FlowFaults.removed);
      table.giveBackCounters();
      this.tables.delete(name);
    }
  }

  /** The owner for each socket of that listener; undefined when no snapshot names it. */
  acceptor(name: string): ((client: ClientSocket) => ClientSocketOwner) | undefined {
    const table = this.tables.get(name);
    return table === undefined ? undefined : (client) => table.owner(client);
  }

  sweep(nowMs: Milliseconds): void {
    for (const table of this.tables.values()) table.sweep(nowMs);
  }

  /** For a drain: ends the flows that nothing has come through since. True when none is left. */
  drain(silentSinceMs: Milliseconds): boolean {
    let left = 0;
    for (const table of this.tables.values()) {
      table.endSilentSince(silentSinceMs);
      left += table.size;
    }
    return left === 0;
  }

  endAll(): void {
    for (const table of this.tables.values()) table.endAll(FlowFaults.drained);
  }

  counters(): readonly { readonly name: string; readonly counters: ListenerTotals }[] {
    return Array.from(this.tables.values(), ({ name, counters }) => ({ name, counters: counters.totals() }));
  }
}
