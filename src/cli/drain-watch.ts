// Waiting until a target that takes no new work has none left: asks again and again, tells every change, ends when there is
// nothing, or when its time is up. The change's way. Who asks, and how time passes, is handed in.

import type { TargetWork } from "../admin/target-view.ts";
import type { Clock, Milliseconds } from "../core/clock.ts";
import { good, type Result } from "../core/failure.ts";

export type DrainMeans = {
  /** undefined: the target is no longer there. */
  readonly look: () => Promise<Result<TargetWork | undefined>>;
  /** What is left, whenever it is not what it was. */
  readonly tell: (work: TargetWork) => void;
  readonly wait: (time: Milliseconds) => Promise<void>;
  readonly clock: Clock;
};

/** How often it asks. */
export const drainLookInterval: Milliseconds = 500;

/** `empty`: nothing is left. `late`: something was left when the time was up. `gone`: somebody removed the target. */
export type DrainEnd = "empty" | "late" | "gone";

/** A `timeout` of 0 is none. Fails as `look` does, at once: what is left is then not known. */
export async function watchDrain(means: DrainMeans, timeout: Milliseconds): Promise<Result<DrainEnd>> {
  const { look, tell, wait, clock } = means;
  const deadline = timeout === 0 ? Number.POSITIVE_INFINITY : clock() + timeout;
  let told = "";
  for (;;) {
    const seen = await look();
    if (!seen.ok) return seen;
    if (seen.value === undefined) return good("gone");
    const now = describeWork(seen.value);
    if (now !== told) tell(seen.value);
    told = now;
    if (isEmpty(seen.value)) return good("empty");
    const left = deadline - clock();
    if (left <= 0) return good("late");
    await wait(Math.min(drainLookInterval, left));
  }
}

/** A worker that keeps silent may have work of which nobody knows. */
function isEmpty({ exchanges, tunnels, flows, silentWorkers }: TargetWork): boolean {
  return exchanges + tunnels + flows + silentWorkers === 0;
}

/** `3 exchanges, 1 tunnel, 0 flows left`. */
export function describeWork({ exchanges, tunnels, flows, silentWorkers }: TargetWork): string {
  const counts = [count(exchanges, "exchange"), count(tunnels, "tunnel"), count(flows, "flow")].join(", ");
  return silentWorkers === 0
    ? `${counts} left`
    : `${counts} left, and ${count(silentWorkers, "worker")} did not answer`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
