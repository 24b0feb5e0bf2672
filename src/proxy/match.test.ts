import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { HostMatch, PathMatch, Route } from "../model/listener.ts";
import {
  compileRoutes,
  hostLengthMax,
  matchRoute,
  noRoute,
  normalizeHost,
  pathRefused,
  regexPathLengthMax,
} from "./match.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

const noRules = { set: [], add: [], remove: [] };

/** `host path`: host is `*` (any), `.suffix` or a name; path is `=exact`, `~regex` or a prefix. */
function route(text: string): Route {
  const [host = "", path = ""] = text.split(" ");
  const hostMatch: HostMatch =
    host === "*" ? { kind: "any" } : host[0] === "." ? { kind: "suffix", suffix: host } : { kind: "exact", name: host };
  const pathMatch: PathMatch =
    path[0] === "="
      ? { kind: "exact", path: path.slice(1) }
      : path[0] === "~"
        ? { kind: "regex", source: path.slice(1) }
        : { kind: "prefix", path };
  return {
    name: text,
    host: hostMatch,
    path: pathMatch,
    action: { kind: "respond", status: 200, contentType: "text/plain", body: "" },
    requestHeaders: noRules,
    responseHeaders: noRules,
    bodyBytesMax: 0,
    timeouts: {
      clientHeader: 1,
      clientBody: 1,
      keepAlive: 1,
      connect: 1,
      send: 1,
      firstByte: 1,
      idle: 1,
      exchange: 1,
      tunnel: 1,
    },
  };
}

function tableOf(...texts: readonly string[]) {
  return compileRoutes(texts.map(route));
}

/** The rule as DESIGN says it: the first route in order whose host and path match. */
function naive(routes: readonly Route[], host: string, path: string): number {
  return routes.findIndex((one) => {
    const { host: h, path: p } = one;
    const hostFits =
      h.kind === "any" ||
      (h.kind === "exact" ? h.name === host : host.length > h.suffix.length && host.endsWith(h.suffix));
    if (!hostFits) return false;
    if (p.kind === "exact") return p.path === path;
    return p.kind === "prefix" ? path.startsWith(p.path) : new RegExp(p.source).test(path);
  });
}

