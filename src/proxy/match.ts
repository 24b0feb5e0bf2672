// Which route a request takes: host and path to the index of the first route that matches, in the listener's order. On the
// request's way; the table is compiled once per snapshot, so that a request looks at the routes of its own host only.
// Must not judge a host or path that is not normalized: `normalizeHost` here, `normalizePath` in path.ts.

import { setFlagsFromString } from "node:v8";
import type { Route } from "../model/listener.ts";
import { byteText } from "./path.ts";

/** A host name longer than this (DNS allows 253) matches only routes of any host: nobody makes us hash kilobytes. */
export const hostLengthMax = 255;

/**
 * Bytes of a path that a regex is tried on. A longer path is not let past the regex, since the routes behind it may be
 * more generous: the request is refused (`pathRefused`). Bounds the time of a regex that is quadratic or cubic.
 */
export const regexPathLengthMax = 4096;

/** What matchRoute gives when no route matches: 404. */
export const noRoute = -1;
/** What matchRoute gives when a path is longer than regexPathLengthMax and a regex would have to judge it: 414. */
export const pathRefused = -2;

// Looking a path up costs as much as comparing it with about this many, as bench/request-parts.ts shows.
const lookupWorth = 8;

// Greater than any index.
const unmatched = 0x3fffffff;

const Kind = { exact: 0, prefix: 1, regex: 2 } as const;

/** What a route is found by. */
type Matched = Pick<Route, "host" | "path">;

type Candidate = {
  /** Index among the listener's routes. */
  readonly route: number;
  readonly kind: (typeof Kind)[keyof typeof Kind];
  readonly path: string;
  readonly regex: RegExp;
};

/** Prefixes of one length. */
type PrefixGroup = { readonly length: number; readonly routes: ReadonlyMap<string, number> };

/** The routes that may match for one host, in order; those that are many of a kind are found by look-up instead. */
type Candidates = {
  readonly row: readonly Candidate[];
  readonly exact: ReadonlyMap<string, number> | undefined;
  readonly prefixes: readonly PrefixGroup[];
};

export type RouteTable = {
  readonly anyHost: Candidates;
  readonly byHost: ReadonlyMap<string, Candidates>;
  readonly bySuffix: ReadonlyMap<string, Candidates>;
  /** 1 at each length that some suffix has, so that only those ends of a host are looked up. */
  readonly suffixLengths: Uint8Array;
  /** Clients ask for the same host again and again; comparing it costs less than hashing it. */
  lastHost: string;
  lastCandidates: Candidates;
};

/**
 * Compiles a listener's routes. Regexes take no flags. V8's backtracking is bounded here: from now on this process goes
 * over to V8's linear engine when a match has backtracked 50,000 times, which tames every regex but those with
 * look-around or backreferences (for them there is only regexPathLengthMax). Throws what `new RegExp` throws on a source
 * that the configuration should have refused.
 */
export function compileRoutes(routes: readonly Matched[]): RouteTable {
  if (routes.some((route) => route.path.kind === "regex")) {
    setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
  }
  const any: Candidate[] = [];
  const exact = new Map<string, Candidate[]>();
  const suffix = new Map<string, Candidate[]>();
  for (const [index, route] of routes.entries()) {
    const candidate = compileCandidate(route, index);
    switch (route.host.kind) {
      case "any":
        any.push(candidate);
        break;
      case "exact":
        append(exact, route.host.name, candidate);
        break;
      case "suffix":
        append(suffix, route.host.suffix, candidate);
        break;
      default:
        route.host satisfies never;
    }
  }
  const suffixLengths = new Uint8Array(hostLengthMax + 1);
  for (const name of suffix.keys()) if (name.length <= hostLengthMax) suffixLengths[name.length] = 1;
  const anyHost = seal(any);
  // A route of a shorter suffix holds for a longer one too: `.b.c` takes what `.a.b.c` takes.
  const merged = (name: string, own: readonly Candidate[]) =>
    seal([...own, ...suffixesOf(name).flatMap((shorter) => suffix.get(shorter) ?? []), ...any]);
  return {
    anyHost,
    byHost: new Map(Array.from(exact, ([name, own]) => [name, merged(name, own)])),
    bySuffix: new Map(Array.from(suffix, ([name, own]) => [name, merged(name, own)])),
    suffixLengths,
    lastHost: "",
    lastCandidates: anyHost,
  };
}

function compileCandidate(route: Matched, index: number): Candidate {
  const { path } = route;
  switch (path.kind) {
    case "exact":
      return { route: index, kind: Kind.exact, path: byteText(path.path), regex: never };
    case "prefix":
      return { route: index, kind: Kind.prefix, path: byteText(path.path), regex: never };
    case "regex":
      return { route: index, kind: Kind.regex, path: "", regex: new RegExp(path.source) };
    default:
      return path satisfies never;
  }
}

const never = /(?!)/;

function append(lists: Map<string, Candidate[]>, name: string, candidate: Candidate): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [candidate]);
  else list.push(candidate);
}

