// What must hold within a route and between the routes of one listener: one action, keys that fit it, header rules
// that don't contradict each other, and no route that an earlier one hides. On the change's way, third stage of
// decoding; sees every route that was right by itself.

import type { HostMatch, PathMatch } from "../model/listener.ts";
import { parseTemplate } from "../model/variables.ts";
import { namesTarget, targetVariableExpected } from "./http-leaf.ts";
import { headerRulesPerRouteMax, regexRoutesPerListenerMax, respondBodyBytesMax } from "./limits.ts";
import type { Part } from "./part.ts";
import type { Path } from "./problem.ts";
import { type RouteFile, routeFile } from "./schema.ts";
import type { Draft, HttpListenerPart } from "./shape.ts";

/** Keys that mean something only when a target answers. */
const poolKeys = ["rewritePrefix", "upgrade", "connect", "retry", "requestHeaders"] as const;

/** The host that a route answers to. */
export function hostOf(route: RouteFile): HostMatch {
  return route.host ?? { kind: "any" };
}

/** The paths that a route answers to; undefined when it names several kinds or none, which checkPath reports. */
export function pathOf(route: RouteFile): PathMatch | undefined {
  const { path } = route;
  if (path === undefined) return { kind: "prefix", path: "/" };
  if (typeof path === "string") return { kind: "prefix", path };
  const { exact, prefix, regex } = path;
  if ([exact, prefix, regex].filter((kind) => kind !== undefined).length !== 1) return undefined;
  if (exact !== undefined) return { kind: "exact", path: exact };
  if (prefix !== undefined) return { kind: "prefix", path: prefix };
  return regex === undefined ? undefined : { kind: "regex", source: regex };
}

export function validateRoutes(draft: Draft, listener: HttpListenerPart): void {
  for (const part of listener.routes) {
    const { path, value } = part;
    if (value === undefined) continue;
    checkPath(draft, path, value);
    checkAction(draft, part, value);
    if (!part.broken.has("path")) checkRewrite(draft, path, value);
    checkHeaders(draft, [...path, "requestHeaders"], value.requestHeaders);
    checkHeaders(draft, [...path, "responseHeaders"], value.responseHeaders);
    warnTarget(draft, path, value);
  }
  checkNames(draft, listener.routes);
  checkRegexes(draft, listener);
  checkReach(draft, listener.routes, (part) => {
    const match = { host: hostOf(part.value), path: pathOf(part.value) };
    return part.broken.has("path") || hasUnknownKey(part) ? undefined : match;
  });
}

function checkPath(draft: Draft, path: Path, route: RouteFile): void {
  if (typeof route.path !== "object" || pathOf(route) !== undefined) return;
  const count = Object.keys(route.path).length;
  draft.complain([...path, "path"], {
    code: "config.path.kinds",
    message: count === 0 ? "path: says nothing" : `path: has ${count} kinds of match`,
    expected: "one of `exact`, `prefix`, `regex`",
    atKey: true,
  });
}

function checkAction(draft: Draft, part: Part<RouteFile>, route: RouteFile): void {
  const { path, broken } = part;
  const names = (key: keyof RouteFile) => route[key] !== undefined || broken.has(key);
  const [first, second] = (["pool", "respond", "redirect"] as const).filter(names);
  const expected = "one of `pool`, `respond`, `redirect`";
  // A mistyped key may have been the action.
  if (first === undefined && !hasUnknownKey(part)) {
    draft.complain(path, { code: "config.route.action", message: "the route does nothing", expected, atKey: true });
  } else if (first !== undefined && second !== undefined) {
    const message = `the route has both \`${first}\` and \`${second}\``;
    draft.complain([...path, second], { code: "config.route.action", message, expected, atKey: true });
  }
  if (first !== undefined && first !== "pool") {
    for (const key of poolKeys.filter(names)) {
      const message = `\`${key}\` means nothing beside \`${first}\``;
      draft.complain([...path, key], {
        code: "config.route.pool",
        message,
        expected: "it on a route with a `pool`",
        atKey: true,
      });
    }
  }
  if (route.respond !== undefined) checkRespond(draft, [...path, "respond"], route.respond);
}

function hasUnknownKey(part: Part<RouteFile>): boolean {
  return [...part.broken].some((key) => !Object.hasOwn(routeFile.shape, key));
}

/** RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these statuses have no content. */
function checkRespond(draft: Draft, path: Path, respond: NonNullable<RouteFile["respond"]>): void {
  const { status, body } = respond;
  if (body !== "" && (status === 204 || status === 205 || status === 304)) {
    const message = `body: a response with status ${status} has none`;
    draft.complain([...path, "body"], { code: "config.respond.body", message, expected: "no `body`", atKey: true });
  }
  const bytes = new TextEncoder().encode(body).length;
  if (bytes > respondBodyBytesMax) {
    const message = `body: has ${bytes} bytes`;
    draft.complain([...path, "body"], {
      code: "config.respond.body",
      message,
      expected: `at most ${respondBodyBytesMax}`,
    });
  }
}

function checkRewrite(draft: Draft, path: Path, route: RouteFile): void {
  const match = pathOf(route);
  if (route.rewritePrefix === undefined || match === undefined) return;
  const place = [...path, "rewritePrefix"];
  if (match.kind !== "prefix") {
    const message = `rewritePrefix: the route matches by \`${match.kind}\``;
    draft.complain(place, {
      code: "config.rewrite.prefix",
      message,
      expected: "it beside a prefix match",
      atKey: true,
    });
    return;
  }
  const wants = match.path.endsWith("/");
  if (wants === route.rewritePrefix.endsWith("/")) return;
  const joined = `${route.rewritePrefix}${wants ? "a" : "/a"}`;
  draft.warn(place, {
    code: "config.rewrite.slash",
    message: `rewritePrefix: \`${match.path}${wants ? "a" : "/a"}\` becomes \`${joined}\``,
    expected: "both prefixes to end with `/`, or neither",
  });
}

