// Targets as columns, and one as a sentence: for `evenkeel target`. Pure.

import type { PoolView, TargetView } from "../admin/target-view.ts";
import { formatTable } from "./table.ts";

/** A line a target; a pool without targets has none. */
export function formatTargets(pools: readonly PoolView[]): string {
  const left = ["POOL", "TARGET", "OWNER", "INTENT", "HEALTH", "SINCE"].map((title) => ({ title }));
  const columns = [
    ...left,
    { title: "WEIGHT", align: "right" as const },
    { title: "CHANGED BY THE API" },
    { title: "LEASE" },
  ];
  const rows = pools.flatMap(({ name, targets }) =>
    targets.map((target) => {
      const { address, owner, desired, health, by, since, patched } = target;
      return [
        name,
        address,
        owner,
        desired.backup === true ? `${String(desired.intent)}, backup` : String(desired.intent),
        by === undefined ? (health ?? "-") : `${health ?? "-"} by ${by}`,
        since?.replace(/\.\d+Z$/, "Z") ?? "-",
        String(desired.weight),
        patched.length === 0 ? "-" : patched.join(" "),
        describeLease(target),
      ];
    }),
  );
  return formatTable(columns, rows);
}

function describeLease({ lease }: TargetView): string {
  return lease === undefined ? "-" : `${lease.holder}, ${Math.ceil(lease.leftMs / 1000)} s left`;
}

/** `app/10.0.4.20:8080 (api): weight 1, maxFails 1, failTimeout 10s, ...`. */
export function describeTarget({ pool, address, owner, desired }: TargetView): string {
  const fields = Object.entries(desired).map(([name, value]) => `${name} ${String(value)}`);
  return `${pool}/${address} (${owner}): ${fields.join(", ")}`;
}
