// What is told of one pool's source: that it fails and that it answers again, each once and then at most once a minute; which
// entries are damaged, as they become so and as they are well again. To the log and to the events. The change's way. It
// decides nothing, and a store that changes its mind all day cannot fill the disk through it.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Failure } from "../../core/failure.ts";
import type { Log, LogFields } from "../../core/log.ts";
import type { DamagedEntry } from "../../sources/source.ts";
import type { Happening } from "../event-log.ts";

/** A failure that lasts is told again after this long. */
const failingInterval: Milliseconds = 60_000;
/** Lines about one source in a minute; what is beyond is counted and told with the next. */
export const linesPerMinuteMax = 60;
const minute: Milliseconds = 60_000;

export type SourceLogOptions = {
  readonly log: Log;
  readonly tellEvent: (happening: Happening) => void;
  readonly clock: Clock;
  readonly pool: string;
  /** `consul`, `etcd`, `dns`: who an event's cause is. */
  readonly who: string;
  /** As nameSource names it. */
  readonly source: string;
};

export class SourceLog {
  readonly #options: SourceLogOptions;
  #toldFailingAtMs: Milliseconds | undefined;
  #failuresUntold = 0;
  #answered = false;
  #damaged: ReadonlyMap<string, DamagedEntry> = new Map();
  #minuteBegan: Milliseconds;
  #lines = 0;
  #untold = 0;

  constructor(options: SourceLogOptions) {
    this.#options = options;
    this.#minuteBegan = options.clock();
  }

  failed(failure: Failure): void {
    const now = this.#options.clock();
    const toldAt = this.#toldFailingAtMs;
    this.#failuresUntold++;
    if (toldAt !== undefined && now - toldAt < failingInterval) return;
    const { code, detail } = failure;
    if (toldAt === undefined) this.#tellEvent("source.failed", undefined, { code, detail });
    const instead = this.#answered ? "source failed; its last list stays" : "source fails and has not answered yet";
    this.#warn(instead, { code, detail, failures: this.#failuresUntold });
    this.#toldFailingAtMs = now;
    this.#failuresUntold = 0;
  }

  /** A good answer, whatever it says. */
  answered(targets: number): void {
    if (this.#toldFailingAtMs !== undefined) {
      this.#toldFailingAtMs = undefined;
      this.#failuresUntold = 0;
      this.#tellEvent("source.recovered", undefined, { targets });
      this.#info(this.#answered ? "source answers again" : "source answers", { targets });
    } else if (!this.#answered) {
      this.#info("source answers", { targets });
    }
    this.#answered = true;
  }

  /** All damaged entries as they are now. */
  damage(entries: readonly DamagedEntry[]): void {
    if (entries.length === 0 && this.#damaged.size === 0) return;
    const before = this.#damaged;
    const now = new Map(entries.map((entry) => [entry.key, entry]));
    const fresh = entries.filter((entry) => !isSame(before.get(entry.key), entry));
    const gone = [...before.keys()].filter((key) => !now.has(key));
    this.#damaged = now;
    if (fresh.length === 0 && gone.length === 0) return;
    for (const { key, code, detail, kept } of fresh) {
      const outcome = kept ? "its last good reading stays" : "it is left out";
      this.#warn(`damaged entry in the source: ${outcome}`, { key, code, detail });
    }
    for (const key of gone) this.#info("entry in the source is no longer damaged", { key });
    this.#tellEvent("source.entries", { damaged: before.size }, { damaged: now.size, first: fresh[0] });
  }

  /** Anything else. */
  warn(message: string, fields: LogFields): void {
    this.#warn(message, fields);
  }

  #warn(message: string, fields: LogFields): void {
    if (this.#takeLine()) this.#options.log.warn(message, this.#fields(fields));
  }

  #info(message: string, fields: LogFields): void {
    if (this.#takeLine()) this.#options.log.info(message, this.#fields(fields));
  }

  #takeLine(): boolean {
    const now = this.#options.clock();
    if (now - this.#minuteBegan >= minute) {
      this.#minuteBegan = now;
      this.#lines = 0;
    }
    if (this.#lines >= linesPerMinuteMax) {
      this.#untold++;
      return false;
    }
    this.#lines++;
    return true;
  }

  #fields(fields: LogFields): LogFields {
    const { pool, source } = this.#options;
    const untold = this.#untold;
    this.#untold = 0;
    return { pool, source, ...fields, ...(untold > 0 ? { linesLeftOut: untold } : {}) };
  }

  #tellEvent(type: string, before: unknown, after: unknown): void {
    const { tellEvent, who, pool } = this.#options;
    tellEvent({ type, who, subject: { pool }, before, after });
  }
}

function isSame(one: DamagedEntry | undefined, other: DamagedEntry): boolean {
  return one?.code === other.code && one.detail === other.detail && one.kept === other.kept;
}
