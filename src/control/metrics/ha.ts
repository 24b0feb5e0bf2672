// Virtual routers and what is tracked, as metrics. Pure; the change's way.

import type { VrrpMode } from "../../state/vrrp-protocol.ts";
import type { HaStatus } from "../ha/high-availability.ts";
import type { MetricFamilies } from "./families.ts";
import { type Metric, metricTable as table } from "./table.ts";

const modes: readonly VrrpMode[] = ["init", "backup", "active", "fault"];

/** Nothing without virtual routers. One whose process does not answer has no mode: nobody knows it. */
export function addHa(families: MetricFamilies, status: HaStatus | undefined): void {
  if (status === undefined) return;
  families.addFlag(table.vrrpUp, [], status.vrrp !== undefined);
  families.add(table.vrrpRestarts, [], status.restarts);
  for (const { name, standing } of status.tracks) {
    if (typeof standing === "string") families.addFlag(table.track, [name], standing === "up");
  }
  for (const { router, to, count } of status.transitions) families.add(table.transitions, [router, to], count);
  for (const router of status.vrrp?.routers ?? []) {
    const labels = [router.name];
    families.addState(table.mode, labels, modes, router.mode);
    families.add(table.priority, labels, router.priority);
    families.add(table.sent, labels, router.advertisementsSent);
    families.add(table.received, labels, router.advertisementsReceived);
    families.add(table.peers, labels, router.peers.length);
    addByCode(families, table.dropped, router.name, router.dropped);
    addByCode(families, table.odd, router.name, router.odd);
    for (const [code, { count }] of Object.entries(router.alarms))
      families.add(table.alarms, [router.name, code], count);
  }
  for (const [name, counts] of Object.entries(status.vrrp?.stray ?? {})) addByCode(families, table.stray, name, counts);
}

function addByCode(
  families: MetricFamilies,
  metric: Metric,
  of: string,
  counts: Readonly<Record<string, number>>,
): void {
  for (const [code, count] of Object.entries(counts)) families.add(metric, [of, code], count);
}
