// What must hold for tracks: defined, used, each watching what exists; and weights that can do what they are for. On the
// change's way, part of validate-ha.ts. keepalived drops an undefined track with a line in its log, and an address that
// nothing watches stays with a node whose service is dead.

import { amountOf, isWithoutEffect } from "../ha/reach.ts";
import { addressOf } from "./build-ha.ts";
import { contradictionsOf } from "./build-health-check.ts";
import { trackForms } from "./ha-leaf.ts";
import type { VirtualRouterFile } from "./ha-schema.ts";
import type { HaDraft, TrackPart } from "./ha-shape.ts";
import { definitionOf, type TrackedEntry, trackedBy } from "./ha-tracks.ts";
import { nearest } from "./nearest.ts";
import { isWhole, type NamedPart } from "./part.ts";
import { formatPath, type Path } from "./problem.ts";
import type { Draft } from "./shape.ts";
import { priorityOwner } from "./validate-virtual-router.ts";

/** Definitions by themselves, and whether somebody names them. */
export function validateTracks(draft: Draft, ha: HaDraft): void {
  const entries = ha.virtualRouters.flatMap((router) => trackedBy(ha, router));
  const used = new Set(entries.map(({ name }) => name));
  // What could not be read, or names a track that there is not, may mean the one that seems unused.
  const allRead = [...ha.virtualRouters, ...ha.syncGroups].every(
    ({ value, broken }) => value !== undefined && !broken.has("track"),
  );
  const allKnown = entries.every(({ track }) => track.form !== "defined" || definitionOf(ha, track.name) !== undefined);
  const moving = movingAddresses(ha);
  const gateways = new Map(entries.map((entry) => [formatPath(entry.path), entry]));
  for (const { path, track } of gateways.values()) {
    if (track.form === "gateway") checkMoving(draft, path, track.address, moving);
  }
  for (const part of ha.tracks) {
    if (trackForms.some((form) => form === part.name)) {
      draft.complain(part.path, {
        code: "config.track.name",
        message: `\`${part.name}\` is the name of a track that needs no definition`,
        expected: "another name",
        atKey: true,
      });
    }
    checkDefinition(draft, part);
    const file = part.value;
    if (file !== undefined && "gateway" in file) checkMoving(draft, [...part.path, "gateway"], file.gateway, moving);
    if (file !== undefined && "healthCheck" in file) {
      checkMoving(draft, [...part.path, "address"], file.address.host, moving);
    }
    if (!allRead || !allKnown || used.has(part.name)) continue;
    const message = `no virtual router tracks \`${part.name}\``;
    draft.warn(part.path, { code: "config.track.unused", message, atKey: true });
  }
}

/** Every virtual address of this file, and whose it is. */
function movingAddresses(ha: HaDraft): ReadonlyMap<string, string> {
  const moving = new Map<string, string>();
  for (const { name, value } of ha.virtualRouters) {
    const files = [...(value?.addresses ?? []), ...(value?.silentAddresses ?? [])];
    for (const file of files) moving.set(addressOf(file).address, name);
  }
  return moving;
}

/** A backup would ask the active node, and once that is dead nobody answers: the backup is in fault and stays there. */
function checkMoving(draft: Draft, path: Path, asked: string, moving: ReadonlyMap<string, string>): void {
  const router = moving.get(asked);
  if (router === undefined) return;
  draft.complain(path, {
    code: "config.track.moving",
    message: `\`${asked}\` moves with virtual router \`${router}\`, so a backup would ask the active node and never take over from a dead one`,
    expected: "an address that stays where it is",
  });
}

function checkDefinition(draft: Draft, part: TrackPart): void {
  const file = part.value;
  if (file === undefined) return;
  if ("balancer" in file) {
    for (const [index, pool] of file.balancer.entries()) checkPool(draft, pool, [...part.path, "balancer", index]);
  }
  const check = part.healthCheck;
  if (!("healthCheck" in file) || check?.value === undefined) return;
  for (const { key, complaint } of contradictionsOf(check.value)) draft.complain([...check.path, key], complaint);
  const idle = [
    ["port", "beside the track's `address`", "the port there"],
    ["initial", "in a track, whose first outcome decides", "no `initial`"],
  ] as const;
  for (const [key, where, expected] of idle) {
    if (!draft.has([...check.path, key])) continue;
    const message = `\`${key}\` means nothing ${where}`;
    draft.complain([...check.path, key], { code: "config.track.idle", message, expected, atKey: true });
  }
}

