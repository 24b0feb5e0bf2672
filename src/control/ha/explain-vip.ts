// Why a virtual router is active here, or is not: one sentence from what its machine, its tracks and the other nodes say, and
// the priority as it was counted. Pure; the change's way. Body of GET /v1/vips/NAME, printed by `evenkeel explain vip`.

import type { PeerStatus, RouterStatus } from "../../state/vrrp-protocol.ts";
import type { HaStatus } from "./high-availability.ts";

export type VipExplanation = {
  readonly name: string;
  readonly active: boolean;
  readonly sentence: string;
  /** How the priority came about: `100 configured`, `-20 track chk is down`. */
  readonly priority: readonly string[];
  /** Undefined: the process that speaks VRRP does not answer. */
  readonly router: RouterStatus | undefined;
};

/** undefined when there is no virtual router of that name. */
export function explainVip(ha: HaStatus | undefined, name: string): VipExplanation | undefined {
  if (ha === undefined || !ha.virtualRouters.includes(name)) return undefined;
  const router = ha.vrrp?.routers.find((one) => one.name === name);
  if (router === undefined) {
    const sentence = `${name} is not here: the process that speaks VRRP ${ha.vrrp === undefined ? "does not answer" : "does not know it yet"}`;
    return { name, active: false, sentence, priority: [], router };
  }
  const active = router.mode === "active";
  return { name, active, sentence: sentenceOf(router, ha), priority: priorityOf(router), router };
}

function priorityOf(router: RouterStatus): readonly string[] {
  const lines = [`${router.priorityConfigured} configured`];
  for (const { name, standing, adds } of router.tracks) {
    if (adds !== 0) lines.push(`${adds > 0 ? "+" : ""}${adds} track ${name} ${said(standing)}`);
  }
  if (router.byHand !== undefined) lines.push(`${router.priority} instead, by hand (${router.byHand})`);
  return lines;
}

function said(standing: number | string): string {
  return typeof standing === "number" ? `says ${standing}` : `is ${standing}`;
}

function sentenceOf(router: RouterStatus, ha: HaStatus): string {
  const { name, mode, resigning } = router;
  switch (mode) {
    case "active":
      if (resigning) return `${name} resigns: it serves here until its successor speaks`;
      return `${name} is active here: ${activeBecause(router)}`;
    case "backup":
      return `${name} is not active here: ${backupBecause(router)}`;
    case "fault":
      return `${name} is not active here, and cannot be: ${faultBecause(router, ha)}`;
    case "init": {
      const awaited = router.tracks.filter(({ standing }) => standing === "unknown").map((track) => track.name);
      if (awaited.length === 0) return `${name} is not active here: it has not started yet`;
      return `${name} is not active here: it waits for the first word of ${awaited.join(", ")}`;
    }
    default:
      return mode satisfies never;
  }
}

function activeBecause({ cause, priority, peers }: RouterStatus): string {
  switch (cause) {
    case "owner":
      return "priority 255 says that the addresses are its own";
    case "silence":
      return `no better active was heard for the down interval, and it has priority ${priority}`;
    case "resignation":
      return "the one that was active resigned";
    case "takeoverByHand":
      return "an operator wanted it here";
    case "syncGroup":
      return "all of its sync group could be";
    default:
      return `${cause}, with priority ${priority}${peers.length === 0 ? ", and nobody else speaks" : ""}`;
  }
}

function backupBecause(router: RouterStatus): string {
  const { priority, byHand, peers } = router;
  const winner = activePeer(router);
  if (byHand === "release") return "it was released by hand; `evenkeel vip resume` lets it compete again";
  if (winner === undefined) {
    return peers.length === 0 ? "it listens whether anybody else is active" : "the active one has gone: it takes over";
  }
  const other = `${winner.address} is active with priority ${winner.priority}`;
  if (winner.priority > priority) return `${other}, this node has ${priority}`;
  if (winner.priority === priority) return `${other}, as this node has; who is active stays`;
  return `${other}, and though this node has ${priority} it does not preempt it (preempt, preemptDelay)`;
}

/** Who was heard last within three of its intervals; VRRP lets nobody speak but the active one. */
export function activePeer({ peers }: Pick<RouterStatus, "peers">): PeerStatus | undefined {
  return peers.findLast(({ priority, intervalMs, agoMs }) => priority > 0 && agoMs <= 4 * intervalMs + 1_000);
}

function faultBecause(router: RouterStatus, ha: HaStatus): string {
  const reasons = router.faults.map(({ detail }) => detail);
  for (const { name, weight, standing } of router.tracks) {
    if (weight !== 0 || standing === "up" || standing === 0) continue;
    const why = ha.tracks.find((track) => track.name === name)?.reason;
    reasons.push(`track ${name} ${said(standing)}${why === undefined ? "" : ` (${why})`}`);
  }
  return reasons.length === 0 ? "another one of its sync group is in fault" : reasons.join("; ");
}
