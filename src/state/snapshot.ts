// The immutable view that the data plane reads: control writes a whole new one, with the next generation, and a worker
// swaps it in between two events. Plain data: it crosses the process border as a message.

import type { AccessLogConfig, Config } from "../model/config.ts";
import type { Listener } from "../model/listener.ts";
import type { Pool } from "../model/pool.ts";
import type { VirtualRouter } from "../model/virtual-router.ts";

export type Snapshot = {
  /** Starts at 1, grows by one with every accepted change. */
  readonly generation: number;
  readonly node: string;
  readonly workerCount: number;
  readonly accessLog: AccessLogConfig | undefined;
  readonly listeners: readonly Listener[];
  readonly pools: readonly Pool[];
  /** For how long a worker must serve whose supervisor is gone: their addresses are given up in order. */
  readonly virtualRouters: readonly VirtualRouter[];
};

/** Cuts from a configuration what workers need, as the generation of that number. Shares the parts, copies nothing. */
export function toSnapshot(config: Config, generation: number): Snapshot {
  return {
    generation,
    node: config.node,
    workerCount: config.workers,
    accessLog: config.accessLog,
    listeners: config.listeners,
    pools: config.pools,
    virtualRouters: config.ha.virtualRouters,
  };
}
