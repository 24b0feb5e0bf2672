import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyedHash, secretKeyedHash } from "./keyed-hash.ts";

/** HalfSipHash-1-3 of the bytes 0, 1, 2 ... of each length from 0, under the key 00 01 ... 07: Linux, lib/tests/siphash_kunit.c. */
const published = [
  1477757078, -404200246, -1135931856, 22255929, 2114297510, -1998333797, -1610085531, -1657218602, 1467586993,
  -935736595, -453365041, -1785575698, 1797785964, 1725799638, 375753340, -802850044, -1959668479, 723308619,
];

test("the published vectors of HalfSipHash-1-3 come out", () => {
  const hash = new KeyedHash(0x03020100, 0x07060504);
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
  assert.deepEqual(
    published.map((_, length) => hash.ofBytes(bytes, length)),
    published,
  );
});

test("a client's hash is that of its address and port", () => {
  const hash = secretKeyedHash();
  const bytes = Buffer.concat([Buffer.from("2001:db8::1"), Buffer.from([0x12, 0x34])]);
  assert.equal(hash.ofClient("2001:db8::1", 0x1234), hash.ofBytes(bytes, bytes.length));
  assert.notEqual(hash.ofClient("2001:db8::1", 0x1235), hash.ofClient("2001:db8::1", 0x1234));
});

test("an absurdly long address is hashed all the same", () => {
  const hash = new KeyedHash(1, 2);
  assert.equal(hash.ofClient("f".repeat(500), 1), hash.ofClient("f".repeat(400), 1));
});

test("another key is another hash", () => {
  const [one, two] = [new KeyedHash(1, 2), new KeyedHash(1, 3)];
  let same = 0;
  for (let port = 1; port <= 1000; port++)
    if (one.ofClient("10.0.0.1", port) === two.ofClient("10.0.0.1", port)) same++;
  assert.ok(same < 3, `${same} of 1000 are the same`);
});
