// Everything of the node that carries a configuration: sockets and workers (worker-fleet.ts), the kernel engine, health
// checks, floating addresses. It judges whether a configuration can be carried here, takes it up, and takes up other
// targets of single pools without a new configuration. The change's way; it reads no file and answers nobody.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import { socketInode } from "../io/listening-socket.ts";
import { claimLogPath } from "../io/log-path.ts";
import { createProbers } from "../io/prober.ts";
import type { Config } from "../model/config.ts";
import type { Layer4Listener } from "../model/listener.ts";
import type { Pool } from "../model/pool.ts";
import { movingAddresses } from "../model/virtual-router.ts";
import { toSnapshot } from "../state/snapshot.ts";
import { AddressWatch } from "./address-watch.ts";
import type { Happening } from "./event-log.ts";
import { HighAvailability } from "./ha/high-availability.ts";
import { asksForKernel, layer4Of, proxied } from "./kernel/choose-engine.ts";
import { type JudgedEngines, KernelEngine, type PreparedPlan } from "./kernel/kernel-engine.ts";
import { nothingPlanned } from "./kernel/plan.ts";
import { HealthChecks } from "./targets/health-checks.ts";
import type { HeartbeatConfig } from "./workers/heartbeat.ts";
import {
  closeDropped,
  isEverywhere,
  planSockets,
  type SocketPlan,
  type SocketPlanResult,
  socketKey,
} from "./workers/listener-sockets.ts";
import { WorkerFleet } from "./workers/worker-fleet.ts";
import type { SlotsConfig } from "./workers/worker-slots.ts";

export type CarriersOptions = {
  readonly config: Config;
  /** The worker's main module. */
  readonly workerPath: string;
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly slots: Partial<SlotsConfig> | undefined;
  readonly heartbeat: Partial<HeartbeatConfig> | undefined;
  /** `worker.ended`. */
  readonly tellEvent: (happening: Happening) => void;
};

/** A configuration for which everything is ready. */
export type Taken = { readonly config: Config; readonly plan: SocketPlan; readonly engines: PreparedPlan };

export type JudgedConfig =
  | { readonly ok: true; readonly taken: Taken }
  | { readonly ok: false; readonly failures: readonly Failure[] };

/** How long a change is answered late at most; what the workers have not done by then goes on behind the answer. */
const settleTimeout: Milliseconds = 30_000;

export class Carriers {
  readonly fleet: WorkerFleet;
  readonly health: HealthChecks;
  readonly kernel: KernelEngine;
  readonly ha: HighAvailability;
  readonly #log: Log;
  readonly #addresses = new AddressWatch(() => this.#takeUpAddresses());
  #config: Config;
  #engines: JudgedEngines = { chosen: [], plan: nothingPlanned };
  /** What the workers get is cut from the configuration when this ends: nothing is sent to them before. */
  #takingUp = true;

  constructor(options: CarriersOptions) {
    const { config, log, clock, workerPath, slots, heartbeat } = options;
    this.#log = log;
    this.#config = config;
    this.health = new HealthChecks({
      log,
      clock,
      wallClock: Date.now,
      random: Math.random,
      createProber: createProbers(clock),
      publish: (changes) => this.fleet.broadcast({ type: "health", changes }),
    });
    this.kernel = new KernelEngine({ log, isHealthy: (pool, address) => this.health.takesWork(pool, address) });
    this.health.watch(({ pool }) => this.kernel.targetChanged(pool));
    this.fleet = new WorkerFleet(
      { workerPath, log, clock, slots, heartbeat },
      {
        unhealthy: () => this.health.unhealthy(),
        reported: (slot, message) => this.health.takeReport(slot, message),
        passive: (slot, message) => this.health.takePassive(slot, message),
        workerEnded: (slot) => this.health.workerEnded(slot),
        crashed: ({ slot, pid, code, signal, restartInMs }) =>
          options.tellEvent({
            type: "worker.ended",
            who: "evenkeel",
            subject: { worker: String(slot) },
            before: undefined,
            after: { pid, code, signal, restartInMs },
          }),
        allGone: () => this.health.stop(),
      },
      toSnapshot(config, 1),
    );
    this.ha = new HighAvailability({
      node: config.node,
      stateDirectory: config.stateDirectory,
      log,
      clock,
      dataPlane: {
        workersServing: () => this.#workersServing(),
        hasEligibleTarget: (pool) => this.#hasEligibleTarget(pool),
      },
      tellEvent: options.tellEvent,
      addressesMoved: () => this.#addresses.look(),
    });
  }

