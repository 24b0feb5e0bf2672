// Brings virtual routers in line with what the kernel says of links and addresses: the interface that is missing, down or
// without an address, the source that has changed, the address that somebody has taken away or taken over. The change's
// way. It asks the kernel anew each time: news are a reason to look, never the truth itself.

import { ownerMark } from "../io/owned-addresses.ts";
import { movingAddresses } from "../model/virtual-router.ts";
import { alarm, giveUpFor, logFailure, type Stage } from "./perform.ts";
import type { RouterInstance } from "./router-instance.ts";
import { leavePort, portId, type SharedPorts, usePort } from "./shared-ports.ts";
import { placeOf, surroundingCauses } from "./surroundings.ts";

/** False: the kernel did not answer, and all stays as it was believed to be. */
export function lookAround(stage: Stage): boolean {
  const links = stage.edges.readLinks();
  const addresses = links.ok ? stage.edges.readAddresses() : links;
  if (links.ok && addresses.ok) {
    stage.around = { links: links.value, addresses: addresses.value };
    return true;
  }
  const failure = links.ok ? (addresses.ok ? undefined : addresses.failure) : links.failure;
  stage.say({ type: "log", level: "error", message: "the kernel does not say what there is", fields: { ...failure } });
  return false;
}

/** Tells the machine what has changed for it; opens and closes its port. */
export function settlePlace(
  stage: Stage,
  ports: SharedPorts,
  instance: RouterInstance,
  awaited: readonly string[],
): void {
  const { router } = instance.setup;
  const moving = new Set(stage.instances.flatMap(({ setup }) => movingAddresses(setup.router)).map((a) => a.address));
  const { link, source, fault } = placeOf(router, stage.around, moving, ownerMark);
  const renewed = link !== undefined && instance.link !== undefined && link.index !== instance.link.index;
  const appeared = link !== undefined && instance.faults.has("interfaceMissing");
  if (renewed || appeared) stage.say({ type: "interfaceRenewed", interface: link.name });
  instance.link = link ?? instance.link;
  if (source !== instance.state.ownAddress) stage.later(instance, { type: "ownAddress", address: source });
  // Faults first: priority 0 goes out of the old socket while there is one.
  for (const cause of surroundingCauses) {
    if (fault?.cause === cause) {
      if (instance.faults.has(cause)) continue;
      instance.faults.set(cause, fault.detail);
      const quiet = cause === "interfaceMissing" && awaited.includes(router.interface);
      if (!quiet) logFault(stage, instance, fault.detail);
      stage.later(instance, { type: "fault", cause, graceful: false });
    } else if (instance.faults.delete(cause)) {
      stage.later(instance, { type: "clear", cause });
    }
  }
  if (link !== undefined && source !== undefined) usePlace(stage, ports, instance, { index: link.index, source });
  checkAddresses(stage, instance);
}

function logFault(stage: Stage, instance: RouterInstance, detail: string): void {
  const { name } = instance.setup.router;
  stage.say({
    type: "log",
    level: "error",
    message: "virtual router in fault",
    fields: { virtualRouter: name, detail },
  });
}

function usePlace(
  stage: Stage,
  ports: SharedPorts,
  instance: RouterInstance,
  place: { readonly index: number; readonly source: string },
): void {
  const { router } = instance.setup;
  const key = {
    family: router.family,
    interface: { name: router.interface, index: place.index },
    source: place.source,
    peers: router.unicastPeers.length === 0 ? "multicast" : "unicast",
  } as const;
  if (instance.port?.id === portId(key)) return;
  const opened = usePort(ports, key);
  if (!opened.ok) {
    logFailure(stage, instance, "no socket for advertisements", opened.failure);
    if (!instance.faults.has("socket")) {
      giveUpFor(stage, instance, { cause: "socket", detail: opened.failure.detail, graceful: false });
    }
    return;
  }
  if (instance.port !== undefined) leavePort(ports, instance.port);
  instance.port = opened.value;
  stage.held.guardStale = true;
}

const putBackWithin = 60_000;
/** More often in that time, and somebody wants it away: the role goes where nobody objects. */
const putBackMax = 5;

function checkAddresses(stage: Stage, instance: RouterInstance): void {
  const now = stage.edges.now();
  for (const { address } of instance.state.held) {
    const proof = instance.proofs.get(address);
    const here = stage.around.addresses.find(
      (entry) =>
        entry.address === address && (proof === undefined || entry.interfaceIndex === proof.wanted.interfaceIndex),
    );
    if (here === undefined) {
      if (proof !== undefined) stage.edges.forget(proof);
      instance.proofs.delete(address);
      instance.putBack = [...instance.putBack.filter((at) => now - at < putBackWithin), now];
      if (instance.putBack.length > putBackMax) {
        const detail = `somebody removed ${address} ${instance.putBack.length} times within a minute`;
        giveUpFor(stage, instance, { cause: "addressRemoved", detail, graceful: true });
        continue;
      }
      stage.later(instance, { type: "addressLost", address });
    } else if (proof?.marked === true && here.protocol !== ownerMark) {
      stage.edges.forget(proof);
      instance.proofs.delete(address);
      stage.held.guardStale = true;
      const detail = `somebody removed ${address} and added it anew: it is theirs now and will not be removed`;
      alarm(stage, instance, "vrrp.alarm.addressForeign", detail);
    }
  }
}
