// Targets from Consul's catalog: the instances of a service that have certain tags and pass their checks. The change's way:
// the question and what its answer holds; asking is consul-query.ts's and store-watch.ts's business.

import { weightMax } from "../config/limits.ts";
import type { EntryFields } from "../config/upsync-entry.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { targetDefaults } from "../model/pool.ts";
import type { ConsulServiceSource } from "../model/source.ts";
import { consulPlan } from "./consul-query.ts";
import { EntryBook, type StoreEntry } from "./entry-book.ts";
import type { SourceDeps, SourceListener, SourcePool, SourceWatch } from "./source.ts";
import { watchStore } from "./store-watch.ts";

type Health = ConsulServiceSource["health"];

/** Watches the instances of one service. Failures: `consul.*`, and those of the store client. */
export function openConsulServices(
  source: ConsulServiceSource,
  pool: SourcePool,
  listener: SourceListener,
  deps: SourceDeps,
): SourceWatch {
  const { service, tags, health } = source;
  const name = encodeURIComponent(service);
  const ofTags = tags.map((tag): [string, string] => ["tag", tag]);
  const plan = consulPlan({
    access: source,
    path: health === "any" ? `/v1/catalog/service/${name}` : `/v1/health/service/${name}`,
    parameters: health === "passing" ? [...ofTags, ["passing", ""]] : ofTags,
    emptyIs404: false,
    entries: (tree) => serviceEntries(tree, source),
    book: new EntryBook(pool, deps.known, decodeWeight),
    rule: `service_prefix "${service}" { policy = "read" } and node_prefix "" { policy = "read" }`,
  });
  const { endpoints, tls } = source;
  return watchStore({ endpoints, tls, rules: source, plan, listener, deps });
}

type Instance = {
  readonly key: string;
  readonly host: string;
  readonly port: number;
  readonly tags: readonly string[];
  /** In the one state, and in the other; as Consul's own DNS answers weigh. */
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly checks: readonly string[];
};

/**
 * The instances of an answer of /v1/health/service or /v1/catalog/service; undefined when it is none. What the server was
 * asked to leave out is looked at once more: servers before 1.3 heed one tag only. An instance that another one matches in
 * address and weight (a service that two agents have registered) is left out.
 */
export function serviceEntries(
  tree: unknown,
  { tags, health }: Pick<ConsulServiceSource, "tags" | "health">,
): readonly StoreEntry[] | undefined {
  if (!Array.isArray(tree)) return undefined;
  const entries = new Map<string, StoreEntry>();
  for (const item of tree) {
    const instance = health === "any" ? readCatalogItem(item) : readHealthItem(item);
    if (instance === undefined) return undefined;
    if (!tags.every((tag) => instance.tags.includes(tag)) || !isHealthy(instance, health)) continue;
    const { host, port, weights, checks, key } = instance;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const value = String(checks.includes("warning") ? weights.warning : weights.passing);
    const same = `${address} ${value}`;
    const other = entries.get(same);
    if (other === undefined || key < other.key) entries.set(same, { key, address, value });
  }
  return [...entries.values()];
}

function isHealthy({ checks }: Instance, health: Health): boolean {
  switch (health) {
    case "passing":
      return checks.every((status) => status === "passing");
    case "warning":
      return checks.every((status) => status === "passing" || status === "warning");
    case "any":
      return true;
    default:
      return health satisfies never;
  }
}

function readHealthItem(item: unknown): Instance | undefined {
  const node = field(item, "Node");
  const service = field(item, "Service");
  const checks = field(item, "Checks");
  if (!Array.isArray(checks)) return undefined;
  return readInstance({
    node: field(node, "Node"),
    id: field(service, "ID"),
    hosts: [field(service, "Address"), field(node, "Address")],
    port: field(service, "Port"),
    tags: field(service, "Tags"),
    weights: field(service, "Weights"),
    checks: checks.map((check) => field(check, "Status")),
  });
}

function readCatalogItem(item: unknown): Instance | undefined {
  return readInstance({
    node: field(item, "Node"),
    id: field(item, "ServiceID"),
    hosts: [field(item, "ServiceAddress"), field(item, "Address")],
    port: field(item, "ServicePort"),
    tags: field(item, "ServiceTags"),
    weights: field(item, "ServiceWeights"),
    checks: [],
  });
}

type Raw = { readonly [Name in "node" | "id" | "port" | "tags" | "weights"]: unknown } & {
  /** The service's own, and the node's, which holds where the service says none. */
  readonly hosts: readonly [unknown, unknown];
  readonly checks: readonly unknown[];
};

function readInstance({ node, id, hosts, port, tags, weights, checks }: Raw): Instance | undefined {
  const [own, nodes] = hosts;
  const host = own === "" || own === undefined ? nodes : own;
  const said = tags ?? [];
  if (typeof node !== "string" || typeof id !== "string" || typeof host !== "string") return undefined;
  if (typeof port !== "number" || !isTexts(said) || !isTexts(checks)) return undefined;
  return {
    key: `${node}/${id}`,
    host,
    port,
    tags: said,
    weights: { passing: readWeight(weights, "Passing"), warning: readWeight(weights, "Warning") },
    checks,
  };
}

/** Servers before 1.2.3 know no weights. */
function readWeight(weights: unknown, name: string): number {
  const weight = field(weights, name);
  return typeof weight === "number" ? weight : 1;
}

function isTexts(list: unknown): list is readonly string[] {
  return Array.isArray(list) && list.every((text) => typeof text === "string");
}

function field(tree: unknown, name: string): unknown {
  if (typeof tree !== "object" || tree === null) return undefined;
  return Object.getOwnPropertyDescriptor(tree, name)?.value;
}

/** A service says no more than its weight. Code: `source.entry.field`. */
function decodeWeight(text: string): Result<EntryFields> {
  const weight = Number(text);
  if (Number.isSafeInteger(weight) && weight >= 0 && weight <= weightMax) {
    const { maxFails, failTimeout, backup, intent } = targetDefaults;
    return good({ weight, maxFails, failTimeout, backup, intent });
  }
  const detail = `Weights: a whole number from 0 to ${weightMax} is expected; found ${text}`;
  return bad({ code: "source.entry.field", origin: "target", retrySafe: true, detail });
}
