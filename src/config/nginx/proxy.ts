// `proxy_pass` as a route to a pool: which pool, what becomes of the path, which lines go along, how long and how often it is
// tried. On the change's way. The inheritance of each setting is nginx's.

import { type Directive, effective, type Scope } from "./directive.ts";
import {
  type Field,
  type PathMatch,
  type RouteDraft,
  refuseVariable,
  type ServerContext,
  variablesOf,
} from "./draft.ts";
import { addedHeaders, requestHeaders } from "./headers.ts";
import type { PoolUse } from "./pools.ts";
import type { PrefixRewrite } from "./rewrite.ts";
import { bodyLimitFields, retryFields, timeoutFields } from "./settings.ts";
import { constantText, cutText } from "./variables.ts";

export type ProxyRoute = {
  readonly match: PathMatch;
  /** What a rewrite makes of the prefix. */
  readonly rewrite: PrefixRewrite | undefined;
};

type Destination = {
  readonly pool: PoolUse;
  /** As nginx's `$proxy_host`. */
  readonly host: string;
  /** undefined: the path goes as it came. */
  readonly uri: string | undefined;
};

/** The routes of a location that passes requests on; none when it is refused, which is told. */
export function proxyDrafts(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  route: ProxyRoute,
): RouteDraft[] {
  const destination = readDestination(context, scope, directive, route.match);
  if (destination === undefined) return [];
  checkVersion(context, scope);
  const { match, rewrite } = route;
  if (rewrite === undefined) {
    const prefix = destination.uri;
    return [draft(context, scope, directive, { match, destination, prefix })];
  }
  if (destination.uri !== undefined) {
    const instead = "proxy_pass without a path";
    context.adaptation.unserved(directive, "a path in proxy_pass beside a rewrite is not served", instead);
    return [];
  }
  // Paths of the location that the expression does not match go as they came.
  const rewritten = draft(context, scope, directive, {
    match: { kind: "prefix", text: rewrite.prefix },
    destination,
    prefix: rewrite.to,
  });
  if (rewrite.prefix === match.text) return [rewritten];
  return [rewritten, draft(context, scope, directive, { match, destination, prefix: undefined })];
}

type What = { readonly match: PathMatch; readonly destination: Destination; readonly prefix: string | undefined };

function draft(context: ServerContext, scope: Scope, directive: Directive, what: What): RouteDraft {
  const { adaptation, listener } = context;
  const { match, destination, prefix } = what;
  const fields: Field[] = [[["pool"], destination.pool.name, directive.place]];
  if (prefix !== undefined && match.kind === "prefix") fields.push([["rewritePrefix"], prefix, directive.place]);
  const headers = requestHeaders(context, scope, directive, destination.host);
  if (headers.upgrade) fields.push([["upgrade"], "tunnel", directive.place]);
  fields.push(...retryFields(context, scope, destination.pool, directive));
  fields.push(...headers.fields, ...addedHeaders(context, scope));
  fields.push(...bodyLimitFields(adaptation, scope, listener.bodyLimit));
  fields.push(...timeoutFields(adaptation, scope, listener.timeouts));
  return { match, fields, place: directive.place };
}

function readDestination(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  match: PathMatch,
): Destination | undefined {
  const { adaptation, pools } = context;
  const [text = ""] = directive.args;
  const whole = constantText(text, variablesOf(context, scope));
  if (whole === undefined) {
    const variables = variablesOf(context, scope).constants;
    const unknown = cutText(text).find((part) => "variable" in part && !variables.has(part.variable));
    refuseVariable(context, directive, unknown !== undefined && "variable" in unknown ? unknown.variable : text);
    return undefined;
  }
  const [, scheme = "", host = "", uri] = /^([a-z]+):\/\/([^/?]*)([/?].*)?$/is.exec(whole) ?? [];
  if (scheme.toLowerCase() === "https") {
    adaptation.unserved(
      directive,
      "TLS is not spoken with targets yet",
      "`http://`, where the way to the target allows it",
    );
    return undefined;
  }
  if (scheme.toLowerCase() !== "http") {
    adaptation.wrong(directive, "invalid URL prefix");
    return undefined;
  }
  // With a variable nginx looks the name up in its own way and takes the path as it is written.
  const varies = whole !== text;
  if (uri !== undefined && !judgeUri(context, directive, { uri, match, varies })) return undefined;
  const portGiven = /:\d+$/.test(host.replace(/^\[[^\]]*\]/, ""));
  const named = pools.upstream("http", host.replace(/:\d+$/, ""));
  if (portGiven && named !== undefined) {
    const [name, port] = host.split(":");
    adaptation.wrong(directive, `upstream "${name}" may not have port ${port}`);
    return undefined;
  }
  const pool = pools.upstream("http", host);
  const use = pool ?? pools.address(directive, host, { portDefault: 80, resolver: effective(scope, "resolver") });
  if (use === undefined) return undefined;
  const rewrites = match.kind === "exact" && uri === match.text ? undefined : uri;
  return { pool: use, host: host.replace(/:80$/, ""), uri: rewrites };
}

type Uri = { readonly uri: string; readonly match: PathMatch; readonly varies: boolean };

/** True when our routes can do with the path of a proxy_pass what nginx does. */
function judgeUri(context: ServerContext, directive: Directive, { uri, match, varies }: Uri): boolean {
  const { adaptation } = context;
  if (match.kind === "regex") {
    const message =
      '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside "if" statement, or inside "limit_except" block';
    adaptation.wrong(directive, message);
    return false;
  }
  if (varies) {
    adaptation.unserved(directive, "a path behind a variable is not served", "the path without a variable before it");
    return false;
  }
  if (match.kind === "prefix" || uri === match.text) return true;
  const instead = `\`location ${match.text}\` without \`=\`, or a target that answers \`${match.text}\``;
  adaptation.unserved(directive, "another path for an exact location is not served", instead);
  return false;
}

function checkVersion({ adaptation }: ServerContext, scope: Scope): void {
  const directive = effective(scope, "proxy_http_version");
  const [version = "1.1"] = directive?.args ?? [];
  if (directive === undefined || version === "1.1") return;
  if (version === "1.0") adaptation.note(directive, "targets are asked in HTTP/1.1");
  else if (version === "2") adaptation.unserved(directive, "HTTP/2 is not spoken with targets", "1.1");
  else adaptation.wrong(directive, `invalid value "${version}"`);
}
