// What the case documents cannot say: limits that change between calls, heads that are used again, the room of a head.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createArena } from "../arena.ts";
import { headFaults } from "./faults.ts";
import { requestHead, responseHead } from "./head.ts";
import { createHeadParser, Parsed } from "./parse.ts";

const arena = createArena(65536);

function codeOf(result: number): string {
  return result < 0 ? (headFaults[-result]?.code ?? "unknown") : String(result);
}

test("limits may change from call to call", () => {
  const parser = createHeadParser(arena, { headerBytesMax: 10, headerCountMax: 10 });
  const head = requestHead();
  const end = arena.bytes.write("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
  assert.equal(codeOf(parser.request(0, end, head)), "http1.header.tooLarge");
  parser.limits.headerBytesMax = 100;
  assert.equal(parser.request(0, end, head), Parsed.complete);
  parser.limits = { headerBytesMax: 100, headerCountMax: 1 };
  assert.equal(codeOf(parser.request(0, end, head)), "http1.header.tooMany");
});

test("a head without room for a line refuses it, whatever the limit says", () => {
  const parser = createHeadParser(arena, { headerBytesMax: 60000, headerCountMax: 100000 });
  const end = arena.bytes.write(`GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(3)}\r\n`);
  assert.equal(codeOf(parser.request(0, end, requestHead(3))), "http1.header.tooMany");
  assert.equal(parser.request(0, end, requestHead(4)), Parsed.complete);
});

test("a request leaves nothing behind in the head for the next one", () => {
  const parser = createHeadParser(arena, { headerBytesMax: 1000, headerCountMax: 20 });
  const befores = [
    "OPTIONS http://h:1/%2e//?q HTTP/1.1\r\nHost: b\r\nConnection: close, keep-alive, upgrade, x\r\nUpgrade: y\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "POST * HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\0",
    "CONNECT a:1 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
  ];
  for (const plain of [
    "GET / HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:1 HTTP/1.0\r\n\r\n",
  ]) {
    const fresh = requestHead();
    const end = 64 + arena.bytes.write(plain, 64);
    assert.equal(parser.request(64, end, fresh), Parsed.complete);
    const used = requestHead();
    for (const before of befores) {
      parser.request(2048, 2048 + arena.bytes.write(before, 2048), used);
      assert.equal(parser.request(64, end, used), Parsed.complete);
      assert.deepEqual({ ...used, lines: 0 }, { ...fresh, lines: 0 });
    }
  }
});

test("a response leaves nothing behind in the head for the next one", () => {
  const parser = createHeadParser(arena, { headerBytesMax: 1000, headerCountMax: 20 });
  const plain = "HTTP/1.1 200\r\n\r\n";
  const end = arena.bytes.write(plain, 64);
  const fresh = responseHead();
  assert.equal(parser.response(64, 64 + end, fresh), Parsed.complete);
  const used = responseHead();
  const before =
    "HTTP/1.0 404 Nope\r\nConnection: close, keep-alive, upgrade, x\r\nUpgrade: y\r\nContent-Length: 5\r\n\r\n";
  assert.equal(parser.response(2048, 2048 + arena.bytes.write(before, 2048), used), Parsed.complete);
  assert.equal(parser.response(64, 64 + end, used), Parsed.complete);
  assert.deepEqual({ ...used, lines: 0 }, { ...fresh, lines: 0 });
});

test("every fault has a code of its own, a status and words", () => {
  const codes = headFaults.map((fault) => fault.code);
  assert.equal(new Set(codes).size, codes.length);
  for (const fault of headFaults) {
    assert.match(fault.code, /^http1(\.[a-z][a-zA-Z]*)+$/);
    assert.ok(fault.status >= 400 && fault.status < 600 && fault.detail.length > 5, fault.code);
  }
});
