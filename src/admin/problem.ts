// How the admin API says that something went wrong: a problem document (RFC 9457), with a stable code of ours beside the
// status, and every field that was wrong by its name. Pure; the change's way.

import { STATUS_CODES } from "node:http";

/** One thing that is wrong with one part of what was sent. */
export type FieldError = {
  /** `weight`, `lease.ttl`, a header's or a query parameter's name; empty for the body as a whole. */
  readonly field: string;
  /** Stable, dotted: `config.key.unknown`. */
  readonly code: string;
  /** What was found, what was expected, and the nearest valid name. */
  readonly detail: string;
};

export type Problem = {
  readonly code: string;
  readonly detail: string;
  /** One sentence each, when there are several. */
  readonly problems?: readonly string[];
  readonly errors?: readonly FieldError[];
};

export type ProblemDocument = Problem & {
  readonly type: "about:blank";
  /** The status's own words, as RFC 9457 section 4.2.1 wants for about:blank. */
  readonly title: string;
  readonly status: number;
};

export function problemDocument(status: number, what: Problem): ProblemDocument {
  const { code, detail, problems, errors } = what;
  return {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    code,
    detail,
    ...(problems === undefined ? {} : { problems }),
    ...(errors === undefined ? {} : { errors }),
  };
}
