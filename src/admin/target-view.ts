// One target and one pool as the admin API shows them: what is desired and whose word it is, in the configuration's words and
// as a PUT would take it, and what is observed. Pure; the change's way. The shapes only grow. What can be written is written
// as in the configuration (`10s`); what is measured is a number with its unit in its name (`leftMs`).

import { encodeTarget, fieldNameOf, type TargetFieldName } from "../config/target-fields.ts";
import type { NodeStatus } from "../control/node-status.ts";
import type { PoolSourceStatus } from "../control/targets/source-watches.ts";
import type { TargetExplanation } from "../control/targets/target-explanation.ts";
import { formatDuration } from "../core/units.ts";
import type { Pool } from "../model/pool.ts";
import type { DesiredTarget, Owner } from "../state/desired.ts";
import type { ControlledTargets } from "./controlled.ts";

/** Work under way on this node. */
export type TargetWork = {
  readonly exchanges: number;
  readonly tunnels: number;
  readonly flows: number;
  /** Workers that did not say in time what they have: their work is not counted above. */
  readonly silentWorkers: number;
};

/** What is observed is absent for a moment while a target is new. */
export type TargetView = Partial<TargetExplanation> & {
  readonly pool: string;
  readonly address: string;
  readonly owner: Owner;
  /** Fields that the API changed of what the owner says. */
  readonly patched: readonly TargetFieldName[];
  readonly lease: { readonly holder: string; readonly ttl: string; readonly leftMs: number } | undefined;
  readonly desired: Readonly<Record<TargetFieldName, unknown>>;
  readonly work?: TargetWork;
};

export type PoolView = {
  readonly name: string;
  readonly balance: Pool["balance"];
  readonly slowStart: string;
  readonly healthCheck: string | undefined;
  /** Where targets come from besides the file and the API. */
  readonly source: PoolSourceStatus | undefined;
  readonly targets: readonly TargetView[];
};

export function viewTarget(controlled: ControlledTargets, pool: string, desired: DesiredTarget): TargetView {
  const { target, owner, patched, lease } = desired;
  return {
    ...controlled.explainTarget(pool, target.address),
    pool,
    address: target.address,
    owner,
    patched: patched.map(fieldNameOf),
    lease: lease && { holder: lease.holder, ttl: formatDuration(lease.ttlMs), leftMs: Math.round(lease.leftMs) },
    desired: encodeTarget(target),
  };
}

export function viewPool(controlled: ControlledTargets, pool: Pool): PoolView {
  return {
    name: pool.name,
    balance: pool.balance,
    slowStart: formatDuration(pool.slowStart),
    healthCheck: pool.healthCheck?.probe.kind,
    source: controlled.sources().find((source) => source.pool === pool.name),
    targets: (controlled.desired(pool.name) ?? []).map((desired) => viewTarget(controlled, pool.name, desired)),
  };
}

/** undefined when the status does not know the target. */
export function workOf(status: NodeStatus, pool: string, address: string): TargetWork | undefined {
  const targets = status.pools.find(({ name }) => name === pool)?.targets;
  const target = targets?.find((one) => one.address === address);
  if (target === undefined) return undefined;
  const { active, activeTunnels: tunnels, activeFlows: flows } = target;
  // One that starts has no work yet, one without a process none any more.
  const silent = status.workers.filter(
    ({ answered, pid, state }) => !answered && pid !== undefined && state !== "starting",
  );
  return { exchanges: Math.max(0, active - tunnels - flows), tunnels, flows, silentWorkers: silent.length };
}
