// The targets of all pools as they are desired now, and all who may say so: the file (by reloads), the sources (by their
// watches), the API (by orders, kept on disk, some for as long as a lease runs). Joins the registry with its edges and tells
// what changed: the supervisor, the event log and the program's log. The change's way. Who wins over whom is the registry's
// to say, and what becomes of a change is the supervisor's.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { KeptFileCalls } from "../../io/kept-file.ts";
import type { Config } from "../../model/config.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { SourceReading } from "../../sources/source.ts";
import { type DesiredChange, type DesiredTarget, desiredTargetsMax, type TargetOrder } from "../../state/desired.ts";
import { type OrderStep, Registry, type RegistryStep } from "../../state/registry.ts";
import type { EventLog } from "../event-log.ts";
import { KeptTargets } from "./kept-targets.ts";
import { type PoolSourceStatus, SourceWatches } from "./source-watches.ts";

export type LiveTargetsOptions = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => Milliseconds;
  readonly random: Random;
  readonly events: EventLog;
  /** Pools whose targets are not what they were, within the event that brought it. */
  readonly changed: (pools: readonly Pool[]) => void;
  /** Resolves once what was told of that pool by then is in force, or that takes too long. */
  readonly settled: (pool: string) => Promise<{ readonly generation: number; readonly settled: boolean }>;
  /** For tests; by default the system's. */
  readonly calls?: KeptFileCalls;
};

export type OrderRequest = {
  readonly pool: string;
  readonly address: string;
  readonly order: TargetOrder;
  /** Who wants it, for the events: `unix:root`, `token:deploy`. */
  readonly by: string;
  /** Asked when the order has its turn; false refuses it with `target.precondition`. */
  readonly isExpected: (now: DesiredTarget | undefined) => boolean;
};

export type OrderOutcome = {
  readonly before: DesiredTarget | undefined;
  readonly after: DesiredTarget | undefined;
  readonly generation: number;
  /** Every worker serves it. */
  readonly settled: boolean;
};

type WaitingOrder = {
  readonly request: OrderRequest;
  readonly resolve: (outcome: Result<OrderOutcome>) => void;
};

const isStarting: Failure = {
  code: "node.starting",
  origin: "self",
  retrySafe: true,
  detail: "the program is starting and does not know its targets yet: ask again",
};

const isEnding: Failure = {
  code: "node.draining",
  origin: "self",
  retrySafe: true,
  detail: "the program is ending and takes no change up",
};

const isSilent: Failure = {
  code: "state.unwritable",
  origin: "self",
  retrySafe: true,
  detail: "the disk of the state directory has not taken the change in time: see whether it hangs",
};

/** What the disk may take for what is to be kept; then it is refused. */
export const keepPatience: Milliseconds = 20_000;
/** A write that failed may have left what was refused: so long after it, all is written again as it is. */
export const keepAgainDelay: Milliseconds = 10_000;

/** Changes of one step that the log tells one by one. */
const changesToldMax = 32;

/** The longest that a timer of Node can wait. */
const timerMax: Milliseconds = 2 ** 31 - 1;

export class LiveTargets {
  readonly #options: LiveTargetsOptions;
  readonly #registry = new Registry();
  readonly #sources: SourceWatches;
  readonly #waiting: WaitingOrder[] = [];
  #ordering = false;
  #kept: KeptTargets | undefined;
  #leaseTimer: NodeJS.Timeout | undefined;
  #keepTimer: NodeJS.Timeout | undefined;
  /** A whole configuration is put in place: what changes by it is told by its taking up. */
  #committing = false;
  #started = false;
  #closed = false;

