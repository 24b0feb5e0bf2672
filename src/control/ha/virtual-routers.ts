// The supervisor's side of floating addresses: starts the process that speaks VRRP when there are virtual routers, starts it
// again when it ended, has the kernel's gate installed, passes configuration, tracks and orders on, and has all addresses
// given up in order before the workers stop. The change's way. Who is active is decided over there.

import type { Milliseconds } from "../../core/clock.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { farewellTime } from "../../ha/timing.ts";
import type { VirtualRouter } from "../../model/virtual-router.ts";
import {
  type FromVrrp,
  type ModeChange,
  ordinaryIntervalMin,
  type RouterSetup,
  supervisorBeat,
  type TrackStanding,
  type VrrpOrder,
  type VrrpStatus,
} from "../../state/vrrp-protocol.ts";
import { GateKeeper, GateKeys } from "./gate.ts";
import { startVrrpProcess, type VrrpEvents, type VrrpProcess, vrrpMainPath } from "./vrrp-process.ts";

export type VirtualRoutersOptions = {
  readonly log: Log;
  readonly modeChanged: (change: ModeChange) => void;
  readonly priorityChanged: (change: {
    readonly name: string;
    readonly active: boolean;
    readonly priority: number;
  }) => void;
  /** An active of ours has heard another one of lower priority; told at most once a minute. */
  readonly secondActive: (router: string) => void;
  /** Priority 0 is out, the addresses are still here; or it stays after all. */
  readonly resigning: (router: string, resigning: boolean) => void;
  /** The process is gone, and nothing is active here: told for each virtual router that was. */
  readonly lost: (router: string) => void;
  readonly start?: (path: string, events: VrrpEvents) => VrrpProcess;
  readonly gate?: Pick<GateKeeper, "use" | "install" | "remove">;
};

export type WantedRouters = {
  readonly routers: readonly VirtualRouter[];
  readonly awaitedInterfaces: readonly string[];
  readonly standings: Readonly<Record<string, TrackStanding>>;
};

type Answer = { readonly type: "configured" | "ordered" | "status" } & FromVrrp;

const answerTimeout: Milliseconds = 2_000;
/** A process that starts has to start Node twice and a guardian. */
const readyTimeout: Milliseconds = 10_000;
const restartFirst: Milliseconds = 500;
const restartMax: Milliseconds = 30_000;
/** A resignation that lasts longer than this is ended by the guardian. */
const resignMax: Milliseconds = 30_000;

