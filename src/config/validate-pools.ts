// What must hold within a pool and between it and the listeners that use it: targets named once, a hash that all its listeners
// can tell, sources that keep their lists apart. On the change's way, third stage of decoding; sees every part that was
// right by itself.

import { formatSocketAddress } from "../core/address.ts";
import { contradictionsOf } from "./build-health-check.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { isWhole } from "./part.ts";
import type { Draft, ListenerPart, PoolPart } from "./shape.ts";
import { validateSource } from "./validate-source.ts";

/** `users` are the listeners that name it. */
export function validatePool(draft: Draft, pool: PoolPart, users: readonly ListenerPart[]): void {
  checkAddresses(draft, pool);
  checkHashKey(draft, pool, users);
  checkSlowStart(draft, pool);
  if (pool.healthCheck?.value !== undefined) {
    const { path, value } = pool.healthCheck;
    for (const { key, complaint } of contradictionsOf(value)) draft.complain([...path, key], complaint);
  }
  if (pool.source !== undefined) validateSource(draft, pool.source);
  // A source may bring whatever the file's own targets lack.
  if (!isWhole(pool) || !pool.targets.every(isWhole) || hasSource(draft, pool)) return;

  const warn = (code: string, message: string, expected = "") =>
    draft.warn(pool.path, { code, message, expected, atKey: true });
  const targets = pool.targets.flatMap((target) => target.value ?? []);
  const working = targets.filter((target) => target.weight > 0 && target.intent === "up");
  const outcome = outcomeWithoutTarget(users);
  if (targets.length === 0) {
    // Who writes `targets: {}` leaves them to the API; who writes nothing may have forgotten them.
    if (draft.has([...pool.path, "targets"])) return;
    const message = `pool \`${pool.name}\` has neither \`targets\` nor a \`source\`, and ${outcome} until the API adds a target`;
    warn("config.pool.empty", message, "`targets: {}` if that is meant");
  } else if (working.length === 0)
    warn("config.pool.idle", `no target of pool \`${pool.name}\` takes work, it ${outcome}`);
  else if (targets.every((target) => target.backup))
    warn("config.pool.backup", `every target of pool \`${pool.name}\` is a backup`);
}

/** What clients of a pool get that has nobody to give them to. */
function outcomeWithoutTarget(users: readonly ListenerPart[]): string {
  const has = (protocol: ListenerPart["protocol"]) => users.some((user) => user.protocol === protocol);
  const outcomes = [
    ...(has("http") || users.length === 0 ? ["answers 503"] : []),
    ...(has("tcp") ? ["resets connections"] : []),
    ...(has("udp") ? ["drops datagrams"] : []),
  ];
  return outcomes.join(" and ");
}

/** Below HTTP a client is an address and nothing more. */
function checkHashKey(draft: Draft, pool: PoolPart, users: readonly ListenerPart[]): void {
  const balance = pool.value?.balance;
  const user = users.find(({ protocol }) => protocol === "tcp" || protocol === "udp");
  if (user === undefined || typeof balance !== "object" || balance.consistentHash.key === "clientAddress") return;
  const { key } = balance.consistentHash;
  const what = typeof key === "string" ? `\`${key}\`` : `the header \`${key.header}\``;
  draft.complain([...pool.path, "balance", "consistentHash", "key"], {
    code: "config.pool.hashKey",
    message: `key: listener \`${user.name}\` has \`protocol: ${user.protocol}\` and sees no more of a client than its address, not ${what}`,
    expected: "`clientAddress`, or a pool of its own for that listener",
  });
}

/**
 * Where the client's key decides, a target has all of its clients from the start, or they would move twice. nginx refuses
 * it as well ("balancing method does not support parameter slow_start").
 */
function checkSlowStart(draft: Draft, pool: PoolPart): void {
  const balance = pool.value?.balance;
  const policy = typeof balance === "object" ? "consistentHash" : balance;
  if (policy !== "ipHash" && policy !== "consistentHash") return;
  for (const { path, value } of [pool, ...pool.targets]) {
    if ((value?.slowStart ?? 0) === 0) continue;
    draft.complain([...path, "slowStart"], {
      code: "config.pool.slowStart",
      message: `\`slowStart\` means nothing with \`${policy}\`, by which a client's key alone decides`,
      expected: "no `slowStart`, or another `balance`",
      atKey: true,
    });
  }
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

/** True when the file gives it one, right or wrong. */
export function hasSource(draft: Draft, pool: PoolPart): boolean {
  return draft.has([...pool.path, "source"]);
}

/** Two pools that keep their last good lists in one file would each start on the other's. */
export function checkDumps(draft: Draft): void {
  const seen = new Map<string, string>();
  for (const { name, source } of draft.pools) {
    const path = source?.value?.dump.path;
    if (source === undefined || path === undefined) continue;
    const before = seen.get(path);
    if (before !== undefined) {
      const message = `path: pool \`${before}\` keeps its list in \`${path}\``;
      const place = [...source.path, "dump", "path"];
      draft.complain(place, { code: "config.source.dump", message, expected: "a file of its own" });
    }
    seen.set(path, name);
  }
}
