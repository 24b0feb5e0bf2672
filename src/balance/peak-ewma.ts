// How slow a target is, as one number in the member: an average of its latencies that jumps to every new peak and
// forgets with time (peak EWMA, as in Finagle's load balancer of that name). On the request's way: the proxy feeds it
// at the first byte of each response and with each failure, the two-choices policy reads it. No clock of its own: the
// time is handed in.

import type { Milliseconds } from "../core/clock.ts";
import type { Member } from "./balancer.ts";

/**
 * After this long the old average counts for 1/e (37 %) beside a new latency, and an idle target's memory has faded as
 * much.
 */
export const latencyDecayMs: Milliseconds = 10_000;
/** No latency counts as less: among targets this fast the exchanges under way decide. */
export const latencyFloorMs: Milliseconds = 0.1;
/**
 * Nothing counts as slower, so that a target is found again within latencyDecayMs * ln(latencyCeilingMs / the others'
 * latency).
 */
export const latencyCeilingMs: Milliseconds = 60_000;
/**
 * What a target counts with that has work but has never answered: slow, so that a new one gets one exchange and not all
 * of them.
 */
export const latencyUnknownMs: Milliseconds = 1_000;
/**
 * A failed exchange counts as one that took so many times the average: who fails fast must not look fast. Forgotten
 * after latencyDecayMs * ln 8 = 21 s.
 */
export const failureFactor = 8;

/**
 * Takes in the time to the first byte of one response. Both in milliseconds; `nowMs` never less than at the call
 * before.
 */
export function observeLatency(member: Member, latencyMs: Milliseconds, nowMs: Milliseconds): void {
  const seen = clamp(latencyMs);
  const known = member.latencyMs;
  if (seen >= known) {
    member.latencyMs = seen;
  } else {
    const kept = Math.exp((member.latencyAtMs - nowMs) / latencyDecayMs);
    member.latencyMs = clamp(seen + (known - seen) * kept);
  }
  member.latencyAtMs = nowMs;
}

/** Takes in an exchange that failed before its first byte, whatever it took. */
export function observeFailure(member: Member, nowMs: Milliseconds): void {
  const known = member.latencyMs === 0 ? latencyUnknownMs : fadedLatency(member, nowMs) * failureFactor;
  member.latencyMs = clamp(known);
  member.latencyAtMs = nowMs;
}

/**
 * What a new exchange would wait here, for its weight: latency * (active + 1) / weight. 0 for a target that nobody has
 * tried yet.
 */
export function expectedWait(member: Member, nowMs: Milliseconds): number {
  if (member.latencyMs === 0) return member.active === 0 ? 0 : (latencyUnknownMs * (member.active + 1)) / member.weight;
  return (fadedLatency(member, nowMs) * (member.active + 1)) / member.weight;
}

/** The average fades while nobody asks the target, so one that was slow once is tried again. */
function fadedLatency(member: Member, nowMs: Milliseconds): Milliseconds {
  const faded = member.latencyMs * Math.exp((member.latencyAtMs - nowMs) / latencyDecayMs);
  return faded > latencyFloorMs ? faded : latencyFloorMs;
}

function clamp(latencyMs: Milliseconds): Milliseconds {
  if (!(latencyMs > latencyFloorMs)) return latencyFloorMs;
  return latencyMs < latencyCeilingMs ? latencyMs : latencyCeilingMs;
}
