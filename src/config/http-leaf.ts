// The values of a configuration that speak HTTP: hosts, paths, header names and values, templates, and the address
// that a listener binds or a target has. On the change's way. What passes here is safe to put on the wire as it is: no
// CR, LF or NUL, header names are tokens, and no rule touches a header by which a message is framed (RFC 9112 section
// 6).

import {
  formatSocketAddress,
  isUnspecified,
  parseIp,
  parseSocketAddress,
  socketAddressExpected,
} from "../core/address.ts";
import type { BindAddress, HostMatch } from "../model/listener.ts";
import { parseTemplate, type TemplatePart, variableNames } from "../model/variables.ts";
import { keyLeaf, leaf, type Reading, read, refuse, textReader } from "./leaf.ts";
import { headerNameLengthMax, headerValueLengthMax, pathLengthMax, regexLengthMax } from "./limits.ts";
import { nearest } from "./nearest.ts";

function refuseAddress(text: string, failure: { readonly code: string; readonly detail: string }, suggestion?: string) {
  if (failure.code !== "address.name")
    return refuse(`config.${failure.code}`, failure.detail, socketAddressExpected, suggestion);
  const expected = `${socketAddressExpected} (names are not looked up)`;
  const port = text.slice(text.lastIndexOf(":"));
  const loopback = /^localhost:\d+$/i.test(text) ? `127.0.0.1${port}` : undefined;
  return refuse(`config.${failure.code}`, failure.detail, expected, loopback);
}

/** `0.0.0.0:80` or `[::]:443`: where a listener accepts. */
export function bindAddress() {
  const reader = (value: unknown): Reading<BindAddress> => {
    const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
    // Other programs bind every address when none is given; here it is written out.
    const everywhere = /^(?:\*?:)?(\d{1,5})$/.exec(text)?.[1];
    if (everywhere !== undefined) {
      return refuse(
        "config.address.syntax",
        `\`${text}\` has no address`,
        socketAddressExpected,
        `0.0.0.0:${everywhere}`,
      );
    }
    return textReader(socketAddressExpected, (given): Reading<BindAddress> => {
      const parsed = parseSocketAddress(given);
      return parsed.ok ? read(parsed.value) : refuseAddress(given, parsed.failure);
    })(value);
  };
  return leaf(reader, { type: "string" }, socketAddressExpected);
}

/** `10.0.4.20:8080` as the key of a target. */
export function readTargetAddress(text: string): Reading<BindAddress> {
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) return refuseAddress(text, parsed.failure);
  const address = parseIp(parsed.value.host);
  if (address === undefined || isUnspecified(address)) {
    const message = `\`${formatSocketAddress(parsed.value)}\` is no address to connect to`;
    return refuse("config.address.unspecified", message, "the address of one machine");
  }
  return read(parsed.value);
}

export function targetKey() {
  return keyLeaf(textReader(socketAddressExpected, readTargetAddress), { pattern: ":\\d+$|\\$\\{" });
}

const hostExpected = "a host name such as `iam.example.com`, or `*.example.com` for every name below it";

/** The Host that a route answers to: a name, `*.name` or an IP literal (IPv6 in brackets); lower case, no port. */
export function host() {
  return leaf(textReader(hostExpected, readHost), { type: "string" }, hostExpected);
}

function readHost(text: string): Reading<HostMatch> {
  if (text === "*") return refuse("config.host", "`*` is no host name", "no `host` at all, which matches any");
  const name = text.toLowerCase();
  if (name.startsWith("[")) return readIpv6Host(name);
  const suffix = name.startsWith("*.") ? name.slice(1) : undefined;
  if (isHostName(suffix?.slice(1) ?? name)) {
    return read(suffix === undefined ? { kind: "exact", name } : { kind: "suffix", suffix });
  }
  const trimmed = name
    .replace(/^https?:\/\//, "")
    .replace(/[/:].*$/, "")
    .replace(/\.$/, "");
  const better = trimmed !== name && isHostName(trimmed.replace(/^\*\./, "")) ? trimmed : undefined;
  return refuse("config.host", `\`${text}\` is no host name`, hostExpected, better);
}

function readIpv6Host(name: string): Reading<HostMatch> {
  const address = parseIp(name.slice(1, -1));
  if (name.endsWith("]") && address?.family === 6) return read({ kind: "exact", name });
  return refuse("config.host", `\`${name}\` is no IPv6 address in brackets without a port`, hostExpected);
}

/** Labels of RFC 1123 section 2.1, with `_` as well, which real networks use. An IPv4 address passes too. */
function isHostName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
}

