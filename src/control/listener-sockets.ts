// The listening sockets of the node: for each bound address one for each worker slot, kept by the supervisor as long as
// the configuration names the address. A change is planned first: everything new is bound and listens, or nothing
// is and all failures are told. Sockets belong to the address, not to the listener's name: renaming a listener
// keeps what waits in its backlog. The change's way.

import { formatSocketAddress } from "../core/address.ts";
import type { Failure } from "../core/failure.ts";
import { bindShared, closeListening, probeAddress, socketInode, startListening } from "../io/listening-socket.ts";
import type { BindAddress, Listener } from "../model/listener.ts";
import type { DesiredListener } from "./worker-slots.ts";

export type BoundAddress = {
  /** `10.0.4.20:80`. */
  readonly address: string;
  readonly bind: BindAddress;
  readonly backlog: number;
  /** One a worker slot, by its index. */
  readonly descriptors: readonly number[];
};

export type SocketPlan = {
  /** What will be open once the plan is committed. */
  readonly next: readonly BoundAddress[];
  /** Descriptors to close once no worker accepts on them any more. */
  readonly dropped: readonly number[];
};

export type SocketPlanResult =
  | { readonly ok: true; readonly plan: SocketPlan }
  | { readonly ok: false; readonly failures: readonly Failure[] };

/**
 * Opens what the listeners need beyond what is open: new addresses for every slot, more slots for known addresses.
 * All are bound before the first listens. On any failure it closes what it opened and tells all failures.
 * Codes: those of probeAddress and bindShared, listener.bind.duplicate.
 */
export function planSockets(
  current: readonly BoundAddress[],
  listeners: readonly Pick<Listener, "name" | "bind" | "backlog">[],
  slotCount: number,
): SocketPlanResult {
  const failures: Failure[] = [];
  const opened: number[] = [];
  const next: BoundAddress[] = [];
  const known = new Map(current.map((bound) => [bound.address, bound]));
  const own = new Set(current.flatMap((bound) => bound.descriptors.map(socketInode)));
  for (const listener of listeners) {
    const address = formatSocketAddress(listener.bind);
    if (next.some((bound) => bound.address === address)) {
      failures.push(duplicateAddress(listener.name, address));
      continue;
    }
    const kept = known.get(address)?.descriptors ?? [];
    const added = openMissing(listener, { have: kept.length, want: slotCount, own }, failures);
    opened.push(...added);
    next.push({ address, bind: listener.bind, backlog: listener.backlog, descriptors: [...kept, ...added] });
  }
  if (failures.length === 0) listenAll(next, failures);
  if (failures.length > 0) {
    for (const fd of opened) closeListening(fd);
    return { ok: false, failures };
  }
  const staying = new Set(next.map((bound) => bound.address));
  const dropped = current.filter((bound) => !staying.has(bound.address)).flatMap((bound) => bound.descriptors);
  return { ok: true, plan: { next, dropped } };
}

function duplicateAddress(name: string, address: string): Failure {
  const detail = `listener ${name}: another listener is bound to ${address} already`;
  return { code: "listener.bind.duplicate", origin: "self", retrySafe: false, detail };
}

function openMissing(
  listener: Pick<Listener, "name" | "bind">,
  slots: { readonly have: number; readonly want: number; readonly own: ReadonlySet<number> },
  failures: Failure[],
): number[] {
  const added: number[] = [];
  if (slots.have === 0) {
    const probed = probeAddress(listener.bind, slots.own);
    if (!probed.ok) {
      failures.push(nameListener(listener.name, probed.failure));
      return added;
    }
  }
  for (let slot = slots.have; slot < slots.want; slot++) {
    const bound = bindShared(listener.bind);
    if (!bound.ok) {
      failures.push(nameListener(listener.name, bound.failure));
      return added;
    }
    added.push(bound.value);
  }
  return added;
}

function listenAll(bounds: readonly BoundAddress[], failures: Failure[]): void {
  for (const { bind, backlog, descriptors, address } of bounds) {
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

/** A listener as the slots see it: bound elsewhere, or under another name, it is another socket to hand over. */
export function desiredListeners(listeners: readonly Pick<Listener, "name" | "bind">[]): DesiredListener[] {
  return listeners.map(({ name, bind }) => ({ name, key: `${name} ${formatSocketAddress(bind)}` }));
}
