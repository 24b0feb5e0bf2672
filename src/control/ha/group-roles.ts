// What a sync group as a whole is, from what its members are: the group's notify commands and services go by it. Pure; the
// change's way. keepalived tells of a group once all members have come to a state (vrrp_sync.c).

import type { Mode } from "../../ha/virtual-router-state.ts";
import type { NotifyEvent, SyncGroup } from "../../model/ha.ts";

/** Undefined while the members are between two states. */
export function groupEvent(group: SyncGroup, modes: ReadonlyMap<string, Mode>): NotifyEvent | undefined {
  const members = group.members.map((member) => modes.get(member) ?? "init");
  if (members.includes("fault")) return "fault";
  if (members.every((mode) => mode === "active")) return "active";
  if (members.every((mode) => mode === "backup")) return "backup";
  return members.every((mode) => mode === "init") ? "stop" : undefined;
}
