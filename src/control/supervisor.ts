// The supervisor: owns the listening sockets and the worker processes, reads the configuration, takes changes up. Drives
// the machine of worker-slots.ts: what processes say goes in, its effects are carried out here. The change's way; it
// accepts no connection and sees no request. Who may ask what of it (signals, the admin API) is wired by its caller.

import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import { startListening } from "../io/listening-socket.ts";
import { claimLogPath } from "../io/log-path.ts";
import type { Config } from "../model/config.ts";
import { type Snapshot, toSnapshot } from "../state/snapshot.ts";
import type { FromWorker, WorkerStatus } from "../state/worker-protocol.ts";
import type { HeartbeatConfig } from "./heartbeat.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";
import { refuseChange } from "./judge-change.ts";
import { type BoundAddress, closeDropped, desiredListeners, planSockets, type SocketPlan } from "./listener-sockets.ts";
import type { LoadedConfig } from "./load-config.ts";
import { type NodeStatus, sumStatus } from "./node-status.ts";
import { StatusQuestions } from "./status-questions.ts";
import { Turns } from "./turns.ts";
import { WorkerProcess } from "./worker-process.ts";
import {
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
  readonly #questions = new StatusQuestions();
  readonly #reloads = new Turns<ReloadOutcome>(() => this.#reloadOnce());
  readonly #inputs: SlotsInput[] = [];
  readonly #watchers = new Set<() => void>();
  #stepping = false;
  #state = initialSlots();
  #config: Config;
  #snapshot: Snapshot;
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
    this.#config = options.config;
    this.#snapshot = toSnapshot(options.config, 1);
  }

  /** Opens the sockets, so that clients wait from here on; returns all failures, the access log's among them. */
  open(): readonly Failure[] {
    const log = claimLog(this.#config);
    const planned = planSockets([], this.#config.listeners, this.#config.workers);
    if (planned.ok) this.#bounds = planned.plan.next;
    return [...log, ...(planned.ok ? [] : planned.failures)];
  }

  /** Starts the workers on the open sockets. */
  start(): void {
    this.#heartbeat.start();
    this.#takeUp(this.#config, { next: this.#bounds, dropped: [] }, 1);
  }

  /** Resolves with true when every worker serves on every listener, with false when the program ends before that. */
  async serving(): Promise<boolean> {
    await this.#when(() => this.#state.settledTold > 0 || this.#state.goneTold);
    return this.#state.settledTold > 0;
  }

  /** Resolves when it has drained and the last worker is gone. */
  gone(): Promise<void> {
    return this.#when(() => this.#state.goneTold);
  }

  /** Reads the configuration again and takes it up, or refuses it whole. One at a time. */
  reload(): Promise<ReloadOutcome> {
    return this.#reloads.ask();
  }

  /** Lets the workers finish what they have within the deadline. Once more with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#input({ type: "drain", deadlineMs });
    // The workers close theirs: from then on a client is refused, instead of waiting for nobody.
    closeDropped([...this.#dropped, ...this.#bounds.flatMap((bound) => bound.descriptors)]);
    this.#dropped = [];
    this.#bounds = [];
  }

  reopenLogs(): void {
    for (const worker of this.#workers.values()) worker.send({ type: "reopenLogs" });
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
    const judged = this.#judge(loaded);
    if (!judged.ok) {
      for (const problem of judged.problems) this.#log.error("reload refused", { problem });
      return judged;
    }
    const generation = this.generation + 1;
    for (const warning of judged.warnings) this.#log.warn("configuration", { warning });
    this.#takeUp(judged.config, judged.plan, generation);
    const settled = await this.#settled(generation);
    this.#log.info("configuration taken up", { generation, settled });
    return { ok: true, generation, warnings: judged.warnings, settled };
  }

  #judge(
    loaded: LoadedConfig,
  ):
    | { readonly ok: true; readonly config: Config; readonly plan: SocketPlan; readonly warnings: readonly string[] }
    | { readonly ok: false; readonly problems: readonly string[] } {
    if (!loaded.ok) return { ok: false, problems: loaded.problems };
    if (this.#state.draining) return { ok: false, problems: ["the program is draining and takes no change up"] };
    const refusals = refuseChange(this.#config, loaded.config);
    if (refusals.length > 0) return { ok: false, problems: refusals };
    const log = claimLog(loaded.config);
    if (log.length > 0) return { ok: false, problems: log.map((failure) => failure.detail) };
    const planned = planSockets(this.#bounds, loaded.config.listeners, loaded.config.workers);
    if (!planned.ok) return { ok: false, problems: planned.failures.map((failure) => failure.detail) };
    return { ok: true, config: loaded.config, plan: planned.plan, warnings: loaded.warnings };
  }

  #takeUp(config: Config, plan: SocketPlan, generation: number): void {
    this.#config = config;
    this.#snapshot = toSnapshot(config, generation);
    this.#bounds = plan.next;
    this.#dropped.push(...plan.dropped);
    this.#input({ type: "change", generation, listeners: desiredListeners(config.listeners), count: config.workers });
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
        this.#workers.get(effect.slot)?.send({ type: "snapshot", snapshot: this.#snapshot });
        break;
      case "sendListen":
        this.#sendListen(effect.slot, effect.listener.name);
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
        this.#input({ type: "exited", slot, code, signal });
      },
    });
    this.#workers.set(slot, worker);
    if (worker.pid !== undefined) this.#input({ type: "started", slot, pid: worker.pid });
  }

  #sendListen(slot: number, name: string): void {
    const bound = this.#boundOf(name);
    const fd = bound?.descriptors[slot];
    const sent = bound && fd !== undefined ? this.#workers.get(slot)?.sendListen(name, fd, bound.backlog) : undefined;
    if (sent?.ok === true) return;
    const reason = sent?.failure.detail ?? `listener ${name}: there is no socket for this worker`;
    this.#input({ type: "broken", slot, reason });
  }

  #boundOf(name: string): BoundAddress | undefined {
    const bind = this.#config.listeners.find((listener) => listener.name === name)?.bind;
    return this.#bounds.find((bound) => bound.bind.host === bind?.host && bound.bind.port === bind.port);
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
        this.#restoreBacklog(slot, message.listener);
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
      case "log":
        this.#log[message.level](message.message, { ...message.fields, worker: slot });
        break;
      default:
        message satisfies never;
    }
  }

  // Node's receiving side listens once more, with its own default backlog; the socket is one, so the last word is ours.
  #restoreBacklog(slot: number, name: string): void {
    const bound = this.#boundOf(name);
    const fd = bound?.descriptors[slot];
    if (bound === undefined || fd === undefined) return;
    const set = startListening(fd, bound.bind, bound.backlog);
    if (!set.ok) this.#log.warn("backlog not set", { listener: name, detail: set.failure.detail });
  }

  #relayReport(from: number, message: FromWorker & { readonly type: "report" }): void {
    const { pool, target, code } = message;
    this.#log.debug("target failed", { worker: from, pool, target, code });
    for (const [slot, worker] of this.#workers) {
      if (slot !== from) worker.send({ type: "report", pool, target });
    }
  }
}

/** Failures, none when the access log can be written or none is wanted. */
function claimLog({ accessLog }: Config): readonly Failure[] {
  if (accessLog === undefined || accessLog.path === "stdout") return [];
  const claimed = claimLogPath(accessLog.path);
  return claimed.ok ? [] : [claimed.failure];
}
