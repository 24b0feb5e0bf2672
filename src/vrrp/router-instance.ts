// One virtual router as the process that speaks VRRP has it: its configuration, the machine's state, its port, the proofs of
// the addresses that it put on the machine, and what there is to count and to tell. The change's way. Data and what is read
// from it; what happens to it is decided in src/ha and done by vrrp-node.ts.

import type { Milliseconds } from "../core/clock.ts";
import { weightOf } from "../ha/tracks.ts";
import { initialVirtualRouter } from "../ha/virtual-router.ts";
import type { VirtualRouterState } from "../ha/virtual-router-state.ts";
import type { OwnedAddress } from "../io/owned-addresses.ts";
import { movingAddresses, type VirtualRouter } from "../model/virtual-router.ts";
import type { RouterSetup, RouterStatus } from "../state/vrrp-protocol.ts";
import type { LinkEntry } from "../wire/netlink/route.ts";
import type { SharedPort } from "./shared-ports.ts";

export type AlarmSeen = { count: number; detail: string; at: Milliseconds; toldAt: Milliseconds };

/** A fault that no news will end: it is tried again. */
export type Retry = { readonly at: Milliseconds; readonly wait: Milliseconds };

export type RouterInstance = {
  readonly identity: string;
  setup: RouterSetup;
  state: VirtualRouterState;
  /** Undefined while its interface is not there. */
  link: LinkEntry | undefined;
  port: SharedPort | undefined;
  /** By address. */
  readonly proofs: Map<string, OwnedAddress>;
  /** By cause: why it is in fault besides tracks, in words. */
  readonly faults: Map<string, string>;
  readonly retries: Map<string, Retry>;
  /** When an address was put back, of the last minute. */
  putBack: Milliseconds[];
  readonly dropped: Map<string, number>;
  readonly odd: Map<string, number>;
  readonly alarms: Map<string, AlarmSeen>;
  sent: number;
  received: number;
  /** It is to be stopped, or it has been. */
  ending: boolean;
  stopped: boolean;
};

/** A change of any of these makes it another virtual router: the old one resigns, the new one starts after it. */
export function identityOf(router: VirtualRouter): string {
  const { name, interface: device, vrid, version, family } = router;
  return `${name} ${device} ${vrid} ${version} ${family}`;
}

export function newInstance(setup: RouterSetup): RouterInstance {
  return {
    identity: identityOf(setup.router),
    setup,
    state: initialVirtualRouter(setup.router),
    link: undefined,
    port: undefined,
    proofs: new Map(),
    faults: new Map(),
    retries: new Map(),
    putBack: [],
    dropped: new Map(),
    odd: new Map(),
    alarms: new Map(),
    sent: 0,
    received: 0,
    ending: false,
    stopped: false,
  };
}

export function count(counts: Map<string, number>, code: string): number {
  const next = (counts.get(code) ?? 0) + 1;
  counts.set(code, next);
  return next;
}

export function statusOf(instance: RouterInstance, now: Milliseconds): RouterStatus {
  const { state, setup, alarms } = instance;
  const { router } = setup;
  return {
    name: router.name,
    interface: router.interface,
    vrid: router.vrid,
    version: router.version,
    mode: state.mode,
    modeMs: Math.round(now - state.since),
    cause: state.cause,
    priority: state.priority,
    priorityConfigured: router.priority,
    byHand: state.byHand?.wish,
    resigning: state.resigning !== undefined,
    ownAddress: state.ownAddress,
    advertisementIntervalMs: router.advertisementInterval,
    advertisementCopies: router.advertisementCopies,
    addresses: movingAddresses(router).map(({ address }) => ({ address, here: whereIs(instance, address) })),
    faults: [...instance.faults].map(([cause, detail]) => ({ cause, detail })),
    tracks: router.tracks.map((entry) => {
      const standing = state.standings[entry.name] ?? "unknown";
      const { name, weight, reverse } = entry;
      return { name, standing, weight, reverse, adds: weightOf(entry, standing) };
    }),
    peers: state.said.map(({ address, priority, interval, at }) => ({
      address,
      priority,
      intervalMs: interval,
      agoMs: Math.round(now - at),
    })),
    takeovers: state.takeovers,
    advertisementsSent: instance.sent,
    advertisementsReceived: instance.received,
    dropped: Object.fromEntries(instance.dropped),
    odd: Object.fromEntries(instance.odd),
    alarms: Object.fromEntries(
      [...alarms].map(([code, { count: times, detail, at }]) => [
        code,
        { count: times, detail, agoMs: Math.round(now - at) },
      ]),
    ),
  };
}

function whereIs({ proofs, state }: RouterInstance, address: string): "held" | "foreign" | "away" {
  if (proofs.has(address)) return "held";
  return state.foreign.includes(address) ? "foreign" : "away";
}
