// What an order makes of what the API says of one target: taken, or refused with a code. The change's way, pure; part of
// registry.ts, which puts the outcome in place. Must not look at any other target: limits over all are the registry's.
//
// Who may say what. An operator names no holder and may say anything. A holder renews and removes what its own lease holds
// and nothing else, also not what an operator has put without a lease since; nobody takes a target over from a lease that
// runs but its holder and an operator. What adds nothing to what the owner says (no field, no lease, not that the target
// exists) is forgotten.

import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { type Lease, leaseHolderMax, leaseTtlMax, leaseTtlMin, speakerMax, type TargetOrder } from "./desired.ts";
import type { Word } from "./pool-layers.ts";
import { judgePatch, mergePatches, samePatch } from "./target-patch.ts";

/** One target as an order meets it. */
export type Scene = {
  readonly pool: string;
  /** Canonical. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly key: string;
  /** It is among the pool's targets now, whoever's it is. */
  readonly isDesired: boolean;
  /** The file or the source have it. */
  readonly isForeign: boolean;
  readonly former: Word | undefined;
  readonly by: string;
  /** Of the clock that leases run on, and of the wall's. */
  readonly nowMs: Milliseconds;
  readonly wallMs: Milliseconds;
};

function refused(code: string, detail: string) {
  return bad({ code, origin: "client", retrySafe: false, detail });
}

function nameOf(scene: Scene): string {
  return `target ${scene.address} of pool ${scene.pool}`;
}

/**
 * The API's word after the order; undefined: none. With the former word's entry, the same object, when nothing of it changes
 * but a lease's time. Fails with `target.unknown`, `target.owned`, `target.lease.held`, and with `target.field`,
 * `target.lease.ttl` or `target.lease.holder` where the order itself cannot be kept.
 */
export function judgeOrder(scene: Scene, order: TargetOrder): Result<Word | undefined> {
  switch (order.type) {
    case "put":
      return judgePut(scene, order);
    case "patch":
      return judgePatchOrder(scene, order);
    case "remove":
      return judgeRemoval(scene, order.holder);
    case "renew":
      return judgeRenewal(scene, order.holder);
    default:
      return order satisfies never;
  }
}

function judgePut(scene: Scene, order: TargetOrder & { readonly type: "put" }): Result<Word | undefined> {
  const { former } = scene;
  const { lease } = order;
  const problem = judgePatch(order.patch);
  if (problem !== undefined) return refused("target.field", `${nameOf(scene)}: ${problem}`);
  const refusal = lease === undefined ? undefined : refuseLease(scene, lease);
  if (refusal !== undefined) return refusal;
  const exists = !scene.isForeign || former?.entry.exists === true || lease !== undefined;
  const deadlineMs = lease === undefined ? undefined : scene.nowMs + lease.ttlMs;
  return good(wordOf(scene, { exists, patch: mergePatches({}, order.patch), lease, deadlineMs }));
}

/** What is wrong with the time and the holder of a lease, as the end of a sentence; undefined when both are in order. */
export function judgeLease({
  holder,
  ttlMs,
}: Lease): { readonly field: "ttl" | "holder"; readonly problem: string } | undefined {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < leaseTtlMin || ttlMs > leaseTtlMax) {
    return { field: "ttl", problem: `whole milliseconds from ${leaseTtlMin} to ${leaseTtlMax} are expected` };
  }
  if (holder === "" || holder.length > leaseHolderMax) {
    return { field: "holder", problem: `1 to ${leaseHolderMax} characters are expected` };
  }
  return undefined;
}

function refuseLease(scene: Scene, lease: Lease) {
  const wrong = judgeLease(lease);
  if (wrong !== undefined) {
    return refused(`target.lease.${wrong.field}`, `${nameOf(scene)}: ${wrong.field} of the lease: ${wrong.problem}`);
  }
  const holder = holderOf(scene);
  return holder === undefined || holder === lease.holder ? undefined : held(scene, holder);
}

/** Who holds it by a lease that still runs. One that should have been taken away by now holds nothing. */
function holderOf({ former, nowMs }: Scene): string | undefined {
  if (former?.deadlineMs === undefined || former.deadlineMs <= nowMs) return undefined;
  return former.entry.lease?.holder;
}

function held(scene: Scene, holder: string) {
  return refused("target.lease.held", `${nameOf(scene)} is held by the lease of \`${holder}\``);
}

function judgePatchOrder(scene: Scene, order: TargetOrder & { readonly type: "patch" }): Result<Word | undefined> {
  const { former } = scene;
  if (!scene.isDesired) return unknown(scene);
  const problem = judgePatch(order.patch);
  if (problem !== undefined) return refused("target.field", `${nameOf(scene)}: ${problem}`);
  const { exists, lease, patch } = former?.entry ?? { exists: false, lease: undefined, patch: {} };
  const deadlineMs = former?.deadlineMs;
  return good(wordOf(scene, { exists, patch: mergePatches(patch, order.patch), lease, deadlineMs }));
}

function judgeRemoval(scene: Scene, holder: string | undefined): Result<undefined> {
  const { former } = scene;
  if (former === undefined) return scene.isForeign ? owned(scene) : unknown(scene);
  const refusal = holder === undefined ? undefined : refuseHolder(scene, former, holder);
  return refusal ?? good(undefined);
}

function judgeRenewal(scene: Scene, holder: string): Result<Word | undefined> {
  const { former } = scene;
  if (former === undefined) return unknown(scene);
  const ttlMs = former.entry.lease?.ttlMs ?? 0;
  return refuseHolder(scene, former, holder) ?? good({ ...former, deadlineMs: scene.nowMs + ttlMs });
}

/** A holder whose time is over but whose target is still there is in time. */
function refuseHolder(scene: Scene, { entry }: Word, holder: string) {
  if (entry.lease === undefined) {
    const detail = `${nameOf(scene)} has no lease any more: ${entry.by} put it without one`;
    return refused("target.lease.held", detail);
  }
  return entry.lease.holder === holder ? undefined : held(scene, entry.lease.holder);
}

function owned(scene: Scene) {
  return refused(
    "target.owned",
    `${nameOf(scene)} comes from the file or the pool's source, which alone can remove it`,
  );
}

function unknown(scene: Scene) {
  const detail = scene.isDesired ? `the API said nothing of ${nameOf(scene)}` : `there is no ${nameOf(scene)}`;
  return refused("target.unknown", detail);
}

type Saying = Pick<Word["entry"], "exists" | "patch" | "lease"> & Pick<Word, "deadlineMs">;

/** With the former entry where it says the same: nothing is to be written then, and who said it stays who said it. */
function wordOf(scene: Scene, { exists, patch, lease, deadlineMs }: Saying): Word | undefined {
  const { former, pool, address, host, port, key } = scene;
  if (!exists && lease === undefined && Object.keys(patch).length === 0) return undefined;
  if (
    former !== undefined &&
    former.entry.exists === exists &&
    samePatch(former.entry.patch, patch) &&
    sameLease(former.entry.lease, lease)
  ) {
    return { ...former, deadlineMs };
  }
  const by = scene.by.slice(0, speakerMax);
  return { entry: { pool, address, exists, patch, lease, by, atMs: scene.wallMs }, host, port, key, deadlineMs };
}

function sameLease(left: Lease | undefined, right: Lease | undefined): boolean {
  return left?.holder === right?.holder && left?.ttlMs === right?.ttlMs;
}
