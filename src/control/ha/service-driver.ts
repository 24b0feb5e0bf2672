// Runs singleton services where the role is: performs what service-machine.ts asks for, through the keeper, and answers who
// gives a role up when that may happen. The change's way, in the supervisor. Order of a takeover: addresses, then `follow`
// active; of a graceful release: `release`, wait for its answer, then the addresses; of a role that is lost: `follow` not
// active, at once. It decides no role.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { ServiceKeeper } from "../../io/service-keeper.ts";
import type { KeeperReport, ServiceStart } from "../../io/service-keeper-message.ts";
import { type Account, environmentOf, findAccount, identityOf } from "../../io/user-account.ts";
import type { HaConfig, Service } from "../../model/ha.ts";
import type { Alarm } from "./alarm.ts";
import {
  initialService,
  type ServiceEffect,
  type ServiceInput,
  type ServiceState,
  stepService,
} from "./service-machine.ts";
import type { TokenSource } from "./service-token.ts";

export type Followed = Service["follow"];

export type ServicesOptions = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly tokens: TokenSource;
  readonly createKeeper: (hear: (report: KeeperReport) => void) => ServiceKeeper;
};

/** How much longer than a service's stopTimeout a release waits: SIGKILL works at once, but for a process that the kernel holds. */
export const killGrace: Milliseconds = 1_000;

export type ServiceStatus = {
  readonly name: string;
  readonly phase: ServiceState["phase"];
  readonly token: number | undefined;
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly lastEnd: string | undefined;
};

type Kept = {
  readonly service: Service;
  readonly text: string;
  state: ServiceState;
  pid: number | undefined;
  lastEnd: string | undefined;
  cancel: () => void;
  /** Called when the run that is there has ended. */
  waiters: (() => void)[];
  /** The configuration no longer has it: it is forgotten once it has ended. */
  leaving: boolean;
};

