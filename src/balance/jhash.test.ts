// The kernel's hash of addresses. That the kernel computes the same is seen in test/e2e/kernel-source.test.ts, with real
// clients; here stand values that must never change.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readAddress } from "./address-bytes.ts";
import { jhashAddress, scaleHash } from "./jhash.ts";

function hashOf(text: string, seed: number): number {
  const bytes = new Uint8Array(16);
  const length = readAddress(text, bytes);
  assert.ok(length === 4 || length === 16);
  return jhashAddress(bytes, length, seed) >>> 0;
}

/** lookup3 of Bob Jenkins (public domain, 2006), its `hashlittle`, whose initial value the kernel calls seed. */
function hashLittle(key: readonly number[], seed: number): number {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const word = (at: number) => [3, 2, 1, 0].reduce((sum, byte) => (sum << 8n) | BigInt(key[at + byte] ?? 0), 0n);
  let a = (0xdeadbeefn + BigInt(key.length) + BigInt(seed)) & mask;
  let b = a;
  let c = a;
  let at = 0;
  for (; key.length - at > 12; at += 12) {
    a = (a + word(at)) & mask;
    b = (b + word(at + 4)) & mask;
    c = (c + word(at + 8)) & mask;
    for (const [first, second] of [
      [4n, 6n],
      [16n, 19n],
    ] as const) {
      const third = first === 4n ? 8n : 4n;
      a = ((a - c) & mask) ^ rotate(c, first);
      c = (c + b) & mask;
      b = ((b - a) & mask) ^ rotate(a, second);
      a = (a + c) & mask;
      c = ((c - b) & mask) ^ rotate(b, third);
      b = (b + a) & mask;
    }
  }
  a = (a + word(at)) & mask;
  b = (b + word(at + 4)) & mask;
  c = (c + word(at + 8)) & mask;
  c = ((c ^ b) - rotate(b, 14n)) & mask;
  a = ((a ^ c) - rotate(c, 11n)) & mask;
  b = ((b ^ a) - rotate(a, 25n)) & mask;
  c = ((c ^ b) - rotate(b, 16n)) & mask;
  a = ((a ^ c) - rotate(c, 4n)) & mask;
  b = ((b ^ a) - rotate(a, 14n)) & mask;
  return Number(((c ^ b) - rotate(b, 24n)) & mask);
}

test("addresses of both families hash as lookup3 defines it, whatever the seed", () => {
  const bytes = new Uint8Array(16);
  for (let round = 0; round < 2_000; round++) {
    for (const length of [4, 16] as const) {
      for (let at = 0; at < length; at++) bytes[at] = hashLittle([round & 255, round >> 8, at], length) & 255;
      const seed = hashLittle([round & 255, round >> 8], 7);
      assert.equal(jhashAddress(bytes, length, seed) >>> 0, hashLittle([...bytes.slice(0, length)], seed));
    }
  }
});

test("the values stay what they are", () => {
  assert.deepEqual(
    ["10.0.0.1", "192.0.2.255", "255.255.255.255", "2001:db8::1", "fe80::1"].map((text) => hashOf(text, 0x65766b6c)),
    [2_787_041_406, 1_675_762_063, 399_131_862, 2_712_549_525, 991_106_946],
  );
});

test("a hash is scaled by its upper bits", () => {
  assert.equal(scaleHash(0, 4_099), 0);
  assert.equal(scaleHash(-1, 4_099), 4_098);
  assert.equal(scaleHash(0x80000000 | 0, 4_099), 2_049);
});
