// What the supervisor's probes say of targets, given to the worker's pools. The change's way's end, as compile.ts: between
// two events. A probe's word and the passive judge's stand side by side: a target takes work when neither speaks against
// it. Why a return by probes ends a passive judge's time out: docs/decisions/0008-health.md.

import type { TargetHealth } from "../state/worker-protocol.ts";
import type { PoolState } from "./pool-state.ts";

type Pools = ReadonlyMap<string, PoolState>;

/** What has changed; the others are as they were. A target or pool that no snapshot names is passed over. */
export function takeHealthChanges(pools: Pools, changes: readonly TargetHealth[]): void {
  for (const { pool: name, target: address, healthy, reason } of changes) {
    const pool = pools.get(name);
    const target = pool?.find(address);
    if (pool === undefined || target === undefined) continue;
    pool.probed(target, healthy ? undefined : (reason ?? reasonUnknown));
  }
}

/** The whole of it for these pools, with a snapshot or their change: a target of theirs that is not named here is not out by probes. */
export function takeWholeHealth(pools: Pools, unhealthy: readonly TargetHealth[]): void {
  const reasons = new Map<string, Map<string, string>>();
  for (const { pool, target, reason } of unhealthy) {
    const ofPool = reasons.get(pool) ?? new Map<string, string>();
    reasons.set(pool, ofPool);
    ofPool.set(target, reason ?? reasonUnknown);
  }
  for (const [name, pool] of pools) {
    const ofPool = reasons.get(name);
    for (const target of pool.targets) pool.probed(target, ofPool?.get(target.address));
  }
}

const reasonUnknown = "target.health.unhealthy";
