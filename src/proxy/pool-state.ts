// What a worker knows of its pools while it serves: the members that balancers choose from, their passive record, their
// idle connections and counters. It outlives snapshots: a target that stays keeps its connections and its record.
// Read and changed on the request's way; rebuilt, on the change's way, by compile.ts only.

import type { Balancer, Member, Pick } from "../balance/balancer.ts";
import { observeFailure, observeLatency } from "../balance/peak-ewma.ts";
import { createPicker } from "../balance/picker.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import {
  abandoned,
  admits,
  begun,
  type PassiveConfig,
  type PassiveState,
  passiveState,
  reportFailure,
  reportSuccess,
  type Trial,
  verdict,
} from "../health/passive.ts";
import type { Pool, Target } from "../model/pool.ts";
import { type TargetCounters, targetCounters } from "../state/counters.ts";
import type { TargetStatus } from "../state/worker-protocol.ts";
import type { TargetConnection } from "./target-connection.ts";

/** One target of one pool, for as long as the pool names it. */
export class TargetState implements Member {
  readonly pool: string;
  readonly address: string;
  readonly counters: TargetCounters = targetCounters();
  /** Kept connections, the one used last at the end. */
  readonly idle: TargetConnection[] = [];
  config: Target;
  weight: number;
  backup: boolean;
  activeMax: number;
  eligible = true;
  active = 0;
  latencyMs: Milliseconds = 0;
  latencyAtMs: Milliseconds = 0;
  /** No snapshot names it any more: what is under way finishes, nothing is kept. */
  retired = false;
  passiveConfig: PassiveConfig;
  readonly passive: PassiveState = passiveState();

  constructor(pool: string, config: Target, workerCount: number, onlyTarget: boolean) {
    this.pool = pool;
    this.address = config.address;
    this.config = config;
    this.weight = config.weight;
    this.backup = config.backup;
    this.activeMax = activeMax(config, workerCount);
    this.passiveConfig = { maxFails: config.maxFails, failTimeout: config.failTimeout, onlyTarget };
  }

  configure(config: Target, workerCount: number, onlyTarget: boolean): void {
    this.config = config;
    this.weight = config.weight;
    this.backup = config.backup;
    this.activeMax = activeMax(config, workerCount);
    this.passiveConfig = { maxFails: config.maxFails, failTimeout: config.failTimeout, onlyTarget };
  }

  get maxFails(): number {
    return this.config.maxFails;
  }

  status(nowMs: Milliseconds): TargetStatus {
    const judged = verdict(this.passive, this.passiveConfig, nowMs);
    this.counters.connectionsIdle = this.idle.length;
    return {
      pool: this.pool,
      address: this.address,
      active: this.active,
      health: judged.kind === "unhealthy" ? "unhealthy" : this.counters.exchanges === 0 ? "unknown" : "healthy",
      reason: judged.kind === "healthy" ? undefined : judged.code,
      outForMs: judged.kind === "unhealthy" ? judged.outForMs : 0,
      counters: this.counters,
    };
  }
}

/** Its share of the node's limit: the sum over the workers never exceeds it, unless it is smaller than their number. */
function activeMax(config: Target, workerCount: number): number {
  if (config.connectionsMax === 0) return Number.POSITIVE_INFINITY;
  return Math.max(1, Math.floor(config.connectionsMax / workerCount));
}

/** Why no target took the work; `code` goes into log and response. */
export type NoTarget = { readonly code: string; readonly detail: string };

const noTargets: NoTarget = { code: "pool.empty", detail: "the pool has no target" };
const allOut: NoTarget = {
  code: "pool.allOut",
  detail: "every target of the pool is out, draining, down or of weight 0",
};
const allFull: NoTarget = { code: "pool.allFull", detail: "every target of the pool has as many exchanges as it may" };

export class PoolState {
  readonly name: string;
  config: Pool;
  targets: readonly TargetState[];
  private balancer: Balancer;
  private suspects = 0;

  constructor(config: Pool, targets: readonly TargetState[], random: Random) {
    this.name = config.name;
    this.config = config;
    this.targets = targets;
    this.balancer = createPicker(config.balance, targets, random);
    this.refresh(0);
  }

  /** The target for this exchange, undefined when none takes work; `whyNone` tells then. */
  pick(pick: Pick): TargetState | undefined {
    if (this.suspects > 0) this.refresh(pick.nowMs);
    const index = this.balancer.pick(pick);
    return index < 0 ? undefined : this.targets[index];
  }

  whyNone(): NoTarget {
    if (this.targets.length === 0) return noTargets;
    return this.targets.some((target) => target.eligible && target.weight > 0) ? allFull : allOut;
  }

  /** An exchange goes to this target; the trial comes back with its outcome. */
  begin(target: TargetState, nowMs: Milliseconds): Trial {
    target.active += 1;
    return begun(target.passive, target.passiveConfig, nowMs);
  }

  /** It answered, `latencyMs` after it was asked. */
  succeeded(target: TargetState, trial: Trial, latencyMs: Milliseconds, nowMs: Milliseconds): void {
    observeLatency(target, latencyMs, nowMs);
    reportSuccess(target.passive, target.passiveConfig, trial);
  }

  /** It failed; also the report of another worker. */
  failed(target: TargetState, nowMs: Milliseconds): void {
    observeFailure(target, nowMs);
    reportFailure(target.passive, target.passiveConfig, nowMs);
    this.suspects = this.targets.length;
    const index = this.targets.indexOf(target);
    if (index >= 0) this.balancer.report(index, false);
  }

  abandoned(target: TargetState, trial: Trial): void {
    abandoned(target.passive, trial);
  }

  /** Asks the judge anew of every target; done only while one is suspect. */
  private refresh(nowMs: Milliseconds): void {
    let suspects = 0;
    for (const target of this.targets) {
      const { passive } = target;
      target.eligible = target.config.intent === "up" && admits(passive, target.passiveConfig, nowMs);
      if (passive.fails > 0) suspects += 1;
    }
    this.suspects = suspects;
  }
}
