// One target of one pool as a worker knows it: what balancers look at, what the judges have said, its idle connections and
// counters, and what is under way there. It lives for as long as its pool names it, over all snapshots, and after that until
// the last that is under way has ended. Read and changed on the request's way; configured by pool-state.ts between two events.

import type { Member } from "../balance/balancer.ts";
import { shareAfter } from "../balance/slow-start.ts";
import type { Milliseconds } from "../core/clock.ts";
import { admits, isOut, type PassiveConfig, type PassiveState, passiveState, verdict } from "../health/passive.ts";
import type { Target } from "../model/pool.ts";
import { TargetCounters } from "../state/counters.ts";
import type { SlotRows } from "../state/slot-rows.ts";
import type { TargetStatus } from "../state/worker-protocol.ts";
import type { TargetConnection } from "./target-connection.ts";

/** What a target needs to know of the pool and the node it is in. */
export type TargetSurroundings = {
  readonly workerCount: number;
  /** The pool has no other: live traffic never takes it out. */
  readonly onlyTarget: boolean;
};

/** Why the probes have a target out that they have not asked yet: its check says `initial: unhealthy` (control/targets/health-checks.ts). */
const untriedReason = "target.health.initial";
const never = Number.NEGATIVE_INFINITY;

export class TargetState implements Member {
  readonly pool: string;
  readonly address: string;
  readonly counters: TargetCounters;
  /** Kept connections, the one used last at the end. */
  readonly idle: TargetConnection[] = [];
  config: Target;
  weight: number;
  share: number;
  backup: boolean;
  activeMax: number;
  eligible = true;
  /** Everything that is under way there: exchanges, tunnels and flows. */
  active = 0;
  /** Of those, TCP clients from their first try on, and exchanges that have become tunnels. */
  activeTunnels = 0;
  activeFlows = 0;
  latencyMs: Milliseconds = 0;
  latencyAtMs: Milliseconds = 0;
  /** When its last datagram came, for flows. */
  heardMs: Milliseconds = never;
  /** While it is out: what was sent to it since may not have arrived. */
  doubtSinceMs: Milliseconds = Number.POSITIVE_INFINITY;
  /** Among the targets of its pool. */
  place = -1;
  /** No snapshot names it any more: what is under way finishes, nothing is kept. */
  retired = false;
  passiveConfig: PassiveConfig;
  readonly passive: PassiveState = passiveState();
  /** Why the supervisor's probes have it out; undefined when they have not. */
  probeReason: string | undefined = undefined;
  /** What the supervisor was told of the passive judge last. */
  toldOut = false;
  /** Among those of its pool whose judges are asked again. */
  suspect = false;
  /** It was there when its pool began. */
  private readonly original: boolean;
  private wasOut = false;
  /** When its slow start began; `never` while none lasts. */
  private growsSinceMs: Milliseconds = never;

  constructor(
    pool: string,
    config: Target,
    around: TargetSurroundings & { readonly rows: SlotRows; readonly original: boolean },
  ) {
    this.pool = pool;
    this.address = config.address;
    this.counters = new TargetCounters(around.rows, pool, config.address);
    this.config = config;
    this.weight = config.weight;
    this.share = config.weight;
    this.backup = config.backup;
    this.activeMax = activeMax(config, around.workerCount);
    this.passiveConfig = passiveConfig(config, around);
    this.original = around.original;
  }

  /** Its share and whether it takes work are found out afterwards, by `grow` and `judge`. */
  configure(config: Target, around: TargetSurroundings): void {
    this.config = config;
    this.weight = config.weight;
    this.backup = config.backup;
    this.activeMax = activeMax(config, around.workerCount);
    this.passiveConfig = passiveConfig(config, around);
    if (!this.keepsIdle) this.closeIdle();
  }

  get maxFails(): number {
    return this.config.maxFails;
  }

  /** New work may come: a connection is worth keeping. */
  get keepsIdle(): boolean {
    return !this.retired && this.config.intent === "up";
  }

  /** Its pool has it no more. */
  retire(): void {
    this.retired = true;
    this.place = -1;
    this.closeIdle();
  }

  private closeIdle(): void {
    for (const connection of this.idle.splice(0)) connection.wire.kill();
  }

  /** Asks its judges whether it takes work. True when it has come back: it was wanted away, or ill, and is neither now. */
  judge(nowMs: Milliseconds): boolean {
    const { config, passive } = this;
    const wanted = config.intent === "up" && this.probeReason === undefined;
    this.eligible = wanted && admits(passive, this.passiveConfig, nowMs);
    const out = !wanted || this.weight === 0 || isOut(passive, this.passiveConfig);
    const isBack = this.wasOut && !out;
    // Of a start all targets come together, and none is cold while the others are warm.
    const untried = this.original && config.intent === "up" && this.probeReason === untriedReason;
    this.wasOut = out && !untried;
    return isBack;
  }

  /** Its slow start lasts. */
  get growing(): boolean {
    return this.growsSinceMs !== never;
  }

  beginGrowth(nowMs: Milliseconds): void {
    this.growsSinceMs = nowMs;
    this.grow(nowMs);
  }

  /** Brings its share up to date; ends its slow start in time, or when there is none any more. */
  grow(nowMs: Milliseconds): void {
    const sinceMs = nowMs - this.growsSinceMs;
    const { slowStart } = this.config;
    this.share = shareAfter(this.weight, sinceMs, slowStart);
    if (sinceMs >= slowStart) this.growsSinceMs = never;
  }

  /** It has its whole weight from now on. */
  endGrowth(): void {
    this.growsSinceMs = never;
    this.share = this.weight;
  }

  status(nowMs: Milliseconds): TargetStatus {
    const judged = verdict(this.passive, this.passiveConfig, nowMs);
    const probedOut = this.probeReason !== undefined;
    this.countNow();
    return {
      pool: this.pool,
      address: this.address,
      active: this.active,
      activeTunnels: this.activeTunnels,
      activeFlows: this.activeFlows,
      effectiveWeight: this.share,
      health:
        probedOut || judged.kind === "unhealthy" ? "unhealthy" : this.counters.exchanges === 0 ? "unknown" : "healthy",
      reason: this.probeReason ?? (judged.kind === "healthy" ? undefined : judged.code),
      outForMs: judged.kind === "unhealthy" ? judged.outForMs : 0,
      counters: this.counters.totals(),
    };
  }

  /** Says how much there is now; looked at once a second, so that the request's way need not. */
  countNow(): void {
    const { counters } = this;
    if (!counters.own) return;
    counters.connectionsIdle = this.idle.length;
    counters.active = this.active;
  }
}

function passiveConfig({ maxFails, failTimeout }: Target, { onlyTarget }: TargetSurroundings): PassiveConfig {
  return { maxFails, failTimeout, onlyTarget };
}

/** Its share of the node's limit: the sum over the workers never exceeds it, unless it is smaller than their number. */
function activeMax(config: Target, workerCount: number): number {
  if (config.connectionsMax === 0) return Number.POSITIVE_INFINITY;
  return Math.max(1, Math.floor(config.connectionsMax / workerCount));
}
