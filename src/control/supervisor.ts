// The supervisor: owns the listening sockets and the worker processes, reads the configuration, takes changes up. Drives
// the machine of worker-slots.ts: what processes say goes in, its effects are carried out here. The change's way; it
// accepts no connection and sees no request. Who may ask what of it (signals, the admin API) is wired by its caller.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import { socketInode, startListening, unshareAddress } from "../io/listening-socket.ts";
import { claimLogPath } from "../io/log-path.ts";
import { createProbers } from "../io/prober.ts";
import type { Config } from "../model/config.ts";
import { type Snapshot, toSnapshot } from "../state/snapshot.ts";
import type { FromWorker, WorkerStatus } from "../state/worker-protocol.ts";
import { AddressWatch } from "./address-watch.ts";
import { HealthChecks } from "./health-checks.ts";
import type { HeartbeatConfig } from "./heartbeat.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";
import { refuseChange } from "./judge-change.ts";
import { proxied } from "./kernel/choose-engine.ts";
import { type JudgedEngines, KernelEngine, type PreparedPlan } from "./kernel/kernel-engine.ts";
import { nothingPlanned } from "./kernel/plan.ts";
import {
  type BoundAddress,
  closeDropped,
  desiredListeners,
  isEverywhere,
  planSockets,
  type SocketPlan,
  type SocketPlanResult,
  socketKey,
} from "./listener-sockets.ts";
import type { LoadedConfig } from "./load-config.ts";
import { type NodeStatus, sumStatus } from "./node-status.ts";
import { StatusQuestions } from "./status-questions.ts";
import type { TargetExplanation } from "./target-explanation.ts";
import { Turns } from "./turns.ts";
import { WorkerProcess } from "./worker-process.ts";
import {
  type DesiredListener,
  initialSlots,
  nextTimerAt,
  type SlotsConfig,
  type SlotsEffect,
  type SlotsInput,
  slotsConfigDefault,
  stepSlots,
} from "./worker-slots.ts";

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

