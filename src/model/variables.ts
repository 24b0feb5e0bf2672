// The variables that a header value or a redirect's location may hold, and the grammar they are written in. Read by both
// ways: the configuration checks a template with it, the data plane compiles the same parts once per snapshot.
// `$name` is a variable, `$$` a dollar. Must not know where a value comes from.

import { bad, good, type Result } from "../core/failure.ts";

/** Every variable and what it stands for, in the order in which the documentation lists them. */
export const variables = {
  clientAddress: "IP address of the client, without brackets; behind a trusted proxy the one it names",
  clientPort: "TCP port of the client's connection",
  host: "host of the request as received, with its port if it has one",
  hostName: "the same in lower case and without port",
  scheme: "`http`, or what a trusted proxy says in X-Forwarded-Proto",
  method: "method of the request",
  path: "path with its query, as received",
  query: "query without its question mark, as received; empty when there is none",
  search: "query with its question mark, as received; empty when there is no query",
  forwardedFor: "X-Forwarded-For as received, and behind it the address of the client",
  listenerAddress: "local IP address the client connected to",
  listenerPort: "local port the client connected to",
  targetAddress: "`host:port` of the target that answers; only in `responseHeaders`",
  requestId: "32 hexadecimal digits, random for each exchange",
} as const;

export type Variable = keyof typeof variables;

export const variableNames: readonly Variable[] = Object.keys(variables).filter(isVariable);

export function isVariable(name: string): name is Variable {
  return Object.hasOwn(variables, name);
}

/** A template is a row of these: literal text, or a variable. */
export type TemplatePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: Variable };

/**
 * Cuts a template into its parts; neighbouring text is joined, an empty template has no parts.
 * Fails with `template.variable` (the detail is the unknown name alone, for a suggestion) and `template.dollar` (a
 * dollar that begins neither a name nor `$$`).
 */
export function parseTemplate(template: string): Result<readonly TemplatePart[]> {
  const parts: TemplatePart[] = [];
  let text = "";
  let at = 0;
  while (at < template.length) {
    const dollar = template.indexOf("$", at);
    if (dollar < 0) break;
    text += template.slice(at, dollar);
    if (template[dollar + 1] === "$") {
      text += "$";
      at = dollar + 2;
      continue;
    }
    const name = /^[A-Za-z][A-Za-z0-9_]*/.exec(template.slice(dollar + 1, dollar + 65))?.[0];
    if (name === undefined) {
      return bad({ code: "template.dollar", origin: "self", retrySafe: false, detail: "a `$` without a name" });
    }
    if (!isVariable(name)) return bad({ code: "template.variable", origin: "self", retrySafe: false, detail: name });
    if (text !== "") parts.push({ kind: "text", text });
    text = "";
    parts.push({ kind: "variable", name });
    at = dollar + 1 + name.length;
  }
  text += template.slice(at);
  if (text !== "") parts.push({ kind: "text", text });
  return good(parts);
}
