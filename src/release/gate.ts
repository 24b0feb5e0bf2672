// Between two batches: may the next one begin? The verdicts that the release machine takes, and the plain gate, which knows the
// pause of the release file and nothing else. Pure; the change's way. A canary's judge stands in front of it: it is asked
// the same and gives the same verdicts, and hands on to the plain gate when it has nothing against the version.

import type { Milliseconds } from "../core/clock.ts";
import type { GateState, ReleasePlan, ReleaseState } from "../model/release.ts";

export type GateVerdict =
  | { readonly type: "goOn" }
  /** Asked again at `untilMs`, milliseconds since 1970; also by whoever resumes the release meanwhile. */
  | { readonly type: "wait"; readonly untilMs: Milliseconds; readonly why: string }
  /** Until somebody resumes it. */
  | { readonly type: "pause"; readonly why: string }
  /** The version is bad. `stop` fails the release where it stands; `rollback` turns it back. */
  | { readonly type: "abort"; readonly why: string; readonly next: "stop" | "rollback" };

export type GateAsked = {
  readonly gate: GateState;
  readonly state: ReleaseState;
  /** Milliseconds since 1970. */
  readonly nowMs: Milliseconds;
};

/** Whoever judges what stands between two batches. May ask the balancers; must answer within a time of its own. */
export type Gate = (asked: GateAsked) => Promise<GateVerdict>;

/** The pause between batches, by the time at which the last batch ended: who resumes a release waits only what is left. */
export function judgePause(pause: ReleasePlan["pause"], { gate, state, nowMs }: GateAsked): GateVerdict {
  // Whoever goes back wants to be back.
  if (state.direction !== "forward") return { type: "goOn" };
  switch (pause.kind) {
    case "none":
      return { type: "goOn" };
    case "resume":
      return { type: "pause", why: `batch ${gate.batch + 1} is done; the next begins with \`release resume\`` };
    case "time": {
      const untilMs = gate.sinceMs + pause.time;
      if (nowMs >= untilMs) return { type: "goOn" };
      return { type: "wait", untilMs, why: `pause of ${Math.round(pause.time / 1000)} s before the next batch` };
    }
    default:
      return pause satisfies never;
  }
}
