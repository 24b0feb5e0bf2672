// What must hold between the parts of a configuration: addresses bound once, pools that exist, targets named once; and
// what is allowed but hardly meant, as warnings. On the change's way, third stage of decoding; sees every part that was
// right by itself, so nothing is reported twice.

import { formatSocketAddress } from "../core/address.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { nearest } from "./nearest.ts";
import type { Draft, ListenerPart, Part, PoolPart } from "./shape.ts";
import { validateRoutes } from "./validate-routes.ts";

export function validateDraft(draft: Draft): void {
  checkBinds(draft);
  const pools = new Set(draft.pools.map((pool) => pool.name));
  const used = new Set<string>();
  for (const listener of draft.listeners) {
    validateRoutes(draft, listener);
    checkPools(draft, listener, pools);
    for (const { value } of listener.routes) if (value?.pool !== undefined) used.add(value.pool);
    if (listener.value?.routes.length === 0) {
      const message = `routes: listener \`${listener.name}\` has none and answers 404`;
      draft.warn([...listener.path, "routes"], { code: "config.listener.routes", message, atKey: true });
    }
  }
  if (draft.listeners.length === 0 && isWhole(draft.root)) {
    const warning = {
      code: "config.listeners.none",
      message: "there is no listener, so nothing is served",
      atKey: true,
    };
    draft.warn(["listeners"], warning);
  }
  // A part that could not be read whole might be the one that uses a pool.
  const allRead = draft.listeners.every((listener) => isWhole(listener) && listener.routes.every(isWhole));
  for (const pool of draft.pools) {
    validatePool(draft, pool);
    if (!allRead || used.has(pool.name)) continue;
    draft.warn(pool.path, { code: "config.pool.unused", message: `no route uses pool \`${pool.name}\``, atKey: true });
  }
}

/**
 * An address is bound once; `0.0.0.0` and `::` hold every address of their family (an IPv6 socket takes IPv6 alone).
 */
function checkBinds(draft: Draft): void {
  const seen: { readonly host: string; readonly port: number; readonly name: string }[] = [];
  for (const { name, path, value } of draft.listeners) {
    if (value === undefined) continue;
    const { host, port } = value.bind;
    const family = host.includes(":");
    const taken = seen.find((one) => {
      const same = one.host === host || isEvery(one.host) || isEvery(host);
      return one.port === port && one.host.includes(":") === family && same;
    });
    if (taken !== undefined) {
      const [own, other] = [formatSocketAddress(value.bind), formatSocketAddress(taken)];
      const message = `bind: \`${own}\` is taken by listener \`${taken.name}\` (${other})`;
      draft.complain([...path, "bind"], { code: "config.listener.bind", message, expected: "an address of its own" });
    }
    seen.push({ host, port, name });
  }
}

function isEvery(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function checkPools(draft: Draft, listener: ListenerPart, pools: ReadonlySet<string>): void {
  for (const { path, value } of listener.routes) {
    if (value?.pool === undefined || pools.has(value.pool)) continue;
    const names = [...pools];
    const list = names.slice(0, 20).map((name) => `\`${name}\``);
    const suggestion = nearest(value.pool, names);
    draft.complain([...path, "pool"], {
      code: "config.pool.unknown",
      message: `pool: there is no pool \`${value.pool}\``,
      expected: suggestion === undefined && list.length > 0 ? `one of ${list.join(", ")}` : "a pool under `pools`",
      suggestion,
    });
  }
}

function validatePool(draft: Draft, pool: PoolPart): void {
  checkAddresses(draft, pool);
  const warn = (code: string, message: string) => draft.warn(pool.path, { code, message, atKey: true });
  if (!isWhole(pool) || !pool.targets.every(isWhole)) return;

  const targets = pool.targets.flatMap((target) => target.value ?? []);
  const working = targets.filter((target) => target.weight > 0 && target.intent === "up");
  if (targets.length === 0) warn("config.pool.empty", `pool \`${pool.name}\` has no target and answers 503`);
  else if (working.length === 0)
    warn("config.pool.idle", `no target of pool \`${pool.name}\` takes work, it answers 503`);
  else if (targets.every((target) => target.backup))
    warn("config.pool.backup", `every target of pool \`${pool.name}\` is a backup`);
}

function isWhole(part: Part<unknown>): boolean {
  return part.value !== undefined && part.broken.size === 0;
}

function checkAddresses(draft: Draft, pool: PoolPart): void {
  const seen = new Map<string, string>();
  for (const { address, path } of pool.targets) {
    const reading = readTargetAddress(address);
    if (!reading.ok) continue;
    const canonical = formatSocketAddress(reading.value);
    const before = seen.get(canonical);
    if (before !== undefined) {
      const message = `\`${address}\` and \`${before}\` are the same target`;
      draft.complain(path, { code: "config.target.twice", message, expected: "each target once", atKey: true });
    }
    seen.set(canonical, address);
  }
}
