// The supervisor: the node's control plane as the operator meets it. It holds what the file says (reloads are read, judged
// and taken up whole, or refused) and what the registry makes of it with the API and the sources (live-targets.ts); both go
// to what carries them (carriers.ts). The change's way; it accepts no connection and sees no request. Who may ask what of
// it (signals, the admin API) is wired by its caller.

import type { Clock, Milliseconds } from "../core/clock.ts";
import { bad, type Failure, type Result } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import type { Config } from "../model/config.ts";
import type { Pool } from "../model/pool.ts";
import type { DesiredTarget } from "../state/desired.ts";
import type { VrrpOrder } from "../state/vrrp-protocol.ts";
import { Carriers, isDraining } from "./carriers.ts";
import { type ClientExplanation, explainClient } from "./client-explanation.ts";
import { EventLog, type Happening } from "./event-log.ts";
import type { HaStatus } from "./ha/high-availability.ts";
import { refuseChange } from "./judge-change.ts";
import type { LoadedConfig } from "./load-config.ts";
import { Metrics, type NodeMetrics } from "./metrics/metrics.ts";
import { type NodeStatus, sumStatus } from "./node-status.ts";
import { type KeptRelease, ReleaseBook, type ReleaseOrder } from "./release/release-book.ts";
import { Serial } from "./serial.ts";
import { LiveTargets, type OrderOutcome, type OrderRequest } from "./targets/live-targets.ts";
import { refuseOrder } from "./targets/refuse-order.ts";
import type { PoolSourceStatus } from "./targets/source-watches.ts";
import type { TargetExplanation } from "./targets/target-explanation.ts";
import { Turns } from "./turns.ts";
import type { HeartbeatConfig } from "./workers/heartbeat.ts";
import type { SlotsConfig } from "./workers/worker-slots.ts";

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

export type ReloadOutcome =
  | { readonly ok: true; readonly generation: number; readonly warnings: readonly string[]; readonly settled: boolean }
  /** Refused whole; one sentence a problem. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Targets that the kernel engine could not take up are tried again. */
const untakenRetryDelay: Milliseconds = 10_000;

type TakenUp =
  | { readonly ok: true; readonly generation: number }
  | { readonly ok: false; readonly failures: readonly Failure[] };

