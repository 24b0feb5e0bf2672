// Processes that read the FIFOs of notify, for as long as the program runs: keepalived's notify_fifo_script, but started again
// when one ends. The change's way, in the supervisor. They are services without a role (service-driver.ts), so that they end
// with the program however that ends. Their last lines are theirs to read: the FIFO is closed before they are asked to end.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { FifoReader, Service } from "../../model/ha.ts";
import type { Alarm } from "./alarm.ts";
import { Services, type ServicesOptions } from "./service-driver.ts";

export type FifoReadersOptions = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly createKeeper: ServicesOptions["createKeeper"];
};

/** What they follow: it is always here. */
const role = { kind: "virtualRouter", name: "the program" } as const;
const stopTimeout: Milliseconds = 1_000;
const restartDelay: Milliseconds = 1_000;
const restartDelayMax: Milliseconds = 60_000;
/** For the last lines, once the FIFO is closed. */
const readTimeMax: Milliseconds = 1_000;
const lookEvery: Milliseconds = 20;

export class FifoReaders {
  readonly #options: FifoReadersOptions;
  #services: Services | undefined;

  constructor(options: FifoReadersOptions) {
    this.#options = options;
  }

  /** Their FIFOs are there by now. */
  apply(readers: readonly FifoReader[]): void {
    if (readers.length === 0 && this.#services === undefined) return;
    const { log, clock, alarm, createKeeper } = this.#options;
    this.#services ??= new Services({ log, clock, alarm, createKeeper, tokens: { next: () => 1 } });
    this.#services.apply({ services: readers.map(serviceOf) });
    this.#services.follow({ ...role, active: true });
  }

  /** After the FIFOs were closed: who reads has come to the end, and is given time for it. */
  async stop(): Promise<void> {
    const services = this.#services;
    if (services === undefined) return;
    const reads = () => services.status().some(({ phase }) => phase === "running");
    const until = this.#options.clock() + readTimeMax;
    while (reads() && this.#options.clock() < until) {
      await new Promise<void>((resolve) => this.#options.alarm(lookEvery, resolve));
    }
    await services.stop();
  }
}

function serviceOf({ path, command, user }: FifoReader): Service {
  return {
    name: `reader of ${path}`,
    command: [...command, path],
    follow: role,
    user,
    directory: undefined,
    environment: [],
    stopTimeout,
    restartDelay,
    restartDelayMax,
  };
}
