// The admin API's releases: shown to whoever asks, and kept for whoever drives one (docs/release.md): a record for each pool, a
// lease as its lock, a fencing number. The change's way. Nothing is judged here but the form of what is sent; who may write,
// src/control/release/release-book.ts says.

import { decodeAcquire, decodeHeld, decodeKeep, releaseOrderSchemas } from "../config/release-order.ts";
import type { FieldsRead } from "../config/target-fields.ts";
import { type KeptRelease, type ReleaseOrder, releaseTtlMax, releaseTtlMin } from "../control/release/release-book.ts";
import { formatDuration } from "../core/units.ts";
import { type AdminAnswer, failed, failedBy, json } from "./answer.ts";
import { jsonTypes, readJsonBody } from "./json-body.ts";
import type { Call, Method, Operation, Route } from "./route-table.ts";

const problem = "application/problem+json";
const release = "application/json";

const refusals: Operation["answers"] = {
  400: ["the body is wrong; `errors` names each field", problem],
  409: ["somebody else has the lock, or had it since; `holder` says who", problem],
  413: ["the body is too large", problem],
  415: ["the body is of another media type", problem],
  507: ["it cannot be kept on disk, and is not done", problem],
};

const path = "/v1/releases/{pool}";

function lockRoute(word: "acquire" | "renew" | "leave", summary: string): Route {
  const schema = word === "acquire" ? releaseOrderSchemas.acquire : releaseOrderSchemas.held;
  return {
    path: `${path}:${word}`,
    operations: {
      POST: {
        endpoint: (call) => (word === "acquire" ? acquire(call) : hold(call, word)),
        summary,
        body: { types: jsonTypes, schema },
        answers: { 200: ["the release with its lock", release], ...refusals },
      },
    },
  };
}

export const releaseRoutes: readonly Route[] = [
  {
    path: "/v1/releases",
    operations: {
      GET: {
        endpoint: ({ controlled }) => json(200, controlled.releases().map(viewRelease)),
        summary: "The last release of every pool that had one",
        answers: { 200: ["a list of releases", release] },
      },
    },
  },
  lockRoute("acquire", "Takes the lock of a pool's release, with a fencing number above all before"),
  lockRoute("renew", "The holder of the lock says that it still drives the release"),
  lockRoute("leave", "The holder gives the lock back"),
  {
    path,
    operations: {
      GET: {
        endpoint: showRelease,
        summary: "The last release of a pool: which step of which target it is at, who drives it",
        answers: { 200: ["the release", release], 404: ["the pool never had one", problem] },
      },
      PUT: {
        endpoint: keepRecord,
        summary: "The holder of the lock writes the record; or a copy of one that is kept in a store",
        body: { types: jsonTypes, schema: releaseOrderSchemas.keep },
        answers: { 200: ["the release as it is now", release], ...refusals },
      },
    },
  },
];

/** As the API shows it: durations as in the configuration, measured times as numbers with their unit. */
function viewRelease({ pool, fence, lease, record, copyOf }: KeptRelease) {
  const shown = lease && { holder: lease.holder, ttl: formatDuration(lease.ttlMs), leftMs: Math.round(lease.leftMs) };
  return { pool, fence, lease: shown, copyOf, record };
}

function showRelease({ controlled, params }: Call): AdminAnswer {
  const pool = params["pool"] ?? "";
  const found = controlled.releases().find((one) => one.pool === pool);
  if (found !== undefined) return json(200, viewRelease(found));
  return failed(404, { code: "release.unknown", detail: `pool ${pool} never had a release that is kept here` });
}

function acquire(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const said = readBody(call, "POST", decodeAcquire);
  if (!said.ok) return said.answer;
  const { holder, ttl, fence, instead } = said.value;
  if (ttl < releaseTtlMin || ttl > releaseTtlMax) {
    const range = `${formatDuration(releaseTtlMin)} to ${formatDuration(releaseTtlMax)}`;
    return wrongField("ttl", `\`${formatDuration(ttl)}\` is out of range; expected ${range}`);
  }
  return give(call, { type: "acquire", holder, ttlMs: ttl, fence, instead });
}

function hold(call: Call, type: "renew" | "leave"): AdminAnswer | Promise<AdminAnswer> {
  const said = readBody(call, "POST", decodeHeld);
  return said.ok ? give(call, { type, holder: said.value.holder }) : said.answer;
}

function keepRecord(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const said = readBody(call, "PUT", decodeKeep);
  if (!said.ok) return said.answer;
  const { holder, copyOf, record } = said.value;
  if (holder !== undefined && copyOf === undefined) return give(call, { type: "keep", holder, record });
  if (holder === undefined && copyOf !== undefined) return give(call, { type: "copy", from: copyOf, record });
  return wrongField("holder", "is there beside `copyOf`, or neither is; expected one of the two");
}

async function give(call: Call, order: ReleaseOrder): Promise<AdminAnswer> {
  const { controlled, params, request } = call;
  const pool = params["pool"] ?? "";
  // A name that no pool can have is not kept.
  if (!controlled.config.pools.some(({ name }) => name === pool)) {
    return failed(404, { code: "pool.unknown", detail: `there is no pool ${pool}` });
  }
  const done = await controlled.orderRelease(pool, order, request.who);
  return done.ok ? json(200, viewRelease(done.value)) : failedBy(done.failure);
}

type BodyOf<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly answer: AdminAnswer };

function readBody<T>(call: Call, method: Method, decode: (value: unknown) => FieldsRead<T>): BodyOf<T> {
  const body = readJsonBody(call.request, jsonTypes, method);
  if (!body.ok) return body;
  const read = decode(body.value);
  if (read.ok) return read;
  const [first] = read.errors;
  const detail = first === undefined ? "the body is wrong" : `${first.field}: ${first.detail}`;
  return { ok: false, answer: failed(400, { code: "admin.body.field", detail, errors: read.errors }) };
}

function wrongField(field: string, detail: string): AdminAnswer {
  const errors = [{ field, code: "config.value.range", detail }];
  return failed(400, { code: "admin.body.field", detail: `${field}: ${detail}`, errors });
}
