import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseReader } from "./response-reader.ts";

const response = "HTTP/1.1 200 OK\r\nDate: x\r\ncontent-length: 5\r\n\r\nhello";
const whole = { kind: "whole", status: 200, bodyBytes: 5, pieces: 1 };

test("a response is whole at its last byte, at every split point", () => {
  const bytes = Buffer.from(response);
  assert.deepEqual(new ResponseReader().feed(bytes), whole);
  for (let split = 1; split < bytes.length; split++) {
    const reader = new ResponseReader();
    assert.deepEqual(reader.feed(bytes.subarray(0, split)), { kind: "partial" });
    assert.deepEqual(reader.feed(bytes.subarray(split)), { ...whole, pieces: 2 });
  }
});

test("a reader reads the next response after one that was whole", () => {
  const reader = new ResponseReader();
  reader.feed(Buffer.from(response));
  const next = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  assert.deepEqual(reader.feed(Buffer.from(next)), { kind: "whole", status: 502, bodyBytes: 0, pieces: 1 });
});

test("bytes that nobody asked for are a problem", () => {
  const reading = new ResponseReader().feed(Buffer.from(`${response}HTTP`));
  assert.deepEqual(reading, { kind: "problem", what: "4 bytes after the end of a response" });
});

test("a response without Content-Length is a problem", () => {
  const reading = new ResponseReader().feed(Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  assert.deepEqual(reading, { kind: "problem", what: "status 200 without Content-Length" });
});

test("what is no HTTP/1.1 response is a problem", () => {
  const reading = new ResponseReader().feed(Buffer.from("SSH-2.0-x\r\n\r\n"));
  assert.equal(reading.kind, "problem");
});

test("a head without an end is a problem, not a growing buffer", () => {
  const reader = new ResponseReader();
  assert.equal(reader.feed(Buffer.alloc(16 * 1024, "a")).kind, "partial");
  assert.equal(reader.feed(Buffer.from("a")).kind, "problem");
});
