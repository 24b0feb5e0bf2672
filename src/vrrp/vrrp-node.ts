// All virtual routers of this node together: hands each machine its inputs (packets, time, tracks, orders, news of the
// kernel), has the effects carried out, judges sync groups after every step, and takes a new configuration up without
// dropping an address that stays. The change's way; without waiting, sockets or processes of its own: main.ts brings those.

import type { Milliseconds } from "../core/clock.ts";
import { nextTimerAt } from "../ha/fire.ts";
import { ttlMinOf } from "../ha/judge-advertisement.ts";
import { judgeSyncGroup } from "../ha/sync-group.ts";
import { stepVirtualRouter } from "../ha/virtual-router.ts";
import type { VirtualRouterInput } from "../ha/virtual-router-state.ts";
import { ownerMark } from "../io/owned-addresses.ts";
import { BURST_MAX } from "../io/raw-socket.ts";
import { movingAddresses } from "../model/virtual-router.ts";
import type { FromVrrp, GateUse, RouterSetup, RouterStatus, TrackStanding, VrrpOrder } from "../state/vrrp-protocol.ts";
import type { Edges } from "./edges.ts";
import { heldAddresses, tellGuard } from "./held-addresses.ts";
import { logFailure, logPacket, perform, type Stage } from "./perform.ts";
import { count, identityOf, newInstance, type RouterInstance, statusOf } from "./router-instance.ts";
import { decodePacket, leavePort, type SharedPort, type SharedPorts, sharedPorts, vridOf } from "./shared-ports.ts";
import { foreignOf } from "./surroundings.ts";
import { lookAround, settlePlace } from "./watch-kernel.ts";

export type Standings = Readonly<Record<string, TrackStanding>>;

export type NodeSetup = {
  readonly setups: readonly RouterSetup[];
  readonly gate: GateUse;
  readonly awaitedInterfaces: readonly string[];
  readonly standings: Standings;
};

type Fed = { readonly instance: RouterInstance; readonly input: VirtualRouterInput };

export class VrrpNode {
  readonly ports: SharedPorts;
  readonly #edges: Edges;
  readonly #stage: Stage;
  readonly #queue: Fed[] = [];
  readonly #strays = new Map<string, Map<string, number>>();
  /** Sync groups in which something has happened. */
  readonly #touched = new Set<string>();
  #standings: Record<string, TrackStanding> = {};
  #awaited: readonly string[] = [];
  #feeding = false;
  #ending = false;

