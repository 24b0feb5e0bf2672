// Which workers hang: a pure machine. A worker says a beat every interval, and whatever else it says counts as one. One
// that says nothing for too long has an event loop that does not turn (an endless loop, a regular expression without an
// end, SIGSTOP): it would keep its share of new connections waiting for ever, so it is told, once, to be replaced. A worker
// is watched from its first word: its start has a limit of its own. The change's way; no clock, no process. Time is to be
// that of waking-clock.ts, or a supervisor that stood still would take all its workers for dead.

import type { Milliseconds } from "../../core/clock.ts";
import { beatInterval } from "../../state/worker-protocol.ts";

export type HeartbeatConfig = {
  /** How often workers beat, and how often the supervisor looks. */
  readonly interval: Milliseconds;
  /** A worker that says nothing for so long hangs. Several intervals, and more than any honest pause. */
  readonly silenceMax: Milliseconds;
};

export const heartbeatConfigDefault: HeartbeatConfig = { interval: beatInterval, silenceMax: 10_000 };

export type HeartbeatState = {
  /** By slot, when its worker said something last. */
  readonly heardAt: ReadonlyMap<number, Milliseconds>;
};

export type HeartbeatInput =
  /** The worker of the slot said something. */
  | { readonly type: "heard"; readonly slot: number }
  /** The process of the slot ended. */
  | { readonly type: "ended"; readonly slot: number }
  /** To be given every interval, when what had come until then has been heard. */
  | { readonly type: "look" };

export type HeartbeatEffect = { readonly type: "hangs"; readonly slot: number; readonly silentMs: Milliseconds };

export type HeartbeatStep = { readonly state: HeartbeatState; readonly effects: readonly HeartbeatEffect[] };

export function initialHeartbeat(): HeartbeatState {
  return { heardAt: new Map() };
}

/** One step of the machine. `now` is monotonic. A slot that was told is watched again from its next word on. */
export function stepHeartbeat(
  config: HeartbeatConfig,
  state: HeartbeatState,
  input: HeartbeatInput,
  now: Milliseconds,
): HeartbeatStep {
  const heardAt = new Map(state.heardAt);
  const effects: HeartbeatEffect[] = [];
  switch (input.type) {
    case "heard":
      heardAt.set(input.slot, now);
      break;
    case "ended":
      heardAt.delete(input.slot);
      break;
    case "look":
      for (const [slot, heard] of state.heardAt) {
        const silentMs = now - heard;
        if (silentMs < config.silenceMax) continue;
        heardAt.delete(slot);
        effects.push({ type: "hangs", slot, silentMs });
      }
      break;
    default:
      input satisfies never;
  }
  return { state: { heardAt }, effects };
}
