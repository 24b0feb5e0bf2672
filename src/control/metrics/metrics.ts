// The metrics of the node, for whoever asks: joins what is counted, judged and configured at the moment of the question. The
// change's way, in the supervisor. What a question costs is bounded: the kernel's connection table is not walked for each.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Config } from "../../model/config.ts";
import type { HighAvailability } from "../ha/high-availability.ts";
import type { KernelEngine, KernelStatus } from "../kernel/kernel-engine.ts";
import type { NodeStatus } from "../node-status.ts";
import type { HealthChecks } from "../targets/health-checks.ts";
import type { PoolSourceStatus } from "../targets/source-watches.ts";
import type { WorkerFleet } from "../workers/worker-fleet.ts";
import { collectMetrics, type NodeMetrics } from "./collect.ts";
import { ReloadRecorder } from "./reload.ts";
import { type NodeTotals, totalsOf } from "./totals.ts";

export type { NodeMetrics } from "./collect.ts";

export type MetricsOptions = {
  readonly version: string;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => Milliseconds;
  readonly carriers: {
    readonly fleet: Pick<WorkerFleet, "counted" | "state" | "status">;
    readonly health: Pick<HealthChecks, "figures">;
    readonly kernel: Pick<KernelEngine, "status">;
    readonly ha: Pick<HighAvailability, "status">;
  };
};

/** What the supervisor says of itself at the moment of the question. */
export type MetricsNow = {
  readonly config: Config;
  readonly state: NodeStatus["state"];
  readonly generation: number;
  readonly sources: readonly PoolSourceStatus[];
};

/** So old may the kernel's figures be: counting its connections takes 11 to 40 ms (docs/decisions/0007-kernel-engine.md). */
export const kernelFiguresAgeMax: Milliseconds = 10_000;

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #startedAtSeconds: number;
  readonly #reloads: ReloadRecorder;
  #kernel: { readonly atMs: Milliseconds; readonly status: KernelStatus } | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#startedAtSeconds = options.wallClock() / 1000 - process.uptime();
    this.#reloads = new ReloadRecorder(options.wallClock);
  }

  /** A reload that was asked for is over. */
  reloaded(outcome: { readonly ok: boolean }): void {
    this.#reloads.ended(outcome);
  }

  /** Everything, as it is now. */
  async read(now: MetricsNow): Promise<NodeMetrics> {
    const { version, carriers } = this.#options;
    const { fleet, health, ha } = carriers;
    // Workers that share no memory put their figures into their answers.
    const [haStatus] = await Promise.all([ha.status(), fleet.counted.stale ? fleet.status() : undefined]);
    const { user, system } = process.cpuUsage();
    return collectMetrics({
      ...now,
      version,
      startedAtSeconds: this.#startedAtSeconds,
      reload: this.#reloads.record,
      process: { cpuSeconds: (user + system) / 1_000_000, memoryBytes: process.memoryUsage.rss() },
      slots: fleet.state.slots,
      counted: fleet.counted.sums(),
      accounts: fleet.counted.health,
      judged: (pool, address) => health.figures(pool, address),
      kernel: this.#kernelStatus(),
      ha: haStatus,
    });
  }

  /** What was counted of each listener and target, for the node's status. Never goes back. */
  totals(): NodeTotals {
    return totalsOf(this.#options.carriers.fleet.counted.sums());
  }

  #kernelStatus(): KernelStatus {
    const { clock, carriers } = this.#options;
    const nowMs = clock();
    if (this.#kernel === undefined || nowMs - this.#kernel.atMs > kernelFiguresAgeMax) {
      this.#kernel = { atMs: nowMs, status: carriers.kernel.status() };
    }
    return this.#kernel.status;
  }
}
