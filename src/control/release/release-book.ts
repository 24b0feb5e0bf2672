// The records of releases that a balancer keeps for whoever drives them: one for each pool, with a lease as its lock and a
// fencing number that only grows. On disk before it is answered (src/io/kept-file.ts). The change's way, in the supervisor. It
// decides nothing about a release: it says who may write, and tells the events what was written.
//
// A release of several balancers needs the leases and the writes of most of them (api-store.ts), so that two drivers that
// reach different ones cannot both go on.

import { join } from "node:path";
import type { Clock, Milliseconds } from "../../core/clock.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { type KeptFileCalls, keepFile, readKept } from "../../io/kept-file.ts";
import { isEnd, type ReleaseRecord } from "../../model/release.ts";
import { decodeRecord, encodeRecord, laterRecord } from "../../release/record.ts";
import type { EventLog } from "../event-log.ts";
import { Serial } from "../serial.ts";

/** Name of the file in the state directory. */
export const keptReleasesName = "releases.json";
/** Pools whose last release is kept; the one that ended longest ago goes when there is one more. */
export const keptReleasesMax = 256;
export const releaseTtlMin: Milliseconds = 2_000;
export const releaseTtlMax: Milliseconds = 600_000;

export type ReleaseLease = { readonly holder: string; readonly ttlMs: Milliseconds; readonly leftMs: Milliseconds };

/** What is kept of one pool. */
export type KeptRelease = {
  readonly pool: string;
  /** The highest that was given or heard of. */
  readonly fence: number;
  readonly lease: ReleaseLease | undefined;
  readonly record: ReleaseRecord | undefined;
  /** Where the record itself is kept, when this is a copy of it. */
  readonly copyOf: string | undefined;
};

export type ReleaseOrder =
  /** `instead`: a holder of whom the asker knows that he is gone. `fence`: one more than all that he has heard of. */
  | {
      readonly type: "acquire";
      readonly holder: string;
      readonly ttlMs: Milliseconds;
      readonly fence: number;
      readonly instead: string | undefined;
    }
  | { readonly type: "renew"; readonly holder: string }
  | { readonly type: "leave"; readonly holder: string }
  /** The record as JSON data, as whoever drives the release encodes it. */
  | { readonly type: "keep"; readonly holder: string; readonly record: unknown }
  | { readonly type: "copy"; readonly from: string; readonly record: unknown };

type Entry = {
  readonly fence: number;
  readonly record: ReleaseRecord | undefined;
  readonly copyOf: string | undefined;
  readonly holder: string | undefined;
  readonly ttlMs: Milliseconds;
  /** On the monotonic clock. */
  readonly until: Milliseconds;
};

const empty: Entry = { fence: 0, record: undefined, copyOf: undefined, holder: undefined, ttlMs: 0, until: 0 };

export type ReleaseBookOptions = {
  readonly log: Log;
  readonly events: EventLog;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => Milliseconds;
  readonly calls?: KeptFileCalls;
};

export class ReleaseBook {
  readonly #options: ReleaseBookOptions;
  readonly #turns = new Serial();
  #path: string | undefined;
  #entries: ReadonlyMap<string, Entry> = new Map();

  constructor(options: ReleaseBookOptions) {
    this.#options = options;
  }

  /** Reads what is kept. Codes: those of the kept file. A lease has its whole time again, as those of targets do. */
  async open(stateDirectory: string): Promise<Result<true>> {
    const { log, wallClock, calls } = this.#options;
    const path = join(stateDirectory, keptReleasesName);
    const found = await readKept(path, { wallClock, ...(calls === undefined ? {} : { calls }) });
    if (!found.ok) return found;
    for (const { level, code, detail } of found.value.findings) log[level](detail, { code, path });
    this.#path = path;
    this.#entries = this.#decode(found.value.text ?? "");
    return good(true);
  }

  list(): readonly KeptRelease[] {
    return [...this.#entries].map(([pool, entry]) => this.#view(pool, entry));
  }

  find(pool: string): KeptRelease | undefined {
    const entry = this.#entries.get(pool);
    return entry && this.#view(pool, entry);
  }

  /**
   * One order after the other. Codes: release.held (somebody else has the lease), release.lost (the lease, or a later holder
   * has written), release.record, release.record.size, state.unwritable, node.starting.
   */
  order(pool: string, order: ReleaseOrder, by: string): Promise<Result<KeptRelease>> {
    return this.#turns.run(() => this.#order(pool, order, by));
  }

  async #order(pool: string, order: ReleaseOrder, by: string): Promise<Result<KeptRelease>> {
    const before = this.#entries.get(pool) ?? empty;
    const judged = this.#judge(pool, before, order);
    if (!judged.ok) return judged;
    const after = judged.value;
    // A renewal changes nothing on disk: after a restart the lease has its whole time anyway.
    if (order.type !== "renew") {
      const kept = await this.#keep(new Map(this.#entries).set(pool, after));
      if (!kept.ok) return kept;
    }
    const entries = new Map(this.#entries).set(pool, after);
    this.#entries = withinLimit(entries);
    if (after.record !== before.record) this.#tell(before.record, after.record, by);
    return good(this.#view(pool, after));
  }

  #judge(pool: string, entry: Entry, order: ReleaseOrder): Result<Entry> {
    const now = this.#options.clock();
    const holder = entry.holder !== undefined && entry.until > now ? entry.holder : undefined;
    switch (order.type) {
      case "acquire": {
        const isFree = holder === undefined || holder === order.holder || holder === order.instead;
        if (!isFree) return refuse("release.held", `the release of pool ${pool} is held by ${holder}`);
        const fence = Math.max(order.fence, entry.fence + (holder === order.holder ? 0 : 1));
        return good({ ...entry, fence, holder: order.holder, ttlMs: order.ttlMs, until: now + order.ttlMs });
      }
      case "renew":
        if (holder !== order.holder) return refuse("release.lost", describeLoss(pool, holder));
        return good({ ...entry, until: now + entry.ttlMs });
      case "leave":
        return good(holder === order.holder ? { ...entry, holder: undefined } : entry);
      case "keep": {
        if (holder !== order.holder) return refuse("release.lost", describeLoss(pool, holder));
        const read = readRecord(pool, order.record);
        if (!read.ok) return read;
        const { fence } = read.value;
        if (fence < entry.fence) {
          return refuse("release.lost", `a later holder has the fencing number ${entry.fence}, this one ${fence}`);
        }
        return good({ ...entry, fence, record: read.value, copyOf: undefined });
      }
      case "copy": {
        const read = readRecord(pool, order.record);
        if (!read.ok) return read;
        const { value: record } = read;
        // What is driven here is not hidden by what is driven elsewhere.
        if (holder !== undefined) return refuse("release.held", `the release of pool ${pool} is held by ${holder}`);
        const known = entry.record?.id === record.id ? entry.record : undefined;
        return good({ ...entry, record: laterRecord(known, record), copyOf: order.from });
      }
      default:
        return order satisfies never;
    }
  }

  #view(pool: string, { fence, record, copyOf, holder, ttlMs, until }: Entry): KeptRelease {
    const leftMs = until - this.#options.clock();
    const lease = holder !== undefined && leftMs > 0 ? { holder, ttlMs, leftMs } : undefined;
    return { pool, fence, lease, record, copyOf };
  }

