// What must hold between the parts of a configuration: addresses bound once, pools that exist, targets named once; and
// what is allowed but hardly meant, as warnings. On the change's way, third stage of decoding; sees every part that was
// right by itself, so nothing is reported twice.

import { formatSocketAddress } from "../core/address.ts";
import { nearest } from "./nearest.ts";
import { isWhole, type Part } from "./part.ts";
import type { Path } from "./problem.ts";
import type { Draft, ListenerPart, PoolPart } from "./shape.ts";
import { validateAdmin } from "./validate-admin.ts";
import { validateHa } from "./validate-ha.ts";
import { validateLayer4 } from "./validate-layer4.ts";
import { checkDumps, validatePool } from "./validate-pools.ts";
import { validateRoutes } from "./validate-routes.ts";

/** `node`: the name of this one. */
export function validateDraft(draft: Draft, node: string): void {
  validateAdmin(draft);
  checkBinds(draft);
  const pools = new Map(draft.pools.map((pool) => [pool.name, pool]));
  const users = new Map<string, ListenerPart[]>();
  for (const listener of draft.listeners) {
    const used = poolsNamed(listener);
    checkPools(draft, used, pools);
    for (const name of new Set(used.map(({ pool }) => pool))) users.set(name, [...(users.get(name) ?? []), listener]);
    if (listener.protocol === "http") validateRoutes(draft, listener);
    else if (listener.protocol !== undefined) {
      validateLayer4(draft, listener, [...new Set(used.flatMap(({ pool }) => pools.get(pool) ?? []))]);
    }
    warnRoutes(draft, listener);
  }
  warnUnruled(draft);
  validateHa(draft, node);
  // A node may do no more than move addresses, as one with keepalived alone.
  const serves = draft.listeners.length > 0 || (draft.ha?.virtualRouters.length ?? 0) > 0;
  if (!serves && isWhole(draft.root)) {
    const warning = {
      code: "config.listeners.none",
      message: "there is no listener, so nothing is served",
      atKey: true,
    };
    draft.warn(["listeners"], warning);
  }
  checkDumps(draft);
  // A part that could not be read whole might be the one that uses a pool.
  const allRead = draft.listeners.every((listener) => isWhole(listener) && routesOf(listener).every(isWhole));
  for (const pool of draft.pools) {
    validatePool(draft, pool, users.get(pool.name) ?? []);
    if (!allRead || users.has(pool.name)) continue;
    draft.warn(pool.path, { code: "config.pool.unused", message: `no route uses pool \`${pool.name}\``, atKey: true });
  }
}

function routesOf(listener: ListenerPart): readonly Part<unknown>[] {
  return listener.protocol === "http" || listener.protocol === "tcp" ? listener.routes : [];
}

type NamedPool = { readonly path: Path; readonly pool: string };

/** The pools that a listener names, whether they exist or not. */
function poolsNamed(listener: ListenerPart): NamedPool[] {
  const at = (path: Path, pool: string | undefined) => (pool === undefined ? [] : [{ path: [...path, "pool"], pool }]);
  switch (listener.protocol) {
    case "http":
      return listener.routes.flatMap(({ path, value }) => at(path, value?.pool));
    case "tcp": {
      const own = at(listener.path, listener.value?.pool);
      return [...own, ...listener.routes.flatMap(({ path, value }) => at(path, value?.pool))];
    }
    case "udp":
      return at(listener.path, listener.value?.pool);
    case undefined:
      return [];
    default:
      return listener satisfies never;
  }
}

function warnRoutes(draft: Draft, listener: ListenerPart): void {
  const path = [...listener.path, "routes"];
  if (listener.value === undefined || !("routes" in listener.value)) return;
  const { routes } = listener.value;
  if (!Array.isArray(routes) || routes.length > 0) return;
  const outcome = listener.protocol === "tcp" ? "resets every connection" : "answers 404";
  const message = `routes: listener \`${listener.name}\` has none and ${outcome}`;
  draft.warn(path, { code: "config.listener.routes", message, atKey: true });
}

/** `kernel` speaks of rules that only the kernel engine writes. */
function warnUnruled(draft: Draft): void {
  const kernel = draft.root.value?.kernel;
  if (kernel === undefined || !draft.listeners.every(isWhole)) return;
  const inKernel = draft.listeners.some(
    ({ protocol, value }) => (protocol === "tcp" || protocol === "udp") && value?.engine !== "proxy",
  );
  if (inKernel) return;
  for (const [key, purpose] of [["keepOnStop", "keep"] as const, ["countTraffic", "count"] as const]) {
    if (!kernel[key]) continue;
    draft.warn(["kernel", key], {
      code: "config.kernel.unused",
      message: `${key}: no listener has \`engine: kernel\` or \`engine: auto\`, so there is nothing to ${purpose}`,
    });
  }
}

/**
 * An address is bound once by listeners that accept connections, and once by those that receive datagrams; `0.0.0.0` and `::` hold every address of their family (an IPv6 socket takes IPv6 alone).
 */
function checkBinds(draft: Draft): void {
  const seen: { readonly host: string; readonly port: number; readonly holder: string; readonly udp: boolean }[] = [];
  const api = draft.root.value?.admin.http;
  if (api !== undefined) seen.push({ ...api, holder: "`admin.http`", udp: false });
  for (const { name, path, value, protocol } of draft.listeners) {
    if (value === undefined || protocol === undefined) continue;
    const udp = protocol === "udp";
    const { host, port } = value.bind;
    const family = host.includes(":");
    const taken = seen.find((one) => {
      const same = one.host === host || isEvery(one.host) || isEvery(host);
      return one.udp === udp && one.port === port && one.host.includes(":") === family && same;
    });
    if (taken !== undefined) {
      const [own, other] = [formatSocketAddress(value.bind), formatSocketAddress(taken)];
      const message = `bind: \`${own}\` is taken by ${taken.holder} (${other})`;
      draft.complain([...path, "bind"], { code: "config.listener.bind", message, expected: "an address of its own" });
    }
    seen.push({ host, port, holder: `listener \`${name}\``, udp });
  }
}

function isEvery(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function checkPools(draft: Draft, used: readonly NamedPool[], pools: ReadonlyMap<string, PoolPart>): void {
  for (const { path, pool } of used) {
    if (pools.has(pool)) continue;
    const names = [...pools.keys()];
    const list = names.slice(0, 20).map((name) => `\`${name}\``);
    const suggestion = nearest(pool, names);
    draft.complain(path, {
      code: "config.pool.unknown",
      message: `pool: there is no pool \`${pool}\``,
      expected: suggestion === undefined && list.length > 0 ? `one of ${list.join(", ")}` : "a pool under `pools`",
      suggestion,
    });
  }
}
