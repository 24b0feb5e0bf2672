// Performs what registration.ts and board-entry.ts ask for: starts the service through the keeper that dies with us, probes it,
// and keeps each board's entry as it is wanted. The change's way, the driver. It decides nothing, and no board waits for another.

import { constants } from "node:os";
import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Prober } from "../../io/probe.ts";
import type { ServiceKeeper } from "../../io/service-keeper.ts";
import type { KeeperReport, ServiceSignal, ServiceStart } from "../../io/service-keeper-message.ts";
import type { HealthCheck } from "../../model/health-check.ts";
import type { Alarm } from "../ha/alarm.ts";
import type { Board } from "./board.ts";
import {
  type EntryInput,
  type EntryRules,
  type EntryState,
  initialEntry,
  isSettled,
  stepEntry,
  type Wanted,
} from "./board-entry.ts";
import { CheckLoop } from "./check-loop.ts";
import {
  initialRegistration,
  type RegistrationEffect,
  type RegistrationInput,
  type RegistrationState,
  type Rules,
  type RunEnd,
  stepRegistration,
} from "./registration.ts";

export type RegistrarOptions = {
  readonly rules: Rules;
  readonly check: HealthCheck;
  /** Made anew for each run of the service. */
  readonly openProber: () => Prober;
  readonly service: ServiceStart;
  readonly createKeeper: (hear: (report: KeeperReport) => void) => ServiceKeeper;
  readonly boards: readonly Board[];
  /** The wait of a drain on a board that cannot tell what work is left. */
  readonly drainFor: Milliseconds;
  /** Monotonic. */
  readonly clock: Clock;
  /** Must keep the process alive. */
  readonly alarm: Alarm;
  readonly random: Random;
  /** One line for people. */
  readonly tell: (text: string) => void;
};

type Kept = { readonly board: Board; readonly rules: EntryRules; state: EntryState; cancel: () => void };

export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #keeper: ServiceKeeper;
  readonly #entries: readonly Kept[];
  #state: RegistrationState;
  #cancel = () => {};
  #check: CheckLoop | undefined;
  /** Inputs that came while another was taken. */
  readonly #queue: RegistrationInput[] = [];
  #stepping = false;
  #over: (code: number) => void = () => {};

  constructor(options: RegistrarOptions) {
    this.#options = options;
    const { boards, drainFor, rules } = options;
    this.#entries = boards.map((board) => ({
      board,
      rules: { ttl: board.ttl, looks: board.looks, drainFor },
      state: initialEntry,
      cancel: () => {},
    }));
    this.#state = initialRegistration(rules);
    this.#keeper = options.createKeeper((report) => this.#hear(report));
  }

  /** Resolves with the exit code when all is over: the service has ended, and the boards had their time to remove it. */
  run(): Promise<number> {
    return new Promise((resolve) => {
      this.#over = resolve;
      this.#step({ type: "begin" });
    });
  }

  /** SIGTERM or SIGINT came. */
  stop(signal: string): void {
    this.#step({ type: "stop", signal });
  }

  /** Any other signal is the service's own. */
  passOn(signal: ServiceSignal): void {
    if (this.#state.phase !== "waiting" && this.#state.run > 0) this.#keeper.signal(this.#state.run, signal);
  }

  #step(input: RegistrationInput): void {
    this.#queue.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#stepOnce(next);
    this.#stepping = false;
  }

  #stepOnce(input: RegistrationInput): void {
    const { rules, clock, alarm } = this.#options;
    const now = clock();
    const { state, effects } = stepRegistration(rules, this.#state, input, now);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
    this.#cancel();
    const { timer } = state;
    this.#cancel = timer === undefined ? () => {} : alarm(timer - now, () => this.#step({ type: "tick" }));
    this.#lookAtBoards();
  }

  #lookAtBoards(): void {
    const { phase } = this.#state;
    const waits = phase === "draining" || phase === "removing";
    if (waits && this.#entries.every(({ state }) => isSettled(state))) this.#step({ type: "settled" });
  }

  #perform(effect: RegistrationEffect): void {
    switch (effect.type) {
      case "start":
        this.#keeper.start(effect.run, this.#options.service);
        return;
      case "signal":
        this.#keeper.signal(effect.run, effect.signal);
        return;
      case "want":
        this.#want(effect.wanted);
        return;
      case "unwatch":
        this.#check?.close();
        this.#check = undefined;
        return;
      case "tell":
        this.#options.tell(effect.text);
        return;
      case "exit":
        this.#end(effect.code);
        return;
      default:
        effect satisfies never;
    }
  }

  #want(wanted: Wanted): void {
    for (const kept of this.#entries) this.#stepEntry(kept, { type: "want", wanted });
  }

  #stepEntry(kept: Kept, input: EntryInput): void {
    const { clock, alarm, random, tell } = this.#options;
    if (this.#state.phase === "over") return;
    const now = clock();
    const { state, effects } = stepEntry(kept.rules, kept.state, input, { now, chance: random() });
    kept.state = state;
    kept.cancel();
    const { timer } = state;
    kept.cancel = timer === undefined ? () => {} : alarm(timer - now, () => this.#stepEntry(kept, { type: "tick" }));
    for (const effect of effects) {
      if (effect.type === "tell") tell(`${kept.board.name}: ${effect.text}`);
      else void kept.board.ask(effect.order).then((answer) => this.#stepEntry(kept, { type: "answer", answer }));
    }
    // Within a step of the registration it looks itself, when its state is the new one.
    if (!this.#stepping) this.#lookAtBoards();
  }

  #hear(report: KeeperReport): void {
    switch (report.kind) {
      case "ready":
        return;
      case "leaseOver":
        return;
      case "started":
        this.#watch(report.run, report.pid);
        return;
      case "ended":
        this.#step({ type: "ended", run: report.run, end: endOf(report) });
        return;
      default:
        report satisfies never;
    }
  }

  #watch(run: number, pid: number): void {
    const { check, openProber: open, clock, alarm, random, tell } = this.#options;
    if (this.#state.phase !== "running" || this.#state.run !== run) return;
    tell(`the service runs as process ${pid}`);
    this.#check?.close();
    const judged = (healthy: boolean, text: string) => this.#step({ type: "judged", run, healthy, text });
    this.#check = new CheckLoop({ check, open, clock, alarm, random, judged });
  }

  #end(code: number): void {
    this.#cancel();
    this.#check?.close();
    for (const { cancel, board } of this.#entries) {
      cancel();
      board.close();
    }
    this.#keeper.close();
    this.#over(code);
  }
}

/** A service whose keeper was killed was killed with it. */
function endOf({ code, signal: said, error: why }: KeeperReport & { readonly kind: "ended" }): RunEnd {
  const signal = why === "keeper" ? "SIGKILL" : said;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  const signalNumber = signal === undefined ? 0 : (numbers[signal] ?? 0);
  return { code, signal, signalNumber, error: why === "keeper" ? undefined : why };
}
