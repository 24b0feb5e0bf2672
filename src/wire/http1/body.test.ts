// What the case documents cannot say: readers that are used again, large chunks over many reads, limits over a message.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createArena } from "../arena.ts";
import { BodyMode, BodyReader } from "./body.ts";
import { CHUNK_EXTENSION_EXCESS_MAX } from "./chunk-line.ts";
import { headFaults } from "./faults.ts";

const START = 100;

function put(reader: BodyReader, arena: ReturnType<typeof createArena>, text: string): number {
  return reader.read(START, START + arena.bytes.write(text, START, "latin1"));
}

function codeOf(result: number): string {
  return result < 0 ? (headFaults[-result]?.code ?? "unknown") : String(result);
}

test("a reader is ready for the next message after a complete one, an incomplete one and a fault", () => {
  const arena = createArena(4096);
  const reader = new BodyReader(arena);
  for (const before of ["3\r\nabc\r\n0\r\nX: y\r\n\r\n", "5;a=", "a\r\nab", "5\r\nab", "0\r\nX: ", "x", "2\r\nab!"]) {
    reader.begin(BodyMode.chunked, 0);
    put(reader, arena, before);
    reader.begin(BodyMode.chunked, 0);
    assert.equal(put(reader, arena, "2\r\nok\r\n0\r\n\r\nrest"), 0, before);
    assert.equal(arena.bytes.toString("latin1", START, reader.dataEnd), "ok");
    assert.equal(arena.bytes.toString("latin1", reader.consumedEnd, reader.consumedEnd + 4), "rest");
    assert.ok(reader.complete && reader.trailers === undefined);
  }
});

test("bytes behind a complete body are left alone", () => {
  const arena = createArena(4096);
  const reader = new BodyReader(arena);
  reader.begin(BodyMode.length, 2);
  put(reader, arena, "ok");
  assert.equal(put(reader, arena, "more"), 0);
  assert.deepEqual([reader.dataEnd, reader.consumedEnd, reader.complete], [START, START, true]);
});

test("a body longer than 4 GiB is counted exactly", () => {
  const arena = createArena(1 << 20);
  const reader = new BodyReader(arena);
  const piece = 1 << 19;
  for (const mode of [BodyMode.length, BodyMode.chunked]) {
    reader.begin(mode, 2 ** 32 + 5);
    if (mode === BodyMode.chunked) assert.equal(put(reader, arena, "100000005\r\n"), 0);
    for (let i = 0; i < 2 ** 32 / piece; i++) reader.read(START, START + piece);
    assert.equal(reader.complete, false);
    assert.equal(put(reader, arena, "12345\r\n0\r\n\r\nx"), 0);
    assert.equal(reader.dataEnd - START, 5);
    assert.equal(reader.complete, true);
  }
});

test("extensions may go on as long as payload outweighs them", () => {
  const arena = createArena(65536);
  const reader = new BodyReader(arena);
  reader.begin(BodyMode.chunked, 0);
  const signed = `400;chunk-signature=${"f".repeat(64)}\r\n${"d".repeat(1024)}\r\n`;
  for (let i = 0; i < 1000; i++) assert.equal(put(reader, arena, signed), 0);
});

test("extensions that outweigh the payload end", () => {
  const arena = createArena(65536);
  const reader = new BodyReader(arena);
  reader.begin(BodyMode.chunked, 0);
  const chunk = `1;${"x".repeat(98)}\r\nd\r\n`;
  let result = 0;
  let chunks = 0;
  for (; result === 0 && chunks < 1000; chunks++) result = put(reader, arena, chunk);
  assert.equal(codeOf(result), "http1.chunk.extension.tooLarge");
  assert.equal(chunks, Math.ceil(CHUNK_EXTENSION_EXCESS_MAX / 98));
  // The next message begins with nothing owed.
  reader.begin(BodyMode.chunked, 0);
  for (let i = 0; i < chunks - 1; i++) assert.equal(put(reader, arena, chunk), 0);
});

test("the end of the connection ends a body that was to end so, and no other", () => {
  const arena = createArena(4096);
  const reader = new BodyReader(arena);
  reader.begin(BodyMode.untilClose, 0);
  put(reader, arena, "abc");
  assert.equal(reader.endOfInput(), 0);
  assert.equal(reader.complete, true);
  for (const mode of [BodyMode.length, BodyMode.chunked]) {
    reader.begin(mode, 5);
    put(reader, arena, "2");
    assert.equal(codeOf(reader.endOfInput()), "http1.body.truncated");
  }
  reader.begin(BodyMode.none, 0);
  assert.equal(reader.endOfInput(), 0);
});
