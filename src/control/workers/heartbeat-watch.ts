// Drives the machine of heartbeat.ts, and the supervisor's waking clock, which both go by the same timer. The change's
// way; what is to become of a worker that hangs is for its owner to say.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import {
  type HeartbeatConfig,
  type HeartbeatInput,
  heartbeatConfigDefault,
  initialHeartbeat,
  stepHeartbeat,
} from "./heartbeat.ts";
import { createWakingClock, type WakingClock } from "./waking-clock.ts";

export type HeartbeatWatchOptions = {
  /** What differs from the default. */
  readonly config: Partial<HeartbeatConfig> | undefined;
  /** Monotonic. */
  readonly clock: Clock;
  /** Called once a silence, out of the timer: never from within `heard` or `ended`. */
  readonly hangs: (slot: number, silentMs: Milliseconds) => void;
};

export class HeartbeatWatch {
  readonly #config: HeartbeatConfig;
  readonly #clock: WakingClock;
  readonly #hangs: HeartbeatWatchOptions["hangs"];
  #state = initialHeartbeat();

  constructor({ config, clock, hangs }: HeartbeatWatchOptions) {
    this.#config = { ...heartbeatConfigDefault, ...config };
    this.#clock = createWakingClock(clock, this.#config.interval);
    this.#hangs = hangs;
  }

  /** Time in which this process was awake; see waking-clock.ts. */
  get waking(): Clock {
    return this.#clock.now;
  }

  /** Turns the clock and looks from now on, as long as the process lives; does not keep it alive. */
  start(): void {
    this.#clock.turn();
    const look = () => {
      this.#clock.turn();
      this.#take({ type: "look" });
    };
    // Timers fire before the channels are read, immediates after: beats that came while we stood still count first.
    setInterval(() => setImmediate(look), this.#config.interval).unref();
  }

  /** The worker of the slot said something. */
  heard(slot: number): void {
    this.#take({ type: "heard", slot });
  }

  /** The process of the slot ended. */
  ended(slot: number): void {
    this.#take({ type: "ended", slot });
  }

  #take(input: HeartbeatInput): void {
    const { state, effects } = stepHeartbeat(this.#config, this.#state, input, this.#clock.now());
    this.#state = state;
    for (const { slot, silentMs } of effects) this.#hangs(slot, silentMs);
  }
}