const pathExpected = "a path that begins with `/`, written decoded, without query";

/** A path that requests are compared with. They are compared decoded and normalized, so it must be written so. */
export function matchPath() {
  const reader = textReader(pathExpected, (text): Reading<string> => {
    if (!text.startsWith("/"))
      return refuse("config.path", `\`${text}\` does not begin with \`/\``, pathExpected, `/${text}`);
    if (text.length > pathLengthMax)
      return refuse("config.path", `the path has ${text.length} characters`, `at most ${pathLengthMax}`);
    const clean = normalized(text);
    if (clean === text && !/[\u0000-\u001f\u007f]/.test(text)) return read(text);
    return refuse(
      "config.path",
      `\`${text}\` is no decoded, normalized path`,
      pathExpected,
      clean === text ? undefined : clean,
    );
  });
  return leaf(reader, { type: "string" }, pathExpected);
}

/** As requests are normalized before they are matched: decoded, without query, `//`, `/./` and `/../`. */
function normalized(text: string): string {
  const bare = text.replace(/[?#].*$/s, "");
  const decoded = bare.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) => {
    const bytes = escapes.match(/[0-9A-Fa-f]{2}/g)?.map((digits) => Number.parseInt(digits, 16)) ?? [];
    return new TextDecoder().decode(Uint8Array.from(bytes));
  });
  const kept: string[] = [];
  const segments = decoded.split(/\/+/);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "..") kept.pop();
    else if (segment !== "." && segment !== "") kept.push(segment);
    if (last && (segment === "" || segment === "." || segment === "..") && kept.at(-1) !== "") kept.push("");
  }
  return `/${kept.join("/")}`;
}

const rewriteExpected =
  "a path that begins with `/`, as it goes to the target: printable ASCII without blank, `?` and `#`";