  constructor(options: LiveTargetsOptions) {
    this.#options = options;
    const { log, clock, wallClock, random } = options;
    this.#sources = new SourceWatches({
      log,
      clock,
      wallClock,
      random,
      tell: (pool, reading) => this.#takeReading(pool, reading),
      tellEvent: (happening) => options.events.tell(happening),
    });
  }

  /**
   * At the start: reads what the API said before and waits for the sources' first answers. Codes: state.unreadable,
   * source.required.
   */
  async open(config: Config): Promise<readonly Failure[]> {
    const { log, clock, wallClock, calls } = this.#options;
    this.#kept = new KeptTargets(config.stateDirectory, log, { wallClock, ...(calls === undefined ? {} : { calls }) });
    const loaded = await this.#kept.load();
    if (!loaded.ok) return [loaded.failure];
    this.#registry.applyKept(loaded.value, clock());
    return this.prepare(config);
  }

  /**
   * Opens what a configuration's sources need, and waits for their first answers; `commit` or `abandon` must follow. Codes:
   * source.required, node.draining.
   */
  async prepare(config: Config): Promise<readonly Failure[]> {
    // Nobody would close them, and an end would wait for what they answer.
    if (this.#closed) return [isEnding];
    return this.#sources.prepare(config.pools, config.stateDirectory);
  }

  abandon(): void {
    this.#sources.abandon();
  }

  /** The configuration with the targets that it would have; what new sources say is not in it. Nothing is changed. */
  preview(config: Config): Config {
    const pools = config.pools.map((pool) => {
      const filed = new Set(pool.targets.map(({ address }) => address));
      const others = (this.desired(pool.name) ?? []).filter(
        ({ target, owner }) => owner !== "file" && !filed.has(target.address),
      );
      return { ...pool, targets: [...pool.targets, ...others.map(({ target }) => target)] };
    });
    return { ...config, pools };
  }

  /** Takes the prepared configuration as the file's word; the configuration with the targets that it has from now on. */
  commit(config: Config): Config {
    this.#committing = true;
    const step = this.#registry.applyFile(config.pools);
    // At the start nothing has changed: there was nothing before.
    if (this.#started) this.#tell(step, "file");
    this.#started = true;
    this.#sources.commit();
    this.#committing = false;
    this.#armLeases();
    const desired = new Map(this.#registry.desiredPools().map((pool) => [pool.name, pool]));
    return { ...config, pools: config.pools.map((pool) => desired.get(pool.name) ?? pool) };
  }

  desired(pool: string): readonly DesiredTarget[] | undefined {
    return this.#registry.desired(pool, this.#options.clock());
  }

  /** Targets that a pool does not have because it has desiredTargetsMax already. */
  leftOut(pool: string): number {
    return this.#registry.leftOut(pool);
  }

  sources(): readonly PoolSourceStatus[] {
    return this.#sources.status();
  }

  /**
   * An order of the API. Resolves when it is kept on disk and in force; what cannot be kept is taken back and refused.
   * Codes: target.precondition, state.unwritable, node.starting, node.draining, those of Registry.order.
   */
  order(request: OrderRequest): Promise<Result<OrderOutcome>> {
    return new Promise((resolve) => {
      this.#waiting.push({ request, resolve });
      if (!this.#ordering) void this.#workOrders();
    });
  }

  /** Nothing is told any more, and orders that wait are refused. Resolves when what is to be kept on disk is. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#leaseTimer);
    clearTimeout(this.#keepTimer);
    await this.#sources.close();
  }

  // One write for all that came while the last one was under way.
  async #workOrders(): Promise<void> {
    this.#ordering = true;
    while (this.#waiting.length > 0) await this.#workBatch(this.#waiting.splice(0));
    this.#ordering = false;
  }

  async #workBatch(batch: readonly WaitingOrder[]): Promise<void> {
    const kept = this.#kept;
    // Before the first configuration is taken up nothing is known of any pool.
    if (this.#closed || kept === undefined || !this.#started) {
      for (const { resolve } of batch) resolve(bad(this.#closed ? isEnding : isStarting));
      return;
    }
    const judged = batch.map((waiting) => ({ waiting, outcome: this.#judge(waiting.request) }));
    const keeps = judged.some(({ outcome }) => outcome.ok && outcome.value.keeps);
    const saved = keeps ? await this.#keep(kept) : good(true as const);
    for (const { waiting, outcome } of judged) {
      if (!outcome.ok) waiting.resolve(outcome);
      else if (saved.ok || !outcome.value.keeps) this.#confirm(waiting, outcome.value);
      else this.#takeBack(waiting, outcome.value, saved.failure);
    }
    this.#armLeases();
  }

  #judge({ pool, address, order, by, isExpected }: OrderRequest): Result<OrderStep> {
    const { clock, wallClock } = this.#options;
    const nowMs = clock();
    if (!isExpected(this.#registry.desiredTarget(pool, address, nowMs))) {
      const detail = `target ${address} of pool ${pool} is not what the order expects it to be`;
      return bad({ code: "target.precondition", origin: "client", retrySafe: false, detail });
    }
    return this.#registry.order({ pool, address, order, by: `api ${by}`, nowMs, wallMs: wallClock() });
  }

  #confirm({ request, resolve }: WaitingOrder, step: OrderStep): void {
    this.#tell(step, `api ${request.by}`);
    const { before, after } = step;
    void this.#options.settled(request.pool).then((settled) => resolve(good({ before, after, ...settled })));
  }

  #takeBack({ request, resolve }: WaitingOrder, step: OrderStep, failure: Failure): void {
    const { pool, address, by } = request;
    this.#options.log.error("change refused: it cannot be kept", { pool, target: address, by, detail: failure.detail });
    const undone = this.#registry.undo(step.undo);
    // A source that spoke meanwhile has told the pool with what is taken back now.
    this.#tellPools(undone);
    resolve(bad(failure));
  }

  #takeReading(pool: string, reading: SourceReading): void {
    if (this.#closed) return;
    this.#tell(this.#registry.applyReading(pool, reading.targets), undefined);
  }

  #armLeases(): void {
    clearTimeout(this.#leaseTimer);
    const at = this.#registry.nextExpiryAt();
    if (at === undefined || this.#closed) return;
    const waitMs = Math.min(timerMax, Math.max(0, Math.ceil(at - this.#options.clock())));
    this.#leaseTimer = setTimeout(() => this.#expireLeases(), waitMs);
    this.#leaseTimer.unref();
  }

  #expireLeases(): void {
    const step = this.#registry.expire(this.#options.clock());
    this.#tell(step, "lease");
    this.#armLeases();
    if (!step.keeps || this.#kept === undefined) return;
    // Read again from disk, an expired lease would run once more and then be over: nothing is lost when this fails.
    void this.#keep(this.#kept).then((kept) => {
      if (!kept.ok) this.#options.log.warn("expired leases not written", { detail: kept.failure.detail });
    });
  }

  /** Writes all there is to disk. Code: state.unwritable; what is there then is not known, and it is tried again. */
  async #keep(kept: KeptTargets): Promise<Result<true>> {
    clearTimeout(this.#keepTimer);
    const silence = Promise.withResolvers<Result<true>>();
    const timer = setTimeout(() => silence.resolve(bad(isSilent)), keepPatience);
    const saved = await Promise.race([kept.save(this.#registry.entries()), silence.promise]);
    clearTimeout(timer);
    if (saved.ok || this.#closed) return saved;
    clearTimeout(this.#keepTimer);
    this.#keepTimer = setTimeout(() => void this.#keepAgain(kept), keepAgainDelay);
    this.#keepTimer.unref();
    return saved;
  }

  // Read at the next start, an order that was refused would be in force after all.
  async #keepAgain(kept: KeptTargets): Promise<void> {
    if ((await this.#keep(kept)).ok) this.#options.log.info("what the API said is on disk again");
  }

  /** `who` undefined: the owner of each target. */
  #tell(step: RegistryStep, who: string | undefined): void {
    for (const change of step.changes) this.#tellChange(change, who ?? change.owner, step.changes.length);
    for (const { pool, leftOut } of step.overflows) {
      this.#options.log.warn("targets left out: the pool has as many as it may", {
        pool,
        leftOut,
        most: desiredTargetsMax,
      });
    }
    this.#tellPools(step);
  }

  #tellPools(step: RegistryStep): void {
    if (this.#committing || step.pools.length === 0) return;
    this.#options.changed(
      step.pools.map((name) => this.#registry.desiredPool(name)).filter((pool) => pool !== undefined),
    );
  }

  #tellChange({ pool, address, before, after }: DesiredChange, who: string, together: number): void {
    const what = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    const fields = changedFields(before, after);
    this.#options.events.tell({
      type: `target.${what}`,
      who,
      subject: { pool, target: address },
      before: before === undefined ? undefined : pick(before, fields),
      after: after === undefined ? undefined : pick(after, fields),
    });
    // Of many at once the events tell each; a log that has them all would have nothing else.
    const level = together > changesToldMax ? "debug" : "info";
    this.#options.log[level](`target ${what}`, { pool, target: address, by: who, ...describe(before, after, fields) });
  }
}

const toldFields = ["weight", "intent", "backup", "maxFails", "failTimeout", "connectionsMax", "slowStart"] as const;

type ToldField = (typeof toldFields)[number];

/** Those that differ, of a target that stays; all of one that comes or goes. */
function changedFields(before: Target | undefined, after: Target | undefined): readonly ToldField[] {
  if (before === undefined || after === undefined) return toldFields;
  return toldFields.filter((field) => before[field] !== after[field]);
}

function pick(target: Target, fields: readonly ToldField[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(fields.map((field) => [field, target[field]]));
}

/** For the log: what changed as `before -> after`, or weight and intent of one that comes. */
function describe(
  before: Target | undefined,
  after: Target | undefined,
  fields: readonly ToldField[],
): Readonly<Record<string, unknown>> {
  if (after === undefined) return {};
  if (before === undefined) return { weight: after.weight, intent: after.intent };
  return Object.fromEntries(fields.map((field) => [field, `${before[field]} -> ${after[field]}`]));
}
