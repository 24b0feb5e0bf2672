// Everything of a node that has to do with floating addresses, behind one object for the supervisor: what is watched goes to
// the process that speaks VRRP, what becomes of its roles goes to those who are told and to the services that follow. The
// change's way. Who is active is decided in that process; the order of things is decided here: services stop before an
// address is given up and start after it is there.

import { join } from "node:path";
import type { Clock, Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { createServiceKeeper } from "../../io/service-keeper.ts";
import type { Config } from "../../model/config.ts";
import { type HaConfig, haNone } from "../../model/ha.ts";
import type { ModeChange, TrackStanding, VrrpMode, VrrpOrder, VrrpStatus } from "../../state/vrrp-protocol.ts";
import type { Happening } from "../event-log.ts";
import { alarm } from "./alarm.ts";
import { FifoReaders } from "./fifo-readers.ts";
import { groupEvent } from "./group-roles.ts";
import { withBalancer } from "./implied-balancer.ts";
import { judgeRouters } from "./judge-routers.ts";
import { Notifier, notifyEdges } from "./notify-driver.ts";
import { eventOf } from "./notify-words.ts";
import { RoleServices } from "./role-services.ts";
import { type ServiceStatus, Services } from "./service-driver.ts";
import { createTokenSource } from "./service-token.ts";
import { createTrackProbers, type DataPlaneView } from "./track-probers.ts";
import { type TrackResult, TrackWatch } from "./track-watch.ts";
import { VirtualRouters } from "./virtual-routers.ts";

export type HighAvailabilityOptions = {
  readonly node: string;
  /** Where the fencing token of services is kept, as `service-token`. */
  readonly stateDirectory: string;
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly dataPlane: DataPlaneView;
  readonly tellEvent: (happening: Happening) => void;
  /** Addresses came to the machine or went, as far as we moved them. */
  readonly addressesMoved: () => void;
};

export type HaStatus = {
  /** Undefined: the process that speaks VRRP does not run, or does not answer. */
  readonly vrrp: VrrpStatus | undefined;
  /** Names of what is configured. */
  readonly virtualRouters: readonly string[];
  readonly tracks: readonly TrackResult[];
  readonly services: readonly ServiceStatus[];
  /** How often each virtual router came into each mode, since the program began. */
  readonly transitions: readonly { readonly router: string; readonly to: VrrpMode; readonly count: number }[];
  readonly restarts: number;
  readonly degraded: readonly string[];
};

const notifyTimeMax: Milliseconds = 10_000;

export class HighAvailability {
  readonly #options: HighAvailabilityOptions;
  readonly #routers: VirtualRouters;
  readonly #tracks: TrackWatch;
  readonly #notifier: Notifier;
  readonly #roles: RoleServices;
  readonly #readers: FifoReaders;
  /** The effective ones, as they were told last. */
  readonly #priorities = new Map<string, number>();
  readonly #transitions = new Map<string, Map<VrrpMode, number>>();
  readonly #groupEvents = new Map<string, string>();
  #config: HaConfig = haNone;
  #resigned: Promise<void> | undefined;

  constructor(options: HighAvailabilityOptions) {
    this.#options = options;
    const { log, clock, node, dataPlane } = options;
    this.#routers = new VirtualRouters({
      log,
      modeChanged: (change) => this.#modeChanged(change),
      priorityChanged: (change) => {
        this.#priorities.set(change.name, change.priority);
        this.#notifier.tellPriority(change);
      },
      secondActive: (name) => this.#notifier.tellLowerPriority({ name, priority: this.#priorities.get(name) ?? 0 }),
      resigning: (router, resigning) => this.#resigning(router, resigning),
      lost: (router) =>
        this.#modeChanged({
          router,
          from: "active",
          to: "fault",
          cause: "processEnded",
          priority: 0,
          takeovers: 0,
          heardLately: false,
        }),
    });
    this.#tracks = new TrackWatch({ log, clock, alarm, createProber: createTrackProbers(clock, dataPlane) });
    this.#roles = new RoleServices({
      alarm,
      createServices: () => this.#createServices(),
      passOn: (name, standing) => this.#routers.track(name, standing),
    });
    this.#tracks.onChange((name, standing) => this.#roles.track(name, standing));
    this.#readers = new FifoReaders({ log, clock, alarm, createKeeper: createServiceKeeper });
    this.#notifier = new Notifier({ log, node, wallClock: Date.now, alarm, edges: notifyEdges(clock) });
  }

  /** Why this machine cannot carry these virtual routers; empty when it can. Nothing is changed. */
  judge(config: Config): readonly Failure[] {
    return judgeRouters(config.ha);
  }

  /** Takes a configuration up; it was judged. Addresses that stay are not touched. */
  async apply(config: Pick<Config, "ha" | "listeners">): Promise<void> {
    if (this.#resigned !== undefined) return;
    const ha = withBalancer(config);
    this.#config = ha;
    this.#notifier.apply(ha);
    this.#readers.apply(ha.fifoReaders);
    this.#roles.apply(ha);
    this.#tracks.apply(ha);
    const { virtualRouters: routers, awaitedInterfaces } = ha;
    await this.#routers.apply({ routers, awaitedInterfaces, standings: this.#standings() });
  }

  /**
   * An operator's order. Before a release the services that follow end. Codes: vip.unknown, vip.unavailable,
   * vrrp.denied.*, vip.draining.
   */
  async order(name: string, order: VrrpOrder): Promise<Result<true>> {
    if (this.#resigned !== undefined) {
      return bad({ code: "vip.draining", origin: "self", retrySafe: false, detail: "the program is ending" });
    }
    if (order === "release") await this.#roles.release(name);
    const taken = await this.#routers.order(name, order);
    if (!taken.ok) this.#roles.followAgain(name);
    return taken;
  }

  /** Undefined without virtual routers. */
  async status(): Promise<HaStatus | undefined> {
    const { names: virtualRouters, restarts } = this.#routers;
    if (virtualRouters.length === 0) return undefined;
    const vrrp = await this.#routers.status();
    const tracks = this.#tracks.results();
    const services = this.#roles.status();
    const transitions = virtualRouters.flatMap((router) =>
      Array.from(this.#transitions.get(router) ?? [], ([to, count]) => ({ router, to, count })),
    );
    return { vrrp, virtualRouters, tracks, services, transitions, restarts, degraded: this.#routers.degraded() };
  }

  /** Gives all addresses up in order; resolves when successors have them, or nobody came. Asked twice it is one. */
  resign(): Promise<void> {
    this.#resigned ??= this.#resign();
    return this.#resigned;
  }

  async #resign(): Promise<void> {
    await this.#roles.stop();
    await this.#routers.resign();
    this.#tracks.stop();
    await this.#notifier.stop(notifyTimeMax);
    await this.#readers.stop();
  }

  #createServices(): Services {
    const { log, clock, stateDirectory } = this.#options;
    const path = join(stateDirectory, "service-token");
    return new Services({
      log,
      clock,
      alarm,
      tokens: createTokenSource({ path, wallClock: Date.now, log }),
      createKeeper: createServiceKeeper,
    });
  }

  #standings(): Record<string, TrackStanding> {
    return Object.fromEntries(this.#tracks.results().map(({ name, standing }) => [name, standing]));
  }

  #modeChanged(change: ModeChange): void {
    const { router: name, from, to, cause, priority } = change;
    this.#priorities.set(name, priority);
    const times = this.#transitions.get(name) ?? new Map<VrrpMode, number>();
    this.#transitions.set(name, times.set(to, (times.get(to) ?? 0) + 1));
    if (from === "active" || to === "active") this.#options.addressesMoved();
    this.#roles.modeChanged(change);
    this.#notifier.tell({ of: "virtualRouter", name, event: eventOf(to), priority, cause });
    this.#options.tellEvent({
      type: "vip.mode",
      who: "vrrp",
      subject: { router: name },
      before: { mode: from },
      after: { mode: to, cause, priority },
    });
    for (const group of this.#config.syncGroups) {
      if (!group.members.includes(name)) continue;
      const event = groupEvent(group, this.#roles.modes);
      if (event === undefined || this.#groupEvents.get(group.name) === event) continue;
      this.#groupEvents.set(group.name, event);
      this.#notifier.tell({ of: "syncGroup", name: group.name, event, priority: 0, cause });
    }
  }

  // Its successor comes within its skew time: who follows must be gone by then, or is killed when it is there.
  #resigning(name: string, resigning: boolean): void {
    if (resigning) void this.#roles.release(name);
    else this.#roles.followAgain(name);
  }
}
