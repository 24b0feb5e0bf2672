// The supervisor: reads the configuration, judges a change and takes it up in everything that carries it: sockets and
// workers (worker-fleet.ts), the kernel engine, health checks. The change's way; it accepts no connection and sees no
// request. Who may ask what of it (signals, the admin API) is wired by its caller.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Failure, Result } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import { socketInode } from "../io/listening-socket.ts";
import { claimLogPath } from "../io/log-path.ts";
import { createProbers } from "../io/prober.ts";
import type { Config } from "../model/config.ts";
import { movingAddresses } from "../model/virtual-router.ts";
import { toSnapshot } from "../state/snapshot.ts";
import type { VrrpOrder } from "../state/vrrp-protocol.ts";
import { AddressWatch } from "./address-watch.ts";
import { type ClientExplanation, explainClient } from "./client-explanation.ts";
import { type HaStatus, HighAvailability } from "./ha/high-availability.ts";
import { HealthChecks } from "./health-checks.ts";
import type { HeartbeatConfig } from "./heartbeat.ts";
import { refuseChange } from "./judge-change.ts";
import { proxied } from "./kernel/choose-engine.ts";
import { type JudgedEngines, KernelEngine, type PreparedPlan } from "./kernel/kernel-engine.ts";
import { nothingPlanned } from "./kernel/plan.ts";
import {
  closeDropped,
  isEverywhere,
  planSockets,
  type SocketPlan,
  type SocketPlanResult,
  socketKey,
} from "./listener-sockets.ts";
import type { LoadedConfig } from "./load-config.ts";
import { type NodeStatus, sumStatus } from "./node-status.ts";
import type { TargetExplanation } from "./target-explanation.ts";
import { Turns } from "./turns.ts";
import { WorkerFleet } from "./worker-fleet.ts";
import type { SlotsConfig } from "./worker-slots.ts";

export type SupervisorOptions = {
  /** The configuration to start with, and how to read it again. */
  readonly config: Config;
  readonly load: () => Promise<LoadedConfig>;
  /** The worker's main module. */
  readonly workerPath: string;
  readonly version: string;
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly slots?: Partial<SlotsConfig>;
  readonly heartbeat?: Partial<HeartbeatConfig>;
};

/** A configuration for which everything is ready. */
type Taken = { readonly config: Config; readonly plan: SocketPlan; readonly engines: PreparedPlan };

export type ReloadOutcome =
  | { readonly ok: true; readonly generation: number; readonly warnings: readonly string[]; readonly settled: boolean }
  /** Refused whole; one sentence a problem. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** How long a reload is answered late at most; what the workers have not done by then goes on behind the answer. */
