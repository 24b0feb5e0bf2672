// `ha` of the tree read part by part: each virtual router, track, sync group and service by itself. On the change's way, part
// of shape.ts. A track is what it watches, so the key that says so decides which others it has. Must not compare parts.

import {
  type HaShell,
  haShell,
  type ServiceFile,
  type SyncGroupFile,
  serviceFile,
  syncGroupFile,
  type TrackFile,
  type TrackKind,
  trackKeys,
  trackKinds,
  trackShapeOf,
  type VirtualRouterFile,
  virtualRouterShell,
} from "./ha-schema.ts";
import { readHealthCheck } from "./health-check-part.ts";
import type { HealthCheckFile } from "./health-check-schema.ts";
import { type Choice, unknownKey } from "./issues.ts";
import { servicesMax, syncGroupsMax, tracksMax, virtualRoutersMax } from "./limits.ts";
import { checkKey, type NamedPart, nameSchema, namesAt, type Part, type Reader, readPart } from "./part.ts";
import type { Path } from "./problem.ts";
import { treeAt } from "./tree.ts";

/** Its value is undefined when nobody knows what it watches, which the report says. */
export type TrackPart = NamedPart<TrackFile> & {
  /** Of a track with `healthCheck`; undefined: it has none whose type is known. */
  readonly healthCheck: Part<HealthCheckFile> | undefined;
};

export type HaDraft = {
  readonly shell: Part<HaShell>;
  readonly tracks: readonly TrackPart[];
  readonly virtualRouters: readonly NamedPart<VirtualRouterFile>[];
  readonly syncGroups: readonly NamedPart<SyncGroupFile>[];
  readonly services: readonly NamedPart<ServiceFile>[];
};

/** Undefined when the file has no `ha`. */
export function readHaDraft(reader: Reader): HaDraft | undefined {
  if (treeAt(reader.source.root, ["ha"]) === undefined) return undefined;
  const shell = readPart(reader, haShell, ["ha"]);
  const each = <T>(key: string, max: number, read: (path: Path, name: string) => T): T[] =>
    namesAt(reader, ["ha", key], max).map((name) => {
      const path = ["ha", key, name];
      checkKey(reader, nameSchema, path);
      return read(path, name);
    });
  return {
    shell,
    tracks: each("tracks", tracksMax, (path, name) => readTrack(reader, path, name)),
    virtualRouters: each("virtualRouters", virtualRoutersMax, (path, name) => ({
      ...readPart(reader, virtualRouterShell, path),
      name,
    })),
    syncGroups: each("syncGroups", syncGroupsMax, (path, name) => ({ ...readPart(reader, syncGroupFile, path), name })),
    services: each("services", servicesMax, (path, name) => ({ ...readPart(reader, serviceFile, path), name })),
  };
}

function readTrack(reader: Reader, path: Path, name: string): TrackPart {
  const kind = kindAt(reader, path);
  if (kind === undefined) return { path, name, value: undefined, broken: new Set(), healthCheck: undefined };
  const part = readPart(reader, trackShapeOf[kind], path, choices[kind]);
  const healthCheck = kind === "healthCheck" ? readHealthCheck(reader, [...path, "healthCheck"]) : undefined;
  return { ...part, name, healthCheck };
}

/** What a track watches, by its keys; undefined when that is nothing or two things, which is reported. */
function kindAt(reader: Reader, path: Path): TrackKind | undefined {
  const expected = `one of ${trackKinds.map((kind) => `\`${kind}\``).join(", ")}`;
  const complaint = { code: "config.track.kind", expected, atKey: true };
  const tree = treeAt(reader.source.root, path);
  if (tree?.kind !== "map") {
    reader.complain(path, { ...complaint, message: `track \`${path.at(-1)}\` is no mapping` });
    return undefined;
  }
  const keys = [...tree.entries.keys()];
  // A gateway is asked for on an interface.
  const found = trackKinds.filter((kind) => keys.includes(kind) && (kind !== "interface" || !keys.includes("gateway")));
  const [kind, second] = found;
  if (kind === undefined) {
    const unknown = keys.filter((key) => !trackKeys.includes(key));
    for (const key of unknown) reader.complain([...path, key], unknownKey(key, trackKeys));
    if (unknown.length === 0) {
      reader.complain(path, { ...complaint, message: `track \`${path.at(-1)}\` says not what it watches` });
    }
    return undefined;
  }
  if (second === undefined) return kind;
  const message = `track \`${path.at(-1)}\` watches two things, \`${kind}\` and \`${second}\``;
  reader.complain([...path, second], { ...complaint, message, expected: "a track for each" });
  return undefined;
}

function choiceOf(kind: TrackKind): Choice {
  const others = trackKinds.filter((other) => other !== kind);
  return {
    chosen: `a track with \`${kind}\``,
    others: new Map(others.map((other) => [`\`${other}\``, trackShapeOf[other]])),
  };
}

const choices: Readonly<Record<TrackKind, Choice>> = {
  command: choiceOf("command"),
  process: choiceOf("process"),
  file: choiceOf("file"),
  balancer: choiceOf("balancer"),
  gateway: choiceOf("gateway"),
  healthCheck: choiceOf("healthCheck"),
  interface: choiceOf("interface"),
};
