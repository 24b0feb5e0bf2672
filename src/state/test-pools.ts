// Pools, targets and orders for the tests of the registry and of what is kept of it. For tests only; nothing that runs may
// import it.

import { parseSocketAddress } from "../core/address.ts";
import { assert } from "../core/assert.ts";
import { type Pool, type Target, targetDefaults } from "../model/pool.ts";
import type { Source } from "../model/source.ts";
import type { KeptEntry, TargetOrder } from "./desired.ts";
import type { AskedOrder, OrderStep, Registry } from "./registry.ts";

export function targetOf(address: string, fields: Partial<Target> = {}): Target {
  const parsed = parseSocketAddress(address);
  assert(parsed.ok, address);
  return { address, ...parsed.value, ...targetDefaults, slowStart: 0, ...fields };
}

export const consul: Source = {
  type: "consul",
  endpoints: ["http://127.0.0.1:8500"],
  prefix: "upstreams/app/",
  tokenFile: undefined,
  datacenter: undefined,
  tls: undefined,
  wait: 10_000,
  required: false,
  startTimeout: 10_000,
  requestTimeout: 5_000,
  retry: { first: 100, most: 5_000 },
  dump: { path: undefined, format: "json" },
};

export function poolOf(name: string, addresses: readonly string[], fields: Partial<Pool> = {}): Pool {
  return {
    name,
    balance: { policy: "roundRobin" },
    targets: addresses.map((address) => targetOf(address)),
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 8,
    idleTimeout: 4_000,
    ...fields,
  };
}

export function entryOf(pool: string, address: string, fields: Partial<KeptEntry> = {}): KeptEntry {
  return { pool, address, exists: true, patch: {}, lease: undefined, by: "api unix:root", atMs: 0, ...fields };
}

export const put = (patch: (TargetOrder & { type: "put" })["patch"] = {}): TargetOrder => ({
  type: "put",
  patch,
  lease: undefined,
});

export const leased = (holder: string, ttlMs: number, patch: (TargetOrder & { type: "put" })["patch"] = {}) =>
  ({ type: "put", patch, lease: { holder, ttlMs } }) satisfies TargetOrder;

export const patch = (fields: (TargetOrder & { type: "patch" })["patch"]): TargetOrder => ({
  type: "patch",
  patch: fields,
});

export const remove = (holder?: string): TargetOrder => ({ type: "remove", holder });

export const renew = (holder: string): TargetOrder => ({ type: "renew", holder });

/** Orders something at a time and returns the step; throws with the code where it is refused. */
export function must(
  registry: Registry,
  address: string,
  order: TargetOrder,
  rest: Partial<AskedOrder> = {},
): OrderStep {
  const ordered = registry.order({ pool: "app", address, order, by: "api unix:root", nowMs: 0, wallMs: 0, ...rest });
  assert(ordered.ok, ordered.ok ? "" : `${ordered.failure.code}: ${ordered.failure.detail}`);
  return ordered.value;
}

/** The code with which an order is refused; undefined when it is taken. */
export function codeOf(
  registry: Registry,
  address: string,
  order: TargetOrder,
  rest: Partial<AskedOrder> = {},
): string | undefined {
  const ordered = registry.order({ pool: "app", address, order, by: "api unix:root", nowMs: 0, wallMs: 0, ...rest });
  return ordered.ok ? undefined : ordered.failure.code;
}

/** `10.0.0.1:80 file w5 patched:weight`, a line a target. */
export function linesOf(registry: Registry, pool = "app", nowMs = 0): readonly string[] | undefined {
  return registry.desired(pool, nowMs)?.map(({ target, owner, patched, lease }) => {
    const parts = [target.address, owner, `w${target.weight}`];
    if (target.intent !== "up") parts.push(target.intent);
    if (patched.length > 0) parts.push(`patched:${patched.join(",")}`);
    if (lease !== undefined) parts.push(`lease:${lease.holder}:${lease.leftMs}`);
    return parts.join(" ");
  });
}
