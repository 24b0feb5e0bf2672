// One pool's source as the supervisor has it: the watch that is open, the last reading, the dump that it began with and the
// one it writes. The change's way. It tells its pool nothing before it is made current: until then a reload may be refused,
// and must not have changed anything.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Failure } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { Source } from "../../model/source.ts";
import { type Dump, decodeDump, dumpPaths, encodeDump, encodeUpsyncDump, nameSource } from "../../sources/dump.ts";
import { readDump, writeDump } from "../../sources/dump-file.ts";
import type { DamagedEntry, OpenSource, SourceReading, SourceWatch, SourceWatchStatus } from "../../sources/source.ts";
import type { Happening } from "../event-log.ts";
import { SourceLog } from "./source-log.ts";

/** How the source of a pool stands, for status and metrics. */
export type PoolSourceStatus = SourceWatchStatus & {
  readonly pool: string;
  readonly type: Source["type"];
  readonly targets: number;
  readonly damaged: readonly DamagedEntry[];
  /** It has not answered since the start: the targets are those of the dump. */
  readonly fromDump: boolean;
  /** When the dump that is used was written: the last change that it saw. ISO 8601, UTC. */
  readonly dumpWrittenAt: string | undefined;
  readonly revision: string | undefined;
  /** Of the last good answer. ISO 8601, UTC. */
  readonly readAt: string | undefined;
};

export type SourceMeans = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => Milliseconds;
  readonly random: Random;
  readonly open: OpenSource;
  readonly tell: (pool: string, reading: SourceReading) => void;
  readonly tellEvent: (happening: Happening) => void;
};

/** Changes within this time are written to the dump together. */
const dumpDelay: Milliseconds = 250;
/** How long a start waits for the store when the last good list is there. */
const insteadPatience: Milliseconds = 2_000;
/** A dump that could not be written is tried again. */
const dumpRetryDelay: Milliseconds = 30_000;

