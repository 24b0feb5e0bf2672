// What the supervisor's probes say of targets, given to the worker's pools. The change's way's end, as compile.ts: between
// two events. A probe's word and the passive judge's stand side by side: a target takes work when neither speaks against
// it. Why a return by probes ends a passive judge's time out: docs/decisions/0008-health.md.

import type { TargetHealth } from "../state/worker-protocol.ts";
import type { PoolState, TargetState } from "./pool-state.ts";

type Pools = ReadonlyMap<string, PoolState>;

/** What has changed; the others are as they were. A target or pool that no snapshot names is passed over. */
export function takeHealthChanges(pools: Pools, changes: readonly TargetHealth[]): void {
  const byPool = new Map<string, Map<string, TargetState>>();
  for (const { pool: name, target: address, healthy, reason } of changes) {
    const pool = pools.get(name);
    if (pool === undefined) continue;
    // Many at once are the rule when a rack goes: no search through the pool for each.
    let targets = byPool.get(name);
    if (targets === undefined) {
      targets = new Map(pool.targets.map((target) => [target.address, target]));
      byPool.set(name, targets);
    }
    const target = targets.get(address);
    if (target !== undefined) pool.probed(target, healthy ? undefined : (reason ?? reasonUnknown));
  }
}

/** The whole of it, with a snapshot: every target that is not named here is not out by probes. */
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
