// The hash of keys and addresses: published values, text and bytes alike, spread.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashBytes, hashText, mix } from "./hash.ts";
import { testSeed } from "./test-kit.ts";

const seed = testSeed();

test("the values are those that MurmurHash3's author and others publish for seed 0", () => {
  const published: readonly (readonly [string, number])[] = [
    ["", 0],
    ["test", 0xba6bd213],
    ["Hello, world!", 0xc0363e43],
    ["The quick brown fox jumps over the lazy dog", 0x2e4ff723],
    ["hello", 0x248bfa47],
    ["hello, world", 0x149bbb7f],
  ];
  for (const [text, hash] of published) assert.equal(hashText(text) >>> 0, hash, text);
});

test("text and the bytes of it hash alike, wherever in the arena the bytes stand", (t) => {
  t.diagnostic(`seed ${seed}`);
  const latin1 = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
    size: "max",
  });
  const property = fc.property(latin1, fc.nat(9), (text, before) => {
    const arena = Buffer.alloc(before + text.length + 5, 0xee);
    arena.write(text, before, "latin1");
    assert.equal(hashBytes(arena, before, before + text.length), hashText(text));
  });
  fc.assert(property, { seed, numRuns: 500 });
});

test("of a character above U+00FF the low byte counts, at every place of a block", () => {
  for (const at of [0, 1, 2, 3, 4, 5, 6]) {
    const text = Array.from({ length: 7 }, (_, index) => (index === at ? "\u1241" : "A")).join("");
    assert.equal(hashText(text), hashText("AAAAAAA"));
  }
});

test("every hash is a signed 32-bit integer", () => {
  for (let i = 0; i < 1_000; i++) {
    const hash = hashText(`key ${i}`);
    assert.equal(hash, hash | 0);
  }
});

test("one bit of the key changes each bit of the hash about half of the time", () => {
  const flips = new Array<number>(32).fill(0);
  const rounds = 20_000;
  for (let i = 0; i < rounds; i++) {
    const difference = hashText(`10.0.${i >>> 8}.${i & 255}`) ^ hashText(`10.0.${i >>> 8}.${(i & 255) ^ 1}`);
    for (let bit = 0; bit < 32; bit++) flips[bit]! += (difference >>> bit) & 1;
  }
  for (const [bit, count] of flips.entries()) assert.ok(Math.abs(count / rounds - 0.5) < 0.03, `bit ${bit}: ${count}`);
});

test("mix gives different numbers different values", () => {
  const seen = new Set<number>();
  for (let i = -50_000; i < 50_000; i++) seen.add(mix(i));
  assert.equal(seen.size, 100_000);
});
