import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  formatIp,
  formatIpRange,
  formatSocketAddress,
  isUnspecified,
  networkOf,
  parseIp,
  parseIpRange,
  parseSocketAddress,
} from "./address.ts";

function canonical(text: string): string | undefined {
  const address = parseIp(text);
  return address && formatIp(address);
}

test("an IPv4 address has four decimal parts without leading zeros", () => {
  for (const text of ["0.0.0.0", "10.0.4.20", "255.255.255.255"]) assert.equal(canonical(text), text);
  const refused = [
    "",
    "1",
    "10.1",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "010.0.0.1",
    "0x7f.0.0.1",
    "1.2.3.",
    ".1.2.3",
    "1.2.3.4 ",
    "+1.2.3.4",
    "1.2.3.-4",
  ];
  for (const text of refused) assert.equal(parseIp(text), undefined, text);
});

test("IPv6 texts are written as RFC 5952 wants them", () => {
  const pairs: [string, string][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["0001:002::", "1:2::"],
  ];
  for (const [text, expected] of pairs) assert.equal(canonical(text), expected, text);
});

test("what is no IPv6 address is refused", () => {
  const refused = [
    ":",
    ":::",
    "1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "::1.2.3",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "fe80::1%eth0",
    "[::1]",
    " ::1",
    ":1::",
    "1:",
  ];
  for (const text of refused) assert.equal(parseIp(text), undefined, text);
});

test("random texts are addresses exactly when Node says so, zones aside", () => {
  const part = fc.constantFrom("0", "1", "00", "ff", "FFFF", "12345", "255", "256", "g", "", ":", "::", ".", "1.2.3.4");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 10 }), fc.constantFrom(":", ".", ""), (parts, between) => {
      const text = parts.join(between);
      assert.equal(parseIp(text) !== undefined, isIPv4(text) || isIPv6(text), JSON.stringify(text));
    }),
    { numRuns: 2000 },
  );
});

test("a formatted address reads back as the same bytes", () => {
  const bytes = fc.oneof(
    fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }),
    fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      const address = { family: given.length === 4 ? (4 as const) : (6 as const), bytes: given };
      assert.deepEqual(parseIp(formatIp(address)), address);
    }),
  );
});

test("an address and port is read into canonical parts and written back", () => {
  const pairs: [string, string][] = [
    ["10.0.4.20:8080", "10.0.4.20:8080"],
    ["0.0.0.0:1", "0.0.0.0:1"],
    ["[::]:65535", "[::]:65535"],
    ["[2001:DB8:0::1]:80", "[2001:db8::1]:80"],
  ];
  for (const [text, expected] of pairs) {
    const parsed = parseSocketAddress(text);
    assert(parsed.ok, text);
    assert.equal(formatSocketAddress(parsed.value), expected);
  }
});

test("an address and port that is none is refused with its reason", () => {
  const refused: [string, string][] = [
    ["10.0.4.20", "address.port"],
    ["10.0.4.20:", "address.port"],
    ["10.0.4.20:0", "address.port"],
    ["10.0.4.20:080", "address.port"],
    ["10.0.4.20:65536", "address.port"],
    ["10.0.4.20:80a", "address.port"],
    ["10.0.4.20:+80", "address.port"],
    ["[::1]", "address.port"],
    ["[::1]:", "address.port"],
    ["::1", "address.brackets"],
    ["2001:db8::1:80", "address.brackets"],
    ["1:2:3:4:5:6:7:8:80", "address.brackets"],
    ["localhost:80", "address.name"],
    ["app.internal", "address.name"],
    ["app-1.internal:80", "address.name"],
    ["", "address.syntax"],
    [":80", "address.syntax"],
    ["*:80", "address.syntax"],
    ["[10.0.0.1]:80", "address.syntax"],
    ["[::ffff:10.0.0.1]:80", "address.mapped"],
    ["[::ffff:a00:1]:80", "address.mapped"],
    ["[::1", "address.syntax"],
    ["[[::1]]:80", "address.syntax"],
    ["http://10.0.0.1:80", "address.syntax"],
    ["256.0.0.1:80", "address.syntax"],
    ["10.0.0.1:80\n", "address.port"],
  ];
  for (const [text, code] of refused) {
    const parsed = parseSocketAddress(text);
    assert(!parsed.ok, text);
    assert.equal(parsed.failure.code, code, text);
  }
});

test("0.0.0.0 and :: are unspecified, others are not", () => {
  const unspecified = ["0.0.0.0", "::", "0.0.0.1", "::1"].map((text) => {
    const address = parseIp(text);
    return address !== undefined && isUnspecified(address);
  });
  assert.deepEqual(unspecified, [true, true, false, false]);
});

test("a range has no bits beyond its prefix", () => {
  for (const text of [
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "10.0.4.20",
    "::1",
    "192.0.2.128/25",
    "::ffff:10.0.0.0/104",
  ]) {
    const parsed = parseIpRange(text);
    assert(parsed.ok, text);
    assert.equal(formatIpRange(parsed.value), text);
  }
  const refused: [string, string][] = [
    ["10.0.0.1/8", "range.hostBits"],
    ["2001:db8::1/64", "range.hostBits"],
    ["10.0.0.0/33", "range.prefix"],
    ["::/129", "range.prefix"],
    ["10.0.0.0/", "range.prefix"],
    ["10.0.0.0/08", "range.prefix"],
    ["10.0.0.0/8/8", "range.prefix"],
    ["10.0.0.0/255.0.0.0", "range.prefix"],
    ["10/8", "range.syntax"],
    ["", "range.syntax"],
    ["all", "range.syntax"],
  ];
  for (const [text, code] of refused) {
    const parsed = parseIpRange(text);
    assert(!parsed.ok, text);
    assert.equal(parsed.failure.code, code, text);
  }
});

test("a range of one address is that address", () => {
  const parsed = parseIpRange("10.0.4.20/32");
  assert(parsed.ok);
  assert.equal(formatIpRange(parsed.value), "10.0.4.20");
  const address = parseIp("10.255.255.255");
  assert(address);
  assert.equal(formatIp(networkOf({ address, prefixLength: 12 })), "10.240.0.0");
});
