// Virtual routers that must be active together or not at all: the inside and the outside address of one gateway. Pure and
// without a state of its own: it looks at its members and says what they must be told, until there is nothing left to say.
// The change's way. As keepalived's vrrp_sync_group (vrrp_sync.c), but a member that is drawn along into backup resigns
// gracefully, so that its address is missed for no moment; keepalived drops it and the others wait a down interval.

import type { VirtualRouter } from "../model/virtual-router.ts";
import { tracksInFault } from "./tracks.ts";
import type { VirtualRouterInput, VirtualRouterState } from "./virtual-router-state.ts";

export type SyncGroupMember = { readonly router: VirtualRouter; readonly state: VirtualRouterState };

export type SyncGroupOrder = { readonly router: string; readonly input: VirtualRouterInput };

/** The cause by which a member is in fault for another one's sake. */
export const syncGroupCause = "syncGroup";

/**
 * What members must be told now: to be asked after every step of one of them, and again after the orders were obeyed,
 * until the list is empty. One order is a step that changes its member, so that ends.
 */
export function judgeSyncGroup(members: readonly SyncGroupMember[]): readonly SyncGroupOrder[] {
  const running = members.filter(({ state }) => state.running);
  const failing = running.filter(isFaulty);
  const orders: SyncGroupOrder[] = [];
  const tell = ({ router }: SyncGroupMember, input: VirtualRouterInput) => orders.push({ router: router.name, input });
  for (const member of running) {
    const drawnAlong = member.state.faults.includes(syncGroupCause);
    const othersFail = failing.some((other) => other !== member);
    if (othersFail && !drawnAlong) tell(member, { type: "fault", cause: syncGroupCause, graceful: true });
    if (!othersFail && drawnAlong) tell(member, { type: "clear", cause: syncGroupCause });
  }
  if (orders.length > 0) return orders;
  const ready = (member: SyncGroupMember) => isActive(member) || member.state.wantsActive;
  if (members.every(ready)) {
    for (const member of running) if (!isActive(member)) tell(member, { type: "groupActive" });
    return orders;
  }
  // keepalived: "prefer backup state to avoid thrashing". One that is backup and does not want more has heard an active.
  for (const member of running) if (isActive(member)) tell(member, { type: "groupBackup" });
  return orders;
}

/** In fault for a reason of its own. */
function isFaulty({ router, state }: SyncGroupMember): boolean {
  return state.faults.some((cause) => cause !== syncGroupCause) || tracksInFault(router, state.standings).length > 0;
}

function isActive({ state }: SyncGroupMember): boolean {
  return state.mode === "active" && state.resigning === undefined;
}
