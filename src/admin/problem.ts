// How the admin API says that something went wrong: a problem document (RFC 9457), with a stable code of ours beside the
// status. Pure; the change's way.

import { STATUS_CODES } from "node:http";

export type ProblemDocument = {
  readonly type: "about:blank";
  /** The status's own words, as RFC 9457 section 4.2.1 wants for about:blank. */
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Stable, dotted: `admin.path.unknown`. */
  readonly code: string;
  /** One sentence each, when there are several. */
  readonly problems?: readonly string[];
};

export function problemDocument(
  status: number,
  what: { readonly code: string; readonly detail: string; readonly problems?: readonly string[] },
): ProblemDocument {
  return { type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, ...what };
}
