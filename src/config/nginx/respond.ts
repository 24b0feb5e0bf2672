// `return`, and rewrites that redirect, as fixed responses and redirects. On the change's way. nginx makes a Location that
// begins with `/` absolute with the host and port that were asked for; so do we.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Path } from "../problem.ts";
import { type Directive, effective, inherited, type Scope } from "./directive.ts";
import { type Field, refuseVariable, type ServerContext, variablesOf } from "./draft.ts";
import { addedHeaders } from "./headers.ts";
import { constantText, toTemplate } from "./variables.ts";

const redirects = [301, 302, 303, 307, 308];

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Not Allowed",
  410: "Gone",
  418: "I'm a teapot",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out",
};

/** What `return` answers; undefined when it cannot be taken over, which is told. */
export function returnFields(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  path: string,
): Field[] | undefined {
  const { adaptation } = context;
  const [first = "", second] = directive.args;
  if (second === undefined && /^(?:https?:\/\/|\$)/.test(first))
    return redirectFields(context, scope, directive, { status: 302, to: first });
  const status = /^\d{1,3}$/.test(first) ? Number(first) : Number.NaN;
  if (Number.isNaN(status)) {
    adaptation.wrong(directive, `invalid return code "${first}"`);
    return undefined;
  }
  if (status === 444) {
    adaptation.unserved(directive, "444, to close without a word, is not served", "a status such as 403 or 404");
    return undefined;
  }
  if (redirects.includes(status)) {
    if (second !== undefined) return redirectFields(context, scope, directive, { status, to: second });
    adaptation.unserved(directive, "a redirect that leads nowhere is not served", "`return 301 URL;`");
    return undefined;
  }
  const text = second === undefined ? "" : constantText(second, variablesOf(context, scope));
  if (text === undefined) {
    adaptation.unserved(
      directive,
      "a text with variables is not answered",
      "a text without them, or a target that answers it",
    );
    return undefined;
  }
  const contentType = second === undefined ? "text/plain" : typeOf(scope, path);
  return respondFields(context, scope, {
    status,
    contentType,
    body: second === undefined ? bodyFor(status) : text,
    place: directive.place,
  });
}

export type Respond = {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly place: ForeignPlace;
};

/** A fixed response, with the headers that hold there. */
export function respondFields(
  context: ServerContext,
  scope: Scope,
  { status, contentType, body, place }: Respond,
): Field[] {
  const fields: Field[] = [[["respond", "status"], status, place]];
  if (body !== "") fields.push([["respond", "contentType"], contentType, place], [["respond", "body"], body, place]);
  return [...fields, ...addedHeaders(context, scope, status)];
}

/** The page that nginx would send has its name in it; ours has the status alone. */
export function bodyFor(status: number): string {
  const reason = reasons[status];
  return status < 300 || reason === undefined ? "" : `${status} ${reason}\n`;
}

/** By the end of an exact path, as ngx_http_set_content_type; else the default of the block. */
function typeOf(scope: Scope, path: string): string {
  const extension = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase();
  const [types] = inherited(scope, "types");
  const found = extension === undefined ? undefined : types?.block?.find(({ args }) => args.includes(extension));
  return found?.name ?? effective(scope, "default_type")?.args[0] ?? "text/plain";
}

type Redirect = { readonly status: number; readonly to: string };

export function redirectFields(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  { status, to }: Redirect,
): Field[] | undefined {
  const template = toTemplate(to, variablesOf(context, scope));
  if (!template.ok) {
    refuseVariable(context, directive, template.failure.detail);
    return undefined;
  }
  return locationFields(context, scope, { status, template: template.value, place: directive.place });
}

type Located = { readonly status: number; readonly template: string; readonly place: ForeignPlace };

/** A redirect to a template of ours. */
export function locationFields(context: ServerContext, scope: Scope, { status, template, place }: Located): Field[] {
  const at = (key: string): Path => ["redirect", key];
  const fields: Field[] = [
    [at("status"), status, place],
    [at("location"), absolute(context, scope, template), place],
  ];
  return [...fields, ...addedHeaders(context, scope, status)];
}

function absolute({ port }: ServerContext, scope: Scope, template: string): string {
  const isOff = (name: string) => effective(scope, name)?.args[0]?.toLowerCase() === "off";
  if (!template.startsWith("/") || isOff("absolute_redirect")) return template;
  const suffix = port === 80 || isOff("port_in_redirect") ? "" : `:${port}`;
  return `http://$hostName${suffix}${template}`;
}
