// Feeds every case of cases/*.md to the parser: whole, cut at every point, and between hostile bytes in the arena.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatSocketAddress } from "../../core/address.ts";
import { createArena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { type Case, parseCases, place, SURROUNDINGS } from "../test-kit.ts";
import { proxyFaults } from "./faults.ts";
import { Proxied, proxyHeader } from "./header.ts";
import { PROXY_HEADER_BYTES_MAX, parseProxyHeader } from "./parse.ts";

const START = 64;
const arena = createArena(8192);
const header = proxyHeader();

function read(start: number, end: number, bytesMax: number): string {
  const result = parseProxyHeader(arena, start, end, header, bytesMax);
  if (result === Parsed.incomplete) return `incomplete ${header.needed}`;
  if (result < 0) return `refused ${proxyFaults[-result]?.code}`;
  const names = Object.entries(Proxied).find(([, value]) => value === header.proxied);
  const lines = [`version ${header.version} ${names?.[0]}`];
  if (header.proxied !== Proxied.nothing) {
    lines.push(`client ${formatSocketAddress({ host: header.clientAddress, port: header.clientPort })}`);
    lines.push(`destination ${formatSocketAddress({ host: header.destinationAddress, port: header.destinationPort })}`);
  } else {
    assert.deepEqual([header.clientAddress, header.destinationAddress], ["", ""]);
  }
  if (header.end < end) lines.push(`rest ${end - header.end}`);
  return lines.join("\n");
}

function withoutRest(result: string): string {
  return result.replace(/\nrest \d+$/, "");
}

function check(one: Case): void {
  const bytesMax = Number(one.options.get("bytes-max") ?? PROXY_HEADER_BYTES_MAX);
  const rest = Number(/\nrest (\d+)$/.exec(one.expected)?.[1] ?? 0);
  const headerBytes = one.input.length - rest;
  for (const surroundings of SURROUNDINGS) {
    const end = place(arena, surroundings, START, one.input);
    const before = Buffer.from(arena.bytes);
    assert.equal(read(START, end, bytesMax), one.expected, "whole");
    assert.ok(before.equals(arena.bytes), "nothing was written");
  }
  let refusedBefore = false;
  for (let length = 0; length < one.input.length; length++) {
    const surroundings = SURROUNDINGS[length % SURROUNDINGS.length] ?? "a";
    const end = place(arena, surroundings, START, one.input.subarray(0, length));
    const cut = read(START, end, bytesMax);
    if (!cut.startsWith("incomplete")) {
      refusedBefore = true;
      assert.equal(withoutRest(cut), withoutRest(one.expected), `cut after ${length} bytes`);
      continue;
    }
    assert.ok(!refusedBefore, "who was told once is not asked for more");
    assert.ok(header.needed > length, `${header.needed} bytes are more than the ${length} that are there`);
    if (one.expected.startsWith("version")) {
      assert.ok(length < headerBytes, `${length} bytes are enough`);
      assert.ok(header.needed <= headerBytes, `asks for ${header.needed} of ${headerBytes} bytes`);
    }
  }
}

const FOLDER = new URL("cases/", import.meta.url);
const cases = ["v1.md", "v2.md"].flatMap((file) =>
  parseCases(file, readFileSync(new URL(file, FOLDER), "utf8"), /section 2\.\d|Beyond the document/),
);

test("the documents hold the cases that they should", () => {
  const titles = cases.map((one) => `${one.file} ${one.title}`);
  assert.equal(new Set(titles).size, titles.length, "every title is used once");
  const refused = new Set(cases.map((one) => /^refused (\S+)/.exec(one.expected)?.[1]));
  const missing = proxyFaults.slice(1).filter((fault) => !refused.has(fault.code));
  assert.deepEqual(missing, [], "every fault has a case");
});

for (const one of cases) {
  test(`${one.file}: ${one.title}`, () => {
    assert.equal(one.kind, "header");
    check(one);
  });
}
