// The addresses that virtual routers hold, in the kernel: claimed with a lifetime, renewed by the guardian as long as
// advertisements go out, released. What the guardian must know of them is told after the fact: a death in between is
// answered by the lifetime. The change's way; it decides nothing, and removes nothing but what it has claimed.

import type { Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import { advertisementOf } from "../ha/roles.ts";
import { leaseAfter, leaseTime } from "../ha/timing.ts";
import type { Farewell, GuardedAddress } from "../io/guardian-message.ts";
import type { VirtualAddress as KernelAddress } from "../io/owned-addresses.ts";
import type { VirtualAddress, VirtualRouter } from "../model/virtual-router.ts";
import type { GateUse } from "../state/vrrp-protocol.ts";
import type { LinkEntry } from "../wire/netlink/route.ts";
import { priorityResigning, vrrpGroup } from "../wire/vrrp/advertisement.ts";
import { encodeAdvertisement } from "../wire/vrrp/encode.ts";
import type { Edges } from "./edges.ts";
import type { RouterInstance } from "./router-instance.ts";

export type HeldAddresses = {
  readonly edges: Edges;
  gate: GateUse;
  /** The guardian knows less, or more, than is held. */
  guardStale: boolean;
  renewedAt: Milliseconds;
};

export function heldAddresses(edges: Edges): HeldAddresses {
  return { edges, gate: "none", guardStale: false, renewedAt: Number.NEGATIVE_INFINITY };
}

/** Where the gate ends a lease to the millisecond, the lifetime need not: one late renewal must not cost the address. */
const secondsMinBehindGate = 2;

/** Whole seconds of life for this virtual router's addresses, as near to the machine's lease as the kernel counts. */
export function lifetimeSeconds(instance: RouterInstance, gate: GateUse): number {
  const { state, setup } = instance;
  const least = gate === "none" ? 1 : secondsMinBehindGate;
  if (state.resigning !== undefined) return Math.max(least, Math.ceil(leaseAfter(setup.router, 0) / 1000));
  return Math.max(least, Math.floor(leaseTime(setup.router) / 1000));
}

/** The addresses as the kernel is to have them; those of an interface that is not there are left out. */
function placed(
  instance: RouterInstance,
  wanted: VirtualAddress,
  links: readonly LinkEntry[],
): KernelAddress | undefined {
  const device = wanted.interface ?? instance.setup.router.interface;
  const link = links.find(({ name }) => name === device);
  if (link === undefined) return undefined;
  const { address, prefixLength } = wanted;
  const scope = /^fe[89ab][0-9a-f]:/.test(address) ? "link" : "global";
  return {
    address,
    prefixLength,
    interfaceIndex: link.index,
    interfaceName: link.name,
    scope,
    label: undefined,
  };
}

/** Puts the addresses on their interfaces. Gives what failed, address by address; the others are held. */
export function claimAll(
  held: HeldAddresses,
  instance: RouterInstance,
  wanted: readonly VirtualAddress[],
  links: readonly LinkEntry[],
): readonly { readonly address: string; readonly failure: Failure }[] {
  const failures: { address: string; failure: Failure }[] = [];
  const seconds = lifetimeSeconds(instance, held.gate);
  for (const one of wanted) {
    const kernelAddress = placed(instance, one, links);
    if (kernelAddress === undefined) {
      const detail = `${one.address}: its interface ${one.interface ?? instance.setup.router.interface} is not there`;
      const failure: Failure = { code: "interface.missing", origin: "self", retrySafe: false, detail };
      failures.push({ address: one.address, failure });
      continue;
    }
    const known = instance.proofs.get(one.address);
    if (known !== undefined) held.edges.forget(known);
    instance.proofs.delete(one.address);
    const claimed = held.edges.claim(kernelAddress, seconds);
    if (claimed.ok) instance.proofs.set(one.address, claimed.value);
    else failures.push({ address: one.address, failure: claimed.failure });
  }
  held.guardStale = true;
  return failures;
}

/** Takes the addresses off. Gives what failed; the lifetime ends those. */
export function releaseAll(
  held: HeldAddresses,
  instance: RouterInstance,
  wanted: readonly VirtualAddress[],
): readonly Failure[] {
  const failures: Failure[] = [];
  for (const { address } of wanted) {
    const proof = instance.proofs.get(address);
    if (proof === undefined) continue;
    instance.proofs.delete(address);
    const released = held.edges.release(proof);
    if (released.ok) continue;
    held.edges.forget(proof);
    failures.push(released.failure);
  }
  held.guardStale = true;
  return failures;
}

/** The packet for these peers, from this source. */
export function encodeFor(router: VirtualRouter, source: string, destination: string, priority: number): Uint8Array {
  const form = router.v3ChecksumAsV2 ? "asVersion2" : "pseudoHeader";
  return encodeAdvertisement(advertisementOf(router, priority), { source, destination }, form);
}

export function destinationsOf(router: VirtualRouter): readonly string[] {
  const { unicastPeers, family } = router;
  return unicastPeers.length === 0 ? [vrrpGroup[family]] : unicastPeers.map(({ address }) => address);
}

/** Tells the guardian what is held now. False: there is none, or it does not listen. */
export function tellGuard(held: HeldAddresses, instances: readonly RouterInstance[]): boolean {
  held.guardStale = false;
  const holding = instances.filter(({ proofs }) => proofs.size > 0);
  const addresses: GuardedAddress[] = holding.flatMap(({ proofs }) =>
    [...proofs.values()].map(({ wanted, marked }) => ({ wanted, marked })),
  );
  const told = held.edges.guard({ kind: "guard", addresses, farewells: holding.flatMap(farewellsOf) });
  if (told.ok) held.renewedAt = Number.NEGATIVE_INFINITY;
  return told.ok;
}

function farewellsOf({ setup, port }: RouterInstance): readonly Farewell[] {
  if (port === undefined) return [];
  const { family, interface: place, source, peers } = port.key;
  return destinationsOf(setup.router).map((destination) => ({
    family,
    interface: place,
    source,
    peers,
    destinations: [destination],
    packet: encodeFor(setup.router, source, destination, priorityResigning),
  }));
}

/**
 * An advertisement went out: all that is held lives on. One order serves all virtual routers, so the shortest lifetime
 * counts; not every advertisement of a fast one makes an order. True: somebody must look whether an address is gone.
 */
export function renewAll(held: HeldAddresses, instances: readonly RouterInstance[], now: Milliseconds): boolean {
  const holding = instances.filter(({ proofs }) => proofs.size > 0);
  if (holding.length === 0) return false;
  const seconds = Math.min(...holding.map((instance) => lifetimeSeconds(instance, held.gate)));
  if (now - held.renewedAt < seconds * renewalShare) return false;
  held.renewedAt = now;
  // The kernel counts in whole seconds, and the guardian rounds down.
  if (held.edges.guard({ kind: "renew", untilBootMs: now + seconds * 1000 + 500 }).ok) return false;
  let gone = false;
  for (const { proofs } of holding) {
    for (const proof of proofs.values()) {
      const renewed = held.edges.renew(proof, seconds);
      gone ||= !renewed.ok || renewed.value === "gone";
    }
  }
  return gone;
}

/** So many milliseconds a second of lifetime: four orders, of which three may be late. */
const renewalShare = 250;