  /** What is in force, or being taken up. */
  get config(): Config {
    return this.#config;
  }

  get draining(): boolean {
    return this.fleet.state.draining;
  }

  /** Opens the sockets, so that clients wait from here on; returns all failures, the access log's among them. */
  open(): readonly Failure[] {
    const log = claimLog(this.#config);
    const engines = this.kernel.judge(this.#config, this.#ownSockets());
    if (engines.ok) this.#engines = engines.value;
    const planned = this.#planSockets(this.#config, this.#engines);
    if (planned.ok) this.fleet.hold(planned.plan.next);
    const opened = [...(engines.ok ? [] : engines.failures), ...(planned.ok ? [] : planned.failures)];
    return [...log, ...opened, ...this.ha.judge(this.#config)];
  }

  /** Starts the workers on the open sockets; returns what it failed with, and has started nothing then. */
  async start(config: Config): Promise<readonly Failure[]> {
    const judged = await this.judge(config);
    if (!judged.ok) return judged.failures;
    if (this.draining) return [];
    this.fleet.watch();
    this.#addresses.start();
    await this.takeUp(judged.taken, 1);
    return [];
  }

  /** Whether this machine can carry it now; then everything that it needs is open, and `takeUp` or `abandon` must follow. */
  async judge(config: Config): Promise<JudgedConfig> {
    const wrong = [...claimLog(config), ...this.ha.judge(config)];
    if (wrong.length > 0) return { ok: false, failures: wrong };
    const engines = this.kernel.judge(config, this.#ownSockets());
    if (!engines.ok) return engines;
    const prepared = await this.kernel.prepare(engines.value);
    if (!prepared.ok) return { ok: false, failures: [prepared.failure] };
    if (this.draining) {
      await this.kernel.abandon();
      return { ok: false, failures: [isDraining] };
    }
    const planned = this.#planSockets(config, prepared.value);
    if (planned.ok) return { ok: true, taken: { config, plan: planned.plan, engines: prepared.value } };
    await this.kernel.abandon();
    return { ok: false, failures: planned.failures };
  }

  /**
   * Takes up what was judged. The kernel first: what it takes over from workers it carries when they let go, what it gives
   * back waits for them.
   */
  async takeUp({ config, plan, engines }: Taken, generation: number): Promise<void> {
    this.#config = config;
    this.#engines = engines;
    this.health.apply(config.pools);
    const before = new Set(this.fleet.bounds.flatMap((bound) => bound.descriptors));
    this.#takingUp = true;
    await this.kernel.commit(engines);
    this.#takingUp = false;
    if (this.draining) {
      // The drain closed what the fleet held, and knew nothing of what was opened for this change.
      const opened = plan.next.flatMap((bound) => bound.descriptors).filter((fd) => !before.has(fd));
      closeDropped(opened);
      return;
    }
    const listeners = proxied(this.#config, engines.chosen);
    this.fleet.takeUp(toSnapshot({ ...this.#config, listeners }, generation), plan);
    this.#takeUpAddresses();
    await this.ha.apply(config);
  }

  /**
   * These pools have other targets now. In force in every worker with the next turn of its loop; listeners that the kernel
   * carries need the whole configuration judged and taken up again: see `isInKernel`.
   */
  takePools(pools: readonly Pool[]): void {
    const changed = new Map(pools.map((pool) => [pool.name, pool]));
    this.#config = { ...this.#config, pools: this.#config.pools.map((pool) => changed.get(pool.name) ?? pool) };
    if (this.draining) return;
    this.health.applyPools(pools);
    if (!this.#takingUp) this.fleet.takePools(pools);
  }

  /** Whether listeners that the kernel carries, or might, lead to one of these pools. */
  isInKernel(pools: readonly Pick<Pool, "name">[]): boolean {
    if (!asksForKernel(this.#config)) return false;
    const names = new Set(pools.map(({ name }) => name));
    return layer4Of(this.#config).some(
      (listener) => listener.engine !== "proxy" && poolsOf(listener).some((name) => names.has(name)),
    );
  }

  /** Resolves with true once every worker serves that generation, with false when that takes too long or the program ends. */
  async settled(generation: number): Promise<boolean> {
    await this.fleet.when((state) => state.settledTold >= generation || state.goneTold, settleTimeout);
    return this.fleet.state.settledTold >= generation;
  }

  /** Lets what is under way finish within the deadline. Once more with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#addresses.stop();
    this.kernel.drain(deadlineMs, { keep: this.#config.kernel.keepOnStop });
    this.fleet.drain(deadlineMs);
  }

  /** Resolves when it has drained and the last worker is gone. */
  async gone(): Promise<void> {
    await this.fleet.when((state) => state.goneTold);
    await this.kernel.ended();
  }

  /** Undefined while the first ones are starting. */
  #workersServing(): number | undefined {
    const { slots, settledTold } = this.fleet.state;
    const serving = slots.filter(({ served, phase }) => served && phase !== "gone" && phase !== "draining").length;
    return serving === 0 && settledTold === 0 ? undefined : serving;
  }

  #hasEligibleTarget(name: string): boolean {
    const pool = this.#config.pools.find((one) => one.name === name);
    return (pool?.targets ?? []).some(({ intent, address }) => intent === "up" && this.health.takesWork(name, address));
  }

  #planSockets(config: Config, { chosen }: JudgedEngines): SocketPlanResult {
    const floating = new Set(config.ha.virtualRouters.flatMap(movingAddresses).map(({ address }) => address));
    const here = this.#addresses.current();
    return planSockets(this.fleet.bounds, proxied(config, chosen), config.workers, here, floating);
  }

  #ownSockets(): ReadonlySet<number> {
    return new Set(this.fleet.bounds.flatMap((bound) => bound.descriptors.map(socketInode)));
  }

  // No new generation: what the configuration says is the same, and so is every other socket.
  #takeUpAddresses(): void {
    if (this.draining || this.#takingUp || !this.fleet.bounds.some(isEverywhere)) return;
    const before = this.fleet.bounds;
    const planned = this.#planSockets(this.#config, this.#engines);
    if (!planned.ok) {
      for (const failure of planned.failures) this.#log.warn("address not taken up", { detail: failure.detail });
      return;
    }
    const { next } = planned.plan;
    const known = new Set(before.map(socketKey));
    const came = next.filter((bound) => !known.has(socketKey(bound)));
    if (came.length === 0) return;
    for (const { listener, address } of came) this.#log.info("address taken up", { listener, address });
    this.fleet.takeSockets(planned.plan);
  }
}

export const isDraining: Failure = {
  code: "node.draining",
  origin: "self",
  retrySafe: false,
  detail: "the program is draining and takes no change up",
};

/** The pools that a listener leads to. */
export function poolsOf(listener: Layer4Listener): readonly string[] {
  return listener.protocol === "tcp" ? listener.routes.map(({ pool }) => pool) : [listener.pool];
}

/** Failures, none when the access log can be written or none is wanted. */
function claimLog({ accessLog }: Config): readonly Failure[] {
  if (accessLog === undefined || accessLog.path === "stdout") return [];
  const claimed = claimLogPath(accessLog.path);
  return claimed.ok ? [] : [claimed.failure];
}
