// What a virtual router tracks, its sync group's tracks among them: names resolved, weights of the definitions laid below its
// own. On the change's way, for validation and for building alike. Must not find problems.

import type { TrackName } from "./ha-leaf.ts";
import type { SyncGroupFile, TrackedFile, VirtualRouterFile } from "./ha-schema.ts";
import type { HaDraft, TrackPart } from "./ha-shape.ts";
import type { NamedPart } from "./part.ts";
import type { Path } from "./problem.ts";

export type TrackedEntry = {
  readonly path: Path;
  readonly track: TrackName;
  /** What it is called in the model. */
  readonly name: string;
  readonly weight: number;
  readonly reverse: boolean;
  /** A file whose number counts as often as the weight says: how far it reaches is not known. */
  readonly isNumber: boolean;
};

/** The group that names it; undefined for none. Of two, which is a problem, the first. */
export function groupOf(ha: HaDraft, router: string): NamedPart<SyncGroupFile> | undefined {
  return ha.syncGroups.find(({ value }) => value?.members.includes(router));
}

/** In the order of the file, the virtual router's own first. */
export function trackedBy(ha: HaDraft, router: NamedPart<VirtualRouterFile>): TrackedEntry[] {
  const own = router.value === undefined ? [] : resolve(ha, router, router.value.track, router.value);
  const group = groupOf(ha, router.name);
  if (group?.value === undefined || router.value === undefined) return own;
  return [...own, ...resolve(ha, group, group.value.track, router.value)];
}

function resolve(
  ha: HaDraft,
  holder: { readonly path: Path },
  entries: readonly TrackedFile[],
  router: VirtualRouterFile,
): TrackedEntry[] {
  return entries.map((entry, index) => {
    const given = "form" in entry ? undefined : entry;
    const track = "form" in entry ? entry : entry.name;
    const definition = track.form === "defined" ? definitionOf(ha, track.name)?.value : undefined;
    return {
      path: [...holder.path, "track", index],
      track,
      name: track.form === "gateway" ? `gateway:${track.address}%${router.interface ?? ""}` : track.name,
      weight: given?.weight ?? definition?.weight ?? 0,
      reverse: given?.reverse ?? definition?.reverse ?? false,
      isNumber: definition !== undefined && "upWhen" in definition && definition.upWhen === "number",
    };
  });
}

export function definitionOf(ha: HaDraft, name: string): TrackPart | undefined {
  return ha.tracks.find((track) => track.name === name);
}
