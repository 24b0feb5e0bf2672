// Virtual routers as columns: for `evenkeel status`, `evenkeel vip ls` and `evenkeel vip plan`. Pure.

import type { HaPlan } from "../config/ha-plan.ts";
import type { HaStatus } from "../control/ha/high-availability.ts";
import { formatSpan, formatTable } from "./table.ts";

export type RouterStatus = NonNullable<HaStatus["vrrp"]>["routers"][number];

/** A table of the virtual routers and one of what the other nodes said last; nothing without virtual routers. */
export function formatVips(ha: HaStatus | undefined): readonly string[] {
  if (ha === undefined) return [];
  const routers = ha.vrrp?.routers ?? [];
  if (routers.length === 0)
    return [`virtual routers: ${ha.virtualRouters.join(", ")}, of which nothing is known now\n`];
  const peers = formatPeers(routers);
  return peers === undefined ? [formatRouters(routers)] : [formatRouters(routers), peers];
}

export function formatRouters(routers: readonly RouterStatus[]): string {
  return formatTable(
    [
      { title: "VIRTUAL ROUTER" },
      { title: "MODE" },
      { title: "FOR", align: "right" },
      { title: "WHY" },
      { title: "PRIORITY", align: "right" },
      { title: "INTERFACE" },
      { title: "VRID", align: "right" },
      { title: "ADDRESSES" },
    ],
    routers.map((router) => [
      router.name,
      router.resigning ? "resigning" : router.mode,
      formatSpan(router.modeMs / 1000),
      router.cause,
      router.priority === router.priorityConfigured
        ? String(router.priority)
        : `${router.priority} (of ${router.priorityConfigured})`,
      router.interface,
      String(router.vrid),
      router.addresses.map(({ address, here }) => (here === "foreign" ? `${address} (not ours)` : address)).join(" "),
    ]),
  );
}

function formatPeers(routers: readonly RouterStatus[]): string | undefined {
  const rows = routers.flatMap(({ name, peers }) =>
    peers.map(({ address, priority, intervalMs, agoMs }) => [
      address,
      name,
      priority === 0 ? "0, resigned" : String(priority),
      `${intervalMs} ms`,
      agoMs < 1_000 ? `${agoMs} ms` : formatSpan(agoMs / 1000),
    ]),
  );
  if (rows.length === 0) return undefined;
  const columns = [
    { title: "OTHER NODE" },
    { title: "VIRTUAL ROUTER" },
    { title: "PRIORITY", align: "right" },
    { title: "INTERVAL", align: "right" },
    { title: "HEARD BEFORE", align: "right" },
  ] as const;
  return formatTable(columns, rows);
}

/** Priorities by node, and below it who carries what, without a lost node and with each. */
export function formatPlan({ nodes, virtualRouters, carried }: HaPlan): string {
  const priorities = formatTable(
    [{ title: "VIRTUAL ROUTER" }, ...nodes.map((title) => ({ title, align: "right" }) as const)],
    virtualRouters.map(({ name, priorities: by }) => [name, ...nodes.map((node) => String(by[node] ?? ""))]),
  );
  const loads = formatTable(
    [{ title: "LOST" }, ...nodes.map((title) => ({ title }))],
    carried.map(({ lost, by }) => [lost ?? "nobody", ...nodes.map((node) => (by[node] ?? []).join(" ") || "-")]),
  );
  return `${priorities}\n${loads}`;
}