export class Supervisor {
  /** What has happened on this node, for those who follow. */
  readonly events = new EventLog(Date.now);
  readonly #options: SupervisorOptions;
  readonly #log: Log;
  readonly #startedAt: Milliseconds;
  readonly #carriers: Carriers;
  readonly #live: LiveTargets;
  readonly #metrics: Metrics;
  readonly #releases: ReleaseBook;
  readonly #reloads = new Turns<ReloadOutcome>(() => this.#preparing.run(() => this.#reloadOnce()));
  readonly #retakes = new Turns<void>(() => this.#taking.run(() => this.#retakeOnce()));
  /** Sources are prepared for one configuration at a time; that may wait for stores that are away. */
  readonly #preparing = new Serial();
  /** One is taken up at a time; targets that change meanwhile must not wait for stores. */
  readonly #taking = new Serial();
  /** What the file says, without what the API and the sources say. */
  #filed: Config;
  #closing: Promise<void> | undefined;
  /** Why the kernel engine still has the targets of before; empty when it has those of now. */
  #untaken: readonly Failure[] = [];
  #untakenTimer: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions) {
    const { config, log, clock, workerPath, slots, heartbeat } = options;
    this.#options = options;
    this.#log = log;
    this.#startedAt = clock();
    this.#filed = config;
    const tellEvent = (happening: Happening) => this.events.tell(happening);
    this.#carriers = new Carriers({ config, log, clock, workerPath, slots, heartbeat, tellEvent });
    this.#metrics = new Metrics({ version: options.version, clock, wallClock: Date.now, carriers: this.#carriers });
    this.#releases = new ReleaseBook({ log, events: this.events, clock, wallClock: Date.now });
    this.#live = new LiveTargets({
      log,
      clock,
      wallClock: Date.now,
      random: Math.random,
      events: this.events,
      changed: (pools) => this.#poolsChanged(pools),
      settled: (pool) => this.#poolsSettled(pool),
    });
    this.#carriers.health.watch(({ pool, target, healthy, reason }) =>
      this.events.tell({
        type: "target.health",
        who: "probes",
        subject: { pool, target },
        before: { healthy: !healthy },
        after: { healthy, reason },
      }),
    );
  }

  /** Opens the sockets, so that clients wait from here on; returns all failures. */
  open(): readonly Failure[] {
    return this.#carriers.open();
  }

  /**
   * Waits for the targets that the sources name, then starts the workers on the open sockets. Returns what it failed with,
   * and has started nothing then. Codes: source.required, state.*, those of the carriers.
   */
  start(): Promise<readonly Failure[]> {
    // A reload that is asked for meanwhile has its turn afterwards.
    return this.#preparing.run(() => this.#startOnce());
  }

  async #startOnce(): Promise<readonly Failure[]> {
    const releases = await this.#releases.open(this.#filed.stateDirectory);
    if (!releases.ok) return [releases.failure];
    const failures = await this.#live.open(this.#filed);
    if (this.#carriers.draining) return [];
    const begin = () => this.#carriers.start(this.#live.commit(this.#filed));
    const wrong = failures.length > 0 ? failures : await this.#taking.run(begin);
    if (wrong.length > 0) await this.#live.close();
    return wrong;
  }

  /** Resolves with true when every worker serves on every listener, with false when the program ends before that. */
  async serving(): Promise<boolean> {
    const { fleet } = this.#carriers;
    await fleet.when((state) => state.settledTold > 0 || state.goneTold);
    return fleet.state.settledTold > 0;
  }

  /** Resolves when it has drained and the last worker is gone. */
  async gone(): Promise<void> {
    await this.#carriers.gone();
    await this.#closing;
  }

  /** Reads the configuration again and takes it up, or refuses it whole. One at a time. */
  reload(): Promise<ReloadOutcome> {
    return this.#reloads.ask();
  }

  /** Gives the floating addresses up in order, while the workers serve; to be awaited before `drain`. */
  resign(): Promise<void> {
    return this.#carriers.ha.resign();
  }

  /** Lets the workers finish what they have within the deadline. Once more with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#closing ??= this.#live.close();
    this.#carriers.drain(deadlineMs);
  }

  reopenLogs(): void {
    this.#carriers.fleet.broadcast({ type: "reopenLogs" });
  }

  /** undefined when the running configuration has no such target. */
  explainTarget(pool: string, address: string): TargetExplanation | undefined {
    return this.#carriers.health.explain(pool, address);
  }

  /** undefined when the running configuration has no such listener; fails when the address is none. */
  explainClient(name: string, address: string): Result<ClientExplanation> | undefined {
    const { config, health } = this.#carriers;
    const listener = config.listeners.find((one) => one.name === name);
    if (listener === undefined) return undefined;
    return explainClient(listener, config.pools, address, (pool, target) => health.takesWork(pool, target));
  }

  /** Targets of a pool with whose word they are; undefined when there is no such pool. */
  desired(pool: string): readonly DesiredTarget[] | undefined {
    return this.#live.desired(pool);
  }

  /** What somebody wants of one target. It resolves when that is kept on disk and in force. Codes: live-targets.ts. */
  async orderTarget(request: OrderRequest): Promise<Result<OrderOutcome>> {
    if (this.#carriers.draining) return bad(isDraining);
    const refusal = refuseOrder(this.config, request);
    return refusal === undefined ? this.#live.order(request) : bad(refusal);
  }

  /** Resolves when what is desired of a pool now is in force in every worker and in the kernel, or after 30 s. */
  settled(pool: string): Promise<{ readonly generation: number; readonly settled: boolean }> {
    return this.#poolsSettled(pool);
  }

  /** Records of releases that are kept here. */
  releases(): readonly KeptRelease[] {
    return this.#releases.list();
  }

  /** Codes: release.*, state.unwritable, node.starting. */
  orderRelease(pool: string, order: ReleaseOrder, by: string): Promise<Result<KeptRelease>> {
    return this.#releases.order(pool, order, by);
  }

  sources(): readonly PoolSourceStatus[] {
    return this.#live.sources();
  }

  /** All that is counted, as it is now. */
  metrics(): Promise<NodeMetrics> {
    const { config, state, generation } = this;
    return this.#metrics.read({ config, state, generation, sources: this.sources() });
  }

  /** An operator's order to a virtual router. Codes: vip.*, vrrp.denied.*. */
  orderVip(name: string, order: VrrpOrder): Promise<Result<true>> {
    return this.#carriers.ha.order(name, order);
  }

  /** undefined without virtual routers. */
  vips(): Promise<HaStatus | undefined> {
    return this.#carriers.ha.status();
  }

  /** What is in force: the file's configuration with the targets of the API and the sources. */
  get config(): Config {
    return this.#carriers.config;
  }

  get generation(): number {
    return this.#carriers.fleet.state.generation;
  }

  get state(): NodeStatus["state"] {
    if (this.#carriers.draining) return "draining";
    return this.#carriers.fleet.state.settledTold > 0 ? "serving" : "starting";
  }

  async status(): Promise<NodeStatus> {
    const { fleet, ha: addresses, health, kernel } = this.#carriers;
    const [answers, ha] = await Promise.all([fleet.status(), addresses.status()]);
    const { version, clock } = this.#options;
    return sumStatus({
      config: this.config,
      version,
      pid: process.pid,
      state: this.state,
      generation: this.generation,
      uptimeSeconds: Math.floor((clock() - this.#startedAt) / 1000),
      slots: fleet.state.slots,
      answers,
      totals: this.#metrics.totals(),
      judged: (pool, address) => health.judged(pool, address),
      kernel: kernel.status(),
      ha,
      sources: this.sources(),
      leftOut: (pool) => this.#live.leftOut(pool),
      untaken: this.#untaken.map(({ detail }) => detail),
    });
  }

  async #reloadOnce(): Promise<ReloadOutcome> {
    const outcome = await this.#tryReload();
    this.#metrics.reloaded(outcome);
    if (!outcome.ok) {
      for (const problem of outcome.problems) this.#log.error("reload refused", { problem });
      return outcome;
    }
    const { generation, settled } = outcome;
    this.#log.info("configuration taken up", { generation, settled });
    return outcome;
  }

  async #tryReload(): Promise<ReloadOutcome> {
    const loaded = await this.#options.load();
    if (!loaded.ok) return loaded;
    const { config, warnings } = loaded;
    if (this.#carriers.draining) return refused([isDraining]);
    const problems = refuseChange(this.#filed, config);
    if (problems.length > 0) return { ok: false, problems };
    const unready = await this.#live.prepare(config);
    const taken = unready.length > 0 ? failed(unready) : await this.#taking.run(() => this.#takeUp(config));
    if (!taken.ok) {
      this.#live.abandon();
      return refused(taken.failures);
    }
    for (const warning of warnings) this.#log.warn("configuration", { warning });
    const { generation } = taken;
    return { ok: true, generation, warnings, settled: await this.#carriers.settled(generation) };
  }

  /** A configuration whose sources are prepared. When it is refused nothing has changed. */
  async #takeUp(config: Config): Promise<TakenUp> {
    const judged = await this.#carriers.judge(this.#live.preview(config));
    if (!judged.ok) return judged;
    const generation = this.generation + 1;
    const before = { generation: this.generation };
    this.#filed = config;
    // What a source or the API said while this was judged is in it as well; the kernel is told behind it (#poolsChanged).
    await this.#carriers.takeUp({ ...judged.taken, config: this.#live.commit(config) }, generation);
    this.#untaken = [];
    this.events.tell({ type: "config.reloaded", who: "file", subject: {}, before, after: { generation } });
    return { ok: true, generation };
  }

  #poolsChanged(pools: readonly Pool[]): void {
    this.#carriers.takePools(pools);
    if (this.#carriers.isInKernel(pools)) void this.#retakes.ask();
  }

  // The same file with other targets: rules of the kernel engine, or who carries a listener, may have to change.
  async #retakeOnce(): Promise<void> {
    if (this.#carriers.draining) return;
    const judged = await this.#carriers.judge(this.config);
    if (!judged.ok) {
      this.#tellUntaken(judged.failures);
      return;
    }
    // A source may have said more since: another turn follows with that.
    const taken = { ...judged.taken, config: this.config };
    await this.#carriers.takeUp(taken, this.generation + 1);
    if (this.#untaken.length > 0) this.#log.info("targets taken up by the kernel engine again");
    this.#untaken = [];
  }

  // Each once: a source that changes its mind all day must not fill the log with what the status says anyway.
  #tellUntaken(failures: readonly Failure[]): void {
    const known = new Set(this.#untaken.map(({ detail }) => detail));
    for (const { code, detail } of failures) {
      if (!known.has(detail)) this.#log.error("targets not taken up by the kernel engine", { code, detail });
    }
    this.#untaken = failures;
    // What stood in the way may be gone without a word to us: a sysctl, another program's table.
    clearTimeout(this.#untakenTimer);
    this.#untakenTimer = setTimeout(() => void this.#retakes.ask(), untakenRetryDelay);
    this.#untakenTimer.unref();
  }

  async #poolsSettled(pool: string): Promise<{ readonly generation: number; readonly settled: boolean }> {
    await this.#retakes.idle();
    const { generation } = this;
    const isUntaken = this.#untaken.length > 0 && this.#carriers.isInKernel([{ name: pool }]);
    return { generation, settled: (await this.#carriers.settled(generation)) && !isUntaken };
  }
}

function failed(failures: readonly Failure[]): TakenUp {
  return { ok: false, failures };
}

function refused(failures: readonly Failure[]): ReloadOutcome {
  return { ok: false, problems: failures.map(({ detail }) => detail) };
}
