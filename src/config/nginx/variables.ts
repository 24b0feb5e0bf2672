// Texts of nginx.conf with variables as our templates, `$host` as `$hostName`. On the change's way. A variable that has no
// equal here is a failure and never an empty text.

import { bad, good, type Result } from "../../core/failure.ts";

/** What is known where a text stands. */
export type VariableContext = {
  /** Of variables whose value the configuration alone decides. */
  readonly constants: ReadonlyMap<string, string>;
  /** Clients may be behind proxies that are believed. */
  readonly trusting: boolean;
};

/** Ours for nginx's; those of which nothing else depends. */
const equals: Readonly<Record<string, string>> = {
  host: "$hostName",
  http_host: "$host",
  remote_addr: "$clientAddress",
  remote_port: "$clientPort",
  proxy_add_x_forwarded_for: "$forwardedFor",
  request_uri: "$path",
  request_method: "$method",
  args: "$query",
  query_string: "$query",
  server_addr: "$listenerAddress",
  server_port: "$listenerPort",
  request_id: "$requestId",
  upstream_addr: "$targetAddress",
};

export type Part = { readonly text: string } | { readonly variable: string };

/** A text cut at its variables: `$name` and `${name}` (ngx_http_script_compile). */
export function cutText(text: string): Part[] {
  const parts: Part[] = [];
  let done = 0;
  for (const match of text.matchAll(/\$(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})/g)) {
    if (match.index > done) parts.push({ text: text.slice(done, match.index) });
    parts.push({ variable: match[1] ?? match[2] ?? "" });
    done = match.index + match[0].length;
  }
  if (done < text.length) parts.push({ text: text.slice(done) });
  return parts;
}

/** Our template; the detail of a failure is the name of the first variable that has no equal. */
export function toTemplate(text: string, context: VariableContext): Result<string> {
  let template = "";
  const parts = cutText(text);
  for (const [index, part] of parts.entries()) {
    if ("text" in part) {
      template += part.text.replaceAll("$", "$$$$");
      continue;
    }
    const { variable } = part;
    // `$uri$is_args$args` and the like: the mark belongs to the query behind it.
    const next = parts[index + 1];
    if (variable === "is_args" && next !== undefined && "variable" in next && isQuery(next.variable)) continue;
    const previous = parts[index - 1];
    if (isQuery(variable) && previous !== undefined && "variable" in previous && previous.variable === "is_args") {
      template += "$search";
      continue;
    }
    const ours = equalOf(variable, context);
    // Our names have no braces, so a letter right behind one would be part of it.
    const runsOn = next !== undefined && "text" in next && /^[A-Za-z0-9_]/.test(next.text);
    if (ours === undefined || (runsOn && ours.startsWith("$"))) {
      return bad({ code: "nginx.variable", origin: "self", retrySafe: false, detail: variable });
    }
    template += ours;
  }
  return good(template);
}

function isQuery(variable: string): boolean {
  return variable === "args" || variable === "query_string";
}

function equalOf(variable: string, { constants, trusting }: VariableContext): string | undefined {
  const constant = constants.get(variable);
  if (constant !== undefined) return constant.replaceAll("$", "$$$$");
  // What a trusted proxy says of the scheme, nginx does not ask for.
  if (variable === "scheme") return trusting ? "http" : "$scheme";
  return Object.hasOwn(equals, variable) ? equals[variable] : undefined;
}

/** The text when nothing in it varies; undefined when something does. */
export function constantText(text: string, context: VariableContext): string | undefined {
  let whole = "";
  for (const part of cutText(text)) {
    const value = "text" in part ? part.text : context.constants.get(part.variable);
    if (value === undefined) return undefined;
    whole += value;
  }
  return whole;
}
