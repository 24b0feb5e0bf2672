// How reloads of the configuration went, remembered for the metrics. The change's way; it decides nothing.

import type { Milliseconds } from "../../core/clock.ts";

export type ReloadRecord = {
  readonly accepted: number;
  readonly refused: number;
  /** The last one was accepted; true as well before the first. */
  readonly lastGood: boolean;
  /** Since 1970. The start counts as the first time that a file was taken up. */
  readonly lastAtMs: Milliseconds;
  readonly lastGoodAtMs: Milliseconds;
};

export class ReloadRecorder {
  readonly #wallClock: () => Milliseconds;
  #record: ReloadRecord;

  constructor(wallClock: () => Milliseconds) {
    this.#wallClock = wallClock;
    const now = wallClock();
    this.#record = { accepted: 0, refused: 0, lastGood: true, lastAtMs: now, lastGoodAtMs: now };
  }

  /** A reload that was asked for is over. */
  ended(outcome: { readonly ok: boolean }): void {
    const now = this.#wallClock();
    const { accepted, refused, lastGoodAtMs } = this.#record;
    this.#record = {
      accepted: accepted + (outcome.ok ? 1 : 0),
      refused: refused + (outcome.ok ? 0 : 1),
      lastGood: outcome.ok,
      lastAtMs: now,
      lastGoodAtMs: outcome.ok ? now : lastGoodAtMs,
    };
  }

  get record(): ReloadRecord {
    return this.#record;
  }
}
