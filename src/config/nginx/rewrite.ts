// `rewrite` in the forms that routes of ours have: one that redirects, and one that strips or replaces the prefix of the path
// that goes to the target (`break`). On the change's way. Any other form is refused: it would run the locations again.

import type { Directive, Scope } from "./directive.ts";
import {
  everyPath,
  type Field,
  type PathMatch,
  type RouteDraft,
  refuseVariable,
  type ServerContext,
  variablesOf,
} from "./draft.ts";
import { toJavaScript, within } from "./regex.ts";
import { locationFields } from "./respond.ts";
import { cutText, toTemplate } from "./variables.ts";

/** Expressions that every path matches, by what they capture: the whole of it, the part behind the first slash, nothing. */
const everything: Readonly<Record<string, "whole" | "behind slash" | "nothing">> = {
  "^": "nothing",
  "^/": "nothing",
  "/": "nothing",
  ".*": "nothing",
  "^.*": "nothing",
  "^.*$": "nothing",
  "^(.*)$": "whole",
  "^(.*)": "whole",
  "(.*)": "whole",
  "^(/.*)$": "whole",
  "^(/.*)": "whole",
  "^(.+)$": "whole",
  "^/(.*)$": "behind slash",
  "^/(.*)": "behind slash",
  "/(.*)": "behind slash",
  "^/?(.*)$": "behind slash",
};

/** True for one that answers with a redirect (ngx_http_rewrite, src/http/modules/ngx_http_rewrite_module.c). */
export function isRedirect(directive: Directive): boolean {
  const [, to = "", flag] = directive.args;
  return flag === "redirect" || flag === "permanent" || /^(?:https?:\/\/|\$scheme)/.test(to);
}

/** The route of a rewrite that redirects, for paths that `match` has; undefined when it is refused, which is told. */
export function redirectDraft(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  match: PathMatch,
): RouteDraft | undefined {
  const [regex = "", to = "", flag] = directive.args;
  const status = flag === "permanent" ? 301 : 302;
  const captures = everything[regex];
  const narrowed = captures === undefined ? narrow(context, directive, regex, match) : match;
  if (narrowed === undefined) return undefined;
  const template = targetOf(context, scope, directive, { to, captures: captures ?? "nothing" });
  if (template === undefined) return undefined;
  const fields: Field[] = locationFields(context, scope, { status, template, place: directive.place });
  return { match: narrowed, fields, place: directive.place };
}

/** The paths of `match` that the expression matches as well. */
function narrow(context: ServerContext, directive: Directive, regex: string, match: PathMatch): PathMatch | undefined {
  const literal = /^\^(\/[A-Za-z0-9_./~-]*)\$$/.exec(regex.replaceAll("\\.", "."))?.[1];
  const isPlain = literal !== undefined && !/(?<!\\)\./.test(regex);
  if (isPlain && match.kind === "prefix" && literal.startsWith(match.text)) return { kind: "exact", text: literal };
  const source = toJavaScript(regex, { ignoreCase: false });
  if (source.ok && match.kind === "prefix") {
    return { kind: "regex", text: match.text === "/" ? source.value : within(match.text, source.value) };
  }
  const why = source.ok ? "within a location that is no prefix" : source.failure.detail;
  context.adaptation.unserved(
    directive,
    `a rewrite of this form is not served: ${why}`,
    "`return 301 URL;` in a location",
  );
  return undefined;
}

type Target = { readonly to: string; readonly captures: "whole" | "behind slash" | "nothing" };

/** nginx appends the query, unless the replacement ends with `?`. */
function targetOf(
  context: ServerContext,
  scope: Scope,
  directive: Directive,
  { to, captures }: Target,
): string | undefined {
  const bare = to.endsWith("?");
  const text = bare ? to.slice(0, -1) : to;
  const variables = variablesOf(context, scope);
  const capture = /\$(?:1|\{1\})$/.exec(text);
  const before = capture === null ? text : text.slice(0, capture.index);
  const template = toTemplate(before, variables);
  if (!template.ok) {
    refuseVariable(context, directive, template.failure.detail);
    return undefined;
  }
  if (capture === null) {
    if (bare) return template.value;
    if (!text.includes("?")) return `${template.value}$search`;
  } else if (!bare && captures === "whole") return `${template.value}$path`;
  else if (!bare && captures === "behind slash" && before.endsWith("/")) return `${template.value.slice(0, -1)}$path`;
  context.adaptation.unserved(
    directive,
    "a rewrite of this form is not served",
    "`return 301 https://$host$request_uri;`",
  );
  return undefined;
}

export type PrefixRewrite = { readonly prefix: string; readonly to: string };

/** `rewrite ^/api/(.*)$ /$1 break;` in `location /api/`: what the prefix becomes; undefined for any other form. */
export function prefixRewrite(directive: Directive, match: PathMatch): PrefixRewrite | undefined {
  const [regex = "", to = "", flag] = directive.args;
  if (flag !== "break" || match.kind !== "prefix") return undefined;
  const [, literal, slash = ""] = /^\^((?:\/[A-Za-z0-9_~-]+)*)(\/?)\(\.\*\)\$?$/.exec(regex) ?? [];
  const capture = /\$(?:1|\{1\})$/.exec(to);
  if (literal === undefined || capture === null) return undefined;
  // `^/api(.*)$ $1`: the slash is part of what is captured.
  const before = to.slice(0, capture.index) || (slash === "" && literal !== "" ? "/" : "");
  if (cutText(before).some((part) => "variable" in part) || !before.startsWith("/") || before.includes("?"))
    return undefined;
  const prefix = literal + slash;
  // A longer prefix than the location's is a part of it; a shorter one would take more away than was matched.
  return prefix.startsWith(match.text) || (prefix === "" && match.text === "/")
    ? { prefix: prefix || everyPath.text, to: before }
    : undefined;
}