const reloadTimeout: Milliseconds = 30_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Log;
  readonly #startedAt: Milliseconds;
  readonly #fleet: WorkerFleet;
  readonly #health: HealthChecks;
  readonly #kernel: KernelEngine;
  readonly #ha: HighAvailability;
  readonly #addresses = new AddressWatch(() => this.#takeUpAddresses());
  readonly #reloads = new Turns<ReloadOutcome>(() => this.#reloadOnce());
  #config: Config;
  #engines: JudgedEngines = { chosen: [], plan: nothingPlanned };
  #takingUp = false;

  constructor(options: SupervisorOptions) {
    const { config, log, clock } = options;
    this.#options = options;
    this.#log = log;
    this.#startedAt = clock();
    this.#config = config;
    this.#health = new HealthChecks({
      log,
      clock,
      wallClock: Date.now,
      random: Math.random,
      createProber: createProbers(clock),
      publish: (changes) => this.#fleet.broadcast({ type: "health", changes }),
    });
    this.#kernel = new KernelEngine({ log, isHealthy: (pool, address) => this.#health.takesWork(pool, address) });
    this.#health.watch(({ pool }) => this.#kernel.targetChanged(pool));
    const { workerPath, slots, heartbeat } = options;
    this.#fleet = new WorkerFleet(
      { workerPath, log, clock, slots, heartbeat },
      {
        unhealthy: () => this.#health.unhealthy(),
        reported: (slot, message) => this.#health.takeReport(slot, message),
        passive: (slot, message) => this.#health.takePassive(slot, message),
        workerEnded: (slot) => this.#health.workerEnded(slot),
        allGone: () => this.#health.stop(),
      },
      toSnapshot(config, 1),
    );
    this.#ha = new HighAvailability({
      node: config.node,
      log,
      clock,
      dataPlane: {
        workersServing: () => this.#workersServing(),
        hasEligibleTarget: (pool) => this.#hasEligibleTarget(pool),
      },
      addressesMoved: () => this.#addresses.look(),
    });
  }

  /** Opens the sockets, so that clients wait from here on; returns all failures, the access log's among them. */
  open(): readonly Failure[] {
    const log = claimLog(this.#config);
    const engines = this.#kernel.judge(this.#config, this.#ownSockets());
    if (engines.ok) this.#engines = engines.value;
    const planned = this.#planSockets(this.#config, this.#engines);
    if (planned.ok) this.#fleet.hold(planned.plan.next);
    const opened = [...(engines.ok ? [] : engines.failures), ...(planned.ok ? [] : planned.failures)];
    return [...log, ...opened, ...this.#ha.judge(this.#config)];
  }

  /** Starts the workers on the open sockets; returns what the kernel engine failed with, and has started nothing then. */
  async start(): Promise<readonly Failure[]> {
    const prepared = await this.#kernel.prepare(this.#engines);
    if (!prepared.ok) return [prepared.failure];
    if (this.#fleet.state.draining) return [];
    this.#fleet.watch();
    this.#addresses.start();
    const plan = { next: this.#fleet.bounds, dropped: [] };
    await this.#takeUp({ config: this.#config, plan, engines: prepared.value }, 1);
    return [];
  }

  /** Resolves with true when every worker serves on every listener, with false when the program ends before that. */
  async serving(): Promise<boolean> {
    await this.#fleet.when((state) => state.settledTold > 0 || state.goneTold);
    return this.#fleet.state.settledTold > 0;
  }

  /** Resolves when it has drained and the last worker is gone. */
  async gone(): Promise<void> {
    await this.#fleet.when((state) => state.goneTold);
    await this.#kernel.ended();
  }

  /** Reads the configuration again and takes it up, or refuses it whole. One at a time. */
  reload(): Promise<ReloadOutcome> {
    return this.#reloads.ask();
  }

  /** Gives the floating addresses up in order, while the workers serve; to be awaited before `drain`. */
  resign(): Promise<void> {
    return this.#ha.resign();
  }

  /** Lets the workers finish what they have within the deadline. Once more with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#addresses.stop();
    this.#kernel.drain(deadlineMs, { keep: this.#config.kernel.keepOnStop });
    this.#fleet.drain(deadlineMs);
  }

  reopenLogs(): void {
    this.#fleet.broadcast({ type: "reopenLogs" });
  }

  /** undefined when the running configuration has no such target. */
  explainTarget(pool: string, address: string): TargetExplanation | undefined {
    return this.#health.explain(pool, address);
  }

  /** undefined when the running configuration has no such listener; fails when the address is none. */
  explainClient(name: string, address: string): Result<ClientExplanation> | undefined {
    const { listeners, pools } = this.#config;
    const listener = listeners.find((one) => one.name === name);
    if (listener === undefined) return undefined;
    return explainClient(listener, pools, address, (pool, target) => this.#health.takesWork(pool, target));
  }

  /** An operator's order to a virtual router. Codes: vip.*, vrrp.denied.*. */
  orderVip(name: string, order: VrrpOrder): Promise<Result<true>> {
    return this.#ha.order(name, order);
  }

  /** undefined without virtual routers. */
  vips(): Promise<HaStatus | undefined> {
    return this.#ha.status();
  }

  get config(): Config {
    return this.#config;
  }

  get generation(): number {
    return this.#fleet.state.generation;
  }

  get state(): NodeStatus["state"] {
    if (this.#fleet.state.draining) return "draining";
    return this.#fleet.state.settledTold > 0 ? "serving" : "starting";
  }

  async status(): Promise<NodeStatus> {
    const [answers, ha] = await Promise.all([this.#fleet.status(), this.#ha.status()]);
    const { version, clock } = this.#options;
    return sumStatus({
      config: this.#config,
      version,
      pid: process.pid,
      state: this.state,
      generation: this.generation,
      uptimeSeconds: Math.floor((clock() - this.#startedAt) / 1000),
      slots: this.#fleet.state.slots,
      answers,
      judged: (pool, address) => this.#health.judged(pool, address),
      kernel: this.#kernel.status(),
      ha,
    });
  }

  async #reloadOnce(): Promise<ReloadOutcome> {
    const loaded = await this.#options.load();
    const judged = await this.#judge(loaded);
    if (!judged.ok) {
      for (const problem of judged.problems) this.#log.error("reload refused", { problem });
      return judged;
    }
    const generation = this.generation + 1;
    for (const warning of judged.warnings) this.#log.warn("configuration", { warning });
    await this.#takeUp(judged.taken, generation);
    const settled = await this.#settled(generation);
    this.#log.info("configuration taken up", { generation, settled });
    return { ok: true, generation, warnings: judged.warnings, settled };
  }

  async #judge(
    loaded: LoadedConfig,
  ): Promise<
    | { readonly ok: true; readonly taken: Taken; readonly warnings: readonly string[] }
    | { readonly ok: false; readonly problems: readonly string[] }
  > {
    if (!loaded.ok) return { ok: false, problems: loaded.problems };
    if (this.#fleet.state.draining) return { ok: false, problems: [isDraining] };
    const refusals = refuseChange(this.#config, loaded.config);
    if (refusals.length > 0) return { ok: false, problems: refusals };
    const log = claimLog(loaded.config);
    const wrong = [...log, ...this.#ha.judge(loaded.config)];
    if (wrong.length > 0) return { ok: false, problems: wrong.map((failure) => failure.detail) };
    const refused = (failures: readonly Failure[]) =>
      ({ ok: false, problems: failures.map(({ detail }) => detail) }) as const;
    const { config, warnings } = loaded;
    const engines = this.#kernel.judge(config, this.#ownSockets());
    if (!engines.ok) return refused(engines.failures);
    const prepared = await this.#kernel.prepare(engines.value);
    if (!prepared.ok) return refused([prepared.failure]);
    const planned = this.#planSockets(config, prepared.value);
    if (planned.ok && !this.#fleet.state.draining) {
      return { ok: true, taken: { config, plan: planned.plan, engines: prepared.value }, warnings };
    }
    await this.#kernel.abandon();
    return planned.ok ? { ok: false, problems: [isDraining] } : refused(planned.failures);
  }

  // The kernel first: what it takes over from workers it carries when they let go, what it gives back waits for them.
  async #takeUp({ config, plan, engines }: Taken, generation: number): Promise<void> {
    this.#config = config;
    this.#engines = engines;
    this.#health.apply(config.pools);
    const before = new Set(this.#fleet.bounds.flatMap((bound) => bound.descriptors));
    this.#takingUp = true;
    await this.#kernel.commit(engines);
    this.#takingUp = false;
    if (this.#fleet.state.draining) {
      // The drain closed what the fleet held, and knew nothing of what was opened for this change.
      const opened = plan.next.flatMap((bound) => bound.descriptors).filter((fd) => !before.has(fd));
      closeDropped(opened);
      return;
    }
    this.#fleet.takeUp(toSnapshot({ ...config, listeners: proxied(config, engines.chosen) }, generation), plan);
    this.#takeUpAddresses();
    await this.#ha.apply(config);
  }

  /** Undefined while the first ones are starting. */
  #workersServing(): number | undefined {
    const { slots, settledTold } = this.#fleet.state;
    const serving = slots.filter(({ served, phase }) => served && phase !== "gone" && phase !== "draining").length;
    return serving === 0 && settledTold === 0 ? undefined : serving;
  }

  #hasEligibleTarget(name: string): boolean {
    const pool = this.#config.pools.find((one) => one.name === name);
    return (pool?.targets ?? []).some(
      ({ intent, address }) => intent === "up" && this.#health.takesWork(name, address),
    );
  }

  #planSockets(config: Config, { chosen }: JudgedEngines): SocketPlanResult {
    const floating = new Set(config.ha.virtualRouters.flatMap(movingAddresses).map(({ address }) => address));
    const here = this.#addresses.current();
    return planSockets(this.#fleet.bounds, proxied(config, chosen), config.workers, here, floating);
  }

  #ownSockets(): ReadonlySet<number> {
    return new Set(this.#fleet.bounds.flatMap((bound) => bound.descriptors.map(socketInode)));
  }

  // No new generation: what the configuration says is the same, and so is every other socket.
  #takeUpAddresses(): void {
    if (this.#fleet.state.draining || this.#takingUp || !this.#fleet.bounds.some(isEverywhere)) return;
    const before = this.#fleet.bounds;
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
    this.#fleet.takeSockets(planned.plan);
  }

  async #settled(generation: number): Promise<boolean> {
    await this.#fleet.when((state) => state.settledTold >= generation || state.goneTold, reloadTimeout);
    return this.#fleet.state.settledTold >= generation;
  }
}

const isDraining = "the program is draining and takes no change up";

/** Failures, none when the access log can be written or none is wanted. */
function claimLog({ accessLog }: Config): readonly Failure[] {
  if (accessLog === undefined || accessLog.path === "stdout") return [];
  const claimed = claimLogPath(accessLog.path);
  return claimed.ok ? [] : [claimed.failure];
}
