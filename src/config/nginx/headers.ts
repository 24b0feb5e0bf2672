// Header lines that nginx.conf sets: proxy_set_header for the target, add_header and proxy_hide_header for the client, with
// nginx's rule that a block with one of its own takes none from outside. On the change's way.

import { type Directive, effective, inherited, type Scope } from "./directive.ts";
import { type Field, refuseVariable, type ServerContext, variablesOf } from "./draft.ts";
import { toTemplate, type VariableContext } from "./variables.ts";

/** Statuses with which nginx sends what add_header adds, unless it says `always` (src/http/modules/ngx_http_headers_filter_module.c). */
const addedStatuses = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

/** By these a message is framed or a connection governed: the program writes them itself. */
const framing = ["content-length", "transfer-encoding", "te", "trailer", "keep-alive", "proxy-connection", "expect"];

/** The lines of the response. `status`: that of our own response, undefined for a target's, which is not known yet. */
export function addedHeaders(context: ServerContext, scope: Scope, status?: number): Field[] {
  const removed = status === undefined ? inherited(scope, "proxy_hide_header") : [];
  const fields: Field[] = removed.map(({ args, place }, index) => [
    ["responseHeaders", "remove", index],
    args[0] ?? "",
    place,
  ]);
  const variables = variablesOf(context, scope);
  const values = new Map<string, { key: string; texts: string[]; directive: Directive }>();
  for (const directive of inherited(scope, "add_header")) {
    const [name = "", text = "", always] = directive.args;
    if (always !== undefined && always !== "always")
      context.adaptation.wrong(directive, `invalid parameter "${always}"`);
    if (always === undefined && status !== undefined && !addedStatuses.includes(status)) continue;
    const template = toTemplate(text, variables);
    if (!template.ok) refuseVariable(context, directive, template.failure.detail);
    else if (text !== "") {
      if (always === undefined && status === undefined) {
        context.adaptation.note(
          directive,
          "without `always` nginx leaves it out of error responses; here it is in all",
        );
      }
      const known = values.get(name.toLowerCase());
      if (known === undefined) values.set(name.toLowerCase(), { key: name, texts: [template.value], directive });
      else known.texts.push(template.value);
    }
  }
  for (const { key, texts, directive } of values.values()) {
    fields.push([["responseHeaders", "add", key], texts.length === 1 ? texts[0] : texts, directive.place]);
  }
  return fields;
}

export type RequestHeaders = { readonly fields: readonly Field[]; readonly upgrade: boolean };

/** The lines of the request, and whether they let it switch protocols (the WebSocket idiom). */
export function requestHeaders(
  context: ServerContext,
  scope: Scope,
  proxyPass: Directive,
  proxyHost: string,
): RequestHeaders {
  const variables = variablesOf(context, scope, [["proxy_host", proxyHost]]);
  const rules = inherited(scope, "proxy_set_header");
  const lines: Lines = { remove: [], set: [], add: [] };
  let upgrade: Directive | undefined;
  let connection: Directive | undefined;
  let hostSaid = false;
  for (const directive of rules) {
    const name = directive.args[0]?.toLowerCase() ?? "";
    if (name === "host") hostSaid = true;
    if (name === "upgrade") upgrade = directive;
    else if (name === "connection") connection = directive;
    else readLine(context, directive, variables, lines);
  }
  refuseRedirects(context, scope);
  if (!hostSaid) {
    lines.set.push([["requestHeaders", "set", "Host"], proxyHost.replaceAll("$", "$$$$"), proxyPass.place]);
    tellRedirects(context, scope, proxyPass);
  }
  const upgrades = readUpgrade(context, upgrade, connection);
  const numbered = lines.remove.map(
    ([, value, place], index): Field => [["requestHeaders", "remove", index], value, place],
  );
  return { fields: [...numbered, ...lines.set, ...lines.add], upgrade: upgrades };
}

type Lines = { readonly remove: Field[]; readonly set: Field[]; readonly add: Field[] };

function readLine(context: ServerContext, directive: Directive, variables: VariableContext, lines: Lines): void {
  const { adaptation } = context;
  const [name = "", text = ""] = directive.args;
  const lower = name.toLowerCase();
  if (text === "" && lower !== "host") {
    if (framing.includes(lower)) adaptation.idle(directive, "what frames the message is not passed on anyway");
    else lines.remove.push([[], lower, directive.place]);
    return;
  }
  // What the client sent, unchanged.
  if (text === `$http_${lower.replaceAll("-", "_")}`) return;
  const template = toTemplate(text, variables);
  if (!template.ok) {
    refuseVariable(context, directive, template.failure.detail);
    return;
  }
  const isTwice = lines.set.some(([path]) => String(path[2]).toLowerCase() === lower);
  const kind = isTwice ? "add" : "set";
  lines[kind].push([["requestHeaders", kind, name], template.value, directive.place]);
}

/** `Upgrade $http_upgrade` with a Connection line that says upgrade. */
function readUpgrade(
  context: ServerContext,
  upgrade: Directive | undefined,
  connection: Directive | undefined,
): boolean {
  const { adaptation, upgradeVariables } = context;
  const asked = upgrade?.args[1] ?? "";
  const said = connection?.args[1] ?? "";
  if (upgrade !== undefined && asked !== "" && asked !== "$http_upgrade") {
    adaptation.unserved(
      upgrade,
      "no other protocol than the client's own is asked for",
      "`proxy_set_header Upgrade $http_upgrade;`",
    );
    return false;
  }
  const switches =
    /^upgrade$/i.test(said) || said === "$http_connection" || upgradeVariables.has(said.replace(/^\$/, ""));
  if (connection !== undefined && !switches) {
    if (/^(?:|close|keep-alive)$/i.test(said)) {
      adaptation.idle(connection, "connections to targets are kept as `idleConnections` of the pool says");
    } else adaptation.unserved(connection, `a Connection line \`${said}\` is not sent`, "`upgrade`, or none");
  }
  return switches && asked !== "";
}

/** Rules of one's own for the Location lines of targets. */
function refuseRedirects({ adaptation }: ServerContext, scope: Scope): void {
  for (const directive of inherited(scope, "proxy_redirect")) {
    if (directive.args[0] === "off" || directive.args[0] === "default") continue;
    adaptation.unserved(
      directive,
      "a Location line of a target goes to the client as it is",
      "`proxy_redirect off;`, with a target that knows its public name, or `proxy_set_header Host $host;`",
    );
  }
}

/** nginx turns its own name for the target in a Location back into what the client asked for. */
function tellRedirects(context: ServerContext, scope: Scope, proxyPass: Directive): void {
  if (effective(scope, "proxy_redirect")?.args[0] === "off") return;
  const text =
    "Host is the name that stands here, as in nginx; a Location of the target with that name goes out unchanged";
  context.adaptation.note(proxyPass, text);
}
