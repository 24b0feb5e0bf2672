// Where a worker counts, and what of it is about to be given back: targets, routes and listeners that no snapshot names any
// more count on until nothing is under way there. The change's way, looked at once a second.

import type { RouteCounters } from "../state/slot-routes.ts";
import type { SlotRows } from "../state/slot-rows.ts";
import { WorkerCounters } from "../state/slot-worker.ts";
import type { TargetState } from "./target-state.ts";

/** A listener of connections. */
type LeavingListener = { readonly connections: number; giveBackCounters(): void };

export class Counts {
  readonly rows: SlotRows;
  readonly worker: WorkerCounters;
  readonly leavingTargets = new Set<TargetState>();
  readonly leavingRoutes = new Set<RouteCounters>();
  readonly leavingListeners = new Set<LeavingListener>();

  constructor(rows: SlotRows) {
    this.rows = rows;
    this.worker = new WorkerCounters(rows);
  }

  /** Gives back what is gone and at rest. */
  sweep(): void {
    for (const target of this.leavingTargets) {
      target.countNow();
      if (target.active > 0 || target.idle.length > 0) continue;
      this.leavingTargets.delete(target);
      target.counters.giveBack();
    }
    for (const route of this.leavingRoutes) {
      if (route.active > 0) continue;
      this.leavingRoutes.delete(route);
      route.giveBack();
    }
    for (const listener of this.leavingListeners) {
      if (listener.connections > 0) continue;
      this.leavingListeners.delete(listener);
      listener.giveBackCounters();
    }
  }
}
