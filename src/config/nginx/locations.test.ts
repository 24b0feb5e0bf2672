import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Entry, findLocation, type Location, orderLocations } from "./locations.ts";

type Named = Location<string>;

let count = 0;
function location(kind: Named["kind"], text: string, more: Partial<Named> = {}): Named {
  count += 1;
  return { kind, text, noRegex: false, redirects: false, nested: [], value: `${kind} ${text} ${count}`, ...more };
}

/** As our routes are tried: the first entry that matches. */
function firstMatch(entries: readonly Entry<string>[], path: string): string {
  const found = entries.find(({ path: { kind, text } }) => {
    if (kind === "exact") return path === text;
    return kind === "prefix" ? path.startsWith(text) : new RegExp(text).test(path);
  });
  return found === undefined ? "none" : `${found.found.kind} ${found.found.location.value}`;
}

function nginxs(locations: readonly Named[], path: string): string {
  const found = findLocation(locations, path);
  return found === undefined ? "none" : `${found.kind} ${found.location.value}`;
}

test("the longest prefix wins over the order of the file, an expression over it, an exact path over all", () => {
  const locations = [
    location("prefix", "/"),
    location("prefix", "/a"),
    location("regex", "\\.x$"),
    location("prefix", "/a/b"),
    location("exact", "/a/b.x"),
  ];
  const expected: Readonly<Record<string, number>> = {
    "/": 0,
    "/z": 0,
    "/a": 1,
    "/ab": 1,
    "/a/b": 3,
    "/a/c.x": 2,
    "/a/b.x": 4,
  };
  for (const [path, index] of Object.entries(expected)) {
    assert.equal(nginxs(locations, path), `location ${locations[index]?.value}`, path);
  }
});

test("below a ^~ prefix no expression is tried, below a longer prefix within it they are", () => {
  const locations = [location("prefix", "/a", { noRegex: true }), location("prefix", "/a/b"), location("regex", "x")];
  assert.equal(nginxs(locations, "/a/x"), `location ${locations[0]?.value}`);
  assert.equal(nginxs(locations, "/a/b/x"), `location ${locations[2]?.value}`);
});

test("a path without its final slash is redirected, unless a location has it for its name", () => {
  const app = location("prefix", "/app/", { redirects: true });
  assert.equal(nginxs([location("prefix", "/"), app], "/app"), `redirect ${app.value}`);
  const bare = location("prefix", "/app");
  assert.equal(nginxs([bare, app], "/app"), `location ${bare.value}`);
});

const segments = ["a", "b", "a/b", "c.x", "ab"];
const texts = fc.array(fc.constantFrom(...segments), { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
const slashed = fc.tuple(texts, fc.boolean()).map(([text, slash]) => (slash && text !== "/" ? `${text}/` : text));
const expressions = fc.constantFrom("\\.x$", "^/a", "b", "^/a/b/", "^/(a|b)$", "c");

/** Locations as a file may have them: no name twice, what is nested begins with the name around it. */
function locationsOf(depth: number, outer: string): fc.Arbitrary<Named[]> {
  const nested = (text: string) => (depth === 0 ? fc.constant([]) : locationsOf(depth - 1, text));
  const prefix = fc
    .tuple(slashed, fc.boolean(), fc.boolean())
    .map(([text, noRegex, redirects]) => ({ text: (outer + text).replaceAll("//", "/"), noRegex, redirects }))
    .chain(({ text, noRegex, redirects }) =>
      nested(text).map((inner) =>
        location("prefix", text, { noRegex, redirects: redirects && text.endsWith("/"), nested: inner }),
      ),
    );
  const exact = slashed.map((text) => location("exact", (outer + text).replaceAll("//", "/")));
  const regex = expressions.chain((text) => nested("").map((inner) => location("regex", text, { nested: inner })));
  return fc.array(fc.oneof(prefix, prefix, exact, regex), { maxLength: depth === 0 ? 2 : 5 }).map((all) => {
    const seen = new Set<string>();
    return all.filter(({ kind, text }) => {
      const isNew = kind === "regex" || !seen.has(`${kind} ${text}`);
      seen.add(`${kind} ${text}`);
      return isNew;
    });
  });
}

test("for any locations and any path, the first entry that matches is the location that nginx finds", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const property = fc.property(
    locationsOf(1, ""),
    fc.array(slashed, { minLength: 8, maxLength: 8 }),
    (locations, paths) => {
      const { entries } = orderLocations(locations);
      const named = entries.map(({ path }) => path.text).filter((text) => text.startsWith("/"));
      for (const path of [...paths, ...named, ...named.map((text) => `${text}c.x`)]) {
        assert.equal(firstMatch(entries, path), nginxs(locations, path), path);
      }
    },
  );
  fc.assert(property, { seed, numRuns: 3000 });
});

test("locations that no path reaches are told", () => {
  const all = location("prefix", "/", { noRegex: true });
  const regex = location("regex", "x");
  const { entries, unreached } = orderLocations([all, regex]);
  assert.deepEqual(
    entries.map(({ found }) => found.location),
    [all],
  );
  assert.deepEqual(unreached, [regex]);
});
