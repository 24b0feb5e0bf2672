// Services and the roles that they follow: when a role is here long enough for its services to start, and what must wait until
// they have ended. The change's way, between the news of the process that speaks VRRP and the services' own driver
// (service-driver.ts). It decides no role; but a track that would cost one is passed on only when the services have ended,
// so that they end while the addresses are still here.

import type { Milliseconds } from "../../core/clock.ts";
import { tracksInFault } from "../../ha/tracks.ts";
import type { Mode } from "../../ha/virtual-router-state.ts";
import { type HaConfig, haNone } from "../../model/ha.ts";
import type { ModeChange, TrackStanding } from "../../state/vrrp-protocol.ts";
import type { Alarm } from "./alarm.ts";
import { groupEvent } from "./group-roles.ts";
import type { Followed, ServiceStatus, Services } from "./service-driver.ts";

export type RoleServicesOptions = {
  readonly alarm: Alarm;
  /** Called once, when the first service is configured. */
  readonly createServices: () => Pick<Services, "apply" | "follow" | "release" | "status" | "stop">;
  /** To the election. */
  readonly passOn: (track: string, standing: TrackStanding) => void;
};

/**
 * After a takeover from a node that spoke a moment ago: what that one runs is killed when it hears us, and needs so long at
 * most. Where silence decided, nobody is waited for.
 */
export const handoverGrace: Milliseconds = 100;

export class RoleServices {
  readonly modes = new Map<string, Mode>();
  readonly #options: RoleServicesOptions;
  /** Starts that wait for the grace to be over, by the virtual router's name. */
  readonly #graces = new Map<string, () => void>();
  /** Tracks that wait for services to end, with what they say by now. */
  readonly #heldTracks = new Map<string, TrackStanding>();
  #services: ReturnType<RoleServicesOptions["createServices"]> | undefined;
  #config: HaConfig = haNone;

  constructor(options: RoleServicesOptions) {
    this.#options = options;
  }

  apply(config: HaConfig): void {
    this.#config = config;
    if (config.services.length > 0) this.#services ??= this.#options.createServices();
    this.#services?.apply(config);
  }

  /** What became of a virtual router; its sync group is judged with it. */
  modeChanged({ router, to, heardLately }: Pick<ModeChange, "router" | "to" | "heardLately">): void {
    this.modes.set(router, to);
    this.#graces.get(router)?.();
    this.#graces.delete(router);
    if (to !== "active" || !heardLately) {
      this.followAgain(router);
      return;
    }
    const cancel = this.#options.alarm(handoverGrace, () => {
      this.#graces.delete(router);
      this.followAgain(router);
    });
    this.#graces.set(router, cancel);
  }

  /** As the modes stand: its services run, or are killed at once. */
  followAgain(router: string): void {
    const active = this.modes.get(router) === "active" && !this.#graces.has(router);
    this.#services?.follow({ kind: "virtualRouter", name: router, active });
    for (const group of this.#groupsOf(router)) {
      const graced = group.members.some((member) => this.#graces.has(member));
      const event = groupEvent(group, this.modes);
      this.#services?.follow({ kind: "syncGroup", name: group.name, active: event === "active" && !graced });
    }
  }

  /** They are asked to end, and killed at their deadline; resolves when they are gone. */
  async release(router: string): Promise<void> {
    await Promise.all(this.#roles(router).map((role) => this.#services?.release(role)));
  }

  /** Passes the standing on at once, or, where it ends a role that services follow, when those have ended. */
  track(name: string, standing: TrackStanding): void {
    if (this.#heldTracks.has(name)) {
      this.#heldTracks.set(name, standing);
      return;
    }
    const losing = this.#losers(name, standing);
    if (losing.length === 0) {
      this.#options.passOn(name, standing);
      return;
    }
    this.#heldTracks.set(name, standing);
    void Promise.all(losing.map((router) => this.release(router))).then(() => {
      const latest = this.#heldTracks.get(name) ?? standing;
      this.#heldTracks.delete(name);
      this.#options.passOn(name, latest);
      // It may have come up again meanwhile: then nothing is lost, and they are started anew.
      if (this.#losers(name, latest).length === 0) for (const router of losing) this.followAgain(router);
    });
  }

  status(): readonly ServiceStatus[] {
    return this.#services?.status() ?? [];
  }

  async stop(): Promise<void> {
    for (const cancel of this.#graces.values()) cancel();
    this.#graces.clear();
    await this.#services?.stop();
  }

  /** Active virtual routers that have services to end when the track stands so: those that it puts into fault. */
  #losers(name: string, standing: TrackStanding): readonly string[] {
    const followed = new Set(this.#config.services.map(({ follow }) => `${follow.kind} ${follow.name}`));
    return this.#config.virtualRouters
      .filter((router) => {
        if (this.modes.get(router.name) !== "active") return false;
        if (!this.#roles(router.name).some((role) => followed.has(`${role.kind} ${role.name}`))) return false;
        return tracksInFault(router, { [name]: standing }).length > 0;
      })
      .map((router) => router.name);
  }

  #groupsOf(router: string): HaConfig["syncGroups"] {
    return this.#config.syncGroups.filter(({ members }) => members.includes(router));
  }

  #roles(router: string): readonly Followed[] {
    const groups = this.#groupsOf(router).map(({ name }) => ({ kind: "syncGroup", name }) as const);
    return [{ kind: "virtualRouter", name: router }, ...groups];
  }
}
