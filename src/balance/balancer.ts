// What every balancer is: a choice among the members of one pool, made on the request's way, so without allocation and
// without a promise. A balancer knows no sockets and no clock; time and chance are handed in.

import type { Milliseconds } from "../core/clock.ts";

/** One target as a balancer sees it. The state of the pool owns it and changes it between picks. */
export type Member = {
  readonly address: string;
  /** Integer, 0 takes no new work. */
  readonly weight: number;
  /** What it takes of new work now: its weight, or while its slow start lasts a part of that, in whole 256ths (slow-start.ts). */
  share: number;
  readonly backup: boolean;
  /** Failed reports that take it out, as in the pool; a failed one lowers smooth round robin's weight by weight / maxFails. Absent: 1. */
  readonly maxFails?: number;
  /** Intent is up and health is not unhealthy. */
  eligible: boolean;
  /** Exchanges under way here. */
  active: number;
  /** Most exchanges at a time; Infinity is no limit. */
  readonly activeMax: number;
  /** Peak EWMA of the time to the first byte, in milliseconds, and when it was last fed. 0: nothing known. */
  latencyMs: Milliseconds;
  latencyAtMs: Milliseconds;
};

/** What one pick may look at; one object, reused for every pick. */
export type Pick = {
  nowMs: Milliseconds;
  /** What this exchange has tried already; none of it is picked again. Empty at a first try. */
  tried: readonly Member[];
  /** 32-bit hash of the key the pool hashes by (src/balance/hash.ts); for ipHash the client's address text is hashed instead. */
  keyHash: number;
  /** The client's address as text, for ipHash. */
  clientAddress: string;
};

export type Balancer = {
  /** The index of the chosen member, or -1 when none takes work. Does not change `active` or `tried`. */
  pick(pick: Pick): number;
  /** An outcome of live traffic; smooth weighted round robin lowers the effective weight of a member that fails, as nginx. */
  report(index: number, ok: boolean): void;
  /** What it has given whom, for the balancer that takes its place; empty for a policy that keeps no account. */
  readonly standings: readonly Standing[];
};

/** How far each of these members is ahead of the others or behind them (smooth-round-robin.ts). Doubles hold integers up to 2^53. */
export type Standing = {
  readonly members: readonly Member[];
  readonly current: Float64Array;
  /** What failures have taken from its weight, and picks have not given back yet. */
  readonly lowered: Float64Array;
};

export const noStandings: readonly Standing[] = [];

/** True when this member may be picked for this exchange. */
export function takesWork(member: Member, pick: Pick): boolean {
  return member.eligible && member.weight > 0 && member.active < member.activeMax && !wasTried(member, pick);
}

/** At a first try, nearly always, there is nothing to look through. */
export function wasTried(member: Member, pick: Pick): boolean {
  return pick.tried.length > 0 && pick.tried.includes(member);
}
