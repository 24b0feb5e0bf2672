// The listening sockets of the node: for each bound address one for each worker slot, kept by the supervisor as long as
// the configuration names the address. A change is planned first: everything new is bound and listens, or nothing
// is and all failures are told. Sockets belong to the address, not to the listener's name: renaming a listener
// keeps what waits in its backlog. A UDP listener on every address has sockets on each address of the machine besides
// (docs/decisions/0006): only so does an answer come from the address that was asked. The change's way.

import { formatSocketAddress } from "../../core/address.ts";
import type { Failure } from "../../core/failure.ts";
import { bindShared, closeListening, probeAddress, socketInode, startListening } from "../../io/listening-socket.ts";
import type { BindAddress, Listener } from "../../model/listener.ts";
import type { DesiredListener } from "./worker-slots.ts";

export type BoundAddress = {
  readonly listener: string;
  readonly transport: "tcp" | "udp";
  /** `10.0.4.20:80`. */
  readonly address: string;
  readonly bind: BindAddress;
  /** 0 for UDP. */
  readonly backlog: number;
  /** One a worker slot, by its index. */
  readonly descriptors: readonly number[];
};

/** What a listener says of its sockets. */
export type ListenerToBind = Pick<Listener, "name" | "protocol" | "bind"> & { readonly backlog?: number };

export type SocketPlan = {
  /** What will be open once the plan is committed. */
  readonly next: readonly BoundAddress[];
  /** Descriptors to close once no worker accepts on them any more. */
  readonly dropped: readonly number[];
};

export type SocketPlanResult =
  | { readonly ok: true; readonly plan: SocketPlan }
  | { readonly ok: false; readonly failures: readonly Failure[] };

/** Addresses of the machine on which one UDP listener has sockets of its own; the rest share that of every address. */
const addressesMax = 256;

type Planning = {
  readonly slotCount: number;
  readonly known: ReadonlyMap<string, BoundAddress>;
  /** Inodes of the sockets that are open. */
  readonly own: ReadonlySet<number>;
  /** Addresses that come and go with a virtual router. */
  readonly floating: ReadonlySet<string>;
  readonly opened: number[];
  readonly failures: Failure[];
};

/**
 * Opens what the listeners need beyond what is open: new addresses for every slot, more slots for known addresses.
 * All are bound before the first listens. On any failure it closes what it opened and tells all failures. `machine` are
 * the addresses of the machine, for UDP listeners on every address; `floating` those that it has only while it is active.
 * Codes: those of probeAddress and bindShared, listener.bind.duplicate.
 */
export function planSockets(
  current: readonly BoundAddress[],
  listeners: readonly ListenerToBind[],
  slotCount: number,
  machine: readonly string[] = [],
  floating: ReadonlySet<string> = new Set(),
): SocketPlanResult {
  const planning: Planning = {
    slotCount,
    known: new Map(current.map((bound) => [keyOf(bound), bound])),
    own: new Set(current.flatMap((bound) => bound.descriptors.map(socketInode))),
    floating,
    opened: [],
    failures: [],
  };
  const { failures, opened } = planning;
  const next: BoundAddress[] = [];
  for (const listener of listeners) {
    const bound = unbound(listener);
    if (next.some((other) => keyOf(other) === keyOf(bound))) {
      failures.push(duplicateAddress(bound));
      continue;
    }
    next.push(openSlots(planning, bound));
    const places = isEverywhere(bound) ? placesOf(bound, current, machine) : [];
    for (const bind of places) {
      const place = openPlace(planning, { ...bound, bind, address: formatSocketAddress(bind) });
      if (place !== undefined) next.push(place);
    }
  }
  if (failures.length === 0) listenAll(next, failures);
  if (failures.length > 0) {
    for (const fd of opened) closeListening(fd);
    return { ok: false, failures };
  }
  const staying = new Set(next.map(keyOf));
  const dropped = current.filter((bound) => !staying.has(keyOf(bound))).flatMap((bound) => bound.descriptors);
  return { ok: true, plan: { next, dropped } };
}

function keyOf({ transport, address }: Pick<BoundAddress, "transport" | "address">): string {
  return `${transport} ${address}`;
}

function unbound({ name, protocol, bind, backlog = 0 }: ListenerToBind): BoundAddress {
  const transport = protocol === "udp" ? "udp" : "tcp";
  return { listener: name, transport, address: formatSocketAddress(bind), bind, backlog, descriptors: [] };
}

