// What an endpoint of the admin API answers, without the wire: a status, headers and a body that is JSON, text, a stream or
// nothing. Also which status a failure of the supervisor has, for all endpoints alike. Pure; the change's way.

import type { Failure } from "../core/failure.ts";
import { type Problem, problemDocument } from "./problem.ts";

/** Where a stream writes to. All of it is called within the event that caused it. */
export type StreamSink = {
  /** false: what was written waits in memory, and `drained` is called once it has left. */
  write(text: string): boolean;
  /** The last bytes go out, then the connection may close. */
  end(): void;
  /** The connection is cut; what waits is lost. */
  cut(): void;
};

/** What the wire tells a stream. */
export type StreamSource = {
  drained(): void;
  /** The reader is gone. Nothing may be written any more. */
  closed(): void;
};

export type AnswerBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "text"; readonly text: string }
  /** A long text that is made while it leaves: between two pieces others have their turn, and none is made ahead. */
  | { readonly kind: "pieces"; readonly pieces: Iterator<string, void> }
  /** Goes on until the reader or the program ends. Not opened for HEAD. */
  | { readonly kind: "stream"; readonly open: (sink: StreamSink) => StreamSource };

export type AdminAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AnswerBody | undefined;
};

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): AdminAnswer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: { kind: "json", value } };
}

export function text(status: number, contentType: string, content: string): AdminAnswer {
  return { status, headers: { "content-type": contentType }, body: { kind: "text", text: content } };
}

export function longText(contentType: string, pieces: Iterator<string, void>): AdminAnswer {
  return { status: 200, headers: { "content-type": contentType }, body: { kind: "pieces", pieces } };
}

/** A problem document. */
export function failed(status: number, what: Problem, headers: Readonly<Record<string, string>> = {}): AdminAnswer {
  const value = problemDocument(status, what);
  return { status, headers: { "content-type": "application/problem+json", ...headers }, body: { kind: "json", value } };
}

/** By code; whatever is not listed is our own trouble, 500. */
const statuses: Readonly<Record<string, number>> = {
  "pool.unknown": 404,
  "target.unknown": 404,
  "target.address": 400,
  "target.field": 400,
  "target.lease.holder": 400,
  "target.lease.ttl": 400,
  "target.owned": 409,
  "target.lease.held": 409,
  "target.limit": 409,
  "target.precondition": 412,
  "release.record": 400,
  "release.record.size": 413,
  "release.held": 409,
  "release.lost": 409,
  "node.starting": 503,
  "node.draining": 503,
  // RFC 4918 section 11.5: the method could not be performed, since what it needs stored cannot be stored.
  "state.inUse": 507,
  "state.unwritable": 507,
};

export function statusOf(code: string): number {
  return (Object.hasOwn(statuses, code) ? statuses[code] : undefined) ?? 500;
}

export function failedBy(failure: Failure, headers: Readonly<Record<string, string>> = {}): AdminAnswer {
  const { code, detail } = failure;
  return failed(statusOf(code), { code, detail }, headers);
}
