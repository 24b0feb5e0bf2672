// Drives the release machine: keeps each state before its effects, performs steps, asks the gate between batches, renews the
// lock. The change's way. Inputs have their turn one after the other; steps of several targets run at the same time. When the
// lock is lost nothing further begins and what runs here is ended: somebody else may be going on with the release.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import type { ReleaseEvent, ReleaseRecord, ReleaseState } from "../../model/release.ts";
import type { Gate } from "../../release/gate.ts";
import {
  type ReleaseEffect,
  type ReleaseInput,
  type ReleaseRules,
  type StepOutcome,
  stepRelease,
} from "../../release/machine.ts";
import { encodeRecord } from "../../release/record.ts";
import type { StepAsked } from "./perform.ts";
import { type Lock, lockTtl, renewInterval } from "./store.ts";

export type DriverMeans = {
  readonly rules: ReleaseRules;
  readonly lock: Lock;
  /** As it is kept, or is to be. */
  readonly record: ReleaseRecord;
  readonly perform: (asked: StepAsked) => Promise<StepOutcome>;
  readonly gate: Gate;
  /** What happens, in order; the release goes on when it has resolved. */
  readonly tell: (event: ReleaseEvent, record: ReleaseRecord) => Promise<void>;
  /** Told of every record that is kept; nobody waits for it. */
  readonly kept: (text: string) => void;
  /** Monotonic. */
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => Milliseconds;
  readonly sleep: (time: Milliseconds, signal: AbortSignal) => Promise<void>;
  /** Ends every wait and command; the driver gives it when the lock is lost. */
  readonly abort: AbortController;
};

/** A write or a renewal that failed is tried again after this, while the lock is ours beyond doubt. */
const retryInterval: Milliseconds = 500;
/** How much of the lock's time may pass without a renewal: the store may have begun to count before we did. */
const lockMargin: Milliseconds = 3_000;

export class ReleaseDriver {
  readonly #means: DriverMeans;
  readonly #inputs: ReleaseInput[] = [];
  readonly #gateWait = new AbortController();
  #record: ReleaseRecord;
  #taking = false;
  #asking = false;
  #renewedAt: Milliseconds;
  #over: ((result: Result<ReleaseRecord>) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(means: DriverMeans) {
    this.#means = means;
    this.#record = means.record;
    this.#renewedAt = means.clock();
  }

  get state(): ReleaseState {
    return this.#record.state;
  }

  /** Until nothing is under way any more. Fails when the record can no longer be kept: release.lost, release.store. */
  run(first: ReleaseEvent): Promise<Result<ReleaseRecord>> {
    return new Promise((resolve) => {
      this.#over = resolve;
      this.#renewLater();
      void this.#begin(first);
    });
  }

  /** Nobody else is taken out; those who are out come back first. */
  stop(why: string): void {
    this.#gateWait.abort();
    this.#take({ type: "stop", why });
  }

  async #begin(first: ReleaseEvent): Promise<void> {
    if (!(await this.#keep())) return;
    await this.#means.tell(first, this.#record);
    this.#take({ type: "go" });
  }

  #take(...inputs: readonly ReleaseInput[]): void {
    this.#inputs.push(...inputs);
    if (!this.#taking) void this.#takeAll();
  }

  async #takeAll(): Promise<void> {
    this.#taking = true;
    for (let input = this.#inputs.shift(); input !== undefined; input = this.#inputs.shift()) {
      if (!(await this.#takeOne(input))) return;
      // What follows is another step of the machine, so that the end of one step is kept before the next begins.
      if (input.type !== "go" && this.#inputs.length === 0) this.#inputs.push({ type: "go" });
    }
    this.#taking = false;
  }

  /** False: it is over. */
  async #takeOne(input: ReleaseInput): Promise<boolean> {
    const { rules, wallClock, tell } = this.#means;
    const before = this.#record.state;
    const { state, effects } = stepRelease(rules, before, input, wallClock());
    if (state !== before) {
      this.#record = { ...this.#record, state, revision: this.#record.revision + 1, changedMs: wallClock() };
      if (!(await this.#keep())) return false;
    }
    for (const effect of effects) {
      if (effect.type === "tell") await tell(effect.event, this.#record);
      else if (effect.type === "over") return this.#end(good(this.#record));
      else this.#perform(effect);
    }
    // The turn to the next batch, and a turn back, have no effects of their own.
    if (state !== before && input.type === "go" && effects.every(({ type }) => type === "tell")) {
      this.#inputs.push({ type: "go" });
    }
    return true;
  }

  #perform(effect: Extract<ReleaseEffect, { readonly type: "perform" | "gate" }>): void {
    if (effect.type === "gate") {
      if (!this.#asking) void this.#askGate(effect.atMs);
      return;
    }
    const { address } = effect;
    void this.#means.perform(effect).then((outcome) => this.#take({ type: "ended", address, outcome }));
  }

  async #askGate(atMs: Milliseconds | undefined): Promise<void> {
    const { gate, wallClock, sleep } = this.#means;
    this.#asking = true;
    const left = atMs === undefined ? 0 : atMs - wallClock();
    if (left > 0) await sleep(left, this.#gateWait.signal);
    const { state } = this.#record;
    const verdict = state.gate === undefined ? undefined : await gate({ gate: state.gate, state, nowMs: wallClock() });
    this.#asking = false;
    if (verdict !== undefined) this.#take({ type: "gate", verdict });
  }

  /** False: it could not be kept, and all is over. */
  async #keep(): Promise<boolean> {
    const { lock, kept, sleep, clock, abort } = this.#means;
    const text = encodeRecord(this.#record);
    if (!text.ok) return this.#end(text);
    for (;;) {
      if (this.#over === undefined) return false;
      const done = await lock.keep(text.value);
      if (done.ok) {
        kept(text.value);
        return true;
      }
      const isLost = done.failure.code === "release.lost" || !done.failure.retrySafe;
      if (isLost || clock() - this.#renewedAt > lockTtl - lockMargin) return this.#end(bad(done.failure));
      await sleep(retryInterval, abort.signal);
    }
  }

  #renewLater(after = renewInterval): void {
    this.#timer = setTimeout(() => void this.#renew(), after);
  }

  async #renew(): Promise<void> {
    const startedAt = this.#means.clock();
    const done = await this.#means.lock.renew();
    if (this.#over === undefined) return;
    if (done.ok) {
      this.#renewedAt = startedAt;
      this.#renewLater();
      return;
    }
    const silentFor = this.#means.clock() - this.#renewedAt;
    if (done.failure.code !== "release.lost" && silentFor < lockTtl - lockMargin) this.#renewLater(retryInterval);
    else this.#end(bad(lost(done.failure)));
  }

  #end(result: Result<ReleaseRecord>): false {
    clearTimeout(this.#timer);
    const over = this.#over;
    this.#over = undefined;
    if (over !== undefined && !result.ok) this.#means.abort.abort();
    over?.(result);
    return false;
  }
}

function lost(failure: Failure): Failure {
  if (failure.code === "release.lost") return failure;
  return { ...failure, code: "release.lost", detail: `the lock could not be renewed in time: ${failure.detail}` };
}
