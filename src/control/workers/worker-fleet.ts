// The workers of the node as one: drives the machine of worker-slots.ts, what processes say goes in and its effects are
// carried out here. It holds the descriptors that are handed over and knows which are still in use. The change's way; it
// does not judge a configuration, and what workers report of targets it only passes on.

import { assert } from "../../core/assert.ts";
import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { startListening, unshareAddress } from "../../io/listening-socket.ts";
import type { Pool } from "../../model/pool.ts";
import { changeOfPool, type PoolChange } from "../../state/pool-change.ts";
import type { Snapshot } from "../../state/snapshot.ts";
import type { FromWorker, ToWorker, WorkerStatus } from "../../state/worker-protocol.ts";
import { CounterRegions } from "../metrics/regions.ts";
import type { HeartbeatConfig } from "./heartbeat.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";
import { type BoundAddress, closeDropped, desiredListeners, type SocketPlan, socketKey } from "./listener-sockets.ts";
import { PoolChanges } from "./pool-changes.ts";
import { StatusQuestions } from "./status-questions.ts";
import { type WorkerEvents, WorkerProcess } from "./worker-process.ts";
import {
  type DesiredListener,
  initialSlots,
  nextTimerAt,
  type SlotsConfig,
  type SlotsEffect,
  type SlotsInput,
  type SlotsState,
  slotsConfigDefault,
  stepSlots,
} from "./worker-slots.ts";

export type FleetOptions = {
  /** The worker's main module. */
  readonly workerPath: string;
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly slots: Partial<SlotsConfig> | undefined;
  readonly heartbeat: Partial<HeartbeatConfig> | undefined;
};

type SnapshotMessage = Extract<ToWorker, { type: "snapshot" }>;

/** What the fleet asks of its owner, and tells it. */
export type FleetOwner = {
  /** Targets that are out as a snapshot goes to a worker. */
  unhealthy(): SnapshotMessage["unhealthy"];
  /** A failed report of live traffic; the other workers have been told. */
  reported(slot: number, message: Extract<FromWorker, { type: "report" }>): void;
  passive(slot: number, message: Extract<FromWorker, { type: "passive" }>): void;
  workerEnded(slot: number): void;
  /** It had not been asked to end, and is started again after so long. */
  crashed(worker: Omit<Extract<SlotsEffect, { type: "crashed" }>, "type">): void;
  allGone(): void;
};

const statusTimeout: Milliseconds = 1_000;

