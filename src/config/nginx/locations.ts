// The locations of one server: nginx's own way of finding one for a path (ngx_http_core_find_location, src/http/
// ngx_http_core_module.c), and the ordered row of matches that finds the same, first match wins, as our routes are tried.
// On the change's way, pure. Must not know what a location does.

import { escapeRegex, within } from "./regex.ts";

/** What a location does is `T`; nothing here looks at it. */
export type Location<T> = {
  readonly kind: "exact" | "prefix" | "regex";
  /** The path of an exact or prefix location as it is written; the JavaScript source of a regex one. */
  readonly text: string;
  /** `^~`: no expression beside it is tried for paths below it. */
  readonly noRegex: boolean;
  /** Without its final slash the path is redirected to it, as where proxy_pass ends a location that ends with `/`. */
  readonly redirects: boolean;
  /** In the order of the file. */
  readonly nested: readonly Location<T>[];
  readonly value: T;
};

/** Where a path leads: a location, a redirect to its name, or none. */
export type Found<T> = { readonly kind: "location" | "redirect"; readonly location: Location<T> } | undefined;

/** What one block of locations says of a path. */
type Answer<T> = { readonly found: Found<T>; readonly final: boolean };

/** What nginx finds for a decoded, normalized path. */
export function findLocation<T>(locations: readonly Location<T>[], path: string): Found<T> {
  return search(locations, path).found;
}

function search<T>(locations: readonly Location<T>[], path: string): Answer<T> {
  const exact = locations.find(({ kind, text }) => kind === "exact" && text === path);
  if (exact !== undefined) return { found: { kind: "location", location: exact }, final: true };
  const prefix = longest(locations, path);
  const redirected = redirectOf(locations, path);
  if (redirected !== undefined) return { found: { kind: "redirect", location: redirected }, final: true };
  let found: Found<T> = prefix === undefined ? undefined : { kind: "location", location: prefix };
  if (prefix !== undefined) {
    const inside = search(prefix.nested, path);
    if (inside.final) return inside;
    found = inside.found ?? found;
  }
  if (prefix?.noRegex !== true) {
    const regex = locations.find(({ kind, text }) => kind === "regex" && new RegExp(text).test(path));
    if (regex !== undefined) {
      const inside = search(regex.nested, path);
      return { found: inside.found ?? { kind: "location", location: regex }, final: true };
    }
  }
  return { found, final: false };
}

function longest<T>(locations: readonly Location<T>[], path: string): Location<T> | undefined {
  const matching = locations.filter(({ kind, text }) => kind === "prefix" && path.startsWith(text));
  return matching.toSorted((left, right) => right.text.length - left.text.length)[0];
}

/** The location whose name is the path and a slash more, unless one has the path itself for its name. */
function redirectOf<T>(locations: readonly Location<T>[], path: string): Location<T> | undefined {
  if (locations.some(({ kind, text }) => kind === "prefix" && text === path)) return undefined;
  return locations.find(({ kind, text, redirects }) => kind !== "regex" && redirects && text === `${path}/`);
}

/** One entry of the row: what it matches and where it leads. */
export type Entry<T> = {
  readonly path: { readonly kind: "exact" | "prefix" | "regex"; readonly text: string };
  readonly found: NonNullable<Found<T>>;
};

/** Paths that share their longest prefix location, and the expressions that nginx tries for them. */
type Region<T> = { readonly prefix: Location<T> | undefined; readonly regexes: readonly Location<T>[] };

/**
 * The row. A path that no entry matches has no location. Entries that no path reaches are left out; locations that lead
 * nowhere for that reason are in `unreached`.
 */
export function orderLocations<T>(locations: readonly Location<T>[]): {
  readonly entries: readonly Entry<T>[];
  readonly unreached: readonly Location<T>[];
} {
  const entries: Entry<T>[] = [...exactEntries(locations)];
  const regions = regionsOf(locations, []);
  const common = locations.filter(({ kind }) => kind === "regex");
  const end: Region<T> = { prefix: undefined, regexes: common };
  const { head, tail } = split([...regions, end], common);
  for (const { prefix, regexes } of head) {
    for (const regex of regexes) entries.push(...regexEntries(regex, prefix?.text ?? ""));
    if (prefix !== undefined) entries.push(prefixEntry(prefix));
  }
  if (tail.length > 0) for (const regex of common) entries.push(...regexEntries(regex, ""));
  for (const { prefix } of tail) if (prefix !== undefined) entries.push(prefixEntry(prefix));
  const reached = withoutHidden(entries);
  const kept = new Set(reached.map(({ found }) => found.location));
  return { entries: reached, unreached: flatten(locations).filter((location) => !kept.has(location)) };
}

