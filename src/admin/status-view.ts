// The node's status as the admin API shows it: what the supervisor sums, and beside it whose word each target is and how the
// sources stand. Pure but for the question; the change's way. The shape only grows.

import { fieldNameOf, type TargetFieldName } from "../config/target-fields.ts";
import type { NodeStatus, TargetSummary } from "../control/node-status.ts";
import type { PoolSourceStatus } from "../control/targets/source-watches.ts";
import type { DesiredTarget, Owner } from "../state/desired.ts";
import type { ControlledTargets } from "./controlled.ts";

/** The last three are absent for a target of which nothing is desired any more. */
export type TargetStatusView = TargetSummary & {
  readonly owner?: Owner;
  readonly patched?: readonly TargetFieldName[];
  readonly leaseHolder?: string | undefined;
};

export type PoolStatusView = Omit<NodeStatus["pools"][number], "targets"> & {
  readonly targets: readonly TargetStatusView[];
};

export type StatusView = Omit<NodeStatus, "pools"> & {
  readonly pools: readonly PoolStatusView[];
  /** One for each pool that has a source. */
  readonly sources: readonly PoolSourceStatus[];
};

export async function viewStatus(controlled: ControlledTargets): Promise<StatusView> {
  const status = await controlled.status();
  const pools = status.pools.map((pool) => {
    const desired = new Map((controlled.desired(pool.name) ?? []).map((one) => [one.target.address, one]));
    return { ...pool, targets: pool.targets.map((target) => withOwner(target, desired.get(target.address))) };
  });
  return { ...status, pools, sources: controlled.sources() };
}

function withOwner(target: TargetSummary, desired: DesiredTarget | undefined): TargetStatusView {
  if (desired === undefined) return target;
  const { owner, patched, lease } = desired;
  return { ...target, owner, patched: patched.map(fieldNameOf), leaseHolder: lease?.holder };
}