export class VirtualRouters {
  readonly #options: VirtualRoutersOptions;
  readonly #log: Log;
  readonly #gate: Pick<GateKeeper, "use" | "install" | "remove">;
  readonly #keys = new GateKeys();
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  readonly #active = new Set<string>();
  readonly #ends = new Set<() => void>();
  #process: VrrpProcess | undefined;
  #ready = false;
  #realtime: string | undefined;
  #setups: readonly RouterSetup[] = [];
  #awaited: readonly string[] = [];
  #standings: Record<string, TrackStanding> = {};
  #lastId = 0;
  #restarts = 0;
  #restartWait = restartFirst;
  #restartTimer: NodeJS.Timeout | undefined;
  #beatTimer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: VirtualRoutersOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#gate = options.gate ?? new GateKeeper(options.log);
  }

  /** Takes these up; resolves when they are known over there, or at the latest after some seconds. */
  async apply({ routers, awaitedInterfaces, standings }: WantedRouters): Promise<void> {
    if (this.#stopping) return;
    this.#keys.keepOnly(new Set(routers.map(({ name }) => name)));
    this.#setups = routers.map((router) => this.#keys.setupOf(router));
    this.#awaited = awaitedInterfaces;
    this.#standings = { ...standings };
    if (routers.length === 0 && this.#process === undefined) return;
    await this.#gate.install(this.#setups, { anew: false });
    if (this.#stopping) return;
    if (this.#process === undefined) {
      this.#start();
      await this.#when(() => this.#ready, readyTimeout);
    }
    await this.#configure();
  }

  track(name: string, standing: TrackStanding): void {
    this.#standings[name] = standing;
    this.#process?.send({ type: "track", name, standing });
  }

  /** Codes: vip.unknown, vip.unavailable, vrrp.denied.*. */
  async order(router: string, order: VrrpOrder): Promise<Result<true>> {
    if (!this.#setups.some((setup) => setup.router.name === router)) {
      return refused("vip.unknown", `there is no virtual router ${router}`);
    }
    const answer = await this.#ask((id) => ({ type: "order", id, router, order }));
    if (answer?.type !== "ordered") return refused("vip.unavailable", "the process that speaks VRRP does not answer");
    const { denied } = answer;
    return denied === undefined ? good(true) : refused(denied.code, `${router}: ${denied.detail}`);
  }

  /** Undefined: there is no process, or it keeps silent. */
  async status(): Promise<VrrpStatus | undefined> {
    if (this.#process === undefined) return undefined;
    const answer = await this.#ask((id) => ({ type: "status", id }));
    return answer?.type === "status" ? answer.status : undefined;
  }

  /** Names of the virtual routers that are configured. */
  get names(): readonly string[] {
    return this.#setups.map(({ router }) => router.name);
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** What is not as it should be, apart from any one virtual router. */
  degraded(): readonly string[] {
    if (this.#setups.length === 0) return [];
    const reasons: string[] = [];
    if (!this.#ready) reasons.push("the process that speaks VRRP is not running: no virtual address can be here");
    if (this.#ready && this.#realtime !== undefined && this.#hurried().length > 0) {
      const named = this.#hurried().join(", ");
      reasons.push(`virtual routers with less than ${ordinaryIntervalMin} ms (${named}): ${this.#realtime}`);
    }
    return reasons;
  }

  /**
   * Gives all addresses up in order, serving until the successors speak; resolves when all is given up. Nothing is taken
   * up any more.
   */
  async resign(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    const process = this.#process;
    if (process !== undefined) {
      process.send({ type: "stop" });
      const longest = Math.max(0, ...this.#setups.map(({ router }) => farewellTime(router)));
      await this.#when(() => this.#process === undefined, Math.min(resignMax, longest));
      // The guardian says farewell for it.
      if (this.#process !== undefined) process.kill();
      await this.#when(() => this.#process === undefined, answerTimeout);
    }
    await this.#gate.remove();
  }

  #start(): void {
    const start = this.#options.start ?? startVrrpProcess;
    this.#ready = false;
    const process: VrrpProcess = start(vrrpMainPath, {
      message: (message) => this.#take(message),
      broken: (reason) => {
        this.#log.error("the process that speaks VRRP is broken", { reason });
        process.kill();
      },
      exited: (code, signal) => this.#exited(code, signal),
    });
    this.#process = process;
    this.#beatTimer ??= setInterval(() => this.#process?.send({ type: "beat" }), supervisorBeat).unref();
  }

  #exited(code: number | null, signal: string | null): void {
    this.#process = undefined;
    this.#ready = false;
    for (const answer of [...this.#waiting.values()]) answer(undefined);
    for (const router of this.#active) this.#options.lost(router);
    this.#active.clear();
    this.#told();
    if (this.#stopping || this.#setups.length === 0) return;
    this.#restarts++;
    const restartInMs = this.#restartWait;
    this.#log.error("the process that speaks VRRP ended unasked", { code, signal, restartInMs });
    this.#restartWait = Math.min(restartMax, restartInMs * 2);
    this.#restartTimer = setTimeout(() => {
      if (!this.#stopping && this.#process === undefined) this.#start();
    }, restartInMs);
  }

  async #configure(): Promise<void> {
    if (!this.#ready) return;
    const { use } = this.#gate;
    const [setups, awaitedInterfaces, standings] = [this.#setups, this.#awaited, this.#standings];
    const gate = use;
    await this.#ask((id) => ({ type: "configure", id, setups, gate, awaitedInterfaces, standings }));
  }

  /** Virtual routers whose interval is too short for an ordinary process. */
  #hurried(): readonly string[] {
    return this.#setups
      .filter(({ router }) => router.advertisementInterval < ordinaryIntervalMin)
      .map(({ router }) => router.name);
  }

  #take(message: FromVrrp): void {
    switch (message.type) {
      case "ready":
        this.#takeReady(message);
        break;
      case "configured":
      case "ordered":
      case "status":
        this.#waiting.get(message.id)?.(message);
        break;
      case "mode": {
        const { type: _mode, ...change } = message;
        if (change.to === "active") this.#active.add(change.router);
        else this.#active.delete(change.router);
        this.#log.info("virtual router changed its mode", change);
        this.#options.modeChanged(change);
        break;
      }
      case "resigning":
        this.#options.resigning(message.router, message.resigning);
        break;
      case "priority": {
        const { router, from, to } = message;
        this.#log.info("priority changed", { virtualRouter: router, from, to });
        this.#options.priorityChanged({ name: router, active: this.#active.has(router), priority: to });
        break;
      }
      case "alarm": {
        const { router, code, detail } = message;
        this.#log.error("alarm", { virtualRouter: router, code, detail });
        if (code === "vrrp.alarm.secondActive") this.#options.secondActive(router);
        break;
      }
      case "log":
        this.#log[message.level](message.message, message.fields);
        break;
      case "interfaceRenewed":
        this.#log.info("interface is there anew", { interface: message.interface });
        void this.#gate.install(this.#setups, { anew: true }).then(() => this.#configure());
        break;
      case "stopped":
        break;
      default:
        message satisfies never;
    }
  }

  #takeReady({ pid, guardianPid, realtime }: FromVrrp & { readonly type: "ready" }): void {
    this.#ready = true;
    this.#realtime = realtime;
    this.#log.info("the process that speaks VRRP is ready", { pid, guardianPid, realtime: realtime === undefined });
    if (realtime !== undefined && this.#hurried().length > 0) {
      this.#log.warn("advertisement intervals are too short for an ordinary process", {
        virtualRouters: this.#hurried(),
        leastMs: ordinaryIntervalMin,
        detail: realtime,
      });
    }
    this.#told();
    // After a restart nobody else does.
    if (this.#restarts > 0) void this.#configure().then(() => this.#settled());
  }

  /** It took the configuration: the next crash is a first one again. */
  #settled(): void {
    const process = this.#process;
    setTimeout(() => {
      if (this.#process === process) this.#restartWait = restartFirst;
    }, restartMax).unref();
  }

  #ask(message: (id: number) => Parameters<VrrpProcess["send"]>[0]): Promise<Answer | undefined> {
    const process = this.#process;
    if (process === undefined) return Promise.resolve(undefined);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const answer = (given: Answer | undefined) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(given);
      };
      const timer = setTimeout(() => answer(undefined), answerTimeout);
      this.#waiting.set(id, answer);
      process.send(message(id));
    });
  }

  #told(): void {
    for (const look of [...this.#ends]) look();
  }

  #when(condition: () => boolean, timeoutMs: Milliseconds): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#ends.delete(look);
        resolve();
      };
      const look = () => {
        if (condition()) finish();
      };
      const timer = setTimeout(finish, timeoutMs);
      this.#ends.add(look);
    });
  }
}

function refused(
  code: string,
  detail: string,
): { readonly ok: false; readonly failure: ReturnType<typeof bad>["failure"] } {
  return bad({ code, origin: "self", retrySafe: false, detail });
}