/** What a matched prefix becomes: sent to the target as it stands. */
export function rewritePath() {
  const reader = textReader(rewriteExpected, (text): Reading<string> => {
    if (text.length <= pathLengthMax && /^\/[!-"$->@-~]*$/.test(text)) return read(text);
    return refuse("config.path", `\`${text}\` is no path to send`, rewriteExpected);
  });
  return leaf(reader, { type: "string", pattern: "^(/|.*\\$\\{)" }, rewriteExpected);
}

const regexExpected = `a JavaScript regular expression of at most ${regexLengthMax} characters`;

export function regex() {
  const reader = textReader(regexExpected, (text): Reading<string> => {
    if (text === "" || text.length > regexLengthMax) {
      return refuse("config.regex", `the expression has ${text.length} characters`, regexExpected);
    }
    try {
      new RegExp(text);
      return read(text);
    } catch (error) {
      const said = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error);
      return refuse("config.regex", `the expression does not compile: ${said}`, regexExpected);
    }
  });
  return leaf(reader, { type: "string", format: "regex" }, regexExpected);
}

/** By these a message is framed or a connection governed; the program writes them itself. RFC 9110 section 7.6.1. */
const framing: readonly string[] = [
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const headerNameExpected = "the name of a header: letters, digits and any of !#$%&'*+-.^_`|~";
const tokenPattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/** A header name (RFC 9110 section 5.6.2). */
export function readHeaderName(text: string): Reading<string> {
  if (text.length <= headerNameLengthMax && new RegExp(tokenPattern).test(text)) return read(text);
  return refuse("config.header.name", `\`${text}\` is no header name`, headerNameExpected);
}

function readRuleName(text: string): Reading<string> {
  const reading = readHeaderName(text);
  if (!reading.ok || !framing.includes(text.toLowerCase())) return reading;
  const message = `\`${text}\` frames messages or governs the connection, and is written by the program itself`;
  return refuse("config.header.framing", message, "a header that ends at the application");
}

/** Host is never absent and never twice (RFC 9112 section 3.2), so it can only be replaced. */
function readMovableName(text: string): Reading<string> {
  const reading = readRuleName(text);
  if (!reading.ok || text.toLowerCase() !== "host") return reading;
  return refuse("config.header.host", "`Host` stands in every request exactly once", "`set`, which replaces it");
}

export function headerNameKey(options: { readonly mayBeHost: boolean }) {
  const reader = options.mayBeHost ? readRuleName : readMovableName;
  return keyLeaf(textReader(headerNameExpected, reader), { anyOf: [{ pattern: tokenPattern }, { pattern: "\\$\\{" }] });
}

/** The name of a header to be removed or hashed by, lower case. */
export function headerName(options: { readonly rule: boolean }) {
  const reader = options.rule ? readMovableName : readHeaderName;
  const lower = textReader(headerNameExpected, (text): Reading<string> => {
    const reading = reader(text);
    return reading.ok ? read(text.toLowerCase()) : reading;
  });
  return leaf(lower, { type: "string" }, headerNameExpected);
}

const headerValueExpected = "text of printable ASCII characters";

/** Why no target is known where a template stands, or that one is. */
export type TargetKnown = "picked" | "the request is written before a target is picked" | "a redirect has no target";

/** A header value (RFC 9110 section 5.5, without obs-text) that may hold $variables. */
export function headerValue(options: { readonly target: TargetKnown }) {
  const reader = textReader(headerValueExpected, (text) =>
    readPlainValue(text, (plain) => readTemplate(plain, options.target)),
  );
  return leaf(reader, { type: "string" }, headerValueExpected);
}

/** A header value without variables. */
export function plainHeaderValue() {
  const reader = textReader(headerValueExpected, (text) => readPlainValue(text, read));
  return leaf(reader, { type: "string" }, headerValueExpected);
}

function readPlainValue(text: string, then: (text: string) => Reading<string>): Reading<string> {
  if (text.length > headerValueLengthMax) {
    return refuse("config.header.value", `the value has ${text.length} characters`, `at most ${headerValueLengthMax}`);
  }
  if (!/^[\t -~]*$/.test(text))
    return refuse("config.header.value", "the value holds a character that no header may", headerValueExpected);
  if (text !== text.trim()) {
    return refuse(
      "config.header.value",
      "the value begins or ends with a blank, which no receiver sees",
      headerValueExpected,
      text.trim(),
    );
  }
  return then(text);
}

function readTemplate(text: string, target: TargetKnown): Reading<string> {
  const parsed = parseTemplate(text);
  if (parsed.ok) {
    if (target === "picked" || !namesTarget(parsed.value)) return read(text);
    return refuse("config.variable.target", `\`$targetAddress\` is empty here, for ${target}`, targetVariableExpected);
  }
  const { code, detail } = parsed.failure;
  if (code === "template.variable") {
    const names = target === "picked" ? variableNames : variableNames.filter((name) => name !== "targetAddress");
    const known = nearest(detail, names);
    const expected = `one of ${names.map((variable) => `$${variable}`).join(", ")}`;
    return refuse("config.variable.unknown", `the variable \`$${detail}\` is unknown`, expected, known && `$${known}`);
  }
  return refuse(
    "config.variable.dollar",
    `${detail} in \`${text}\``,
    "a variable such as $clientAddress, or `$$` for a dollar",
  );
}

export const targetVariableExpected = "it in the `responseHeaders` of a route with a `pool`";

/** True when a template holds the variable that only an answer of a target can fill. */
export function namesTarget(parts: readonly TemplatePart[]): boolean {
  return parts.some((part) => part.kind === "variable" && part.name === "targetAddress");
}

const locationExpected = "a URL or path of printable ASCII characters without blanks";

/** The Location of a redirect; may hold $variables. */
export function location() {
  const reader = textReader(locationExpected, (text): Reading<string> => {
    if (text === "" || text.length > headerValueLengthMax || !/^[!-~]+$/.test(text)) {
      return refuse("config.location", `\`${text}\` is no location`, locationExpected);
    }
    return readTemplate(text, "a redirect has no target");
  });
  return leaf(reader, { type: "string" }, locationExpected);
}
