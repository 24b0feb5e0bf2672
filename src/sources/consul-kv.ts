// Targets from Consul's key/value store in nginx-upsync-module's layout: `<prefix><ip:port>`. The change's way: the question
// and what its answer holds; asking is consul-query.ts's and store-watch.ts's business.

import type { ConsulKvSource } from "../model/source.ts";
import { consulPlan } from "./consul-query.ts";
import { EntryBook, folderOf, type StoreEntry } from "./entry-book.ts";
import type { SourceDeps, SourceListener, SourcePool, SourceWatch } from "./source.ts";
import { watchStore } from "./store-watch.ts";

/** Watches every key below the prefix. Failures: `consul.*`, and those of the store client. */
export function openConsulKv(
  source: ConsulKvSource,
  pool: SourcePool,
  listener: SourceListener,
  deps: SourceDeps,
): SourceWatch {
  const folder = folderOf(source.prefix);
  const plan = consulPlan({
    access: source,
    path: `/v1/kv/${folder.split("/").map(encodeURIComponent).join("/")}`,
    parameters: [["recurse", ""]],
    emptyIs404: true,
    entries: (tree) => kvEntries(tree, folder),
    book: new EntryBook(pool, deps.known),
    rule: `key_prefix "${folder}" { policy = "read" }`,
  });
  const { endpoints, tls } = source;
  return watchStore({ endpoints, tls, rules: source, plan, listener, deps });
}

/**
 * The entries of an answer of /v1/kv with `recurse`; undefined when it is none. Folders (keys that end in `/`) are passed
 * over; a key in a folder below the prefix keeps its way there in the address, which is then none, and so it is reported.
 */
export function kvEntries(tree: unknown, folder: string): readonly StoreEntry[] | undefined {
  if (!Array.isArray(tree)) return undefined;
  const entries: StoreEntry[] = [];
  for (const item of tree) {
    const pair = readPair(item);
    if (pair === undefined || !pair.key.startsWith(folder)) return undefined;
    if (pair.key === folder || pair.key.endsWith("/")) continue;
    entries.push({ key: pair.key, address: pair.key.slice(folder.length), value: pair.value });
  }
  return entries;
}

function readPair(item: unknown): { readonly key: string; readonly value: string } | undefined {
  if (typeof item !== "object" || item === null || !("Key" in item) || !("Value" in item)) return undefined;
  const { Key: key, Value: value } = item;
  if (typeof key !== "string") return undefined;
  if (value === null) return { key, value: "" };
  return typeof value === "string" ? { key, value: Buffer.from(value, "base64").toString("utf8") } : undefined;
}
