// The admin API's targets: shown, put, changed, removed, and their leases renewed. The change's way. It reads what is asked
// and asks the supervisor; what may be done to whose target, the registry decides, at the order's turn.

import {
  decodeRenewal,
  decodeTarget,
  decodeTargetChange,
  type FieldsRead,
  targetSchemas,
} from "../config/target-fields.ts";
import { formatSocketAddress, parseSocketAddress, socketAddressExpected } from "../core/address.ts";
import type { Result } from "../core/failure.ts";
import { formatDuration } from "../core/units.ts";
import { type DesiredTarget, leaseTtlMax, leaseTtlMin, type TargetOrder } from "../state/desired.ts";
import { type AdminAnswer, failed, failedBy, json } from "./answer.ts";
import type { TargetOutcome } from "./controlled.ts";
import { holds, parsePreconditions, targetTag } from "./entity-tag.ts";
import { jsonTypes, patchTypes, readJsonBody } from "./json-body.ts";
import type { FieldError } from "./problem.ts";
import type { Call, Method, Operation, Route } from "./route-table.ts";
import { viewTarget, workOf } from "./target-view.ts";

const problem = "application/problem+json";
const target = "application/json";

/** What every write may be refused with. */
const refusals: Operation["answers"] = {
  400: ["the address, a header, or the body is wrong; `errors` names each field", problem],
  404: ["there is no such pool, or no such target", problem],
  409: ["whose the target is, or who holds its lease, or a limit forbids it", problem],
  412: ["If-Match or If-None-Match does not hold", problem],
  503: ["the node is draining", problem],
  507: ["what was asked cannot be kept on disk, and is not done", problem],
};
const bodyRefusals: Operation["answers"] = {
  413: ["the body is too large", problem],
  415: ["the body is of another media type", problem],
};

const preconditions = {
  "if-match": "only if what is desired of the target has this tag; `*`: only if it exists",
  "if-none-match": "`*`: only if it does not exist",
};

const path = "/v1/pools/{pool}/targets/{target}";

export const targetRoutes: readonly Route[] = [
  {
    path: `${path}:renew`,
    operations: {
      POST: {
        endpoint: renewLease,
        summary: "The holder of a target's lease says that it still stands",
        body: { types: jsonTypes, schema: targetSchemas.renewal },
        answers: { 200: ["the target with its lease anew", target], ...refusals, ...bodyRefusals },
      },
    },
  },
  {
    path,
    operations: {
      GET: {
        endpoint: showTarget,
        summary: "A target: what is desired of it and by whom, whether it takes work, and why not",
        query: {
          work: "asks the workers how many exchanges, tunnels and flows it has now",
          settled: "waits until what is desired is in force in every worker (30 s at most; then `settled` is false)",
        },
        answers: {
          200: ["the target, with the tag of what is desired", target],
          404: ["there is no such pool or target", problem],
        },
      },
      PUT: {
        endpoint: putTarget,
        summary: "The target exists with these fields, whatever the API said of it before",
        headers: preconditions,
        body: { types: jsonTypes, schema: targetSchemas.target },
        answers: {
          200: ["it existed, and is so now", target],
          201: ["it is new", target],
          ...refusals,
          ...bodyRefusals,
        },
      },
      PATCH: {
        endpoint: patchTarget,
        summary: "Fields of the target change; null takes the API's word back (RFC 7396)",
        headers: preconditions,
        body: { types: patchTypes, schema: targetSchemas.change },
        answers: { 200: ["the target as it is now", target], ...refusals, ...bodyRefusals },
      },
      DELETE: {
        endpoint: removeTarget,
        summary: "The API's own target goes; of another owner's, what the API said of it is taken back",
        query: { holder: "the holder of the target's lease, when it has one" },
        headers: preconditions,
        answers: {
          200: ["another owner's target, as it is without the API's word", target],
          204: ["it is gone"],
          ...refusals,
        },
      },
    },
  },
];

async function showTarget(call: Call): Promise<AdminAnswer> {
  const { controlled, params, query } = call;
  const pool = params["pool"] ?? "";
  const desired = controlled.desired(pool);
  if (desired === undefined) return failed(404, unknownPool(pool));
  const address = canonical(params["target"] ?? "") ?? params["target"] ?? "";
  const found = desired.find((one) => one.target.address === address);
  if (found === undefined) return failed(404, unknownTarget(pool, address));
  const view = viewTarget(controlled, pool, found);
  // What is shown was desired before the question whether it is in force: that is what the answer is about.
  const settled = query.has("settled") ? await controlled.settled(pool) : {};
  const work = query.has("work") ? workOf(await controlled.status(), pool, address) : undefined;
  const body = { ...view, ...settled };
  return json(200, work === undefined ? body : { ...body, work }, { etag: targetTag(found.target) });
}

