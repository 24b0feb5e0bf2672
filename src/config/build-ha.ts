// `ha` of a draft without problems into the model's: priorities of a spread computed, tracks that need no definition written
// out, and what is said for all laid beside what is said for one. On the change's way, part of build.ts. Must not find
// problems any more: what cannot be here is a broken invariant.

import { parseIp } from "../core/address.ts";
import { assert } from "../core/assert.ts";
import { planSpread } from "../ha/spread.ts";
import { type HaConfig, haNone, type Service, type SyncGroup } from "../model/ha.ts";
import type { UnicastPeer, VirtualAddress, VirtualRouter } from "../model/virtual-router.ts";
import { buildFifoReaders, buildNotify } from "./build-notify.ts";
import { buildTracks } from "./build-track.ts";
import type { AddressFile } from "./ha-leaf.ts";
import type { PlacedAddressFile, ServiceFile, VirtualRouterFile } from "./ha-schema.ts";
import type { HaDraft } from "./ha-shape.ts";
import { groupOf, trackedBy } from "./ha-tracks.ts";
import type { NamedPart } from "./part.ts";

const priorityOwner = 255;

export function buildHa(ha: HaDraft | undefined, node: string): HaConfig {
  if (ha === undefined) return haNone;
  const shell = wholeOf(ha.shell);
  const priorities = spreadPriorities(ha, node);
  const virtualRouters = ha.virtualRouters.map((part) => buildVirtualRouter(ha, part, priorities.get(part.name)));
  const groups: SyncGroup[] = ha.syncGroups.map((part) => ({ name: part.name, members: wholeOf(part).members }));
  return {
    virtualRouters,
    syncGroups: groups,
    tracks: buildTracks(ha),
    notify: buildNotify(ha),
    fifoReaders: buildFifoReaders(ha),
    services: ha.services.map((part) => buildService(ha, part.name, wholeOf(part))),
    awaitedInterfaces: awaitedInterfaces(ha),
    spreadNodes: shell.spread ? shell.nodes : [],
  };
}

function wholeOf<T>(part: { readonly value: T | undefined }): T {
  assert(part.value !== undefined, "every part of a valid draft was read");
  return part.value;
}

/**
 * What `spread: true` gives each virtual router on this node; empty without. A sync group counts as one: its members
 * must prefer the same node.
 */
export function spreadPriorities(ha: HaDraft, node: string): ReadonlyMap<string, number> {
  const shell = ha.shell.value;
  if (shell?.spread !== true || !shell.nodes.includes(node)) return new Map();
  // Their names are apart: a group may not be called as a virtual router.
  const unitOf = (router: string) => groupOf(ha, router)?.name ?? router;
  const { priorities } = planSpread(shell.nodes, [...new Set(ha.virtualRouters.map(({ name }) => unitOf(name)))]);
  const found = new Map<string, number>();
  for (const { name } of ha.virtualRouters) {
    const priority = priorities.get(unitOf(name))?.get(node);
    if (priority !== undefined) found.set(name, priority);
  }
  return found;
}

function buildVirtualRouter(
  ha: HaDraft,
  part: NamedPart<VirtualRouterFile>,
  spread: number | undefined,
): VirtualRouter {
  const file = wholeOf(part);
  const priority = file.priority ?? spread;
  assert(priority !== undefined, "a virtual router of a valid draft has a priority");
  const addresses = (file.addresses ?? []).map(buildAddress);
  const { interface: own, vrid } = file;
  const [first] = addresses;
  assert(own !== undefined && vrid !== undefined, "a virtual router of a valid draft has an interface and a number");
  assert(first !== undefined, "a virtual router of a valid draft has an address");
  return {
    name: part.name,
    interface: own,
    vrid,
    version: file.version === 2 ? 2 : 3,
    family: familyOf(first.address),
    priority,
    advertisementInterval: file.advertisementInterval,
    advertisementCopies: file.advertisementCopies ?? copiesOf(file.advertisementInterval),
    downAdvertisements: file.downAdvertisements,
    preempt: file.preempt,
    preemptDelay: file.preemptDelay,
    startAs: priority === priorityOwner ? "active" : "backup",
    addresses,
    silentAddresses: file.silentAddresses.map(buildAddress),
    sourceAddress: file.sourceAddress,
    unicastPeers: file.unicastPeers.map(buildPeer),
    password: file.password,
    announce: file.announce,
    tracks: trackedBy(ha, part).map(({ name, weight, reverse }) => ({ name, weight, reverse })),
    syncGroup: groupOf(ha, part.name)?.name,
    v3ChecksumAsV2: file.v3ChecksumAsV2,
    addressMismatch: file.addressMismatch,
  };
}

const copiesMost = 4;
/** Below it, more packets than one an interval are the operator's to ask for. */
const copyEvery = 100;

/** 4 at a second and above, 1 at 100 ms: four are lost together, and that three times, once in 22 days of 30% loss. */
export function copiesOf(interval: number): number {
  return Math.max(1, Math.min(copiesMost, Math.floor(interval / copyEvery)));
}

export function familyOf(address: string): 4 | 6 {
  return parseIp(address)?.family === 6 ? 6 : 4;
}

/** The address of an entry, however it was written. */
export function addressOf(file: PlacedAddressFile): AddressFile {
  return "prefixLength" in file ? file : file.address;
}

function buildAddress(file: PlacedAddressFile): VirtualAddress {
  return { ...addressOf(file), interface: "interface" in file ? file.interface : undefined };
}

function buildPeer(file: VirtualRouterFile["unicastPeers"][number]): UnicastPeer {
  return typeof file === "string" ? { address: file, ttlMin: 255 } : file;
}

function buildService(ha: HaDraft, name: string, file: ServiceFile): Service {
  const isGroup = ha.syncGroups.some((group) => group.name === file.follow);
  return {
    name,
    command: file.command,
    follow: { kind: isGroup ? "syncGroup" : "virtualRouter", name: file.follow },
    user: file.user,
    directory: file.directory,
    environment: Object.entries(file.environment).map(([variable, value]) => ({ name: variable, value })),
    stopTimeout: file.stopTimeout,
    restartDelay: file.restartDelay,
    restartDelayMax: file.restartDelayMax,
  };
}

function awaitedInterfaces(ha: HaDraft): string[] {
  const awaited: string[] = [];
  for (const part of ha.virtualRouters) {
    const file = part.value;
    if (file?.waitForInterface !== true) continue;
    const placed = [...(file.addresses ?? []), ...file.silentAddresses].map((one) => buildAddress(one).interface);
    awaited.push(...[file.interface, ...placed].filter((name) => name !== undefined));
    for (const { track } of trackedBy(ha, part)) if (track.form === "interface") awaited.push(track.interface);
  }
  for (const { value } of ha.tracks) {
    if (value !== undefined && "waitForInterface" in value && value.waitForInterface) awaited.push(value.interface);
  }
  return [...new Set(awaited)];
}
