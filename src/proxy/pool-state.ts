// What a worker knows of one pool while it serves: its targets, the balancer that chooses among them, and which of them the
// judges must be asked about. One object for as long as snapshots name the pool: routes, listeners and whatever is under way
// hold it and see each change at once. Read and changed on the request's way; configured by compile.ts, between two events.

import { type Balancer, noStandings, type Pick, type Standing } from "../balance/balancer.ts";
import { observeFailure, observeLatency } from "../balance/peak-ewma.ts";
import { createLayer4Picker, createPicker } from "../balance/picker.ts";
import { startsSlowly } from "../balance/slow-start.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import {
  abandoned,
  begun,
  cleared,
  isOut,
  keptOut,
  reportFailure,
  reportSuccess,
  type Trial,
} from "../health/passive.ts";
import type { Balance, Pool, Target } from "../model/pool.ts";
import type { Counts } from "./counts.ts";
import { TargetState } from "./target-state.ts";

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

/** What a pool is configured with besides its own configuration. */
export type ConfigureWith = { readonly workerCount: number; readonly nowMs: Milliseconds };

export type PoolOptions = ConfigureWith & {
  readonly counts: Counts;
  readonly random: Random;
  readonly tellPassive: TellPassive;
};

export class PoolState {
  readonly name: string;
  config: Pool;
  targets: readonly TargetState[] = [];
  private byAddress: ReadonlyMap<string, TargetState> = new Map();
  /** Made when the next pick needs it: a table of hashes takes 15 ms, and the next change may come before that pick. */
  private balancer: Balancer | undefined;
  private layer4Balancer: Balancer | undefined;
  /** Of the balancer that was there last. */
  private standings: readonly Standing[] = noStandings;
  private readonly random: Random;
  /** Targets whose judges may have changed their mind, or will with time. */
  private readonly suspects: TargetState[] = [];
  private growing: TargetState[] = [];
  private readonly tellPassive: TellPassive;
  private readonly counts: Counts;

  constructor(config: Pool, options: PoolOptions) {
    this.name = config.name;
    this.config = config;
    this.random = options.random;
    this.tellPassive = options.tellPassive;
    this.counts = options.counts;
    this.configure(config, options);
  }

  /**
   * Another configuration, with other targets maybe. A target that stays keeps its connections, record and counters, and the
   * balancer's account of it; one that is new in a pool that had others starts slowly; one that is gone is retired.
   */
  configure(config: Pool, { workerCount, nowMs }: ConfigureWith): void {
    const before = this.targets;
    const onlyTarget = config.targets.length === 1;
    const around = { rows: this.counts.rows, workerCount, onlyTarget, original: before.length === 0 };
    const targets = config.targets.map(
      (target) => this.byAddress.get(target.address) ?? new TargetState(config.name, target, around),
    );
    if (!sameBalance(this.config.balance, config.balance) || !sameMembers(before, targets, config.targets)) {
      this.dropBalancers();
    }
    this.config = config;
    this.targets = targets;
    this.byAddress = new Map(targets.map((target) => [target.address, target]));
    for (const target of before) if (this.byAddress.get(target.address) !== target) this.retireOne(target);
    this.suspects.length = 0;
    const slowly = startsSlowly(config.balance);
    for (const [place, target] of targets.entries()) {
      const isNew = target.place < 0;
      target.place = place;
      target.configure(config.targets[place]!, around);
      target.suspect = false;
      this.look(target, nowMs);
      if (target.passive.fails > 0) this.suspect(target);
      if (isNew && before.length > 0) target.beginGrowth(nowMs);
      if (slowly) target.grow(nowMs);
      else target.endGrowth();
    }
    this.growing = targets.filter((target) => target.growing);
  }

  /** No snapshot names it any more. */
  retire(): void {
    for (const target of this.targets) this.retireOne(target);
  }

  /** It is counted on until nothing is under way there. */
  private retireOne(target: TargetState): void {
    target.retire();
    this.counts.leavingTargets.add(target);
  }