function putTarget(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const read = readBody(call, "PUT", decodeTarget);
  if (!read.ok) return read.answer;
  const { fields, lease } = read.value;
  const ttl = lease?.ttlMs ?? leaseTtlMin;
  if (ttl < leaseTtlMin || ttl > leaseTtlMax) {
    const range = `${formatDuration(leaseTtlMin)} to ${formatDuration(leaseTtlMax)}`;
    const detail = `\`${formatDuration(ttl)}\` is out of range; expected ${range}`;
    return wrongBody([{ field: "lease.ttl", code: "config.value.range", detail }]);
  }
  return give(call, { type: "put", patch: fields, lease });
}

function patchTarget(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const read = readBody(call, "PATCH", decodeTargetChange);
  return read.ok ? give(call, { type: "patch", patch: read.value }) : read.answer;
}

function renewLease(call: Call): AdminAnswer | Promise<AdminAnswer> {
  const read = readBody(call, "POST", decodeRenewal);
  return read.ok ? give(call, { type: "renew", holder: read.value.holder }) : read.answer;
}

function removeTarget(call: Call): Promise<AdminAnswer> {
  return give(call, { type: "remove", holder: call.query.get("holder") ?? undefined });
}

type BodyOf<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly answer: AdminAnswer };

function readBody<T>(call: Call, method: Method, decode: (value: unknown) => FieldsRead<T>): BodyOf<T> {
  const body = readJsonBody(call.request, method === "PATCH" ? patchTypes : jsonTypes, method);
  if (!body.ok) return body;
  const read = decode(body.value);
  return read.ok ? read : { ok: false, answer: wrongBody(read.errors) };
}

function wrongBody(errors: readonly FieldError[]): AdminAnswer {
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  const subject = first === undefined || first.field === "" ? "" : `${first.field}: `;
  const detail = `${subject}${first?.detail ?? "the body is wrong"}${more}`;
  return failed(400, { code: "admin.body.field", detail, errors });
}

async function give(call: Call, order: TargetOrder): Promise<AdminAnswer> {
  const { controlled, params, request } = call;
  const pool = params["pool"] ?? "";
  const said = parseSocketAddress(params["target"] ?? "");
  if (!said.ok) {
    const detail = `${said.failure.detail}; expected ${socketAddressExpected}`;
    return failed(400, {
      code: "target.address",
      detail,
      errors: [{ field: "target", code: said.failure.code, detail }],
    });
  }
  const expected = parsePreconditions(request.headers);
  if (!expected.ok) return failed(400, expected.failure);
  const address = formatSocketAddress(said.value);
  const isExpected = (now: DesiredTarget | undefined) => holds(expected.value, now);
  const done = await controlled.orderTarget({ pool, address, order, by: request.who, isExpected });
  return tellOutcome(call, { pool, address, done });
}

function tellOutcome(
  { controlled }: Call,
  { pool, address, done }: { readonly pool: string; readonly address: string; readonly done: Result<TargetOutcome> },
): AdminAnswer {
  if (!done.ok) {
    // Whoever lost a race is told the tag to come again with.
    const now = controlled.desired(pool)?.find((one) => one.target.address === address);
    const tagged = done.failure.code === "target.precondition" && now !== undefined;
    return failedBy(done.failure, tagged ? { etag: targetTag(now.target) } : {});
  }
  const { before, after, generation, settled } = done.value;
  if (after === undefined) return { status: 204, headers: {}, body: undefined };
  const headers = { etag: targetTag(after.target) };
  const body = { ...viewTarget(controlled, pool, after), generation, settled };
  if (before !== undefined) return json(200, body, headers);
  const location = `/v1/pools/${encodeURIComponent(pool)}/targets/${encodeURIComponent(address)}`;
  return json(201, body, { ...headers, location });
}

/** undefined for what is no address. */
function canonical(text: string): string | undefined {
  const parsed = parseSocketAddress(text);
  return parsed.ok ? formatSocketAddress(parsed.value) : undefined;
}

export function unknownPool(pool: string) {
  return { code: "pool.unknown", detail: `there is no pool ${pool}` };
}

export function unknownTarget(pool: string, address: string) {
  return { code: "target.unknown", detail: `pool ${pool} has no target ${address}` };
}