function checkHeaders(draft: Draft, path: Path, rules: RouteFile["requestHeaders"]): void {
  if (rules === undefined) return;
  const added = Object.values(rules.add).flat().length;
  const count = Object.keys(rules.set).length + added + rules.remove.length;
  if (count > headerRulesPerRouteMax) {
    const expected = `at most ${headerRulesPerRouteMax}`;
    draft.complain(path, {
      code: "config.count",
      message: `${path.at(-1)}: has ${count} rules`,
      expected,
      atKey: true,
    });
  }
  checkTwice(draft, [...path, "set"], Object.keys(rules.set));
  checkTwice(draft, [...path, "add"], Object.keys(rules.add));
  const set = new Set(Object.keys(rules.set).map((name) => name.toLowerCase()));
  for (const [index, name] of rules.remove.entries()) {
    if (!set.has(name)) continue;
    const message = `remove[${index}]: \`${name}\` is set as well, which replaces it`;
    draft.complain([...path, "remove", index], { code: "config.header.twice", message, expected: "one of the two" });
  }
}

/** Warned only: where routes share rules by an anchor there may be such a route among them. */
function warnTarget(draft: Draft, path: Path, route: RouteFile): void {
  const { responseHeaders, respond, redirect } = route;
  if (responseHeaders === undefined || (respond ?? redirect) === undefined) return;
  const values = [...Object.values(responseHeaders.set), ...Object.values(responseHeaders.add).flat()].map(
    parseTemplate,
  );
  if (!values.some((template) => template.ok && namesTarget(template.value))) return;
  const action = respond === undefined ? "redirect" : "respond";
  draft.warn([...path, "responseHeaders"], {
    code: "config.variable.target",
    message: `responseHeaders: \`$targetAddress\` is empty beside \`${action}\``,
    expected: targetVariableExpected,
    atKey: true,
  });
}

function checkTwice(draft: Draft, path: Path, names: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const before = seen.get(name.toLowerCase());
    if (before !== undefined) {
      const message = `\`${name}\` and \`${before}\` are the same header`;
      draft.complain([...path, name], { code: "config.header.twice", message, expected: "one of them", atKey: true });
    }
    seen.set(name.toLowerCase(), name);
  }
}

/** Names of routes are unique within their listener. */
export function checkNames(draft: Draft, routes: readonly Part<{ readonly name?: string | undefined }>[]): void {
  const seen = new Map<string, number>();
  for (const [index, { path, value }] of routes.entries()) {
    if (value?.name === undefined) continue;
    const before = seen.get(value.name);
    if (before !== undefined) {
      const message = `name: route ${before} of the listener is called \`${value.name}\` already`;
      draft.complain([...path, "name"], { code: "config.route.name", message, expected: "a name of its own" });
    }
    seen.set(value.name, before ?? index);
  }
}

function checkRegexes(draft: Draft, listener: HttpListenerPart): void {
  const routes = listener.routes.filter(({ value }) => value !== undefined && pathOf(value)?.kind === "regex");
  const excess = routes[regexRoutesPerListenerMax];
  if (excess === undefined) return;
  const message = `the listener has ${routes.length} routes with a regular expression`;
  draft.complain([...excess.path, "path"], {
    code: "config.count",
    message,
    expected: `at most ${regexRoutesPerListenerMax}`,
    atKey: true,
  });
}

/** What a route answers to; undefined where a key that could not be read, or is mistyped, may have said it. */
type MatchOf<T> = (
  part: Part<T> & { readonly value: T },
) => { readonly host: HostMatch; readonly path: PathMatch | undefined } | undefined;

/** A route is hidden when one earlier route alone matches whatever it matches. */
export function checkReach<T>(draft: Draft, routes: readonly Part<T>[], matchOf: MatchOf<T>): void {
  const earlier: { readonly index: number; readonly host: HostMatch; readonly path: PathMatch }[] = [];
  for (const [index, part] of routes.entries()) {
    if (part.value === undefined || part.broken.has("host")) continue;
    const { host, path } = matchOf({ ...part, value: part.value }) ?? {};
    if (host === undefined || path === undefined) continue;
    const hiding = earlier.find((one) => coversHost(one.host, host) && coversPath(one.path, path));
    if (hiding !== undefined) {
      draft.complain(part.path, {
        code: "config.route.unreachable",
        message: `routes[${index}]: never reached, routes[${hiding.index}] matches all that it does`,
        expected: "the narrower route first",
      });
    } else earlier.push({ index, host, path });
  }
}

/** True when `wide` matches every host that `narrow` matches. */
export function coversHost(wide: HostMatch, narrow: HostMatch): boolean {
  switch (wide.kind) {
    case "any":
      return true;
    case "exact":
      return narrow.kind === "exact" && narrow.name === wide.name;
    case "suffix":
      if (narrow.kind === "any") return false;
      return (narrow.kind === "exact" ? narrow.name : narrow.suffix).endsWith(wide.suffix);
    default:
      return wide satisfies never;
  }
}

/** True when `wide` surely matches every path that `narrow` matches. Of expressions only equal ones are compared. */
export function coversPath(wide: PathMatch, narrow: PathMatch): boolean {
  switch (wide.kind) {
    case "prefix":
      return narrow.kind === "regex" ? wide.path === "/" : narrow.path.startsWith(wide.path);
    case "exact":
      return narrow.kind === "exact" && narrow.path === wide.path;
    case "regex":
      return narrow.kind === "regex" && narrow.source === wide.source;
    default:
      return wide satisfies never;
  }
}