const statusTimeout: Milliseconds = 1_000;
/** How long a reload is answered late at most; what the workers have not done by then goes on behind the answer. */
const reloadTimeout: Milliseconds = 30_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slotsConfig: SlotsConfig;
  readonly #log: Log;
  readonly #startedAt: Milliseconds;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #heartbeat: HeartbeatWatch;
  readonly #health: HealthChecks;
  readonly #kernel: KernelEngine;
  readonly #addresses = new AddressWatch(() => this.#takeUpAddresses());
  readonly #questions = new StatusQuestions();
  readonly #reloads = new Turns<ReloadOutcome>(() => this.#reloadOnce());
  readonly #inputs: SlotsInput[] = [];
  readonly #watchers = new Set<() => void>();
  #stepping = false;
  #state = initialSlots();
  #config: Config;
  #snapshot: Snapshot;
  #engines: JudgedEngines = { chosen: [], plan: nothingPlanned };
  #takingUp = false;
  #bounds: readonly BoundAddress[] = [];
  #dropped: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#slotsConfig = { ...slotsConfigDefault, ...options.slots };
    this.#log = options.log;
    this.#startedAt = options.clock();
    this.#heartbeat = new HeartbeatWatch({
      config: options.heartbeat,
      clock: options.clock,
      hangs: (slot, silentMs) =>
        this.#input({ type: "broken", slot, reason: `it hangs: not a word from it for ${Math.round(silentMs)} ms` }),
    });
    this.#health = new HealthChecks({
      log: options.log,
      clock: options.clock,
      wallClock: Date.now,
      random: Math.random,
      createProber: createProbers(options.clock),
      publish: (changes) => {
        for (const worker of this.#workers.values()) worker.send({ type: "health", changes });
      },
    });
    this.#kernel = new KernelEngine({
      log: options.log,
      isHealthy: (pool, address) => this.#health.takesWork(pool, address),
    });
    this.#health.watch(({ pool }) => this.#kernel.targetChanged(pool));
    this.#config = options.config;
    this.#snapshot = toSnapshot(options.config, 1);
  }

  /** Opens the sockets, so that clients wait from here on; returns all failures, the access log's among them. */
  open(): readonly Failure[] {
    const log = claimLog(this.#config);
    const engines = this.#kernel.judge(this.#config, this.#ownSockets());
    if (engines.ok) this.#engines = engines.value;
    const planned = this.#planSockets(this.#config, this.#engines);
    if (planned.ok) this.#bounds = planned.plan.next;
    return [...log, ...(engines.ok ? [] : engines.failures), ...(planned.ok ? [] : planned.failures)];
  }

  /** Starts the workers on the open sockets; returns what the kernel engine failed with, and has started nothing then. */
  async start(): Promise<readonly Failure[]> {
    const prepared = await this.#kernel.prepare(this.#engines);
    if (!prepared.ok) return [prepared.failure];
    if (this.#state.draining) return [];
    this.#heartbeat.start();
    this.#addresses.start();
    const plan = { next: this.#bounds, dropped: [] };
    await this.#takeUp({ config: this.#config, plan, engines: prepared.value }, 1);
    return [];
  }

  /** Resolves with true when every worker serves on every listener, with false when the program ends before that. */
  async serving(): Promise<boolean> {
    await this.#when(() => this.#state.settledTold > 0 || this.#state.goneTold);
    return this.#state.settledTold > 0;
  }

  /** Resolves when it has drained and the last worker is gone. */
  async gone(): Promise<void> {
    await this.#when(() => this.#state.goneTold);
    await this.#kernel.ended();
  }

  /** Reads the configuration again and takes it up, or refuses it whole. One at a time. */
  reload(): Promise<ReloadOutcome> {
    return this.#reloads.ask();
  }

  /** Lets the workers finish what they have within the deadline. Once more with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#input({ type: "drain", deadlineMs });
    this.#addresses.stop();
    this.#kernel.drain(deadlineMs, { keep: this.#config.kernel.keepOnStop });
    // The workers close theirs: from then on a client is refused, instead of waiting for nobody.
    closeDropped([...this.#dropped, ...this.#bounds.flatMap((bound) => bound.descriptors)]);
    this.#dropped = [];
    this.#bounds = [];
  }

  reopenLogs(): void {
    for (const worker of this.#workers.values()) worker.send({ type: "reopenLogs" });
  }

  /** undefined when the running configuration has no such target. */
  explainTarget(pool: string, address: string): TargetExplanation | undefined {
    return this.#health.explain(pool, address);
  }

  get config(): Config {
    return this.#config;
  }

  get generation(): number {
    return this.#state.generation;
  }

  get state(): NodeStatus["state"] {
    if (this.#state.draining) return "draining";
    return this.#state.settledTold > 0 ? "serving" : "starting";
  }

  async status(): Promise<NodeStatus> {
    const answers = await this.#askWorkers();
    const { version, clock } = this.#options;
    return sumStatus({
      config: this.#config,
      version,
      pid: process.pid,
      state: this.state,
      generation: this.generation,
      uptimeSeconds: Math.floor((clock() - this.#startedAt) / 1000),
      slots: this.#state.slots,
      answers,
      judged: (pool, address) => this.#health.judged(pool, address),
      kernel: this.#kernel.status(),
    });
  }

  #askWorkers(): Promise<Map<number, WorkerStatus>> {
    const asked = this.#state.slots
      .filter((slot) => slot.applied > 0 && this.#workers.has(slot.index))
      .map((slot) => slot.index);
    return this.#questions.ask(
      asked,
      (slot, id) => this.#workers.get(slot)?.send({ type: "status", id }),
      statusTimeout,
    );
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
    if (this.#state.draining) return { ok: false, problems: [isDraining] };
    const refusals = refuseChange(this.#config, loaded.config);
    if (refusals.length > 0) return { ok: false, problems: refusals };
    const log = claimLog(loaded.config);
    if (log.length > 0) return { ok: false, problems: log.map((failure) => failure.detail) };
    const refused = (failures: readonly Failure[]) =>
      ({ ok: false, problems: failures.map(({ detail }) => detail) }) as const;
    const { config, warnings } = loaded;
    const engines = this.#kernel.judge(config, this.#ownSockets());
    if (!engines.ok) return refused(engines.failures);
    const prepared = await this.#kernel.prepare(engines.value);
    if (!prepared.ok) return refused([prepared.failure]);
    const planned = this.#planSockets(config, prepared.value);
    if (planned.ok && !this.#state.draining) {
      return { ok: true, taken: { config, plan: planned.plan, engines: prepared.value }, warnings };
    }
    await this.#kernel.abandon();
    return planned.ok ? { ok: false, problems: [isDraining] } : refused(planned.failures);
  }

  // The kernel first: what it takes over from workers it carries when they let go, what it gives back waits for them.
  async #takeUp({ config, plan, engines }: Taken, generation: number): Promise<void> {
    this.#config = config;
    this.#engines = engines;
    this.#snapshot = toSnapshot({ ...config, listeners: proxied(config, engines.chosen) }, generation);
    this.#bounds = plan.next;
    this.#dropped.push(...plan.dropped);
    this.#health.apply(config.pools);
    this.#takingUp = true;
    await this.#kernel.commit(engines);
    this.#takingUp = false;
    if (this.#state.draining) return;
    this.#input({ type: "change", generation, listeners: desiredListeners(plan.next), count: config.workers });
    this.#takeUpAddresses();
  }

  #planSockets(config: Config, { chosen }: JudgedEngines): SocketPlanResult {
    return planSockets(this.#bounds, proxied(config, chosen), config.workers, this.#addresses.current());
  }

  #ownSockets(): ReadonlySet<number> {
    return new Set(this.#bounds.flatMap((bound) => bound.descriptors.map(socketInode)));
  }

  // No new generation: what the configuration says is the same, and so is every other socket.
  #takeUpAddresses(): void {
    if (this.#state.draining || this.#takingUp || !this.#bounds.some(isEverywhere)) return;
    const before = this.#bounds;
    const planned = this.#planSockets(this.#config, this.#engines);
    if (!planned.ok) {
      for (const failure of planned.failures) this.#log.warn("address not taken up", { detail: failure.detail });
      return;
    }
    const { next, dropped } = planned.plan;
    const known = new Set(before.map(socketKey));
    const came = next.filter((bound) => !known.has(socketKey(bound)));
    if (came.length === 0) return;
    for (const { listener, address } of came) this.#log.info("address taken up", { listener, address });
    this.#bounds = next;
    this.#dropped.push(...dropped);
    const { generation } = this.#state;
    this.#input({ type: "change", generation, listeners: desiredListeners(next), count: this.#config.workers });
  }

  async #settled(generation: number): Promise<boolean> {
    const done = () => this.#state.settledTold >= generation || this.#state.goneTold;
    await this.#when(done, reloadTimeout);
    return this.#state.settledTold >= generation;
  }

  // Looks again after every step of the machine, and gives up waiting after the timeout.
  #when(condition: () => boolean, timeoutMs?: Milliseconds): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => finish(), timeoutMs);
      const look = () => {
        if (condition()) finish();
      };
      const finish = () => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  // An effect may bring the next input at once (a handle that could not be sent): it waits its turn.
  #input(input: SlotsInput): void {
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const { state, effects } = stepSlots(this.#slotsConfig, this.#state, next, this.#heartbeat.waking());
      this.#state = state;
      for (const effect of effects) this.#perform(effect);
    }
    this.#stepping = false;
    this.#setTimer();
    for (const look of [...this.#watchers]) look();
  }

  // The machine goes by waking time, and hears first what came while we stood still (an immediate runs after the channels
  // are read): a worker that answered in time, or could not because all stood still, must not be killed for it.
  #setTimer(): void {
    clearTimeout(this.#timer);
    const at = nextTimerAt(this.#state);
    if (at === undefined) return;
    const tick = () => setImmediate(() => this.#input({ type: "tick" }));
    this.#timer = setTimeout(tick, Math.max(0, Math.ceil(at - this.#heartbeat.waking())));
  }

  #perform(effect: SlotsEffect): void {
    switch (effect.type) {
      case "spawn":
        this.#spawn(effect.slot);
        break;
      case "sendSnapshot":
        this.#workers
          .get(effect.slot)
          ?.send({ type: "snapshot", snapshot: this.#snapshot, unhealthy: this.#health.unhealthy() });
        break;
      case "sendListen":
        this.#sendListen(effect.slot, effect.listener);
        break;
      case "sendDrain":
        this.#workers.get(effect.slot)?.send({ type: "drain", deadlineMs: effect.deadlineMs });
        break;
      case "kill":
        this.#log.error("worker killed", { worker: effect.slot, pid: this.#pidOf(effect.slot), reason: effect.reason });
        this.#workers.get(effect.slot)?.kill();
        break;
      case "serving":
        this.#log.info("worker serving", { worker: effect.slot, pid: this.#pidOf(effect.slot) });
        break;
      case "crashed": {
        const { slot: worker, pid, code, signal, restartInMs } = effect;
        this.#log.error("worker ended unasked", { worker, pid, code, signal, restartInMs });
        break;
      }
      case "allApplied":
        closeDropped(this.#dropped);
        this.#dropped = [];
        break;
      case "settled":
        this.#log.debug("generation settled", { generation: effect.generation });
        break;
      case "allGone":
        this.#health.stop();
        this.#log.info("all workers are gone");
        break;
      default:
        effect satisfies never;
    }
  }

  #pidOf(slot: number): number | undefined {
    return this.#workers.get(slot)?.pid;
  }

  #spawn(slot: number): void {
    const worker: WorkerProcess = new WorkerProcess(this.#options.workerPath, {
      message: (message) => this.#takeMessage(slot, message),
      broken: (reason) => {
        if (this.#workers.get(slot) === worker) this.#input({ type: "broken", slot, reason });
      },
      exited: (code, signal) => {
        this.#workers.delete(slot);
        this.#heartbeat.ended(slot);
        this.#health.workerEnded(slot);
        this.#input({ type: "exited", slot, code, signal });
      },
    });
    this.#workers.set(slot, worker);
    if (worker.pid !== undefined) this.#input({ type: "started", slot, pid: worker.pid });
  }

  #sendListen(slot: number, { name, key }: DesiredListener): void {
    const bound = this.#bounds.find((one) => socketKey(one) === key);
    const fd = bound?.descriptors[slot];
    const sent = bound && fd !== undefined ? this.#workers.get(slot)?.sendListen(bound, fd) : undefined;
    if (sent?.ok === true) return;
    const reason = sent?.failure.detail ?? `listener ${name}: there is no socket for this worker`;
    this.#input({ type: "broken", slot, reason });
  }

  #takeMessage(slot: number, message: FromWorker): void {
    this.#heartbeat.heard(slot);
    switch (message.type) {
      case "beat":
        break;
      case "ready":
        this.#input({ type: "ready", slot });
        break;
      case "applied":
        this.#input({ type: "applied", slot, generation: message.generation });
        break;
      case "listening":
        this.#restoreOptions(slot, message.listener);
        this.#input({ type: "listening", slot, listener: message.listener });
        break;
      case "status":
        this.#questions.take(message.id, message.status);
        break;
      case "room":
        this.#input({ type: "room", slot, listener: message.listener });
        break;
      case "report":
        this.#relayReport(slot, message);
        break;
      case "passive":
        this.#health.takePassive(slot, message);
        break;
      case "log":
        this.#log[message.level](message.message, { ...message.fields, worker: slot });
        break;
      default:
        message satisfies never;
    }
  }

  // Node's receiving side listens once more, with its own default backlog, and lets others share a UDP address; the socket
  // is one, so the last word is ours.
  #restoreOptions(slot: number, name: string): void {
    for (const bound of this.#bounds) {
      const fd = bound.descriptors[slot];
      if (bound.listener !== name || fd === undefined) continue;
      const { bind, backlog, transport } = bound;
      const set = transport === "udp" ? unshareAddress(fd, bind) : startListening(fd, bind, backlog);
      if (!set.ok) this.#log.warn("socket option not set", { listener: name, detail: set.failure.detail });
    }
  }

  #relayReport(from: number, message: FromWorker & { readonly type: "report" }): void {
    const { pool, target, code } = message;
    this.#log.debug("target failed", { worker: from, pool, target, code });
    this.#health.takeReport(from, message);
    for (const [slot, worker] of this.#workers) {
      if (slot !== from) worker.send({ type: "report", pool, target });
    }
  }
}

const isDraining = "the program is draining and takes no change up";

/** Failures, none when the access log can be written or none is wanted. */
function claimLog({ accessLog }: Config): readonly Failure[] {
  if (accessLog === undefined || accessLog.path === "stdout") return [];
  const claimed = claimLogPath(accessLog.path);
  return claimed.ok ? [] : [claimed.failure];
}
