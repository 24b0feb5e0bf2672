// Virtual routers as columns: for `evenkeel status` and `evenkeel vip ls`. Pure.

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
