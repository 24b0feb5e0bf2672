// The balancers as the store of a release: intents by PATCH at each of them, lock and record in the book that each keeps
// (release-book.ts). The change's way. The lock is had, and the record kept, when more than half of all named balancers have
// said so: of two drivers that reach different ones at most one can go on, and whoever comes next meets at least one that has
// the last record. A balancer that is away and comes back has an older one, which the later fencing number and revision
// outdo.

import { bad, good, type Result } from "../../core/failure.ts";
import { formatDuration } from "../../core/units.ts";
import { decodeRecord, laterRecord } from "../../release/record.ts";
import type { Balancer, TargetSeen } from "./balancer.ts";
import { describeHolder } from "./holder.ts";
import { type IntentBoard, type Kept, type Lock, type LockAsked, lockTtl, type ReleaseKeep } from "./store.ts";

const shortTimeout = 5_000;

/** What one balancer has of a pool's release. */
type Shown = {
  readonly fence: number;
  readonly holder: string | undefined;
  readonly record: { readonly text: string; readonly fence: number; readonly revision: number } | undefined;
};

type Each<T> = { readonly balancer: Balancer; readonly result: Result<T> };

export function apiKeep(pool: string, balancers: readonly Balancer[]): ReleaseKeep {
  const path = `/v1/releases/${encodeURIComponent(pool)}`;
  const most = Math.floor(balancers.length / 2) + 1;

  const each = <T>(work: (balancer: Balancer) => Promise<Result<T>>): Promise<readonly Each<T>[]> =>
    Promise.all(balancers.map(async (balancer) => ({ balancer, result: await work(balancer) })));
  const post = (balancer: Balancer, word: string, body: unknown) =>
    balancer.call({ method: "POST", path: `${path}:${word}`, body, timeoutMs: shortTimeout });

  const show = async (balancer: Balancer): Promise<Result<Shown>> => {
    const said = await balancer.call({ method: "GET", path, timeoutMs: shortTimeout });
    if (said.ok) return good(readShown(said.value));
    if (said.failure.code !== "release.unknown") return said;
    return good({ fence: 0, holder: undefined, record: undefined });
  };
  const looked = async (): Promise<Result<readonly Shown[]>> => {
    const all = await each(show);
    const answered = all.flatMap(({ result }) => (result.ok ? [result.value] : []));
    return answered.length >= most ? good(answered) : tooFew(all, most, "told what is kept");
  };
  const leave = async (holder: string): Promise<void> => {
    await each((balancer) => post(balancer, "leave", { holder }));
  };

  const acquire = async ({ holder, isGone }: LockAsked): Promise<Result<Lock>> => {
    const seen = await looked();
    if (!seen.ok) return seen;
    const others = [...new Set(seen.value.map((one) => one.holder).filter((one) => one !== undefined))];
    const living = others.find((one) => one !== holder && !isGone(one));
    if (living !== undefined) return held(pool, living);
    const fence = 1 + Math.max(...seen.value.map((one) => Math.max(one.fence, one.record?.fence ?? 0)));
    const ttl = formatDuration(lockTtl);
    const asked = await each((balancer) => acquireOne(balancer, { holder, ttl, fence }, others));
    const granted = asked.flatMap(({ result }) => (result.ok ? [readShown(result.value)] : []));
    if (granted.length < most) {
      await leave(holder);
      const other = asked.find(({ result }) => !result.ok && result.failure.code === "release.held");
      if (other !== undefined && !other.result.ok) return other.result;
      return tooFew(asked, most, "given the lock");
    }
    return good(lockOf({ holder, fence: Math.max(...granted.map((one) => one.fence)), text: latest(granted) }));
  };
  const acquireOne = async (balancer: Balancer, body: object, gone: readonly string[]): Promise<Result<unknown>> => {
    for (const instead of gone) {
      const said = await post(balancer, "acquire", { ...body, instead });
      if (said.ok || said.failure.code !== "release.held") return said;
    }
    return post(balancer, "acquire", body);
  };

  const lockOf = ({
    holder,
    fence,
    text,
  }: {
    readonly holder: string;
    readonly fence: number;
    readonly text: string | undefined;
  }): Lock => ({
    fence,
    text,
    keep: async (next) => {
      const body = { holder, record: JSON.parse(next) };
      const said = await each((balancer) => balancer.call({ method: "PUT", path, body, timeoutMs: shortTimeout }));
      return judgeMost(said, most, "kept the record");
    },
    renew: async () =>
      judgeMost(await each((balancer) => post(balancer, "renew", { holder })), most, "renewed the lock"),
    leave: () => leave(holder),
  });

  return {
    name: balancers.map(({ name }) => name).join(", "),
    acquire,
    async look(): Promise<Result<Kept>> {
      const seen = await looked();
      if (!seen.ok) return seen;
      const holder = seen.value.map((one) => one.holder).find((one) => one !== undefined);
      return good({ text: latest(seen.value), holder });
    },
  };
}

