// For tests: virtual routers on several nodes, joined by a network that loses, doubles, delays and cuts, in virtual time.
// A node has a kernel of its own as well: addresses with leases, a socket that keeps what arrives while the node stands
// still, a clock that may jump. Everything that happens is decided by the seed. It records what it sees and judges nothing.

import { type Random, seededRandom } from "../core/random.ts";
import { announceDefault, type VirtualRouter } from "../model/virtual-router.ts";
import { vrrpGroup } from "../wire/vrrp/advertisement.ts";
import { decodeIpv4Packet, type ReceivedAdvertisement } from "../wire/vrrp/decode.ts";
import { encodeAdvertisement, encodeIpv4Packet } from "../wire/vrrp/encode.ts";
import { nextTimerAt } from "./fire.ts";
import { leaseAfter, leaseTime } from "./timing.ts";
import { initialVirtualRouter, stepVirtualRouter } from "./virtual-router.ts";
import type { VirtualRouterEffect, VirtualRouterInput, VirtualRouterState } from "./virtual-router-state.ts";

/** A virtual router with what a test wants to be particular, and common values for the rest. */
export function routerOf(particular: Partial<VirtualRouter> = {}): VirtualRouter {
  return {
    name: "VI_1",
    interface: "eth0",
    vrid: 51,
    version: 3,
    family: 4,
    priority: 100,
    advertisementInterval: 1000,
    advertisementCopies: 1,
    downAdvertisements: 3,
    preempt: true,
    preemptDelay: 0,
    startAs: "backup",
    addresses: [{ address: "10.0.4.99", prefixLength: 32, interface: undefined }],
    silentAddresses: [],
    sourceAddress: undefined,
    unicastPeers: [],
    password: undefined,
    announce: announceDefault,
    tracks: [],
    syncGroup: undefined,
    v3ChecksumAsV2: false,
    addressMismatch: "warn",
    ...particular,
  };
}

export type TestNode = {
  readonly index: number;
  readonly router: VirtualRouter;
  readonly address: string;
  state: VirtualRouterState;
  /** Its clock is ahead of the network's by this. */
  clockAhead: number;
  /** Stands still until then. */
  pausedUntil: number;
  pausedSince: number;
  /** What arrived while it stood still. */
  readonly socket: ReceivedAdvertisement[];
  /** Addresses of its kernel that the node did not add. */
  readonly foreign: readonly string[];
  /** Addresses of its kernel that it added: when the lease ends. */
  readonly leases: Map<string, number>;
  /** When it became active last. */
  activeSince: number;
  /** When it last heard an active at least as good as itself. */
  heardAt: number;
};

export type Conditions = {
  /** Chance of each packet on each link. */
  loss: number;
  duplication: number;
  /** The longest delay; each packet's own is even between 0 and it, so packets overtake each other. */
  delayMax: number;
  /** True when nothing gets from one node to another. */
  cut: (from: number, to: number) => boolean;
};

export type Seen = {
  readonly at: number;
  readonly node: number;
  readonly effect: VirtualRouterEffect;
};

type Event = { readonly at: number; readonly order: number; readonly run: () => void };

const socketMax = 64;

export type TestNetwork = ReturnType<typeof createTestNetwork>;