function checkPool(draft: Draft, pool: string, path: Path): void {
  const names = draft.pools.map(({ name }) => name);
  if (names.includes(pool)) return;
  draft.complain(path, {
    code: "config.pool.unknown",
    message: `there is no pool \`${pool}\``,
    expected: "a pool under `pools`",
    suggestion: nearest(pool, names),
  });
}

type Standing = {
  readonly priority: number | undefined;
  /** Of a spread: how much lower the next node is; 0 without. */
  readonly step: number;
  /** Places of a sync group's tracks that were complained of with another member. */
  readonly told: Set<string>;
};

/** What one virtual router tracks. */
export function validateTracked(
  draft: Draft,
  ha: HaDraft,
  router: NamedPart<VirtualRouterFile>,
  { priority, step, told }: Standing,
): void {
  const file = router.value;
  if (file === undefined || router.broken.has("track")) return;
  const entries = trackedBy(ha, router);
  checkNames(draft, ha, entries, told);
  if (entries.length === 0) {
    // What is misspelt might be the track.
    if (!isWhole(router)) return;
    draft.warn(router.path, {
      code: "config.virtualRouter.untracked",
      message: `virtual router \`${router.name}\` tracks nothing: its addresses stay with a node whose services are dead`,
      expected: "`track: [balancer]` at least",
      atKey: true,
    });
    return;
  }
  if (priority !== undefined) checkWeights(draft, { entries, file, priority, step });
}

function checkNames(draft: Draft, ha: HaDraft, entries: readonly TrackedEntry[], told: Set<string>): void {
  const seen = new Set<string>();
  for (const { path, track, name } of entries) {
    if (seen.has(name)) {
      const message = `\`${track.name}\` is tracked twice here`;
      draft.complain(path, {
        code: "config.track.twice",
        message,
        expected: "each track once, by the virtual router or by its sync group",
      });
    }
    seen.add(name);
    const place = formatPath(path);
    if (told.has(place)) continue;
    told.add(place);
    if (track.form === "balancer" && track.pool !== undefined) checkPool(draft, track.pool, path);
    if (track.form !== "defined" || definitionOf(ha, track.name) !== undefined) continue;
    const names = [...ha.tracks.map((one) => one.name), "balancer"];
    const suggestion = nearest(track.name, names);
    const list = ha.tracks.slice(0, 20).map((one) => `\`${one.name}\`, `);
    draft.complain(path, {
      code: "config.track.unknown",
      message: `there is no track \`${track.name}\``,
      expected:
        suggestion === undefined ? `${list.join("")}\`interface:NAME\`, \`balancer\` or \`gateway:ADDRESS\`` : "",
      suggestion,
    });
  }
}

type Weighed = {
  readonly entries: readonly TrackedEntry[];
  readonly file: VirtualRouterFile;
  readonly priority: number;
  readonly step: number;
};

function checkWeights(draft: Draft, { entries, file, priority, step }: Weighed): void {
  const total = amountOf(entries);
  // What a file says may be any number.
  const boundless = entries.some(({ isNumber, weight }) => isNumber && weight !== 0);
  for (const [index, entry] of entries.entries()) {
    const { path, track, weight } = entry;
    if (weight === 0) continue;
    const warn = (message: string, expected: string) =>
      draft.warn(path, { code: "config.track.weight", message: `\`${track.name}\`: ${message}`, expected });
    if (priority === priorityOwner) {
      draft.complain(path, {
        code: "config.track.weight",
        message: `\`${track.name}\`: its weight ${weight} means nothing with \`priority: 255\`, which never moves`,
        expected: "weight 0, or another priority",
      });
    } else if (track.form === "interface" && track.interface === file.interface) {
      warn(
        `its weight ${weight} means nothing, for without its own interface a virtual router is in fault`,
        "weight 0",
      );
    } else if (boundless) {
    } else if (isWithoutEffect({ priority, tracks: entries }, index)) {
      const edge = priority > 127 ? "254 is the highest" : "1 is the lowest";
      warn(
        `its weight ${weight} never changes the priority ${priority}: ${edge} that is advertised`,
        "a priority with room",
      );
    } else if (!file.preempt) {
      warn(
        `its weight ${weight} moves no address where the other nodes have \`preempt: false\` as well`,
        "weight 0, which gives the addresses up",
      );
    } else if (total <= step) {
      const message = `its weight ${weight} never moves an address: all weights here make ${total}, and the next node of the spread is ${step} lower`;
      warn(message, `more than ${step}, or weight 0`);
    }
  }
}
