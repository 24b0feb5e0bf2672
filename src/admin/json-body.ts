// The body of a request as JSON, read strictly: a media type that says what it is, UTF-8, one value, no key twice. What is
// wrong is answered with where it is wrong. Pure; the change's way. What the value means is its endpoint's business.

import { type AdminAnswer, failed } from "./answer.ts";
import { parseJson } from "./json-text.ts";
import type { Method, RequestHeaders } from "./route-table.ts";

export type BodyRead =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly answer: AdminAnswer };

/** The types that a PATCH takes: RFC 7396's own, and the plain one. */
export const patchTypes = ["application/merge-patch+json", "application/json"] as const;
export const jsonTypes = ["application/json"] as const;

/** 415 for another media type or an encoding (with what is accepted, RFC 5789 section 3.1), 400 for what is no JSON. */
export function readJsonBody(
  request: { readonly headers: RequestHeaders; readonly body: Uint8Array },
  types: readonly string[],
  method: Method,
): BodyRead {
  const refusal = judgeHeaders(request.headers, types, method);
  if (refusal !== undefined) return { ok: false, answer: refusal };
  if (request.body.length === 0) return refuse("admin.body.empty", "a JSON object is expected; `{}` says nothing");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(request.body);
  } catch {
    // The decoder says no more than this.
    return refuse("admin.body.encoding", "the body holds a byte that is no UTF-8");
  }
  const parsed = parseJson(text);
  if (parsed.ok) return { ok: true, value: parsed.value };
  const { code, detail } = parsed.failure;
  return { ok: false, answer: failed(400, { code, detail, errors: [{ field: "", code, detail }] }) };
}

function judgeHeaders(headers: RequestHeaders, types: readonly string[], method: Method): AdminAnswer | undefined {
  const accepted = types.join(", ");
  const more = method === "PATCH" ? { "accept-patch": accepted } : { accept: accepted };
  const { contentType, contentEncoding } = headers;
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== "identity") {
    const detail = `a body with content-encoding ${contentEncoding} is not read here`;
    return failed(415, { code: "admin.body.coding", detail }, { "accept-encoding": "identity" });
  }
  const [type = "", ...parameters] = (contentType ?? "").split(";").map((part) => part.trim().toLowerCase());
  const plain = parameters.every((parameter) => /^(charset="?utf-8"?)?$/.test(parameter));
  if (types.includes(type) && plain) return undefined;
  const found = contentType === undefined ? "the request names none" : `found ${contentType}`;
  const detail = `a body's content-type must be ${types.join(" or ")}: ${found} (curl: -H 'content-type: ${types[0]}')`;
  return failed(415, { code: "admin.body.type", detail }, more);
}

function refuse(code: string, detail: string): BodyRead {
  return { ok: false, answer: failed(400, { code, detail, errors: [{ field: "", code, detail }] }) };
}
