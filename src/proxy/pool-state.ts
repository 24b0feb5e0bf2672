// What a worker knows of its pools while it serves: the members that balancers choose from, their passive record, their
// idle connections and counters. It outlives snapshots: a target that stays keeps its connections and its record.
// Read and changed on the request's way; rebuilt, on the change's way, by compile.ts only.

import type { Balancer, Member, Pick } from "../balance/balancer.ts";
import { observeFailure, observeLatency } from "../balance/peak-ewma.ts";
import { createLayer4Picker, createPicker } from "../balance/picker.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import {
  abandoned,
  admits,
  begun,
  cleared,
  isOut,
  keptOut,
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
  /** When its last datagram came, for flows. */
  heardMs: Milliseconds = Number.NEGATIVE_INFINITY;
  /** While it is out: what was sent to it since may not have arrived. */
  doubtSinceMs: Milliseconds = Number.POSITIVE_INFINITY;
  /** No snapshot names it any more: what is under way finishes, nothing is kept. */
  retired = false;
  passiveConfig: PassiveConfig;
  readonly passive: PassiveState = passiveState();
  /** Why the supervisor's probes have it out; undefined when they have not. */
  probeReason: string | undefined = undefined;
  /** What the supervisor was told of the passive judge last. */
  toldOut = false;

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
    const probedOut = this.probeReason !== undefined;
    this.counters.connectionsIdle = this.idle.length;
    return {
      pool: this.pool,
      address: this.address,
      active: this.active,
      health:
        probedOut || judged.kind === "unhealthy" ? "unhealthy" : this.counters.exchanges === 0 ? "unknown" : "healthy",
      reason: this.probeReason ?? (judged.kind === "healthy" ? undefined : judged.code),
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

/** Told when the passive judge takes a target out (true) or finds it healthy again. */
export type TellPassive = (pool: string, target: string, out: boolean) => void;

/** By how much news of a failure may overtake other news of it. */
const DOUBT_MARGIN: Milliseconds = 50;

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
  /** Made when a layer-4 listener first needs it: a millisecond. */
  private layer4Balancer: Balancer | undefined;
  private readonly random: Random;
  private suspects = 0;
  private readonly tellPassive: TellPassive;

  constructor(config: Pool, targets: readonly TargetState[], random: Random, tellPassive: TellPassive) {
    this.tellPassive = tellPassive;
    this.name = config.name;
    this.config = config;
    this.targets = targets;
    this.random = random;
    this.balancer = createPicker(config.balance, targets, random);
    this.refresh(0);
  }

  /** The target for this exchange, undefined when none takes work; `whyNone` tells then. */
  pick(pick: Pick): TargetState | undefined {
    return this.pickBy(this.balancer, pick);
  }

  /** The same for a tunnel or flow of a layer-4 listener: where the address decides, as it does in the kernel. */
  pickLayer4(pick: Pick): TargetState | undefined {
    if (this.config.balance.policy !== "consistentHash") return this.pick(pick);
    this.layer4Balancer ??= createLayer4Picker(this.config.balance, this.targets, this.random);
    return this.pickBy(this.layer4Balancer, pick);
  }

  private pickBy(balancer: Balancer, pick: Pick): TargetState | undefined {
    if (this.suspects > 0) this.refresh(pick.nowMs);
    const index = balancer.pick(pick);
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
    if (target.toldOut) this.tell(target);
  }

  /** It owes no answer, and nothing has contradicted it. */
  proved(target: TargetState, trial: Trial): void {
    reportSuccess(target.passive, target.passiveConfig, trial);
    if (target.toldOut) this.tell(target);
  }

  /** A judge has it out, and no trial is due: what lasts there may go elsewhere. */
  isOut(target: TargetState, nowMs: Milliseconds): boolean {
    return target.probeReason !== undefined || keptOut(target.passive, target.passiveConfig, nowMs);
  }

  /** It failed; also the report of another worker. `sinceMs`: when that was sent which it did not take. */
  failed(target: TargetState, nowMs: Milliseconds, sinceMs = nowMs): void {
    if (!this.isOut(target, nowMs)) target.doubtSinceMs = sinceMs - DOUBT_MARGIN;
    observeFailure(target, nowMs);
    reportFailure(target.passive, target.passiveConfig, nowMs);
    this.tell(target);
    this.suspects = this.targets.length;
    const index = this.targets.indexOf(target);
    if (index >= 0) this.balancer.report(index, false);
  }

  abandoned(target: TargetState, trial: Trial): void {
    abandoned(target.passive, trial);
  }

  /**
   * The supervisor's probes have it out for a reason, or have not. When they find it well after they had it out, that ends
   * the passive judge's time out as well.
   */
  probed(target: TargetState, reason: string | undefined): void {
    if (target.probeReason === reason) return;
    const back = reason === undefined;
    target.probeReason = reason;
    if (back) {
      cleared(target.passive);
      this.tell(target);
    }
    this.suspects = this.targets.length;
  }

  private tell(target: TargetState): void {
    const out = isOut(target.passive, target.passiveConfig);
    if (out === target.toldOut) return;
    target.toldOut = out;
    this.tellPassive(this.name, target.address, out);
  }

  /** Asks the judges anew of every target; done only while one is suspect. */
  private refresh(nowMs: Milliseconds): void {
    let suspects = 0;
    for (const target of this.targets) {
      const { passive } = target;
      const wanted = target.config.intent === "up" && target.probeReason === undefined;
      target.eligible = wanted && admits(passive, target.passiveConfig, nowMs);
      // A reload may have changed what counts as out.
      if (target.toldOut) this.tell(target);
      if (passive.fails > 0) suspects += 1;
    }
    this.suspects = suspects;
  }
}
