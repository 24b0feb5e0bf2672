// A balancer's admin API as a board: the target is put there with a lease, which is renewed. The change's way, an edge but for
// the request itself, which is handed in. What an operator says of the target meanwhile stays: its intent is changed only from
// `up`, and back only where it was changed here, each time by the tag of what was seen (RFC 9110, If-Match).

import type { Milliseconds } from "../../core/clock.ts";
import type { Result } from "../../core/failure.ts";
import { formatDuration } from "../../core/units.ts";
import { leaseTtlMax, leaseTtlMin } from "../../state/desired.ts";
import type { Board, BoardAnswer, BoardOrder } from "./board.ts";

export type AdminCall = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly timeoutMs: Milliseconds;
};

export type AdminSaid = {
  readonly status: number;
  readonly headers: { readonly etag?: string | undefined };
  /** JSON. */
  readonly body: unknown;
};

export type AdminBoardOptions = {
  /** For people: a socket's path, a URL. */
  readonly name: string;
  readonly ask: (call: AdminCall) => Promise<Result<AdminSaid>>;
  readonly pool: string;
  /** Canonical. */
  readonly address: string;
  /** As the API takes them, without intent and lease. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly holder: string;
  readonly ttl: Milliseconds;
};

/** What the API takes as a lease's time. */
export const adminTtlBounds = { least: leaseTtlMin, most: leaseTtlMax } as const;

/** A change is answered when it is in force in every worker, which the supervisor waits 30 s for. */
const changeTimeout: Milliseconds = 35_000;
/** The longest that a renewal or a look may take. */
const shortTimeout: Milliseconds = 5_000;

export function createAdminBoard(options: AdminBoardOptions): Board {
  const { name, ask, pool, address, fields, holder, ttl } = options;
  const path = `/v1/pools/${encodeURIComponent(pool)}/targets/${encodeURIComponent(address)}`;
  const soon = Math.max(1_000, Math.min(shortTimeout, ttl / 3));
  /** What our own last change made of its intent; undefined: nothing, or somebody else has changed it since. */
  let setTo: string | undefined;

  const put = async (): Promise<BoardAnswer> => {
    setTo = undefined;
    const lease = { holder, ttl: formatDuration(ttl) };
    const said = await ask({ method: "PUT", path, body: { ...fields, lease }, timeoutMs: changeTimeout });
    return judge(said, { 409: "held" });
  };
  const renew = async (): Promise<BoardAnswer> => {
    const said = await ask({ method: "POST", path: `${path}:renew`, body: { holder }, timeoutMs: soon });
    return judge(said, { 404: "lost", 409: "lost" });
  };
  const look = async (): Promise<BoardAnswer> => {
    const said = await ask({ method: "GET", path: `${path}?work`, timeoutMs: shortTimeout });
    const lost = whyLost(said, holder);
    if (lost !== undefined) return lost;
    const judged = judge(said, {});
    if (judged.type !== "done" || !said.ok) return judged;
    return { type: "work", left: describeLeft(Object(said.value.body).work) };
  };
  const remove = async (): Promise<BoardAnswer> => {
    const query = `?holder=${encodeURIComponent(holder)}`;
    const said = await ask({ method: "DELETE", path: `${path}${query}`, timeoutMs: changeTimeout });
    // Whatever is there now is somebody else's.
    return judge(said, { 404: "done", 409: "done" });
  };
  const setIntent = async (intent: "up" | "drain" | "down"): Promise<BoardAnswer> => {
    const seen = await ask({ method: "GET", path, timeoutMs: shortTimeout });
    const lost = whyLost(seen, holder);
    if (lost !== undefined) return lost;
    const judged = judge(seen, {});
    if (judged.type !== "done" || !seen.ok) return judged;
    const { body, headers } = seen.value;
    const now: unknown = Object(Object(body).desired).intent;
    const isOurs = now === "up" || now === setTo;
    if (!isOurs || now === intent) {
      return now === intent ? { type: "done" } : { type: "done", note: `leaves it at ${now}, as somebody has set it` };
    }
    const said = await ask({
      method: "PATCH",
      path,
      // null: what its owner says, which without the API's word is what it was before ours.
      body: { intent: intent === "up" ? null : intent },
      headers: {
        "content-type": "application/merge-patch+json",
        ...(headers.etag === undefined ? {} : { "if-match": headers.etag }),
      },
      timeoutMs: changeTimeout,
    });
    const answer = judge(said, { 404: "lost", 412: "failed" });
    if (answer.type === "done") setTo = intent === "up" ? undefined : intent;
    return answer;
  };
  const orders = (order: BoardOrder): Promise<BoardAnswer> => {
    switch (order.type) {
      case "put":
        return put();
      case "renew":
        return renew();
      case "look":
        return look();
      case "remove":
        return remove();
      case "intent":
        return setIntent(order.intent);
      default:
        return order satisfies never;
    }
  };
  return { name, looks: true, ttl, ask: orders, close() {} };
}

type Meaning = "done" | "lost" | "held" | "failed";

/** What an answer means; `meanings` are those of statuses that mean something of their own to this order. */
function judge(said: Result<AdminSaid>, meanings: Readonly<Record<number, Meaning>>): BoardAnswer {
  if (!said.ok) return { type: "failed", detail: said.failure.detail };
  const { status, body } = said.value;
  const detail = detailOf(status, body);
  const meaning = meanings[status];
  if (meaning === "done") return { type: "done" };
  if (meaning !== undefined) return { type: meaning, detail };
  if (status >= 200 && status < 300) return { type: "done" };
  return { type: status >= 500 || status === 429 ? "failed" : "refused", detail };
}

/** It is gone, or no longer under our lease; undefined: it is ours, or nobody can say. */
function whyLost(said: Result<AdminSaid>, holder: string): BoardAnswer | undefined {
  if (!said.ok) return undefined;
  const { status, body } = said.value;
  if (status === 404) return { type: "lost", detail: detailOf(status, body) };
  if (status !== 200) return undefined;
  const held: unknown = Object(Object(body).lease).holder;
  if (held === holder) return undefined;
  const detail = typeof held === "string" ? `the lease is held by ${held}` : "somebody has put it without a lease";
  return { type: "lost", detail };
}

function detailOf(status: number, body: unknown): string {
  const { detail, errors }: { readonly detail?: unknown; readonly errors?: unknown } = Object(body);
  const all = Array.isArray(errors)
    ? errors.map((error) => `${String(Object(error).field)}: ${String(Object(error).detail)}`)
    : [];
  if (all.length > 0) return all.join("; ");
  return typeof detail === "string" ? detail : `status ${status}`;
}

/** undefined: nothing is left. A worker that did not answer may have work of which nobody knows. */
function describeLeft(work: unknown): string | undefined {
  const counts: Readonly<Record<string, unknown>> = Object(work);
  const names = ["exchanges", "tunnels", "flows", "silentWorkers"] as const;
  if (!names.every((name) => typeof counts[name] === "number")) return "work of which nobody can say how much";
  const left = names.filter((name) => Number(counts[name]) > 0);
  if (left.length === 0) return undefined;
  const words = { exchanges: "exchanges", tunnels: "tunnels", flows: "flows", silentWorkers: "silent workers" };
  return left.map((name) => `${String(counts[name])} ${words[name]}`).join(", ");
}
