// Probes the service of a registration, by the same probes and the same judge as a balancer's health checks, one service only:
// from the start of one probe to the start of the next is an interval. The change's way, a driver. What a verdict means for
// the boards, registration.ts says.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { intervalOf, type JudgeState, judgeState, takeProbe } from "../../health/judge.ts";
import type { Prober } from "../../io/probe.ts";
import type { HealthCheck } from "../../model/health-check.ts";
import type { Alarm } from "../ha/alarm.ts";

export type CheckLoopOptions = {
  readonly check: HealthCheck;
  readonly open: () => Prober;
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly random: Random;
  /** Rise or fall was reached. */
  readonly judged: (healthy: boolean, text: string) => void;
};

/** Runs until `close`; nothing is told after that. */
export class CheckLoop {
  readonly #options: CheckLoopOptions;
  readonly #judge: JudgeState;
  readonly #prober: Prober;
  #cancel = () => {};
  #closed = false;

  constructor(options: CheckLoopOptions) {
    this.#options = options;
    this.#judge = judgeState(options.check, undefined, options.clock());
    this.#prober = options.open();
    this.#probe();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#prober.close();
  }

  #probe(): void {
    const { check, clock, judged } = this.#options;
    const startedAt = clock();
    this.#prober.start(check.timeout, (outcome) => {
      if (this.#closed) return;
      const change = takeProbe(this.#judge, check, outcome, clock());
      this.#wait(startedAt);
      if (change !== undefined) judged(change.to === "healthy", outcome.text);
    });
  }

  #wait(startedAt: Milliseconds): void {
    const { check, clock, alarm, random } = this.#options;
    const shorter = (random() * check.jitterPercent) / 100;
    const interval = intervalOf(this.#judge, check) * (1 - shorter);
    this.#cancel = alarm(Math.max(0, startedAt + interval - clock()), () => this.#probe());
  }
}
