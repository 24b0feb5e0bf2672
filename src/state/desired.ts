// The targets that a pool is to have, and whose word each is: the file's, the API's or a source's. Plain data: what the
// registry (registry.ts) is asked for and what it tells. The change's way.

import type { Milliseconds } from "../core/clock.ts";
import type { Intent, Target } from "../model/pool.ts";

/** Who says that a target exists. With several, the first of this order: its fields hold and it alone can remove it. */
export type Owner = "file" | "consul" | "etcd" | "dns" | "api";

/** What the API may say of a target; absent: what its owner says, or the default. */
export type TargetPatch = {
  readonly weight?: number;
  readonly maxFails?: number;
  readonly failTimeout?: Milliseconds;
  readonly connectionsMax?: number;
  readonly backup?: boolean;
  readonly intent?: Intent;
  readonly slowStart?: Milliseconds;
};
export type PatchField = keyof TargetPatch;

/** A target that stays only as long as somebody says so again. */
export type Lease = {
  /** Chosen by whoever holds it, 1 to leaseHolderMax characters; another holder's renewal is refused. */
  readonly holder: string;
  readonly ttlMs: Milliseconds;
};

/** One thing that the API said, kept on disk. Without an owner below it the target is the API's own when `exists`. */
export type KeptEntry = {
  readonly pool: string;
  readonly address: string;
  /** The API put the target there. false: it only changed one of another owner, and waits while that one is gone. */
  readonly exists: boolean;
  readonly patch: TargetPatch;
  readonly lease: Lease | undefined;
  /** Who said what holds now, and when (milliseconds since 1970). Saying the same again changes neither. */
  readonly by: string;
  readonly atMs: Milliseconds;
};

/** One target as it is desired, with whose word it is. */
export type DesiredTarget = {
  readonly target: Target;
  readonly owner: Owner;
  /** What the API changed of what the owner says; empty for the API's own. */
  readonly patched: readonly PatchField[];
  readonly lease: (Lease & { readonly leftMs: Milliseconds }) | undefined;
};

/** What is asked of one target. */
export type TargetOrder =
  /**
   * As PUT: it exists with these fields, whatever the API said before. Of another owner's target the fields alone; with a
   * lease also that it exists, since that is said for a time only.
   */
  | { readonly type: "put"; readonly patch: TargetPatch; readonly lease: Lease | undefined }
  /** As PATCH (RFC 7396): these fields change; undefined takes the API's word back. Refused where there is no target. */
  | { readonly type: "patch"; readonly patch: { readonly [Field in PatchField]?: TargetPatch[Field] | undefined } }
  /**
   * As DELETE: the API's own goes; of another owner's target what the API said of it, or refused when it said nothing. With
   * a holder only what that one's lease holds; an operator, who names none, takes back anything.
   */
  | { readonly type: "remove"; readonly holder: string | undefined }
  /** The lease has its whole time again. Nothing else changes, and nothing on disk. */
  | { readonly type: "renew"; readonly holder: string };

/** One difference of what is desired, for the events and the log. */
export type DesiredChange = {
  readonly pool: string;
  readonly address: string;
  readonly owner: Owner;
  readonly before: Target | undefined;
  readonly after: Target | undefined;
};

/** Entries of the API over all pools. */
export const keptEntriesMax = 100_000;
/** Targets of one pool, whoever they come from. */
export const desiredTargetsMax = 10_000;
/** A lease's shortest and longest time. */
export const leaseTtlMin: Milliseconds = 1_000;
export const leaseTtlMax: Milliseconds = 24 * 3_600_000;
/** Characters of a lease's holder. */
export const leaseHolderMax = 128;
/** Characters of who said something that are kept. */
export const speakerMax = 256;