  #tell(before: ReleaseRecord | undefined, after: ReleaseRecord | undefined, by: string): void {
    if (after === undefined) return;
    const known = before?.id === after.id ? summarize(before) : undefined;
    const now = summarize(after);
    if (JSON.stringify(known) === JSON.stringify(now)) return;
    this.#options.events.tell({
      type: known === undefined ? "release.began" : known.phase === now.phase ? "release.step" : `release.${now.phase}`,
      who: `api ${by}`,
      subject: { pool: after.pool, release: after.id },
      before: known,
      after: now,
    });
  }

  async #keep(entries: ReadonlyMap<string, Entry>): Promise<Result<true>> {
    if (this.#path === undefined) return refuse("node.starting", "the node has not read yet what it keeps");
    const lines: string[] = [];
    for (const [pool, { fence, record, copyOf, holder, ttlMs }] of withinLimit(entries)) {
      const text = record === undefined ? good(undefined) : encodeRecord(record);
      if (!text.ok) return text;
      lines.push(`${JSON.stringify({ pool, fence, copyOf, holder, ttlMs, record: text.value })}\n`);
    }
    return keepFile(this.#path, lines.join(""), this.#options.calls);
  }

  #decode(text: string): ReadonlyMap<string, Entry> {
    const { log, clock } = this.#options;
    const entries = new Map<string, Entry>();
    for (const line of text.split("\n").filter((one) => one !== "")) {
      const { pool, fence, copyOf, holder, ttlMs = 0, record } = Object(JSON.parse(line));
      const decoded = typeof record === "string" ? decodeRecord(record) : undefined;
      if (decoded?.ok === false) log.error(decoded.failure.detail, { code: decoded.failure.code, pool });
      const kept = decoded?.ok === true ? decoded.value : undefined;
      entries.set(pool, { fence, copyOf, holder, ttlMs, until: clock() + ttlMs, record: kept });
    }
    return entries;
  }
}

function readRecord(pool: string, data: unknown): Result<ReleaseRecord> {
  const read = decodeRecord(JSON.stringify(data) ?? "");
  if (!read.ok || read.value.pool === pool) return read;
  return refuse("release.record", `the record is of pool ${read.value.pool}`);
}

/** Without the one that ended longest ago, when there are too many; one that has not ended stays. */
function withinLimit(entries: ReadonlyMap<string, Entry>): ReadonlyMap<string, Entry> {
  if (entries.size <= keptReleasesMax) return entries;
  const ended = [...entries].filter(
    ([, { record, holder }]) => holder === undefined && isEnd(record?.state.phase ?? "done"),
  );
  const oldest = ended.toSorted(
    ([, one], [, other]) => (one.record?.changedMs ?? 0) - (other.record?.changedMs ?? 0),
  )[0];
  const rest = new Map(entries);
  if (oldest !== undefined) rest.delete(oldest[0]);
  return rest;
}

function describeLoss(pool: string, holder: string | undefined): string {
  const who = holder === undefined ? "nobody has it now" : `${holder} has it now`;
  return `the lock of the release of pool ${pool} is lost: ${who}`;
}

function refuse(code: string, detail: string) {
  return bad({ code, origin: "client", retrySafe: false, detail });
}

/** What an event tells of a record. */
function summarize({ version, state }: ReleaseRecord) {
  const { phase, direction, why, batch, targets } = state;
  const underWay = targets.flatMap((turn) =>
    turn.underWay === undefined ? [] : [`${turn.underWay.step} ${turn.address}`],
  );
  const ended = targets.filter(
    ({ done }) => done.at(-1)?.step === "eligible" || (direction === "abort" && done.length > 0),
  );
  const failed = targets.flatMap((turn) =>
    turn.failure === undefined ? [] : [`${turn.failure.step} ${turn.address}`],
  );
  return {
    version,
    phase,
    direction,
    batch: batch + 1,
    underWay,
    ended: ended.length,
    targets: targets.length,
    failed,
    why,
  };
}
