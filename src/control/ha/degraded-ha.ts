// What of a node's floating addresses is not as it should be, one sentence each. Pure; the change's way.

import type { Milliseconds } from "../../core/clock.ts";
import type { RouterStatus } from "../../state/vrrp-protocol.ts";
import type { HaStatus } from "./high-availability.ts";

/** So long an alarm counts as going on. */
const alarmFresh: Milliseconds = 60_000;

export function degradedHa(ha: HaStatus | undefined): string[] {
  if (ha === undefined) return [];
  const silent = ha.vrrp === undefined && ha.degraded.length === 0;
  const sentences = [...ha.degraded];
  if (silent) sentences.push("the process that speaks VRRP does not answer");
  return [...sentences, ...(ha.vrrp?.routers ?? []).flatMap(degradedRouter)];
}

function degradedRouter(router: RouterStatus): string[] {
  const { name, mode, faults, tracks, alarms } = router;
  const sentences: string[] = [];
  if (mode === "fault") {
    const down = tracks.filter(({ weight, standing }) => weight === 0 && standing !== "up").map((track) => track.name);
    const reasons = [...faults.map(({ detail }) => detail), ...down.map((track) => `track ${track} is down`)];
    sentences.push(`virtual router ${name} is in fault: ${reasons.join("; ") || "its sync group is"}`);
  }
  if (mode === "init") {
    const awaited = tracks.filter(({ standing }) => standing === "unknown").map((track) => track.name);
    sentences.push(`virtual router ${name} has not started yet: it waits for ${awaited.join(", ") || "its setup"}`);
  }
  for (const [code, { detail, agoMs }] of Object.entries(alarms)) {
    if (agoMs < alarmFresh)
      sentences.push(`virtual router ${name}: ${detail} (${code}, ${Math.round(agoMs / 1000)} s ago)`);
  }
  return sentences;
}
