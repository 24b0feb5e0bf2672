// Targets as entries of Consul's key-value store, for scripts that put them there with curl for nginx-upsync-module: the key
// `upstreams/POOL/IP:PORT`, the value that module's JSON. The change's way. It answers as Consul 1.8 does (`true`, base64,
// an empty 404, plain text for what is wrong), so it takes no problem document and no media type either; underneath it gives
// the same orders as /v1/pools.

import { decodeUpsyncValue, encodeUpsyncValue } from "../config/upsync-entry.ts";
import { formatSocketAddress, parseSocketAddress } from "../core/address.ts";
import type { DesiredTarget, TargetOrder } from "../state/desired.ts";
import { type AdminAnswer, json, statusOf, text } from "./answer.ts";
import type { ControlledTargets } from "./controlled.ts";
import { targetIndex } from "./entity-tag.ts";
import type { Call, Route } from "./route-table.ts";

const plainText = "text/plain; charset=utf-8";
const root = "upstreams/";

export const kvRoutes: readonly Route[] = [
  {
    path: "/v1/kv/{key*}",
    operations: {
      GET: {
        endpoint: readEntries,
        summary: "Entries `upstreams/POOL/IP:PORT` as Consul's KV API shows them; `?raw`, `?recurse`, `?keys`",
        query: "any",
        answers: { 200: ["a list with the values in base64", "application/json"], 404: ["there is no such key"] },
      },
      PUT: {
        endpoint: putEntry,
        summary: "A target from upsync's JSON: weight, max_fails, fail_timeout, down, backup; `?cas=` as Consul has it",
        query: "any",
        answers: {
          200: ["`true`, or `false` when `cas` does not hold", "application/json"],
          400: ["the key or the value is wrong, in a sentence", plainText],
          404: ["there is no such pool", plainText],
          409: ["a limit or a lease forbids it", plainText],
        },
      },
      DELETE: {
        endpoint: deleteEntry,
        summary: "The API's own target goes; of another owner's, what the API said of it; `?cas=` as Consul has it",
        query: "any",
        answers: {
          200: ["`true`, or `false` when `cas` does not hold", "application/json"],
          400: ["the key is wrong, in a sentence", plainText],
          409: ["the target is another owner's", plainText],
        },
      },
    },
  },
];

type Entry = { readonly key: string; readonly desired: DesiredTarget };

function entriesOf(controlled: ControlledTargets): readonly Entry[] {
  return controlled.config.pools.flatMap(({ name }) =>
    (controlled.desired(name) ?? []).map((desired) => ({ key: `${root}${name}/${desired.target.address}`, desired })),
  );
}

function readEntries({ controlled, params, query }: Call): AdminAnswer {
  const wanted = params["key"] ?? "";
  const all = entriesOf(controlled);
  // As Consul has it, a prefix is one of characters: `upstreams/app` covers `upstreams/app2/...` too.
  const below = all.filter(({ key }) => key.startsWith(wanted));
  if (query.has("keys")) {
    if (below.length === 0) return nothing;
    const separator = query.get("separator") || undefined;
    const keys = below.map(({ key }) => cutAt(key, wanted.length, separator));
    return json(200, [...new Set(keys)]);
  }
  const found = query.has("recurse") ? below : all.filter(({ key }) => key === canonicalKey(wanted));
  const [first] = found;
  if (first === undefined) return nothing;
  if (query.has("raw") && !query.has("recurse")) return text(200, plainText, entryValue(first));
  return json(200, found.map(showEntry));
}

const nothing: AdminAnswer = { status: 404, headers: {}, body: { kind: "text", text: "" } };

function cutAt(key: string, from: number, separator: string | undefined): string {
  const at = separator === undefined ? -1 : key.indexOf(separator, from);
  return separator === undefined || at < 0 ? key : key.slice(0, at + separator.length);
}

function entryValue({ desired }: Entry): string {
  return encodeUpsyncValue(desired.target);
}

/** The index is no count here: it tells whether the entry is still the same, which is what `cas` asks. */
function showEntry(entry: Entry) {
  const index = targetIndex(entry.desired.target);
  return {
    LockIndex: 0,
    Key: entry.key,
    Flags: 0,
    Value: Buffer.from(entryValue(entry)).toString("base64"),
    CreateIndex: index,
    ModifyIndex: index,
  };
}

function canonicalKey(key: string): string {
  const place = parseKey(key);
  return place === undefined ? key : `${root}${place.pool}/${place.address}`;
}

/** undefined for a key that is no `upstreams/POOL/IP:PORT`. */
function parseKey(key: string): { readonly pool: string; readonly address: string } | undefined {
  const [, pool, place] = /^upstreams\/([^/]+)\/([^/]+)$/.exec(key) ?? [];
  const parsed = place === undefined ? undefined : parseSocketAddress(place);
  return pool === undefined || parsed?.ok !== true ? undefined : { pool, address: formatSocketAddress(parsed.value) };
}

function putEntry(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const value = decodeUpsyncValue(new TextDecoder().decode(call.request.body));
  if (!value.ok) return refuse(400, value.failure.detail);
  return give(call, { type: "put", patch: value.value, lease: undefined });
}

function deleteEntry(call: Call): AdminAnswer | Promise<AdminAnswer> {
  if (call.query.has("recurse")) return refuse(400, "targets are deleted one by one here, not with recurse");
  return give(call, { type: "remove", holder: undefined });
}

/** Locks are nobody's here: whoever relies on one must hear that there is none. */
const unsupported = ["acquire", "release"];

async function give({ controlled, params, query, request }: Call, order: TargetOrder): Promise<AdminAnswer> {
  const key = params["key"] ?? "";
  const place = parseKey(key);
  if (place === undefined) return refuse(400, `${key} is no key of a target; expected upstreams/POOL/IP:PORT`);
  const lock = unsupported.find((name) => query.has(name));
  if (lock !== undefined) return refuse(400, `${lock} is not supported here`);
  const cas = query.get("cas") ?? undefined;
  if (cas !== undefined && !/^\d{1,15}$/.test(cas)) return refuse(400, `cas: \`${cas}\` is no index`);
  const done = await controlled.orderTarget({
    ...place,
    order,
    by: request.who,
    isExpected: (now) => isSame(now, cas),
  });
  if (done.ok) return json(200, true);
  const { code, detail } = done.failure;
  if (code === "target.precondition") return json(200, false);
  // Consul says `true` of a key that it never had.
  if (code === "target.unknown" && order.type === "remove") return json(200, true);
  return refuse(statusOf(code), detail);
}

/** cas=0 wants nothing to be there, another index the entry that had it. */
function isSame(now: DesiredTarget | undefined, cas: string | undefined): boolean {
  if (cas === undefined) return true;
  return Number(cas) === (now === undefined ? 0 : targetIndex(now.target));
}

function refuse(status: number, detail: string): AdminAnswer {
  return text(status, plainText, `${detail}\n`);
}
