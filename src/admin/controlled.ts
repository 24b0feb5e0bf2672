// What the admin API needs of the supervisor, and nothing more: the seam behind which its tests put a stand-in. Types only;
// the change's way. The API decides nothing itself.

import type { ClientExplanation } from "../control/client-explanation.ts";
import type { EventLog } from "../control/event-log.ts";
import type { HaStatus } from "../control/ha/high-availability.ts";
import type { NodeMetrics } from "../control/metrics/metrics.ts";
import type { NodeStatus } from "../control/node-status.ts";
import type { KeptRelease, ReleaseOrder } from "../control/release/release-book.ts";
import type { ReloadOutcome } from "../control/supervisor.ts";
import type { PoolSourceStatus } from "../control/targets/source-watches.ts";
import type { TargetExplanation } from "../control/targets/target-explanation.ts";
import type { Result } from "../core/failure.ts";
import type { Config } from "../model/config.ts";
import type { DesiredTarget, TargetOrder } from "../state/desired.ts";
import type { VrrpOrder } from "../state/vrrp-protocol.ts";

/** What it needs to show and order virtual routers. */
export type ControlledVips = {
  /** undefined without virtual routers. */
  vips(): Promise<HaStatus | undefined>;
  /** Codes: vip.unknown, vip.unavailable, vip.draining, vrrp.denied.*. */
  orderVip(name: string, order: VrrpOrder): Promise<Result<true>>;
};

/** What it needs of the pools' targets. */
export type ControlledTargets = {
  readonly config: Config;
  /** undefined when there is no such pool. */
  desired(pool: string): readonly DesiredTarget[] | undefined;
  /** undefined when there is no such target. */
  explainTarget(pool: string, address: string): TargetExplanation | undefined;
  sources(): readonly PoolSourceStatus[];
  status(): Promise<NodeStatus>;
  /** Resolves when what is desired of a pool now is in force in every worker and the kernel (`settled`), or after 30 s. */
  settled(pool: string): Promise<{ readonly generation: number; readonly settled: boolean }>;
  /**
   * Resolves when the order is kept on disk and in force in every worker (`settled`), or after 30 s. Codes: pool.unknown,
   * target.unknown, target.address, target.owned, target.lease.held, target.limit, target.precondition, state.unwritable,
   * node.starting, node.draining.
   */
  orderTarget(what: TargetOrdered): Promise<Result<TargetOutcome>>;
};

/** What it needs of the releases that are kept here. */
export type ControlledReleases = {
  releases(): readonly KeptRelease[];
  /** Codes: release.held, release.lost, release.record, state.unwritable, node.starting. */
  orderRelease(pool: string, order: ReleaseOrder, by: string): Promise<Result<KeptRelease>>;
};

export type TargetOrdered = {
  readonly pool: string;
  readonly address: string;
  readonly order: TargetOrder;
  /** `unix:root`, `token:deploy`. */
  readonly by: string;
  /** Asked at the order's turn, when no other order can come between; false: target.precondition. */
  readonly isExpected: (now: DesiredTarget | undefined) => boolean;
};

export type TargetOutcome = {
  readonly before: DesiredTarget | undefined;
  readonly after: DesiredTarget | undefined;
  readonly generation: number;
  readonly settled: boolean;
};

export type Controlled = ControlledVips &
  ControlledTargets &
  ControlledReleases & {
    readonly generation: number;
    readonly state: NodeStatus["state"];
    readonly events: EventLog;
    reload(): Promise<ReloadOutcome>;
    metrics(): Promise<NodeMetrics>;
    /** undefined when there is no such listener. */
    explainClient(listener: string, address: string): Result<ClientExplanation> | undefined;
  };