export function createTestNetwork(options: {
  readonly seed: number;
  readonly routers: readonly VirtualRouter[];
  /** Addresses that nodes have before they start, by index. */
  readonly foreign?: (index: number) => readonly string[];
  /** Every packet goes through bytes; else the machine's own words travel, which is faster. */
  readonly throughBytes?: boolean;
}) {
  const random: Random = seededRandom(options.seed);
  const conditions: Conditions = { loss: 0, duplication: 0, delayMax: 1, cut: () => false };
  const seen: Seen[] = [];
  const events: Event[] = [];
  let now = 0;
  let order = 0;
  const nodes: TestNode[] = options.routers.map((router, index) => ({
    index,
    router,
    address: `10.0.4.${index + 1}`,
    state: initialVirtualRouter(router),
    clockAhead: Math.floor(random() * 1e6),
    pausedUntil: 0,
    pausedSince: 0,
    socket: [],
    foreign: options.foreign?.(index) ?? [],
    leases: new Map(),
    activeSince: 0,
    heardAt: 0,
  }));

  function at(time: number, run: () => void): void {
    const event = { at: time, order: order++, run };
    // The queue is short: a few packets and a few disturbances.
    const place = events.findIndex((other) => other.at > time);
    events.splice(place < 0 ? events.length : place, 0, event);
  }

  function feed(node: TestNode, input: VirtualRouterInput): void {
    const localNow = now + node.clockAhead;
    const step = stepVirtualRouter(node.router, node.state, input, localNow);
    if (input.type === "received" && input.received.advertisement.priority >= node.state.priority) node.heardAt = now;
    node.state = step.state;
    for (const effect of step.effects) {
      seen.push({ at: now, node: node.index, effect });
      perform(node, effect);
    }
  }

  function perform(node: TestNode, effect: VirtualRouterEffect): void {
    switch (effect.type) {
      case "addAddresses":
        for (const { address } of effect.addresses) node.leases.set(address, now + leaseTime(node.router));
        return;
      case "removeAddresses":
        for (const { address } of effect.addresses) node.leases.delete(address);
        return;
      case "advertise": {
        const lease = now + leaseAfter(node.router, effect.advertisement.priority);
        for (const address of node.leases.keys()) node.leases.set(address, lease);
        send(node, effect.advertisement);
        return;
      }
      case "mode":
        if (effect.to === "active") node.activeSince = now;
        return;
      case "drainSocket":
        node.socket.length = 0;
        return;
      default:
        return;
    }
  }

  function send(node: TestNode, advertisement: ReceivedAdvertisement["advertisement"]): void {
    const envelope = { source: node.address, destination: vrrpGroup[4] };
    let received: ReceivedAdvertisement = {
      ...envelope,
      advertisement,
      ttl: 255,
      trafficClass: 0xc0,
      checksumForm: "pseudoHeader",
      oddities: [],
    };
    if (options.throughBytes === true) {
      const packet = encodeIpv4Packet(encodeAdvertisement(advertisement, envelope), envelope);
      const decoded = decodeIpv4Packet(packet, { ttlMin: 255, checksumForm: "pseudoHeader" });
      if (!decoded.ok) throw new Error(`our own packet dies of ${decoded.code}`);
      received = decoded.value;
    }
    for (const other of nodes) {
      if (other === node || conditions.cut(node.index, other.index)) continue;
      const copies = random() < conditions.duplication ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        if (random() < conditions.loss) continue;
        at(now + random() * conditions.delayMax, () => deliver(other, received));
      }
    }
  }

  function deliver(node: TestNode, received: ReceivedAdvertisement): void {
    if (now < node.pausedUntil) {
      if (node.socket.length < socketMax) node.socket.push(received);
    } else {
      feed(node, { type: "received", received });
    }
  }

  /** The node stands still for so long; on waking it may know how long, or find out by its timers. */
  function pause(node: TestNode, forMs: number, knows: boolean): void {
    if (now < node.pausedUntil) return;
    node.pausedSince = now;
    node.pausedUntil = now + forMs;
    at(node.pausedUntil, () => {
      if (knows) feed(node, { type: "woke", gap: now - node.pausedSince });
      const timersFirst = random() < 0.5;
      if (timersFirst) feed(node, { type: "tick" });
      for (let next = node.socket.shift(); next !== undefined; next = node.socket.shift()) {
        feed(node, { type: "received", received: next });
      }
    });
  }

  /** Runs until this time; `look` sees every moment at which something has happened. */
  function runUntil(end: number, look: () => void = () => undefined): void {
    for (;;) {
      let next = events[0]?.at ?? Number.POSITIVE_INFINITY;
      let timerOf: TestNode | undefined;
      for (const node of nodes) {
        const timer = nextTimerAt(node.state);
        if (timer === undefined || now < node.pausedUntil) continue;
        const due = Math.max(now, timer - node.clockAhead);
        if (due < next) {
          next = due;
          timerOf = node;
        }
      }
      if (next > end) break;
      now = next;
      if (timerOf !== undefined) feed(timerOf, { type: "tick" });
      else events.shift()?.run();
      look();
    }
    now = end;
  }

  return {
    nodes,
    conditions,
    random,
    /** All effects so far. */
    seen,
    get now() {
      return now;
    },
    at,
    feed,
    pause,
    runUntil,
    start: (node: TestNode) => feed(node, { type: "start", ownAddress: node.address, present: node.foreign }),
    /** Nodes in the mode active. */
    actives: () => nodes.filter(({ state }) => state.mode === "active"),
    /** Nodes whose kernel answers for the address at this moment. */
    holders: (address: string) =>
      nodes.filter((node) => node.foreign.includes(address) || (node.leases.get(address) ?? -1) > now),
  };
}
