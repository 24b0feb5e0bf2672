import assert from "node:assert/strict";
import { test } from "node:test";
import { createArena } from "../arena.ts";
import { CHUNK_SIZE_ROOM, writeChunkSizeBefore, writeDecimal } from "./write.ts";

test("a chunk size ends right before its payload", () => {
  const arena = createArena(64);
  for (const length of [1, 9, 10, 15, 16, 255, 256, 4095, 65536, 0x7fffffff, 0x80000000, 0xffffffff]) {
    arena.bytes.fill("x");
    const at = writeChunkSizeBefore(arena, 20, length);
    assert.equal(arena.bytes.toString("latin1", at, 20), `${length.toString(16)}\r\n`);
    assert.equal(arena.bytes.toString("latin1", at - 1, at), "x");
    assert.equal(arena.bytes.toString("latin1", 20, 21), "x");
    assert.ok(20 - at <= CHUNK_SIZE_ROOM);
  }
});

test("a chunk of nothing would end the body and is never written", () => {
  assert.throws(() => writeChunkSizeBefore(createArena(64), 20, 0));
});

test("decimal numbers are exact up to the largest length", () => {
  const arena = createArena(64);
  for (const number of [0, 7, 9, 10, 99, 100, 1234567890, 2 ** 32, 999999999999999, Number.MAX_SAFE_INTEGER]) {
    arena.bytes.fill("x");
    const end = writeDecimal(arena, 8, number);
    assert.equal(arena.bytes.toString("latin1", 7, end + 1), `x${number}x`);
  }
});