/** Every proper end of a name that begins with a dot: of `a.b.c`, `.b.c` and `.c`. */
function suffixesOf(name: string): string[] {
  const ends: string[] = [];
  for (let dot = name.indexOf(".", 1); dot > 0; dot = name.indexOf(".", dot + 1)) ends.push(name.slice(dot));
  return ends;
}

/** Puts a host's routes in order, drops those that can never be reached, and takes many of a kind out of the row. */
function seal(all: Candidate[]): Candidates {
  const ordered = all.sort((a, b) => a.route - b.route);
  const everything = ordered.findIndex(({ kind, path }) => kind === Kind.prefix && path === "/");
  let row = everything < 0 ? ordered : ordered.slice(0, everything + 1);
  const exact = firstOfEach(row.filter(({ kind }) => kind === Kind.exact));
  const exactLookup = exact.size > lookupWorth;
  if (exactLookup) row = row.filter(({ kind }) => kind !== Kind.exact);
  const prefixes = row.filter(({ kind }) => kind === Kind.prefix);
  const groups = Array.from(
    Map.groupBy(prefixes, ({ path }) => path.length),
    ([length, group]) => ({
      length,
      routes: firstOfEach(group),
    }),
  );
  const prefixLookup = prefixes.length > groups.length * lookupWorth;
  if (prefixLookup) row = row.filter(({ kind }) => kind !== Kind.prefix);
  return { row, exact: exactLookup ? exact : undefined, prefixes: prefixLookup ? groups : [] };
}

function firstOfEach(ordered: readonly Candidate[]): Map<string, number> {
  return new Map(ordered.toReversed().map(({ path, route }) => [path, route]));
}

/**
 * The index of the first route whose host and path match; `noRoute` or `pathRefused`, both negative, when there is none.
 * `host` comes from normalizeHost. `path` is normalized, without query, one byte a character, and begins with `/`: a
 * request whose target has no path (`OPTIONS *`, CONNECT) is matched as `/`. Exact and prefix compare bytes; a regex
 * sees the path as UTF-8 text, bytes that are none as U+FFFD.
 */
export function matchRoute(table: RouteTable, host: string, path: string): number {
  let candidates = table.lastCandidates;
  if (host !== table.lastHost) {
    candidates = candidatesFor(table, host);
    table.lastHost = host;
    table.lastCandidates = candidates;
  }
  const { row, prefixes } = candidates;
  let found = candidates.exact?.get(path) ?? unmatched;
  for (let i = 0; i < prefixes.length; i++) {
    const { length, routes } = prefixes[i]!;
    if (path.length < length) continue;
    const route = routes.get(path.slice(0, length));
    if (route !== undefined && route < found) found = route;
  }
  for (let i = 0; i < row.length; i++) {
    const candidate = row[i]!;
    const route = candidate.route;
    // Everything from here on stands behind what a look-up found.
    if (found < route) return found;
    if (candidate.kind === Kind.prefix) {
      if (path.startsWith(candidate.path)) return route;
    } else if (candidate.kind === Kind.exact) {
      if (path === candidate.path) return route;
    } else {
      if (path.length > regexPathLengthMax) return pathRefused;
      if (candidate.regex.test(asText(path))) return route;
    }
  }
  return found === unmatched ? noRoute : found;
}

function candidatesFor(table: RouteTable, host: string): Candidates {
  const length = host.length;
  if (length > hostLengthMax) return table.anyHost;
  const exact = table.byHost.get(host);
  if (exact !== undefined) return exact;
  if (table.bySuffix.size === 0) return table.anyHost;
  // The longest suffix has the routes of all shorter ones.
  for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) {
    if (table.suffixLengths[length - dot] !== 1) continue;
    const found = table.bySuffix.get(host.slice(dot));
    if (found !== undefined) return found;
  }
  return table.anyHost;
}

const beyondAscii = /[\x80-\xff]/;

function asText(path: string): string {
  return beyondAscii.test(path) ? Buffer.from(path, "latin1").toString("utf8") : path;
}

/**
 * The host of a Host line or authority as routes name it: lower case, without port and final dot; an IPv6 literal keeps
 * its brackets. Does not validate: the parser has. Returns the same string when there is nothing to change. As nginx,
 * everything from the first colon outside brackets on is taken for a port.
 */
export function normalizeHost(raw: string): string {
  const length = raw.length;
  let at = 0;
  let upper = false;
  if (raw.charCodeAt(0) === 0x5b) {
    const bracket = raw.indexOf("]");
    at = bracket < 0 ? length : bracket + 1;
    upper = true; // hexadecimal digits may be
  }
  for (; at < length; at++) {
    const code = raw.charCodeAt(at);
    if (code === 0x3a) break;
    if (code >= 0x41 && code <= 0x5a) upper = true;
  }
  if (at > 1 && raw.charCodeAt(at - 1) === 0x2e) at--;
  const name = at === length ? raw : raw.slice(0, at);
  return upper ? lowerCase(name) : name;
}

// ASCII only: String's own toLowerCase would turn bytes above 0x7f into other bytes.
function lowerCase(name: string): string {
  return beyondAscii.test(name) ? name.replace(/[A-Z]+/g, (run) => run.toLowerCase()) : name.toLowerCase();
}
