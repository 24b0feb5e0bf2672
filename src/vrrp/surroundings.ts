// What a virtual router makes of the links and addresses of its machine: is its interface there and up, and from which
// address does it speak. The change's way; pure.

import { movingAddresses, type VirtualRouter } from "../model/virtual-router.ts";
import { type AddressEntry, addressFlag, isLinkUp, type LinkEntry } from "../wire/netlink/route.ts";

/** Everything the kernel said at one moment. */
export type Surroundings = { readonly links: readonly LinkEntry[]; readonly addresses: readonly AddressEntry[] };

/** IFA_PROTO of what this program has added: io/owned-addresses.ts. */
export type OwnMark = number;

/** The causes that the surroundings give and take; each is in effect or not after every look. */
export const surroundingCauses = ["interfaceMissing", "linkDown", "addressMissing"] as const;
export type SurroundingCause = (typeof surroundingCauses)[number];

export type Place = {
  readonly link: LinkEntry | undefined;
  readonly source: string | undefined;
  readonly fault: { readonly cause: SurroundingCause; readonly detail: string } | undefined;
};

/**
 * Where the virtual router stands. The source is the configured one; else over IPv6 the link-local address (RFC 9568
 * section 5.1.2.1), to peers beyond the link their kind; else the first of the interface that does not move along.
 * `moving`: every address of all virtual routers.
 */
export function placeOf(
  router: VirtualRouter,
  around: Surroundings,
  moving: ReadonlySet<string>,
  ownMark: OwnMark,
): Place {
  const device = router.interface;
  const link = around.links.find(({ name }) => name === device);
  if (link === undefined) {
    const detail = `there is no interface ${device}`;
    return { link, source: undefined, fault: { cause: "interfaceMissing", detail } };
  }
  const source = sourceOf(router, link, around, moving, ownMark);
  if (!isLinkUp(link)) {
    return { link, source, fault: { cause: "linkDown", detail: `interface ${device} is down or has no carrier` } };
  }
  if (source !== undefined) return { link, source, fault: undefined };
  const wanted = router.sourceAddress ?? `IPv${router.family} address to speak from`;
  return { link, source, fault: { cause: "addressMissing", detail: `interface ${device} has no ${wanted}` } };
}

function sourceOf(
  router: VirtualRouter,
  link: LinkEntry,
  around: Surroundings,
  moving: ReadonlySet<string>,
  ownMark: OwnMark,
): string | undefined {
  const { family, sourceAddress, unicastPeers } = router;
  const linkLocal = family === 6 && unicastPeers.every(({ address }) => isLinkLocal(address));
  const unusable = addressFlag.duplicate | addressFlag.tentative;
  const here = around.addresses.filter(
    (entry) => entry.interfaceIndex === link.index && entry.family === family && (entry.flags & unusable) === 0,
  );
  if (sourceAddress !== undefined) return here.find(({ address }) => address === sourceAddress)?.address;
  const fitting = here.filter(({ address, protocol }) => {
    return protocol !== ownMark && (family === 4 || isLinkLocal(address) === linkLocal);
  });
  // An owner speaks from the address that moves, having no other.
  return (fitting.find(({ address }) => !moving.has(address)) ?? fitting[0])?.address;
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}

/** Addresses of the virtual router that the machine has and that are not ours: never added, never removed. */
export function foreignOf(router: VirtualRouter, around: Surroundings, ownMark: OwnMark): readonly string[] {
  const wanted = new Set(movingAddresses(router).map(({ address }) => address));
  return around.addresses
    .filter(({ address, protocol }) => wanted.has(address) && protocol !== ownMark)
    .map(({ address }) => address);
}
