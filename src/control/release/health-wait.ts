// Waits until a target answers our own probes: so many in a row, one every so often, within a time. The change's way, a
// driver. It asks the target itself, not the balancers: what they think of it is asked when it is in again.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Prober } from "../../io/probe.ts";
import type { ProbeOutcome } from "../../model/health-check.ts";
import type { ReleaseHealthCheck } from "../../model/release.ts";
import type { StepOutcome } from "../../release/machine.ts";

export type HealthWait = {
  readonly check: ReleaseHealthCheck;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly sleep: (time: Milliseconds, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
};

export async function waitUntilHealthy({ check, prober, clock, sleep, signal }: HealthWait): Promise<StepOutcome> {
  const { within, every, timeout, rise } = check;
  const deadline = clock() + within;
  let passed = 0;
  let probes = 0;
  for (;;) {
    const startedAt = clock();
    const left = Math.max(1, Math.min(timeout, deadline - startedAt));
    const outcome = await new Promise<ProbeOutcome>((resolve) => prober.start(left, resolve));
    probes++;
    // One that we were unable to make says nothing of the target.
    if (outcome.verdict !== "unable") passed = outcome.verdict === "passed" ? passed + 1 : 0;
    if (passed >= rise) return { type: "done", note: outcome.text };
    const next = startedAt + every;
    if (signal.aborted) return { type: "failed", code: "release.interrupted", detail: "told to stop at once" };
    if (next >= deadline) {
      const last = outcome.verdict === "passed" ? `only ${passed} of ${rise} in a row` : outcome.text;
      const detail = `not healthy within ${within / 1000} s (${probes} probes); the last: ${last}`;
      return { type: "failed", code: "release.unhealthy", detail };
    }
    await sleep(Math.max(0, next - clock()), signal);
  }
}
