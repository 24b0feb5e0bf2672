// Puts the address gate (gate-rules.ts) into the kernel, and opens, renews or closes the lease of one virtual router by
// hand: where the kernel cannot renew it as advertisements leave, and where it must close at once. The change's way. A
// failure here never stops an election: without the gate the lifetime of the addresses is the lease, in whole seconds.

import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { encodeTimedElements, type TimedElement } from "../wire/netlink/timed-elements.ts";
import { armedTime, type GatedRouter, gateRuleset, gateSets, gateTable, removalRuleset } from "./gate-rules.ts";
import { errorName } from "./libc.ts";
import { type NetlinkExchange, netlinkExchange, openNetlinkPort } from "./netlink-socket.ts";
import { applyRuleset, checkRuleset } from "./nft-command.ts";
import { capabilityRemedy } from "./socket-failure.ts";

const protocolNetfilter = 12;

/** Who renews the lease: the kernel, with each advertisement that leaves, or the process with renewLease. */
export type GateKind = "renewedByKernel" | "renewedByHand";

/**
 * Makes the gate for these routers, or anew for others; none takes it away. Interfaces must exist; one that was removed
 * and came back needs it made again. Until its first advertisement a router's addresses are not gated. Codes: nft.*.
 */
export async function installGate(routers: readonly GatedRouter[]): Promise<Result<GateKind>> {
  if (routers.length === 0) {
    const removed = await removeGate();
    return removed.ok ? good("renewedByKernel") : removed;
  }
  const whole = gateRuleset(routers, { egress: true });
  const checked = await checkRuleset(whole);
  if (checked.ok) {
    const applied = await applyRuleset(whole);
    return applied.ok ? good("renewedByKernel") : applied;
  }
  if (checked.failure.code !== "nft.refused") return checked;
  // Kernels before 5.16, or built without CONFIG_NETFILTER_EGRESS. If it is not that, the kernel refuses this one too.
  const applied = await applyRuleset(gateRuleset(routers, { egress: false }));
  return applied.ok ? good("renewedByHand") : applied;
}

/** Also when there is none. Codes: nft.*. */
export async function removeGate(): Promise<Result<true>> {
  return applyRuleset(`${removalRuleset()}\n`);
}

/** An exchange with nf_tables, for renewLease and closeLease. */
export function gateExchange(): NetlinkExchange {
  return netlinkExchange(() => openNetlinkPort(protocolNetfilter));
}

/**
 * The router's lease runs from now on for so long, and its addresses are gated. Waits while another program loads its
 * rules. Codes: gate.missing (no gate for it), gate.denied, gate.refused, netlink.*.
 */
export function renewLease(exchange: NetlinkExchange, key: number, lease: Milliseconds): Result<true> {
  const changes = (present: boolean): TimedElement[] => [
    { set: gateSets.armed, key, milliseconds: armedTime, present },
    { set: gateSets.lease, key, milliseconds: lease, present },
  ];
  const renewed = change(exchange, changes(true));
  // One of them had run out: then both are added, and the older of the two keeps its time for a moment.
  return renewed.ok || renewed.failure.code !== "gate.missing" ? renewed : change(exchange, changes(false));
}

/** Nothing passes for the router's addresses from now on. Good also when the lease had run out. Codes as for renewLease. */
export function closeLease(exchange: NetlinkExchange, key: number): Result<true> {
  const closed = change(exchange, [{ set: gateSets.lease, key, milliseconds: undefined, present: true }]);
  return closed.ok || closed.failure.code !== "gate.missing" ? closed : good(true);
}

/**
 * The router's addresses are not gated any more until its next advertisement: for a node that has given them up in order,
 * and may forward what still comes for them. Good also when nothing was armed. Codes as for renewLease.
 */
export function disarmGate(exchange: NetlinkExchange, key: number): Result<true> {
  const disarmed = change(exchange, [{ set: gateSets.armed, key, milliseconds: undefined, present: true }]);
  return disarmed.ok || disarmed.failure.code !== "gate.missing" ? disarmed : good(true);
}

function change(exchange: NetlinkExchange, changes: readonly TimedElement[]): Result<true> {
  const count = changes.length * 2 + 2;
  const done = exchange.transact(encodeTimedElements(gateTable, changes, exchange.sequence(count)));
  if (!done.ok) return done;
  const [refused] = done.value;
  if (refused === undefined) return good(true);
  const name = errorName(refused.errno);
  const fail = (part: string, detail: string) =>
    bad({ code: `gate.${part}`, origin: "self", retrySafe: false, detail } as const);
  if (name === "ENOENT") return fail("missing", "the gate's table or element is not there");
  if (name === "EPERM") return fail("denied", `the gate may not be changed: ${capabilityRemedy}`);
  return fail("refused", `the gate's element was refused with ${name}${refused.text ? ` (${refused.text})` : ""}`);
}