function readShown(body: unknown): Shown {
  const { fence, lease, record } = Object(body);
  const holder: unknown = Object(lease).holder;
  const text = typeof record === "object" && record !== null ? JSON.stringify(record) : undefined;
  const decoded = text === undefined ? undefined : decodeRecord(text);
  return {
    fence: typeof fence === "number" ? fence : 0,
    holder: typeof holder === "string" ? holder : undefined,
    record:
      decoded?.ok === true && text !== undefined
        ? { text, fence: decoded.value.fence, revision: decoded.value.revision }
        : undefined,
  };
}

function latest(all: readonly Shown[]): string | undefined {
  let best: Shown["record"];
  for (const { record } of all) if (record !== undefined) best = laterRecord(best, record);
  return best?.text;
}

/** What most have done is done; that one has lost the lock counts when too few have not. */
function judgeMost(all: readonly Each<unknown>[], most: number, what: string): Result<true> {
  if (all.filter(({ result }) => result.ok).length >= most) return good(true);
  const lost = all.filter(({ result }) => !result.ok && result.failure.code === "release.lost");
  const canBe = all.length - lost.length;
  const first = lost[0]?.result;
  if (canBe < most && first !== undefined && !first.ok) return first;
  return tooFew(all, most, what);
}

function tooFew(all: readonly Each<unknown>[], most: number, what: string) {
  const failed = all.flatMap(({ result }) => (result.ok ? [] : [result.failure.detail]));
  const done = all.length - failed.length;
  const detail = `${done} of ${all.length} balancers have ${what}, and ${most} must: ${failed.join("; ")}`;
  return bad({ code: "release.store", origin: "target", retrySafe: true, detail });
}

export function held(pool: string, holder: string) {
  const detail = `the release of pool ${pool} is held by ${describeHolder(holder)}`;
  return bad({ code: "release.held", origin: "client", retrySafe: false, detail });
}

/** A balancer's own word on intents. It lies over what a source or the file says. */
export function apiBoard(pool: string, balancer: Balancer): IntentBoard {
  return {
    name: balancer.name,
    async read(address) {
      const seen = await balancer.target(pool, address);
      if (!seen.ok) return seen;
      const intent = readIntent(seen.value.intent);
      return good({ intent, before: wordOf(seen.value) });
    },
    async set(address, intent) {
      const done = await balancer.patch(pool, address, { intent });
      return done.ok ? good(true) : done;
    },
    async restore(address, before) {
      const done = await balancer.patch(pool, address, { intent: before === "" ? null : before });
      return done.ok ? good(true) : done;
    },
  };
}

/** What the API itself says of the intent; empty where it says nothing. */
function wordOf({ owner, patched, intent }: TargetSeen): string {
  return owner === "api" ? intent : patched.includes("intent") ? intent : "";
}

function readIntent(text: string): "up" | "drain" | "down" {
  return text === "drain" || text === "down" ? text : "up";
}