export class Services {
  readonly #options: ServicesOptions;
  readonly #keeper: ServiceKeeper;
  #kept: Kept[] = [];
  /** Roles that are here, with the token of each. */
  readonly #roles = new Map<string, number>();
  #nextRun = 1;
  #stopped = false;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.#keeper = options.createKeeper((report) => this.#hear(report));
  }

  /**
   * Takes a configuration up. A service that is gone or changed is asked to end; the changed one starts, with the token of
   * the takeover, when the old one has ended.
   */
  apply(config: Pick<HaConfig, "services">): void {
    const wanted = new Map(config.services.map((service) => [JSON.stringify(service), service]));
    for (const kept of this.#kept) {
      if (kept.leaving || wanted.delete(kept.text)) continue;
      kept.leaving = true;
      this.#step(kept, { type: "release" });
    }
    for (const [text, service] of wanted) {
      const fresh: Kept = {
        service,
        text,
        state: initialService(service),
        pid: undefined,
        lastEnd: undefined,
        cancel: () => {},
        waiters: [],
        leaving: false,
      };
      this.#kept.push(fresh);
      const before = this.#kept.filter((kept) => kept.leaving && kept.service.name === service.name);
      void Promise.all(before.map((kept) => whenEnded(kept))).then(() => this.#activate(fresh));
    }
    this.#forget();
  }

  /**
   * The role is here (once its addresses are up), or it is not: then its services are killed at once. Saying the same again
   * changes nothing. Gives the fencing token of the role.
   */
  follow({ active, ...followed }: Followed & { readonly active: boolean }): number | undefined {
    const key = keyOf(followed);
    if (!active) {
      this.#roles.delete(key);
      for (const kept of this.#followers(followed)) this.#step(kept, { type: "lose" });
      return undefined;
    }
    if (this.#stopped) return undefined;
    const token = this.#roles.get(key) ?? this.#options.tokens.next();
    this.#roles.set(key, token);
    for (const kept of this.#followers(followed)) this.#activate(kept);
    return token;
  }

  /**
   * The role is about to be given up: its services are asked to end, and killed after their stopTimeout. Resolves when they
   * have ended, with `late` when one has not a second after that.
   */
  async release(followed: Followed): Promise<"ended" | "late"> {
    this.#roles.delete(keyOf(followed));
    const followers = this.#followers(followed);
    for (const kept of followers) this.#step(kept, { type: "release" });
    const running = followers.filter(({ state }) => state.run !== undefined);
    if (running.length === 0) return "ended";
    const longest = Math.max(...running.map(({ service }) => service.stopTimeout));
    let cancel = () => {};
    const late = new Promise<"late">((resolve) => {
      cancel = this.#options.alarm(longest + killGrace, () => resolve("late"));
    });
    const ended = Promise.all(running.map(whenEnded)).then(() => "ended" as const);
    const outcome = await Promise.race([ended, late]);
    cancel();
    if (outcome === "late") {
      const names = running.filter(({ state }) => state.phase !== "idle").map(({ service }) => service.name);
      this.#options.log.error("services outlive their role", { services: names, code: "service.immortal" });
    }
    return outcome;
  }

  status(): readonly ServiceStatus[] {
    return this.#kept.map(({ service, state, pid, lastEnd }) => {
      const { phase, token, restarts } = state;
      return { name: service.name, phase, token, pid, restarts, lastEnd };
    });
  }

  /** All roles are given up, and none is taken any more; then the keeper goes, and with it whatever is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const followed = new Map(this.#kept.map(({ service }) => [keyOf(service.follow), service.follow]));
    await Promise.all([...followed.values()].map((each) => this.release(each)));
    this.#keeper.close();
  }

  #followers(followed: Followed): readonly Kept[] {
    const key = keyOf(followed);
    return this.#kept.filter(({ service }) => keyOf(service.follow) === key);
  }

  #activate(kept: Kept): void {
    const token = this.#roles.get(keyOf(kept.service.follow));
    const successorWaits = this.#kept.some(
      (other) => other !== kept && other.leaving && other.service.name === kept.service.name,
    );
    if (token === undefined || kept.leaving || successorWaits) return;
    this.#step(kept, { type: "activate", token });
  }

  #step(kept: Kept, input: ServiceInput): void {
    const at = { now: this.#options.clock(), nextRun: this.#nextRun };
    const runBefore = kept.state.run;
    const { state, effects } = stepService(kept.service, kept.state, input, at);
    kept.state = state;
    for (const effect of effects) this.#perform(kept, effect);
    kept.cancel();
    const { timer } = kept.state;
    kept.cancel =
      timer === undefined ? () => {} : this.#options.alarm(timer - at.now, () => this.#step(kept, { type: "tick" }));
    if (runBefore !== undefined && kept.state.run !== runBefore) for (const told of kept.waiters.splice(0)) told();
    if (kept.state.phase === "idle") this.#forget();
  }

  #perform(kept: Kept, effect: ServiceEffect): void {
    const { name } = kept.service;
    switch (effect.type) {
      case "start":
        this.#nextRun++;
        void this.#start(kept, effect.run, effect.token);
        return;
      case "signal":
        // One whose user is still looked up was never started: #start sees that it is no longer wanted.
        this.#keeper.signal(effect.run, effect.signal);
        return;
      case "failed":
        kept.lastEnd = effect.reason;
        this.#options.log.warn("service ended", {
          service: name,
          reason: effect.reason,
          restartInMs: effect.restartIn,
        });
        return;
      default:
        effect satisfies never;
    }
  }

  async #start(kept: Kept, run: number, token: number): Promise<void> {
    const { user, name } = kept.service;
    let account: Account | undefined;
    if (user !== undefined) {
      const found = await findAccount(user);
      if (!found.ok) {
        this.#step(kept, { type: "ended", run, reason: found.failure.detail });
        return;
      }
      account = found.value;
      if (kept.state.run !== run || kept.state.phase !== "running") {
        this.#step(kept, { type: "ended", run, reason: "not started" });
        return;
      }
    }
    this.#keeper.start(run, startOf(kept.service, token, account));
    this.#options.log.info("service started", { service: name, token });
  }

  #hear(report: KeeperReport): void {
    switch (report.kind) {
      case "ready":
        return;
      case "leaseOver": {
        const code = "service.leaseOver";
        this.#options.log.error("services killed: this process was silent", { gapMs: report.gapMs, code });
        return;
      }
      case "started": {
        const kept = this.#kept.find(({ state }) => state.run === report.run);
        if (kept !== undefined) kept.pid = report.pid;
        return;
      }
      case "ended": {
        const kept = this.#kept.find(({ state }) => state.run === report.run);
        if (kept === undefined) return;
        kept.pid = undefined;
        this.#step(kept, { type: "ended", run: report.run, reason: reasonOf(report) });
        return;
      }
      default:
        report satisfies never;
    }
  }

  #forget(): void {
    this.#kept = this.#kept.filter(({ leaving, state }) => !leaving || state.phase !== "idle");
  }
}

function keyOf({ kind, name }: Followed): string {
  return `${kind}:${name}`;
}

/** When the run that is there now has ended; another may have begun by then. */
function whenEnded(kept: Kept): Promise<void> {
  if (kept.state.run === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    kept.waiters.push(resolve);
  });
}

function reasonOf({ code, signal, error }: KeeperReport & { readonly kind: "ended" }): string {
  if (error === "keeper") return "the keeper of services ended";
  if (error !== undefined) return `it could not be started: ${error}`;
  return signal === undefined ? `exit ${code ?? "unknown"}` : `ended by ${signal}`;
}

function startOf(service: Service, token: number, account: Account | undefined): ServiceStart {
  const { uid, gid } = identityOf(account);
  const own = Object.fromEntries(service.environment.map(({ name, value }) => [name, value]));
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    command: service.command,
    directory: service.directory,
    uid,
    gid,
    environment: {
      ...Object.fromEntries(inherited),
      ...environmentOf(account),
      ...own,
      EVENKEEL_SERVICE: service.name,
      EVENKEEL_FOLLOWS: service.follow.name,
      EVENKEEL_FENCING_TOKEN: String(token),
    },
  };
}
