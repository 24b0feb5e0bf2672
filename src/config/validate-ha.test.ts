// A good configuration of floating addresses, broken at random: whatever is left out or put in its place, decoding answers,
// and points into the file. The wording is in cases/ha-*.case.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { planSpread } from "../ha/spread.ts";
import { decodeConfig } from "./decode.ts";
import { virtualAddresses6Max } from "./limits.ts";

const options = { file: "lb.yaml", environment: {}, machine: { hostname: "lb-1", cores: 1 } };
const good = readFileSync(new URL("./cases/good-ha.case", import.meta.url), "utf8").split("\n----------\n")[0] ?? "";

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every place of a document, as the way to it. */
function placesOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  const below = Array.isArray(value)
    ? value.flatMap((item, index) => placesOf(item, [...path, index]))
    : isMap(value)
      ? Object.entries(value).flatMap(([key, item]) => placesOf(item, [...path, key]))
      : [];
  return path.length === 0 ? below : [path, ...below];
}

function change(value: unknown, [key, ...rest]: readonly (string | number)[], put: unknown): unknown {
  if (key === undefined) return put;
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? change(item, rest, put) : item));
  if (!isMap(value)) return value;
  const entries = Object.entries(value).map(([name, item]) => [name, name === key ? change(item, rest, put) : item]);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

const places = placesOf(parse(good)).filter(([root]) => root === "ha");
const substitutes = [
  undefined,
  null,
  0,
  -1,
  255,
  1e9,
  "",
  "x",
  "interface:eth0",
  "10.0.4.99",
  "fe80::1",
  [],
  [[]],
  {},
  { name: "balancer" },
  true,
];

test("a configuration of floating addresses that is broken anywhere is decoded or refused with places in the file", () => {
  let refused = 0;
  const breakage = fc.array(fc.tuple(fc.constantFrom(...places), fc.constantFrom(...substitutes)), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(breakage, (changes) => {
      let document: unknown = parse(good);
      for (const [path, put] of changes) document = change(document, path, put);
      const text = stringify(document, { lineWidth: 0 });
      const decoded = decodeConfig(text, options);
      const lines = text.split("\n").length;
      const told = decoded.ok ? decoded.warnings : [...decoded.problems, ...decoded.warnings];
      for (const { line, message } of told) assert(line >= 1 && line <= lines && message !== "", message);
      if (decoded.ok) JSON.stringify(decoded.config.ha);
      else refused++;
    }),
    { seed: 42, numRuns: 150 },
  );
  assert(refused > 75, `${refused} refused`);
});

test("a spread gives the priorities of the plan, whatever the order of the file", () => {
  const names = ["c", "a", "b"];
  const routers = names.map(
    (name, index) => `    ${name}: { interface: eth0, vrid: ${index + 1}, addresses: [10.0.4.${index + 1}] }`,
  );
  const { priorities } = planSpread(["lb-1", "lb-2", "lb-3"], names);
  for (const node of ["lb-1", "lb-2", "lb-3"]) {
    const text = `node: ${node}\nha:\n  spread: true\n  nodes: [lb-3, lb-1, lb-2]\n  virtualRouters:\n${routers.join("\n")}`;
    const decoded = decodeConfig(text, options);
    assert(decoded.ok);
    for (const router of decoded.config.ha.virtualRouters) {
      assert.equal(router.priority, priorities.get(router.name)?.get(node));
    }
  }
});

test("an advertisement over IPv6 fits the smallest packet that every link carries", () => {
  const decode = (count: number) => {
    const addresses = [
      "fe80::1",
      ...Array.from({ length: count - 1 }, (_, index) => `2001:db8::${(index + 1).toString(16)}`),
    ];
    const router = `{ interface: eth0, vrid: 1, priority: 1, track: [balancer], addresses: [${addresses.map((one) => `"${one}"`)}] }`;
    return decodeConfig(`ha: { virtualRouters: { six: ${router} } }`, options);
  };
  // RFC 8200 section 5, less both headers.
  assert.equal(virtualAddresses6Max, Math.floor((1280 - 40 - 8) / 16));
  assert.equal(decode(virtualAddresses6Max).ok, true);
  const more = decode(virtualAddresses6Max + 1);
  assert(!more.ok);
  assert.match(more.problems[0]?.message ?? "", /has 78 entries, more than one packet holds/);
});

test("a node that only moves addresses needs no listener", () => {
  const decoded = decodeConfig(
    "ha: { virtualRouters: { VI_1: { interface: eth0, vrid: 1, priority: 1, addresses: [10.0.4.9], track: [balancer] } } }",
    options,
  );
  assert.deepEqual(decoded.warnings, []);
});