  constructor(edges: Edges, say: (message: FromVrrp) => void) {
    this.#edges = edges;
    this.ports = sharedPorts(edges);
    this.#stage = {
      edges,
      held: heldAddresses(edges),
      say,
      around: { links: [], addresses: [] },
      instances: [],
      later: (instance, input) => this.#queue.push({ instance, input }),
      lookDue: false,
      denied: undefined,
      loggedAt: new Map(),
    };
  }

  /** Takes all of this up; what is named no more resigns and goes. */
  configure({ setups, gate, awaitedInterfaces, standings }: NodeSetup): void {
    if (this.#ending) return;
    this.#stage.held.gate = gate;
    this.#awaited = awaitedInterfaces;
    this.#standings = { ...standings };
    const wanted = new Map(setups.map((setup) => [identityOf(setup.router), setup]));
    for (const instance of this.#stage.instances) {
      const setup = wanted.get(instance.identity);
      if (instance.ending) continue;
      wanted.delete(instance.identity);
      if (setup === undefined) this.#end(instance);
      else this.#change(instance, setup);
    }
    this.#stage.instances = [...this.#stage.instances, ...[...wanted.values()].map(newInstance)];
    for (const instance of this.#stage.instances) this.#tellStandings(instance);
    this.look();
  }

  /** Asks the kernel how things are, and brings everybody in line: starts, faults, sources, addresses that went. */
  look(): void {
    this.#stage.lookDue = false;
    if (!lookAround(this.#stage)) return;
    for (const instance of this.#stage.instances) {
      if (instance.stopped) continue;
      settlePlace(this.#stage, this.ports, instance, this.#awaited);
      this.#run();
    }
    this.#startWaiting();
  }

  track(name: string, standing: TrackStanding): void {
    this.#standings[name] = standing;
    for (const instance of this.#live()) this.#feed(instance, { type: "track", name, standing });
  }

  /** Every virtual router at once: the supervisor is silent, or speaks again. */
  fault(cause: string, detail: string): void {
    for (const instance of this.#live()) {
      instance.faults.set(cause, detail);
      this.#feed(instance, { type: "fault", cause, graceful: true });
    }
  }

  clear(cause: string): void {
    for (const instance of this.#live()) {
      if (!instance.faults.delete(cause)) continue;
      this.#feed(instance, { type: "clear", cause });
    }
  }

  /** Undefined when the order was taken, else why not. */
  order(name: string, order: VrrpOrder): { readonly code: string; readonly detail: string } | undefined {
    const instance = this.#live().find(({ setup }) => setup.router.name === name);
    if (instance === undefined) return { code: "vip.unknown", detail: `there is no virtual router ${name}` };
    this.#stage.denied = undefined;
    this.#feed(instance, { type: order });
    return this.#stage.denied;
  }

  /** The process stood still for so long. */
  woke(gap: Milliseconds): void {
    for (const instance of this.#stage.instances) this.#feed(instance, { type: "woke", gap });
    this.look();
  }

  /** What is due by now. */
  tick(): void {
    const now = this.#edges.now();
    for (const instance of this.#stage.instances) {
      const due = nextTimerAt(instance.state);
      if (due !== undefined && due <= now) this.#feed(instance, { type: "tick" });
      this.#retry(instance, now);
    }
    if (this.#stage.lookDue) this.look();
  }

  /** Undefined: nothing is. */
  nextDueAt(): Milliseconds | undefined {
    let next: Milliseconds | undefined;
    for (const { state, retries } of this.#stage.instances) {
      const timer = nextTimerAt(state);
      for (const at of [timer, ...[...retries.values()].map((retry) => retry.at)]) {
        if (at !== undefined && (next === undefined || at < next)) next = at;
      }
    }
    return next;
  }

  /** Reads what waits on a port, a bounded amount. */
  receive(shared: SharedPort): void {
    for (let packets = 0; packets < BURST_MAX; packets++) {
      const received = shared.port.receive();
      if (!received.ok) {
        // The link went, or the interface: asked anew, the kernel says which.
        this.#stage.lookDue = true;
        return;
      }
      if (received.value === undefined) return;
      this.#take(shared, received.value);
    }
    // The rest waits its turn behind the timers.
    this.ports.ready.add(shared);
  }

  /** Everybody resigns. */
  stop(): void {
    this.#ending = true;
    for (const instance of this.#stage.instances) this.#end(instance);
  }

  /** After `stop`: all is given up. */
  get ended(): boolean {
    return this.#ending && this.#stage.instances.length === 0;
  }

  get active(): boolean {
    return this.#stage.instances.some(({ proofs }) => proofs.size > 0);
  }

  /** The guardian is a new one, and knows nothing. */
  guardAnew(): void {
    this.#stage.held.guardStale = true;
    this.#run();
  }

  status(): {
    readonly routers: readonly RouterStatus[];
    readonly stray: Record<string, Record<string, number>>;
    readonly gate: GateUse;
  } {
    const now = this.#edges.now();
    const routers = this.#live().map((instance) => statusOf(instance, now));
    const stray = [...this.#strays].map(([device, counts]) => [device, Object.fromEntries(counts)]);
    return { routers, stray: Object.fromEntries(stray), gate: this.#stage.held.gate };
  }

  #live(): readonly RouterInstance[] {
    return this.#stage.instances.filter(({ ending }) => !ending);
  }

  #take(shared: SharedPort, packet: Parameters<typeof vridOf>[0]): void {
    const { family, interface: device } = shared.key;
    const vrid = vridOf(packet);
    const meant = this.#stage.instances.filter(
      ({ port, setup, stopped }) => port === shared && setup.router.vrid === vrid && !stopped,
    );
    const elsewhere = this.#stage.instances.some(
      ({ setup: { router } }) => router.interface === device.name && router.family === family && router.vrid === vrid,
    );
    if (meant.length === 0 && elsewhere) return;
    const router = meant[0]?.setup.router;
    const decoded = decodePacket(packet, {
      ttlMin: router === undefined ? 255 : ttlMinOf(router),
      v3ChecksumAsV2: router?.v3ChecksumAsV2 ?? false,
    });
    if (!decoded.ok || meant.length === 0) {
      const code = decoded.ok ? "vrrp.vrid.unknown" : decoded.code;
      for (const { dropped } of meant) count(dropped, code);
      if (meant.length === 0) this.#countStray(device.name, code);
      // Other people's virtual routers on the same network are no news.
      const source = decoded.ok ? decoded.value.source : packet.family === 6 ? packet.source : "unknown";
      if (code !== "vrrp.vrid.unknown") logPacket(this.#stage, router?.name ?? device.name, code, source);
      return;
    }
    for (const instance of meant) {
      instance.received++;
      this.#feed(instance, { type: "received", received: decoded.value });
    }
  }

  #countStray(device: string, code: string): void {
    const counts = this.#strays.get(device) ?? new Map<string, number>();
    this.#strays.set(device, counts);
    count(counts, code);
  }

  #end(instance: RouterInstance): void {
    if (instance.ending) return;
    instance.ending = true;
    if (instance.state.running) this.#feed(instance, { type: "stop" });
    else instance.stopped = true;
    this.#run();
  }

  #change(instance: RouterInstance, setup: RouterSetup): void {
    const same = JSON.stringify(instance.setup) === JSON.stringify(setup);
    instance.setup = setup;
    if (same) return;
    this.#feed(instance, { type: "configured" });
  }

  #tellStandings(instance: RouterInstance): void {
    for (const { name } of instance.setup.router.tracks) {
      const standing = this.#standings[name] ?? "unknown";
      this.#feed(instance, { type: "track", name, standing });
    }
  }

  /** One that takes over the name or an address of one that is still resigning waits for its end. */
  #startWaiting(): void {
    for (const instance of this.#live()) {
      if (instance.state.running) continue;
      const { router } = instance.setup;
      const addresses = new Set(movingAddresses(router).map(({ address }) => address));
      const blocked = this.#stage.instances.some(
        (other) =>
          other.ending &&
          (other.setup.router.name === router.name ||
            movingAddresses(other.setup.router).some(({ address }) => addresses.has(address))),
      );
      if (blocked) continue;
      const present = foreignOf(router, this.#stage.around, ownerMark);
      this.#feed(instance, { type: "start", ownAddress: instance.state.ownAddress, present });
    }
  }

  #retry(instance: RouterInstance, now: Milliseconds): void {
    for (const [cause, { at, wait }] of instance.retries) {
      if (at > now) continue;
      if (!instance.faults.delete(cause)) {
        // It held for as long as the last wait was: the next fault begins anew.
        instance.retries.delete(cause);
        continue;
      }
      instance.retries.set(cause, { at: now + wait * 2, wait });
      this.#feed(instance, { type: "clear", cause });
    }
  }

  #feed(instance: RouterInstance, input: VirtualRouterInput): void {
    this.#queue.push({ instance, input });
    this.#run();
  }

  // Effects bring inputs, sync groups bring orders: all wait their turn here.
  #run(): void {
    if (this.#feeding) return;
    this.#feeding = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#step(next);
      const { syncGroup } = next.instance.setup.router;
      if (syncGroup !== undefined) this.#touched.add(syncGroup);
      if (this.#queue.length > 0) continue;
      for (const group of this.#touched) this.#judgeGroup(group);
      this.#touched.clear();
    }
    this.#feeding = false;
    this.#bury();
    const { held, instances } = this.#stage;
    // Without a guardian the lifetime stands alone; main.ts starts another and has it told then.
    if (held.guardStale) tellGuard(held, instances);
  }

  #step({ instance, input }: Fed): void {
    const now = this.#edges.now();
    const before = instance.state.resigning !== undefined;
    const { state, effects } = stepVirtualRouter(instance.setup.router, instance.state, input, now);
    instance.state = state;
    const resigning = state.resigning !== undefined;
    // The advertisement first: what is told of it may wait.
    for (const effect of effects) perform(this.#stage, instance, effect, now);
    if (resigning !== before && state.mode === "active") {
      this.#stage.say({ type: "resigning", router: instance.setup.router.name, resigning });
    }
  }

  #judgeGroup(group: string): void {
    const members = this.#stage.instances.filter(
      ({ setup, stopped, ending }) => setup.router.syncGroup === group && !stopped && !ending,
    );
    const orders = judgeSyncGroup(members.map(({ setup, state }) => ({ router: setup.router, state })));
    for (const { router, input } of orders) {
      const instance = members.find(({ setup }) => setup.router.name === router);
      if (instance !== undefined) this.#queue.push({ instance, input });
    }
  }

  #bury(): void {
    const gone = this.#stage.instances.filter(({ stopped }) => stopped);
    if (gone.length === 0) return;
    for (const instance of gone) {
      for (const proof of instance.proofs.values()) {
        const released = this.#edges.release(proof);
        if (!released.ok) logFailure(this.#stage, instance, "address not removed", released.failure);
      }
      if (instance.port !== undefined) leavePort(this.ports, instance.port);
    }
    this.#stage.instances = this.#stage.instances.filter(({ stopped }) => !stopped);
    this.#stage.lookDue = !this.#ending;
  }
}