export class WorkerFleet {
  readonly #options: FleetOptions;
  readonly #owner: FleetOwner;
  readonly #log: Log;
  readonly #slotsConfig: SlotsConfig;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #heartbeat: HeartbeatWatch;
  readonly #questions = new StatusQuestions();
  /** What the workers count, of those as well that are gone. */
  readonly counted: CounterRegions;
  readonly #inputs: SlotsInput[] = [];
  readonly #watchers = new Set<() => void>();
  #stepping = false;
  #state = initialSlots();
  #snapshot: Snapshot;
  readonly #poolChanges = new PoolChanges();
  /** By slot: the pools as its worker was sent them last. */
  readonly #sent = new Map<number, Map<string, Pool>>();
  #bounds: readonly BoundAddress[] = [];
  /** Descriptors to be closed once every worker serves that generation. */
  #dropped: { readonly generation: number; readonly descriptors: readonly number[] }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions, owner: FleetOwner, snapshot: Snapshot) {
    this.#options = options;
    this.#owner = owner;
    this.#log = options.log;
    this.#slotsConfig = { ...slotsConfigDefault, ...options.slots };
    this.#snapshot = snapshot;
    this.counted = new CounterRegions({ log: options.log, snapshot: () => this.#snapshot });
    this.#heartbeat = new HeartbeatWatch({
      config: options.heartbeat,
      clock: options.clock,
      hangs: (slot, silentMs) =>
        this.#input({ type: "broken", slot, reason: `it hangs: not a word from it for ${Math.round(silentMs)} ms` }),
    });
  }

  get state(): SlotsState {
    return this.#state;
  }

  /** The sockets that workers are handed. */
  get bounds(): readonly BoundAddress[] {
    return this.#bounds;
  }

  /** Begins to look after those that it will start. */
  watch(): void {
    this.#heartbeat.start();
  }

  /** Sockets that stand open before anybody accepts on them: clients wait. */
  hold(bounds: readonly BoundAddress[]): void {
    this.#bounds = bounds;
  }

  /** The workers shall serve this snapshot, of a newer generation, on these sockets, and so many of them. */
  takeUp(snapshot: Snapshot, plan: SocketPlan): void {
    assert(snapshot.generation > this.#state.generation, "a snapshot that is taken up is newer than all before");
    this.#snapshot = snapshot;
    this.#poolChanges.restart(snapshot.generation);
    this.#change(snapshot.generation, plan);
  }

  /**
   * The workers shall serve the next generation, in which these pools alone are other ones; what the snapshot has no pool of
   * that name for is passed over. Returns that generation, or the present one when nothing is left to change. A worker that
   * has not answered yet gets all that has changed by then in one message, so this may be called as often as one likes.
   */
  takePools(pools: readonly Pool[]): number {
    const { generation, draining } = this.#state;
    const byName = new Map(pools.map((pool) => [pool.name, pool]));
    const known = this.#snapshot.pools.filter(({ name }) => byName.has(name)).map(({ name }) => name);
    if (known.length === 0 || draining) return generation;
    const next = generation + 1;
    const merged = this.#snapshot.pools.map((pool) => byName.get(pool.name) ?? pool);
    this.#snapshot = { ...this.#snapshot, generation: next, pools: merged };
    this.#poolChanges.note(next, known);
    this.#input({ type: "poolsChange", generation: next });
    return next;
  }

  /** Other sockets for the snapshot that they have. */
  takeSockets(plan: SocketPlan): void {
    this.#change(this.#state.generation, plan);
  }

  #change(generation: number, { next, dropped }: SocketPlan): void {
    this.#bounds = next;
    if (dropped.length > 0) this.#dropped.push({ generation, descriptors: dropped });
    this.#input({ type: "change", generation, listeners: desiredListeners(next), count: this.#snapshot.workerCount });
  }

  /** Workers finish what they have within the deadline and end; new clients are refused from here on. Again with 0 to hurry. */
  drain(deadlineMs: Milliseconds): void {
    this.#input({ type: "drain", deadlineMs });
    // The workers close theirs: from then on a client is refused, instead of waiting for nobody.
    const dropped = this.#dropped.flatMap(({ descriptors }) => descriptors);
    closeDropped([...dropped, ...this.#bounds.flatMap((bound) => bound.descriptors)]);
    this.#dropped = [];
    this.#bounds = [];
  }

  /** To every worker that is there. */
  broadcast(message: ToWorker): void {
    for (const worker of this.#workers.values()) worker.send(message);
  }

  /** What each worker that serves says of itself; one that keeps silent for a second is left out. By slot. */
  status(): Promise<Map<number, WorkerStatus>> {
    const asked = this.#state.slots
      .filter((slot) => slot.applied > 0 && this.#workers.has(slot.index))
      .map((slot) => slot.index);
    return this.#questions.ask(
      asked,
      (slot, id) => this.#workers.get(slot)?.send({ type: "status", id }),
      statusTimeout,
    );
  }

  /** Resolves once the state is so; looks after every step of the machine, and gives up after the timeout. */
  when(condition: (state: SlotsState) => boolean, timeoutMs?: Milliseconds): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => finish(), timeoutMs);
      const look = () => {
        if (condition(this.#state)) finish();
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
        this.#sendSnapshot(effect.slot);
        break;
      case "sendPools":
        this.#sendPools(effect.slot, effect.since);
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
        this.#owner.crashed(effect);
        break;
      }
      case "allApplied":
        this.#closeDroppedBy(effect.generation);
        break;
      case "settled":
        this.#log.debug("generation settled", { generation: effect.generation });
        break;
      case "allGone":
        this.#owner.allGone();
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
    const events: WorkerEvents = {
      message: (message) => this.#takeMessage(slot, message),
      broken: (reason) => {
        if (this.#workers.get(slot) === worker) this.#input({ type: "broken", slot, reason });
      },
      exited: (code, signal) => {
        this.#workers.delete(slot);
        this.#sent.delete(slot);
        this.counted.ended(slot);
        this.#heartbeat.ended(slot);
        this.#owner.workerEnded(slot);
        this.#input({ type: "exited", slot, code, signal });
      },
    };
    const worker: WorkerProcess = new WorkerProcess(this.#options.workerPath, events, this.counted.begin(slot));
    this.#workers.set(slot, worker);
    if (worker.pid !== undefined) this.#input({ type: "started", slot, pid: worker.pid });
  }

  #sendSnapshot(slot: number): void {
    this.#sent.set(slot, new Map(this.#snapshot.pools.map((pool) => [pool.name, pool])));
    this.#workers.get(slot)?.send({ type: "snapshot", snapshot: this.#snapshot, unhealthy: this.#owner.unhealthy() });
  }

  #sendPools(slot: number, since: number): void {
    const names = this.#poolChanges.after(since);
    assert(names !== undefined, "a worker that takes pools has the last whole snapshot");
    const { generation } = this.#snapshot;
    const sent = this.#sent.get(slot);
    const pools: PoolChange[] = [];
    for (const pool of this.#snapshot.pools) {
      if (!names.has(pool.name)) continue;
      pools.push(changeOfPool(sent?.get(pool.name), pool));
      sent?.set(pool.name, pool);
    }
    const unhealthy = this.#owner.unhealthy().filter(({ pool }) => names.has(pool));
    this.#workers.get(slot)?.send({ type: "pools", generation, pools, unhealthy });
  }

  #closeDroppedBy(applied: number): void {
    const done = this.#dropped.filter(({ generation }) => generation <= applied);
    closeDropped(done.flatMap(({ descriptors }) => descriptors));
    this.#dropped = this.#dropped.filter((one) => !done.includes(one));
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
        this.counted.answered(slot, message.status);
        this.#questions.take(message.id, message.status);
        break;
      case "room":
        this.#input({ type: "room", slot, listener: message.listener });
        break;
      case "report":
        this.#relayReport(slot, message);
        break;
      case "passive":
        this.#owner.passive(slot, message);
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
    for (const [slot, worker] of this.#workers) {
      if (slot !== from) worker.send({ type: "report", pool, target });
    }
    this.#owner.reported(from, message);
  }
}
