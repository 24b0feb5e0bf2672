// Whether an advertisement that is whole (src/wire/vrrp/decode.ts) is for this virtual router and to be believed. The
// change's way; pure. Every refusal is a code of the one table in src/wire/vrrp/faults.ts.

import type { VirtualRouter } from "../model/virtual-router.ts";
import { vrrpGroup } from "../wire/vrrp/advertisement.ts";
import type { ReceivedAdvertisement } from "../wire/vrrp/decode.ts";
import type { VrrpFaultCode, VrrpOddityCode } from "../wire/vrrp/faults.ts";

export type Judgement =
  | { readonly ok: true; readonly oddities: readonly VrrpOddityCode[] }
  | { readonly ok: false; readonly code: VrrpFaultCode };

/**
 * `ownAddress`: from where this node speaks for the virtual router; undefined while it has none. The order is that of
 * RFC 3768 and RFC 9568 section 7.1, and within it the more telling code first.
 */
export function judgeAdvertisement(
  router: VirtualRouter,
  ownAddress: string | undefined,
  received: ReceivedAdvertisement,
): Judgement {
  const { advertisement, source } = received;
  const { vrid, family } = advertisement;
  if (source === ownAddress) return { ok: false, code: "vrrp.looped" };
  if (vrid !== router.vrid || family !== router.family) return { ok: false, code: "vrrp.vrid.unknown" };
  if (advertisement.version !== router.version) return { ok: false, code: "vrrp.version.differs" };
  const stranger = judgePeer(router, received) ?? judgePassword(router, advertisement.password);
  if (stranger !== undefined) return { ok: false, code: stranger };
  const oddities = [...received.oddities];
  const sameInterval = advertisement.interval === router.advertisementInterval;
  // RFC 3768 section 7.1. Both sides drop, so both become active: two nodes configured apart are told so by this code.
  if (!sameInterval && router.version === 2) return { ok: false, code: "vrrp.interval.differs" };
  if (!sameInterval) oddities.push("vrrp.odd.interval");
  if (!sameAddresses(router, advertisement.addresses)) {
    if (router.addressMismatch === "refuse") return { ok: false, code: "vrrp.addresses.differ" };
    oddities.push("vrrp.odd.addresses");
  }
  const multicast = received.destination === vrrpGroup[router.family];
  if (multicast !== (router.unicastPeers.length === 0)) {
    oddities.push(multicast ? "vrrp.odd.multicast" : "vrrp.odd.unicast");
  }
  return { ok: true, oddities };
}

// Unicast is older than RFC 9568 in practice and not in it: who may speak is configured, and how far away it may be.
function judgePeer(router: VirtualRouter, received: ReceivedAdvertisement): VrrpFaultCode | undefined {
  if (router.unicastPeers.length === 0) return undefined;
  const peer = router.unicastPeers.find(({ address }) => address === received.source);
  if (peer === undefined) return "vrrp.peer.unknown";
  return received.ttl < peer.ttlMin ? "vrrp.ip.ttl" : undefined;
}

function judgePassword(router: VirtualRouter, password: string | undefined): VrrpFaultCode | undefined {
  if (router.version === 3 || password === router.password) return undefined;
  if (password === undefined) return "vrrp.authentication.missing";
  return router.password === undefined ? "vrrp.authentication.unexpected" : "vrrp.authentication.password";
}

function sameAddresses(router: VirtualRouter, advertised: readonly string[]): boolean {
  return (
    advertised.length === router.addresses.length &&
    router.addresses.every(({ address }) => advertised.includes(address))
  );
}

/** The lowest TTL that decoding must let pass for this virtual router: the peers' own limits are looked at afterwards. */
export function ttlMinOf(router: VirtualRouter): number {
  return router.unicastPeers.reduce((least, { ttlMin }) => Math.min(least, ttlMin), 255);
}
