// Whether this machine can carry the virtual routers of a configuration, before it is taken up: what only the kernel knows.
// The change's way. keepalived goes into fault silently, or drops an address that belongs to the machine; here it is an error
// at the start and refuses a reload.

import type { Failure } from "../../core/failure.ts";
import { readAddresses, readLinks, routeExchange } from "../../io/netlink-route.ts";
import { ownerMark } from "../../io/owned-addresses.ts";
import { capability, requireCapabilities } from "../../io/privileges.ts";
import type { HaConfig } from "../../model/ha.ts";
import { movingAddresses, type VirtualRouter } from "../../model/virtual-router.ts";
import type { AddressEntry, LinkEntry } from "../../wire/netlink/route.ts";

/** Codes: privilege.missing, interface.missing, vip.addressTaken, netlink.*. */
export function judgeRouters(ha: HaConfig): readonly Failure[] {
  if (ha.virtualRouters.length === 0) return [];
  const rights = requireCapabilities([capability.netAdmin, capability.netRaw]);
  if (!rights.ok) return [rights.failure];
  const exchange = routeExchange();
  const links = readLinks(exchange);
  const addresses = readAddresses(exchange);
  exchange.close();
  if (!links.ok) return [links.failure];
  if (!addresses.ok) return [addresses.failure];
  return ha.virtualRouters.flatMap((router) => [
    ...missingInterfaces(router, links.value, ha.awaitedInterfaces),
    ...takenAddresses(router, addresses.value),
  ]);
}

export function missingInterfaces(
  router: VirtualRouter,
  links: readonly LinkEntry[],
  awaited: readonly string[],
): readonly Failure[] {
  const wanted = new Set([
    router.interface,
    ...movingAddresses(router).map((one) => one.interface ?? router.interface),
  ]);
  const there = new Set(links.map(({ name }) => name));
  const missing = [...wanted].filter((name) => !there.has(name) && !awaited.includes(name));
  const others = links.map(({ name }) => name).join(", ");
  return missing.map((name) => ({
    code: "interface.missing",
    origin: "self",
    retrySafe: false,
    detail: `virtual router ${router.name}: there is no interface ${name} (there are ${others}); when it comes later, say \`waitForInterface: true\``,
  }));
}

/** An address without an end that is not ours belongs to the machine, or to another program that moves addresses. */
export function takenAddresses(router: VirtualRouter, present: readonly AddressEntry[]): readonly Failure[] {
  if (router.priority === 255) return [];
  return movingAddresses(router).flatMap(({ address }) => {
    const taken = present.find(
      (entry) => entry.address === address && entry.protocol !== ownerMark && entry.validSeconds === undefined,
    );
    if (taken === undefined) return [];
    const remedy = "take it out of the network configuration, stop the other program, or say `priority: 255`";
    const detail = `virtual router ${router.name}: this machine has ${address}/${taken.prefixLength} already, and not from us: ${remedy}`;
    return [{ code: "vip.addressTaken", origin: "self", retrySafe: false, detail } as const];
  });
}