describe("matchRoute", () => {
  test("takes the first route in order, not the most specific", () => {
    const table = tableOf("* /a", "example.com /", ".example.com /", "* /");
    assert.equal(matchRoute(table, "example.com", "/abc"), 0);
    assert.equal(matchRoute(table, "example.com", "/b"), 1);
    assert.equal(matchRoute(table, "x.example.com", "/b"), 2);
    assert.equal(matchRoute(table, "other", "/b"), 3);
  });

  test("gives noRoute when nothing matches", () => {
    assert.equal(matchRoute(tableOf("a.com /x"), "a.com", "/y"), noRoute);
    assert.equal(matchRoute(tableOf("a.com /"), "b.com", "/"), noRoute);
    assert.equal(matchRoute(tableOf(), "", "/"), noRoute);
  });

  test("a suffix takes every deeper name and not the bare one", () => {
    const table = tableOf(".b.c /", ".c /");
    assert.equal(matchRoute(table, "a.b.c", "/"), 0);
    assert.equal(matchRoute(table, "x.a.b.c", "/"), 0);
    assert.equal(matchRoute(table, "b.c", "/"), 1);
    assert.equal(matchRoute(table, "c", "/"), noRoute);
    assert.equal(matchRoute(table, ".b.c", "/"), 1);
  });

  test("a prefix is bytes: /api takes /apix", () => {
    assert.equal(matchRoute(tableOf("* /api"), "h", "/apix"), 0);
  });

  test("remembers the last host without mixing hosts up", () => {
    const table = tableOf("a /", "b /", "* /");
    for (const [host, expected] of [
      ["a", 0],
      ["a", 0],
      ["b", 1],
      ["", 2],
      ["b", 1],
      ["c", 2],
      ["a", 0],
    ] as const) {
      assert.equal(matchRoute(table, host, "/"), expected);
    }
  });

  test("a host longer than any name can be takes routes of any host only", () => {
    const label = `${"a".repeat(hostLengthMax)}.example.com`;
    assert.equal(matchRoute(tableOf(".example.com /", "* /"), label, "/"), 1);
    assert.equal(matchRoute(tableOf(".c /", "* /"), ".".repeat(16_384), "/"), 1);
  });

  test("text of the configuration is UTF-8 on the wire, and a regex sees characters", () => {
    const table = tableOf("* =/é", "* /ü", "* ~^/[а-я]+$");
    assert.equal(matchRoute(table, "h", "/\xc3\xa9"), 0);
    assert.equal(matchRoute(table, "h", "/\xc3\xbcx"), 1);
    assert.equal(matchRoute(table, "h", Buffer.from("/привет").toString("latin1")), 2);
    assert.equal(matchRoute(table, "h", "/\xff"), noRoute);
  });

  test("a path too long for a regex is refused, not handed to the routes behind it", () => {
    const table = tableOf("* /long", "* ~^/admin", "* /");
    const rest = "a".repeat(regexPathLengthMax);
    assert.equal(matchRoute(table, "h", `/admin${rest}`), pathRefused);
    assert.equal(matchRoute(table, "h", `/long${rest}`), 0);
    assert.equal(matchRoute(table, "h", "/b"), 2);
  });

  test("a regex that backtracks exponentially comes to its end", () => {
    // By backtracking alone each of these would take longer than the machine will last.
    const table = tableOf("* ~^/(a+)+$", "* ~^/(a|a)*b$", "* ~^/(.*)x(.*)x(.*)x(.*)x(.*)y$");
    assert.equal(matchRoute(table, "h", `/${"a".repeat(60)}!`), noRoute);
    assert.equal(matchRoute(table, "h", `/${"x".repeat(1000)}`), noRoute);
  });

  test("many exact paths are found by look-up and still keep the order", () => {
    const exact = Array.from({ length: 50 }, (_, n) => `* =/${n}`);
    const table = tableOf(...exact.slice(0, 25), "* /3", ...exact.slice(25), "* =/3", "* /");
    assert.equal(matchRoute(table, "h", "/3"), 3);
    assert.equal(matchRoute(table, "h", "/30"), 25);
    assert.equal(matchRoute(table, "h", "/40"), 41);
    assert.equal(matchRoute(table, "h", "/4"), 4);
    assert.equal(matchRoute(table, "h", "/x"), 52);
  });

  test("many prefixes are found by look-up and still keep the order", () => {
    const prefixes = Array.from({ length: 60 }, (_, n) => `* /app${10 + n}/`);
    const table = tableOf(
      ...prefixes.slice(0, 30),
      "* ~^/app4[05]",
      "* /app1",
      ...prefixes.slice(30),
      "* /app3",
      "* /",
    );
    assert.equal(matchRoute(table, "h", "/app10/x"), 0);
    assert.equal(matchRoute(table, "h", "/app10"), 31);
    assert.equal(matchRoute(table, "h", "/app40/"), 30);
    assert.equal(matchRoute(table, "h", "/app41/"), 33);
    assert.equal(matchRoute(table, "h", "/app30"), 62);
    assert.equal(matchRoute(table, "h", "/a"), 63);
  });

  test("agrees with the naive rule for any routes, hosts and paths", () => {
    const hosts = ["a", "b.a", "c.b.a", "d.c.b.a", "x", ""];
    // Enough of a length and enough exact ones that look-ups take over in some of the tables, and not in others.
    const letters = [..."abcdefghijkl"];
    const requestPaths = [
      "/",
      "/a/b",
      "/ab",
      "/abc",
      "/xb",
      "/x",
      ...letters.flatMap((letter) => [`/${letter}`, `/${letter}b`]),
    ];
    const routePath = fc.oneof(
      { arbitrary: fc.constantFrom("/", "=/", "~b$", "~^/a", "~^/[d-f]$", "/a/b", "/ab"), weight: 1 },
      { arbitrary: fc.constantFrom(...letters.map((letter) => `/${letter}`)), weight: 3 },
      { arbitrary: fc.constantFrom(...letters.map((letter) => `=/${letter}`)), weight: 3 },
    );
    const anyRoute = fc
      .tuple(fc.constantFrom("*", "a", "b.a", "c.b.a", ".a", ".b.a", ".c.b.a", ".x"), routePath)
      .map(([host, path]) => `${host} ${path}`);
    fc.assert(
      fc.property(fc.array(anyRoute, { maxLength: 80, size: "max" }), (texts) => {
        const routes = texts.map(route);
        const table = compileRoutes(routes);
        for (const host of hosts) {
          for (const path of requestPaths) assert.equal(matchRoute(table, host, path), naive(routes, host, path));
        }
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe("normalizeHost", () => {
  const cases: Readonly<Record<string, string>> = {
    "": "",
    "example.com": "example.com",
    "Example.COM": "example.com",
    "example.com:8080": "example.com",
    "example.com:": "example.com",
    "example.com.": "example.com",
    "EXAMPLE.com.:80": "example.com",
    "10.0.0.1:80": "10.0.0.1",
    "[::1]": "[::1]",
    "[::1]:8080": "[::1]",
    "[2001:DB8::A]:80": "[2001:db8::a]",
    "[::1": "[::1",
    ":80": "",
    ".": ".",
    "\xc9X": "\xc9x",
  };
  for (const [raw, expected] of Object.entries(cases)) {
    test(`${JSON.stringify(raw)} is ${JSON.stringify(expected)}`, () => assert.equal(normalizeHost(raw), expected));
  }
});
