// What nginx makes of paths is in nginx-requests.test.ts; here is where we are stricter, and what holds for any path.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { byteText, encodePath, normalizePath, rewritePrefix } from "./path.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

/** Any bytes, with what matters made frequent. */
const anyPath = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "/",
        "//",
        "/.",
        "/..",
        "/../",
        "/./",
        ".",
        "..",
        "%2e",
        "%2F",
        "%25",
        "%00",
        "%",
        "%c3%a9",
        "a",
        "b/",
      ),
      fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
      fc.integer({ min: 0, max: 255 }).map((byte) => `%${byte.toString(16).padStart(2, "0")}`),
    ),
    { maxLength: 20 },
  )
  .map((parts) => `/${parts.join("")}`);

describe("normalizePath", () => {
  for (const path of ["", "a", "*", "a/b", "/a?b", "/a#b", "/a b", "/\x00", "/\x7f", "/\n", "/a\u0100", "/%u0041"]) {
    test(`refuses ${JSON.stringify(path)}`, () => assert.equal(normalizePath(path), undefined));
  }

  test("reads a path longer than any before", () => {
    const path = `/${"a%20".repeat(20_000)}`;
    assert.equal(normalizePath(path), `/${"a ".repeat(20_000)}`);
  });

  test("is what a naive model makes: decode, cut at slashes, drop empty and dot segments, climb", () => {
    const model = (path: string): string | undefined => {
      if (/%(?![0-9a-f]{2})|%00|[\x00-\x20\x7f?#]/i.test(path)) return undefined;
      const decoded = path.replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
      const segments = decoded.split("/").slice(1);
      const kept: string[] = [];
      for (const segment of segments) {
        if (segment === "" || segment === ".") continue;
        if (segment !== "..") kept.push(segment);
        else if (kept.pop() === undefined) return undefined;
      }
      const last = segments.at(-1);
      const directory = last === "" || last === "." || last === "..";
      return `/${kept.map((segment) => `${segment}/`).join("")}`.slice(0, directory ? undefined : -1);
    };
    fc.assert(
      fc.property(anyPath, (path) => assert.equal(normalizePath(path), model(path))),
      { seed, numRuns: 3000 },
    );
  });
});

describe("encodePath", () => {
  test("returns a path of plain characters as it is", () => {
    const plain = "/a-b._~!$&'()*+,;=:@/[x]";
    assert.equal(encodePath(plain), plain);
  });

  test("makes what may stand in a request line, and what means the same path", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const normalized = normalizePath(path);
        if (normalized === undefined) return;
        const encoded = encodePath(normalized);
        assert.match(encoded, /^\/(?:[!$&-;=@-[\]_a-z~]|%[0-9A-F]{2})*$/);
        assert.equal(normalizePath(encoded), normalized);
      }),
      { seed, numRuns: 3000 },
    );
  });
});

describe("rewritePrefix", () => {
  const cases: readonly [path: string, prefix: string, replacement: string, expected: string | undefined][] = [
    ["/api/users", "/api/", "/v1/", "/v1/users"],
    ["/api/users", "/api", "/v1", "/v1/users"],
    ["/api/", "/api/", "/", "/"],
    ["/api", "/api", "", "/"],
    ["/api/users", "/api", "", "/users"],
    ["/api/users", "/api/", "", "/users"],
    ["/apix", "/api", "/v1/", "/v1/x"],
    ["/api/users", "/api", "/", "/users"],
    ["/api/users", "/api", "/v1/", "/v1/users"],
    ["/a", "/", "/b/", "/b/a"],
    ["/api../admin", "/api", "/v1/", undefined],
    ["/api..", "/api", "/v1/", undefined],
    ["/api.", "/api", "/v1/", undefined],
    ["/api./x", "/api", "", undefined],
    ["/api..x", "/api", "/v1/", "/v1/..x"],
    ["/api../admin", "/api", "/v1", "/v1../admin"],
    ["/\xc3\xa9/x", byteText("/é"), byteText("/ü"), "/\xc3\xbc/x"],
  ];
  for (const [path, prefix, replacement, expected] of cases) {
    test(`${path} with ${prefix} to ${JSON.stringify(replacement)} is ${expected ?? "refused"}`, () => {
      assert.equal(rewritePrefix(path, prefix, replacement), expected);
    });
  }
});
