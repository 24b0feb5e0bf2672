// Addresses from text to bytes, compared with what Node takes for an address.

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { readAddress } from "./address-bytes.ts";
import { testSeed } from "./test-kit.ts";

const seed = testSeed();
const bytes = new Uint8Array(16);

function read(text: string): string {
  return Buffer.from(bytes.subarray(0, readAddress(text, bytes))).toString("hex");
}

test("IPv4 is four bytes", () => {
  assert.equal(read("192.0.2.1"), "c0000201");
  assert.equal(read("0.0.0.0"), "00000000");
  assert.equal(read("255.255.255.255"), "ffffffff");
});

test("IPv6 is sixteen bytes, with the gap, a dotted end or a zone", () => {
  assert.equal(read("2001:db8::1"), "20010db8000000000000000000000001");
  assert.equal(read("::"), "0".repeat(32));
  assert.equal(read("::1"), `${"0".repeat(31)}1`);
  assert.equal(read("1::"), `0001${"0".repeat(28)}`);
  assert.equal(read("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
  assert.equal(read("1:2:3:4:5:6:7::"), "00010002000300040005000600070000");
  assert.equal(read("::2:3:4:5:6:7:8"), "00000002000300040005000600070008");
  assert.equal(read("64:ff9b::192.0.2.33"), "0064ff9b0000000000000000c0000221");
  assert.equal(read("fe80::ABCD%eth0"), "fe80000000000000000000000000abcd");
  assert.equal(read("169.254.0.1%a:b"), "a9fe0001");
});

test("an IPv4 client on an IPv6 socket is an IPv4 client", () => {
  assert.equal(read("::ffff:192.0.2.1"), "c0000201");
  assert.equal(read("::FFFF:c000:0201"), "c0000201");
  assert.equal(read("::fffe:192.0.2.1"), "00000000000000000000fffec0000201");
});

test("what is no address has no bytes", () => {
  const wrong = [
    "",
    "unix:",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1..2.3",
    "1.2.3.4:80",
    "a.b.c.d",
    "1.2.3.0004",
    ":",
    ":1",
    "1:",
  ];
  wrong.push(":::", "1::2::3", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "g::1", "::1.2.3");
  wrong.push("1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "%eth0");
  for (const text of wrong) assert.equal(readAddress(text, bytes), 0, text);
});

test("every address that Node takes for one is read, and the bytes are those it was written from", (t) => {
  t.diagnostic(`seed ${seed}`);
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      assert.equal(readAddress(text, bytes), 4);
      assert.equal([...bytes.subarray(0, 4)].join("."), text);
    }),
    { seed, numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      assert.equal(isIP(text), 6);
      const length = readAddress(text, bytes);
      const groups = Array.from({ length: 8 }, (_, group) =>
        ((bytes[2 * group]! << 8) | bytes[2 * group + 1]!).toString(16),
      );
      const canonical = (address: string) => new URL(`http://[${address}]`).hostname;
      if (length === 16) assert.equal(canonical(groups.join(":")), canonical(text));
      else assert.equal(canonical(`::ffff:${bytes.subarray(0, 4).join(".")}`), canonical(text));
    }),
    { seed, numRuns: 500 },
  );
});

test("no text makes it fail or write beyond sixteen bytes", (t) => {
  t.diagnostic(`seed ${seed}`);
  const guarded = new Uint8Array(32).fill(0xaa);
  const junk = fc.string({ unit: fc.constantFrom(..."0123456789abcf:.%"), maxLength: 60, size: "max" });
  fc.assert(
    fc.property(junk, (text) => {
      assert.ok([0, 4, 16].includes(readAddress(text, guarded)));
      assert.ok(guarded.subarray(16).every((byte) => byte === 0xaa));
      const bare = text.split("%")[0]!;
      if (isIP(bare) !== 0) assert.notEqual(readAddress(text, guarded), 0);
    }),
    { seed, numRuns: 3_000 },
  );
});