function flatten<T>(locations: readonly Location<T>[]): Location<T>[] {
  return locations.flatMap((location) => [location, ...flatten(location.nested)]);
}

/** Each is about one path only, so asking nginx's way about that path tells whether it is ever found. */
function exactEntries<T>(locations: readonly Location<T>[]): Entry<T>[] {
  const all = flatten(locations);
  const exact = all.filter(({ kind }) => kind === "exact").map(({ text }) => text);
  const redirected = all
    .filter(({ kind, redirects }) => kind !== "regex" && redirects)
    .map(({ text }) => text.slice(0, -1));
  const entries: Entry<T>[] = [];
  for (const text of new Set([...exact, ...redirected])) {
    const found = text === "" ? undefined : findLocation(locations, text);
    if (found === undefined || (found.kind === "location" && found.location.kind !== "exact")) continue;
    entries.push({ path: { kind: "exact", text }, found });
  }
  return entries;
}

/** Longer prefixes first, what lies within one before it: the first whose prefix a path has is the path's region. */
function regionsOf<T>(locations: readonly Location<T>[], outer: readonly Location<T>[]): Region<T>[] {
  const regexes = locations.filter(({ kind }) => kind === "regex");
  const prefixes = locations.filter(({ kind }) => kind === "prefix");
  return prefixes
    .toSorted((left, right) => right.text.length - left.text.length)
    .flatMap((prefix) => {
      const around = prefix.noRegex ? outer : [...regexes, ...outer];
      const own = prefix.nested.filter(({ kind }) => kind === "regex");
      return [...regionsOf(prefix.nested, around), { prefix, regexes: [...own, ...around] }];
    });
}

/**
 * Regions whose expressions are those of the server come last, behind these expressions, which then need no condition. A
 * region within which a region of the head lies must be behind it in any case.
 */
function split<T>(regions: readonly Region<T>[], common: readonly Location<T>[]) {
  const isCommon = ({ regexes }: Region<T>) =>
    regexes.length === common.length && regexes.every((regex, index) => regex === common[index]);
  const head: Region<T>[] = [];
  const tail: Region<T>[] = [];
  for (const [index, region] of regions.entries()) {
    const text = region.prefix?.text ?? "";
    const before = regions
      .slice(index + 1)
      .some((other) => !isCommon(other) && text.startsWith(other.prefix?.text ?? ""));
    if (!isCommon(region) || before) head.push(region);
    else tail.push(region);
  }
  return { head, tail };
}

function prefixEntry<T>(location: Location<T>): Entry<T> {
  return { path: { kind: "prefix", text: location.text }, found: { kind: "location", location } };
}

/** Of a regex location and those within it, for paths below `prefix`. */
function regexEntries<T>(regex: Location<T>, prefix: string): Entry<T>[] {
  const source = prefix === "" || prefix === "/" ? regex.text : within(prefix, regex.text);
  const inside = regex.nested.length === 0 ? [] : orderLocations(regex.nested).entries;
  const narrowed = inside.map(
    ({ path, found }): Entry<T> => ({
      path: { kind: "regex", text: both(source, path) },
      found,
    }),
  );
  return [...narrowed, { path: { kind: "regex", text: source }, found: { kind: "location", location: regex } }];
}

/** Paths that the expression matches and the nested location as well. */
function both(source: string, path: Entry<unknown>["path"]): string {
  const literal = escapeRegex(path.text);
  const inner = path.kind === "regex" ? path.text : path.kind === "exact" ? `^${literal}$` : `^${literal}`;
  return `^(?=[^]*?(?:${source}))[^]*?(?:${inner})`;
}

/** Without what an earlier entry alone matches already. */
function withoutHidden<T>(entries: readonly Entry<T>[]): Entry<T>[] {
  const kept: Entry<T>[] = [];
  for (const entry of entries) {
    const { kind, text } = entry.path;
    const hidden = kept.some(({ path }) => {
      if (path.kind === "prefix") return kind === "regex" ? path.text === "/" : text.startsWith(path.text);
      return path.kind === kind && path.text === text;
    });
    if (!hidden) kept.push(entry);
  }
  return kept;
}
