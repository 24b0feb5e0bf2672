// Tracks of the file, and those that need no definition, into the model's. On the change's way, part of build-ha.ts. Only what
// some virtual router names is built: nobody looks at the rest.

import { assert } from "../core/assert.ts";
import type { Track, Watch } from "../model/ha.ts";
import { buildHealthCheck } from "./build-health-check.ts";
import type { TrackFile } from "./ha-schema.ts";
import type { HaDraft, TrackPart } from "./ha-shape.ts";
import { definitionOf, type TrackedEntry, trackedBy } from "./ha-tracks.ts";

/** Those of tracks that are written as a name alone. */
const gatewayInterval = 1000;
const gatewayTimeout = 500;
const gatewayFall = 3;

/** Each once, in the order in which virtual routers name them. */
export function buildTracks(ha: HaDraft): Track[] {
  const tracks = new Map<string, Track>();
  for (const part of ha.virtualRouters) {
    for (const entry of trackedBy(ha, part)) {
      if (!tracks.has(entry.name)) tracks.set(entry.name, buildTrack(ha, entry, part.value?.interface ?? ""));
    }
  }
  return [...tracks.values()];
}

function buildTrack(ha: HaDraft, entry: TrackedEntry, ownInterface: string): Track {
  const { name, track } = entry;
  const at = (watch: Watch, fall = 1): Track => ({ name, watch, rise: 1, fall });
  switch (track.form) {
    case "interface":
      return at({ kind: "interface", interface: track.interface });
    case "balancer":
      return at({ kind: "balancer", pools: track.pool === undefined ? [] : [track.pool] });
    case "gateway": {
      const { address } = track;
      const [interval, timeout] = [gatewayInterval, gatewayTimeout];
      return at({ kind: "gateway", address, interface: ownInterface, interval, timeout }, gatewayFall);
    }
    case "defined": {
      const definition = definitionOf(ha, track.name);
      assert(definition?.value !== undefined, "every track of a valid draft was read");
      return buildDefined(name, definition, definition.value);
    }
    default:
      return track satisfies never;
  }
}

function buildDefined(name: string, part: TrackPart, file: TrackFile): Track {
  if ("healthCheck" in file) {
    assert(part.healthCheck?.value !== undefined, "every health check of a valid draft was read");
    const check = buildHealthCheck(part.healthCheck.value);
    const { host, port } = file.address;
    return { name, watch: { kind: "healthCheck", host, port, check }, rise: check.rise, fall: check.fall };
  }
  return { name, watch: buildWatch(file), rise: file.rise, fall: file.fall };
}

function buildWatch(file: Exclude<TrackFile, { readonly healthCheck?: unknown }>): Watch {
  if ("command" in file) {
    const { command, user, interval, timeout = interval } = file;
    return { kind: "command", command, user, interval, timeout };
  }
  if ("process" in file) {
    const { process, match, quorum, interval } = file;
    return { kind: "process", process, match, quorum, interval };
  }
  if ("file" in file) return { kind: "file", path: file.file, upWhen: file.upWhen, interval: file.interval };
  if ("balancer" in file) return { kind: "balancer", pools: file.balancer };
  if ("gateway" in file) {
    const { gateway, interval, timeout } = file;
    return { kind: "gateway", address: gateway, interface: file.interface, interval, timeout };
  }
  return { kind: "interface", interface: file.interface };
}