/** A socket on every address answers from whichever the kernel likes: UDP needs more than that. */
export function isEverywhere({ transport, bind }: Pick<BoundAddress, "transport" | "bind">): boolean {
  return transport === "udp" && (bind.host === "0.0.0.0" || bind.host === "::");
}

/**
 * The addresses of the machine that a listener on every address has sockets on. One that the machine has no more keeps
 * them: a virtual address that comes back is served at once.
 */
function placesOf(bound: BoundAddress, current: readonly BoundAddress[], machine: readonly string[]): BindAddress[] {
  const { host, port } = bound.bind;
  const before = current.filter(({ transport, bind }) => transport === "udp" && bind.port === port);
  const hosts = new Set([...before.map(({ bind }) => bind.host), ...machine]);
  const ofFamily = [...hosts].filter((one) => one.includes(":") === host.includes(":"));
  const places = ofFamily.filter((one) => one !== host).slice(0, addressesMax);
  return places.map((one) => ({ host: one, port }));
}

function duplicateAddress({ listener, address }: BoundAddress): Failure {
  const detail = `listener ${listener}: another listener is bound to ${address} already`;
  return { code: "listener.bind.duplicate", origin: "self", retrySafe: false, detail };
}

/** With a descriptor for each slot; with fewer when that failed, which is then among the failures. */
function openSlots(planning: Planning, bound: BoundAddress): BoundAddress {
  const { known, own, floating, slotCount, opened, failures } = planning;
  const kept = known.get(keyOf(bound))?.descriptors ?? [];
  const descriptors = [...kept];
  const bind = { ...bound.bind, transport: bound.transport, floating: floating.has(bound.bind.host) };
  if (kept.length === 0) {
    const probed = probeAddress(bind, own);
    if (!probed.ok) {
      failures.push(nameListener(bound.listener, probed.failure));
      return bound;
    }
  }
  while (descriptors.length < slotCount) {
    const opening = bindShared(bind);
    if (!opening.ok) {
      failures.push(nameListener(bound.listener, opening.failure));
      break;
    }
    opened.push(opening.value);
    descriptors.push(opening.value);
  }
  return { ...bound, descriptors };
}

/**
 * As openSlots, for an address that nobody asked for: one that cannot be had just now (it has gone again, or IPv6 still
 * looks whether it is alone in having it) is left to the socket on every address. So is one that was open and lacks a
 * slot. Everything else is a failure.
 */
function openPlace(planning: Planning, bound: BoundAddress): BoundAddress | undefined {
  const known = planning.known.get(keyOf(bound))?.descriptors ?? [];
  // The socket on every address was probed already, and is the listener's own.
  const descriptors = [...known];
  const fresh: number[] = [];
  while (descriptors.length < planning.slotCount) {
    const opening = bindShared({ ...bound.bind, transport: bound.transport });
    if (opening.ok) {
      fresh.push(opening.value);
      descriptors.push(opening.value);
      continue;
    }
    for (const fd of fresh) closeListening(fd);
    if (opening.failure.code !== "listener.bind.addressNotAvailable") {
      planning.failures.push(nameListener(bound.listener, opening.failure));
    }
    return undefined;
  }
  planning.opened.push(...fresh);
  return { ...bound, descriptors };
}

function listenAll(bounds: readonly BoundAddress[], failures: Failure[]): void {
  for (const { bind, backlog, descriptors, address, transport } of bounds) {
    if (transport === "udp") continue;
    for (const fd of descriptors) {
      const listening = startListening(fd, bind, backlog);
      if (listening.ok) continue;
      failures.push(nameListener(address, listening.failure));
      break;
    }
  }
}

function nameListener(name: string, failure: Failure): Failure {
  return { ...failure, detail: `listener ${name}: ${failure.detail}` };
}

/** Closes what the new configuration no longer names; call it when the workers have closed theirs. */
export function closeDropped(dropped: readonly number[]): void {
  for (const fd of dropped) closeListening(fd);
}

/**
 * The sockets as the slots see them, each handed over once: bound elsewhere, or under another listener's name, it is
 * another one.
 */
export function desiredListeners(bounds: readonly BoundAddress[]): DesiredListener[] {
  return bounds.map((bound) => ({ name: bound.listener, key: socketKey(bound) }));
}

export function socketKey(bound: BoundAddress): string {
  return `${bound.listener} ${keyOf(bound)}`;
}