export class PoolSource {
  readonly pool: Pool;
  readonly source: Source;
  readonly #means: SourceMeans;
  readonly #log: SourceLog;
  readonly #name: string;
  readonly #paths: { readonly json: string; readonly upsync: string | undefined };
  #watch: SourceWatch | undefined;
  #reading: SourceReading | undefined;
  /** Of it the targets are until there is a reading. */
  #dump: Dump | undefined;
  /** The pool's source until now, when it has the same list. */
  #before: PoolSource | undefined;
  #readAtMs: Milliseconds | undefined;
  #lastFailure: Failure | undefined;
  /** It is opened with a list from before, and may go on with that. */
  #insteadKnown = false;
  #failures = 0;
  #current = false;
  #closed = false;
  #settle = () => {};
  #dumpTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(pool: Pool, source: Source, stateDirectory: string, means: SourceMeans) {
    this.pool = pool;
    this.source = source;
    this.#means = means;
    this.#name = nameSource(source);
    this.#paths = dumpPaths(source.dump, pool.name, stateDirectory);
    const who = source.type === "consulService" ? "consul" : source.type;
    const { log, tellEvent, clock } = means;
    this.#log = new SourceLog({ log, tellEvent, clock, pool: pool.name, who, source: this.#name });
  }

  /**
   * Opens the watch, and resolves when it has answered or startTimeout is over; sooner where the last good list is known and
   * the source is not required: then with the first failure of every endpoint. `before` is the pool's source until now: of
   * the same list, what it knows is known. A failure is one of a required source: `source.required`.
   */
  async open(before: PoolSource | undefined): Promise<Failure | undefined> {
    const { source, pool } = this;
    this.#before = before !== undefined && before.#name === this.#name ? before : undefined;
    const known = this.#lastAnswerOf(this.#before);
    if (known === undefined) this.#dump = await this.#loadDump();
    if (this.#closed) return undefined;
    const answered = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    this.#insteadKnown = !source.required && (known ?? this.#dump) !== undefined;
    const patience = this.#insteadKnown ? Math.min(source.startTimeout, insteadPatience) : source.startTimeout;
    const timer = setTimeout(this.#settle, patience);
    const { open, clock, random } = this.#means;
    this.#watch = open(
      source,
      { name: pool.name, slowStart: pool.slowStart },
      { read: (reading) => this.#read(reading), failed: (failure) => this.#failed(failure) },
      { clock, random, known: known?.targets ?? this.#dump?.targets ?? [] },
    );
    await answered;
    clearTimeout(timer);
    if (this.#readAtMs !== undefined || this.#closed) return undefined;
    if (source.required) return this.#requiredFailure();
    this.#log.warn(`source has not answered in time: ${this.#insteadOfAnswer()}`, { patienceMs: patience });
    return undefined;
  }

  /** From now on its readings are the pool's. `dropped` resolves when the pool's source until now writes no dump any more. */
  makeCurrent(dropped: Promise<void> | undefined): void {
    this.#current = true;
    if (dropped !== undefined) this.#writing = dropped;
    // Not what it was when this one was opened: it has gone on until now.
    this.#reading ??= this.#lastAnswerOf(this.#before);
    this.#before = undefined;
    if (this.#reading !== undefined) this.#dump = undefined;
    const reading = this.#reading ?? this.#dumpReading();
    if (reading === undefined) return;
    this.#means.tell(this.pool.name, reading);
    if (this.#readAtMs !== undefined) this.#writeDumpIn(dumpDelay);
  }

  /** As it would be for a pool of this one's slowStart. */
  #lastAnswerOf(before: PoolSource | undefined): SourceReading | undefined {
    const reading = before === undefined ? undefined : before.#reading;
    if (reading === undefined) return undefined;
    const { slowStart } = this.pool;
    return { ...reading, targets: reading.targets.map((target) => ({ ...target, slowStart })) };
  }

  status(): PoolSourceStatus {
    const { pool, source } = this;
    const reading = this.#reading ?? this.#dumpReading();
    const readAtMs = this.#readAtMs;
    const idle = { endpoint: "", connected: false, answeredAgoMs: undefined, answers: 0, failures: 0 };
    return {
      ...(this.#watch?.status() ?? { ...idle, lastFailure: undefined }),
      pool: pool.name,
      type: source.type,
      targets: reading?.targets.length ?? 0,
      damaged: reading?.damaged ?? [],
      fromDump: this.#dump !== undefined,
      dumpWrittenAt: this.#dump?.writtenAt,
      revision: reading?.revision,
      readAt: readAtMs === undefined ? undefined : new Date(readAtMs).toISOString(),
    };
  }

  /** Ends the watch at once; resolves when a dump that was still to be written is. */
  async close(): Promise<void> {
    this.#end();
    if (this.#dumpTimer !== undefined) this.#writeDump();
    await this.#writing;
  }

  /** Ends the watch at once, for another takes its place; resolves when a dump that is being written is. */
  async drop(): Promise<void> {
    this.#end();
    clearTimeout(this.#dumpTimer);
    this.#dumpTimer = undefined;
    await this.#writing;
  }

  #end(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#settle();
  }

  #read(reading: SourceReading): void {
    if (this.#closed) return;
    const before = this.#reading;
    this.#readAtMs = this.#means.wallClock();
    this.#lastFailure = undefined;
    this.#reading = reading;
    this.#dump = undefined;
    this.#log.answered(reading.targets.length);
    this.#settle();
    if (before === reading) return;
    this.#log.damage(reading.damaged);
    if (!this.#current) return;
    if (before !== undefined && areSame(before.targets, reading.targets)) return;
    this.#means.tell(this.pool.name, reading);
    this.#writeDumpIn(dumpDelay);
  }

  #failed(failure: Failure): void {
    if (this.#closed) return;
    this.#lastFailure = failure;
    this.#log.failed(failure);
    this.#failures++;
    // All were asked once, and there is something to begin with: nobody has to wait for the store to come back.
    if (this.#insteadKnown && this.#failures >= endpointCount(this.source)) this.#settle();
  }

  #insteadOfAnswer(): string {
    if (this.#lastAnswerOf(this.#before) !== undefined) return "its last list stays";
    return this.#dump === undefined ? "nothing is known of its targets" : `its dump of ${this.#dump.writtenAt} is used`;
  }

  #requiredFailure(): Failure {
    const last = this.#lastFailure;
    const why = last === undefined ? "it has said nothing" : `${last.detail} (${last.code})`;
    return {
      code: "source.required",
      origin: "self",
      retrySafe: false,
      detail: `pool ${this.pool.name}: its source ${this.#name} is required and has not answered within ${this.source.startTimeout} ms: ${why}`,
    };
  }

  async #loadDump(): Promise<Dump | undefined> {
    const { pool } = this;
    const path = this.#paths.json;
    const text = await readDump(path);
    if (text.ok && text.value === undefined) return undefined;
    const dump = text.ok ? decodeDump(text.value ?? "", pool, this.#name) : text;
    if (dump.ok) return dump.value;
    const { code, detail } = dump.failure;
    this.#log.warn("dump of the source is of no use", { path, code, detail });
    return undefined;
  }

  #dumpReading(): SourceReading | undefined {
    const dump = this.#dump;
    return dump === undefined ? undefined : { targets: dump.targets, damaged: [], revision: dump.revision };
  }

  #writeDumpIn(delay: Milliseconds): void {
    if (this.#dumpTimer !== undefined || this.#closed) return;
    this.#dumpTimer = setTimeout(() => this.#writeDump(), delay);
    // What is still to be written is written by close().
    this.#dumpTimer.unref();
  }

  #writeDump(): void {
    clearTimeout(this.#dumpTimer);
    this.#dumpTimer = undefined;
    // One after the other: two writers of a file would take each other's draft.
    this.#writing = this.#writing.then(() => this.#writeNow());
  }

  async #writeNow(): Promise<void> {
    const reading = this.#reading;
    if (reading === undefined) return;
    const { targets, revision } = reading;
    const writtenAt = new Date(this.#means.wallClock()).toISOString();
    const dump: Dump = { pool: this.pool.name, source: this.#name, writtenAt, revision, targets };
    const { json, upsync } = this.#paths;
    const results = [await writeDump(json, encodeDump(dump))];
    if (upsync !== undefined) results.push(await writeDump(upsync, encodeUpsyncDump(dump)));
    for (const result of results) {
      if (result.ok) continue;
      const { code, detail } = result.failure;
      this.#log.warn("dump of the source cannot be written", { code, detail });
      this.#writeDumpIn(dumpRetryDelay);
    }
  }
}

/** True when both lists make the same pool. A watch gives an entry that has not changed the same object. */
function areSame(one: readonly Target[], other: readonly Target[]): boolean {
  return one.length === other.length && one.every((target, index) => isSame(target, other[index]));
}

function isSame(one: Target, other: Target | undefined): boolean {
  if (one === other || other === undefined) return one === other;
  return (
    one.address === other.address &&
    one.weight === other.weight &&
    one.maxFails === other.maxFails &&
    one.failTimeout === other.failTimeout &&
    one.connectionsMax === other.connectionsMax &&
    one.backup === other.backup &&
    one.intent === other.intent &&
    one.slowStart === other.slowStart
  );
}

function endpointCount(source: Source): number {
  return source.type === "dns" ? Math.max(1, source.servers.length) : source.endpoints.length;
}
