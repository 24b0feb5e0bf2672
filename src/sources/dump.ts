// The last good list of a pool's source as text, for the start without an answer and for people. The change's way, pure.
// Ours is JSON, a target a line; beside it stand, on request, the `server ...;` lines that nginx-upsync-module writes, for
// whoever includes them in an nginx.conf. Only ours is read again, and only by the source that wrote it.

import { join } from "node:path";
import { durationMax, targetsPerPoolMax, weightMax } from "../config/limits.ts";
import { type EntryFields, encodeUpsyncServer } from "../config/upsync-entry.ts";
import { formatSocketAddress, parseSocketAddress } from "../core/address.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { formatDuration, parseDuration } from "../core/units.ts";
import { type Target, targetDefaults } from "../model/pool.ts";
import type { Source } from "../model/source.ts";
import type { SourcePool } from "./source.ts";

export type Dump = {
  readonly pool: string;
  /** As nameSource names it. */
  readonly source: string;
  /** ISO 8601, UTC. */
  readonly writtenAt: string;
  readonly revision: string | undefined;
  readonly targets: readonly Target[];
};

/** What a source's list is called: two sources with one name have one list, whoever of a store's servers is asked. */
export function nameSource(source: Source): string {
  switch (source.type) {
    case "consul":
      return `consul ${source.prefix}${inDatacenter(source.datacenter)}`;
    case "consulService":
      return `consul service ${[source.service, ...source.tags].join(" ")} (${source.health})${inDatacenter(source.datacenter)}`;
    case "etcd":
      return `etcd ${source.prefix}`;
    case "dns":
      return source.record === "srv" ? `dns srv ${source.name}` : `dns ${source.name}:${source.port}`;
    default:
      return source satisfies never;
  }
}

function inDatacenter(datacenter: string | undefined): string {
  return datacenter === undefined ? "" : ` in ${datacenter}`;
}

/** Where a pool's dumps lie. `dump.path` is that of the form that was asked for; the other form, if any, has its usual place. */
export function dumpPaths(
  { path, format }: Source["dump"],
  pool: string,
  stateDirectory: string,
): { readonly json: string; readonly upsync: string | undefined } {
  const usual = join(stateDirectory, "sources", pool);
  if (format === "json") return { json: path ?? `${usual}.json`, upsync: undefined };
  return { json: `${usual}.json`, upsync: path ?? `${usual}.conf` };
}

export function encodeDump(dump: Dump): string {
  const { pool, source, writtenAt, revision } = dump;
  const head = Object.entries({ pool, source, writtenAt, revision: revision ?? null });
  const lines = dump.targets.map((target) => {
    const { weight, maxFails, failTimeout, backup, intent } = target;
    const fields = { weight, maxFails, failTimeout: formatDuration(failTimeout), backup, intent };
    return `    ${JSON.stringify(target.address)}: ${JSON.stringify(fields)}`;
  });
  const targets = lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n  }`;
  const fields = head.map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},\n`);
  return `{\n${fields.join("")}  "targets": ${targets}\n}\n`;
}

/** For nginx to include. A list without targets is a comment: nginx then finds an upstream without servers, and says so. */
export function encodeUpsyncDump({ pool, source, writtenAt, targets }: Dump): string {
  const lines = targets.map(encodeUpsyncServer);
  return `${[`# pool ${pool} from ${source}, ${writtenAt}`, ...lines].join("\n")}\n`;
}

/**
 * Reads what encodeDump wrote, for this pool and source. Fails with `source.dump.damaged` (somebody edited it into
 * something else) and `source.dump.other` (it holds the list of another pool or source).
 */
export function decodeDump(text: string, pool: SourcePool, source: string): Result<Dump> {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch (error) {
    return damaged(`no JSON: ${String(error)}`);
  }
  const writtenAt = field(tree, "writtenAt");
  const revision = field(tree, "revision");
  const entries = field(tree, "targets");
  if (typeof writtenAt !== "string" || Number.isNaN(Date.parse(writtenAt))) return damaged("writtenAt is no time");
  if (typeof entries !== "object" || entries === null) return damaged("it has no targets");
  const whose = `${field(tree, "source")} of pool ${field(tree, "pool")}`;
  if (whose !== `${source} of pool ${pool.name}`) {
    return refused("other", `it is the list of ${whose}, not of ${source} of pool ${pool.name}`);
  }
  const targets: Target[] = [];
  for (const [address, fields] of Object.entries(entries)) {
    const target = readTarget(address, fields, pool);
    if (target === undefined) return damaged(`target ${address} cannot be read`);
    targets.push(target);
  }
  if (targets.length > targetsPerPoolMax) return damaged(`it has more than ${targetsPerPoolMax} targets`);
  return good({
    pool: pool.name,
    source,
    writtenAt,
    revision: typeof revision === "string" ? revision : undefined,
    targets,
  });
}

function refused(part: string, detail: string) {
  return bad({ code: `source.dump.${part}`, origin: "self", retrySafe: false, detail });
}

function damaged(detail: string) {
  return refused("damaged", detail);
}

function readTarget(address: string, tree: unknown, pool: SourcePool): Target | undefined {
  const place = parseSocketAddress(address);
  const fields = readFields(tree);
  if (!place.ok || formatSocketAddress(place.value) !== address || fields === undefined) return undefined;
  const { connectionsMax } = targetDefaults;
  return { address, ...place.value, ...fields, connectionsMax, slowStart: pool.slowStart };
}

function readFields(tree: unknown): EntryFields | undefined {
  const weight = field(tree, "weight");
  const maxFails = field(tree, "maxFails");
  const duration = field(tree, "failTimeout");
  const backup = field(tree, "backup");
  const intent = field(tree, "intent");
  if (!isWhole(weight, weightMax) || !isWhole(maxFails, Number.MAX_SAFE_INTEGER)) return undefined;
  if (typeof backup !== "boolean" || (intent !== "up" && intent !== "drain" && intent !== "down")) return undefined;
  const failTimeout = typeof duration === "string" ? parseDuration(duration) : undefined;
  if (failTimeout?.ok !== true || failTimeout.value > durationMax) return undefined;
  return { weight, maxFails, failTimeout: failTimeout.value, backup, intent };
}

function isWhole(value: unknown, most: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most;
}

function field(tree: unknown, name: string): unknown {
  if (typeof tree !== "object" || tree === null) return undefined;
  return Object.getOwnPropertyDescriptor(tree, name)?.value;
}