  find(address: string): TargetState | undefined {
    return this.byAddress.get(address);
  }

  /** The target for this exchange, undefined when none takes work; `whyNone` tells then. */
  pick(pick: Pick): TargetState | undefined {
    this.balancer ??= this.createBalancer();
    return this.pickBy(this.balancer, pick);
  }

  /** The same for a tunnel or flow of a layer-4 listener: where the address decides, as it does in the kernel. */
  pickLayer4(pick: Pick): TargetState | undefined {
    if (this.config.balance.policy !== "consistentHash") return this.pick(pick);
    this.layer4Balancer ??= createLayer4Picker(this.config.balance, this.targets, this.random);
    return this.pickBy(this.layer4Balancer, pick);
  }

  private pickBy(balancer: Balancer, pick: Pick): TargetState | undefined {
    if (this.suspects.length > 0) this.refresh(pick.nowMs);
    const index = balancer.pick(pick);
    return index < 0 ? undefined : this.targets[index];
  }

  private createBalancer(): Balancer {
    return createPicker(this.config.balance, this.targets, this.random, this.standings);
  }

  private dropBalancers(): void {
    this.standings = this.balancer?.standings ?? this.standings;
    this.balancer = undefined;
    this.layer4Balancer = undefined;
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
    if (target.retired) return;
    if (!this.isOut(target, nowMs)) target.doubtSinceMs = sinceMs - DOUBT_MARGIN;
    observeFailure(target, nowMs);
    reportFailure(target.passive, target.passiveConfig, nowMs);
    this.tell(target);
    this.suspect(target);
    this.balancer ??= this.createBalancer();
    this.balancer.report(target.place, false);
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
    this.suspect(target);
  }

  /** What time alone changes, some times a second: who has served his time out, how far a slow start has come. */
  sweep(nowMs: Milliseconds): void {
    if (this.suspects.length > 0) this.refresh(nowMs);
    const { growing } = this;
    for (let index = growing.length - 1; index >= 0; index--) {
      const target = growing[index]!;
      target.grow(nowMs);
      if (!target.growing) removeAt(growing, index);
    }
  }

  private tell(target: TargetState): void {
    const out = isOut(target.passive, target.passiveConfig);
    if (out === target.toldOut) return;
    target.toldOut = out;
    this.tellPassive(this.name, target.address, out);
  }

  private suspect(target: TargetState): void {
    if (target.suspect) return;
    target.suspect = true;
    this.suspects.push(target);
  }

  /** Asks the judges anew of those that are suspect; one stays so for as long as failures count against it. */
  private refresh(nowMs: Milliseconds): void {
    const { suspects } = this;
    for (let index = suspects.length - 1; index >= 0; index--) {
      const target = suspects[index]!;
      this.look(target, nowMs);
      if (target.passive.fails > 0) continue;
      target.suspect = false;
      removeAt(suspects, index);
    }
  }

  private look(target: TargetState, nowMs: Milliseconds): void {
    const isBack = target.judge(nowMs);
    // A reload may have changed what counts as out.
    if (target.toldOut) this.tell(target);
    if (!isBack || !startsSlowly(this.config.balance)) return;
    const listed = target.growing;
    target.beginGrowth(nowMs);
    if (target.growing && !listed) this.growing.push(target);
  }
}

/** The order does not matter: the last takes its place. */
function removeAt(targets: TargetState[], index: number): void {
  const last = targets.pop()!;
  if (index < targets.length) targets[index] = last;
}

function sameBalance(one: Balance, other: Balance): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Whether a balancer for the targets that were there before is one for these as well: it has taken in their weights. */
function sameMembers(
  before: readonly TargetState[],
  targets: readonly TargetState[],
  configs: readonly Target[],
): boolean {
  if (before.length !== targets.length) return false;
  return targets.every((target, place) => {
    const config = configs[place]!;
    return before[place] === target && target.weight === config.weight && target.backup === config.backup;
  });
}
