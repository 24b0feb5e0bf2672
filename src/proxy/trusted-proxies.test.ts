// What nginx finds in X-Forwarded-For is in nginx-requests.test.ts; here are the ranges, what a peer may look like, and a
// comparison with ipaddr.js.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { clientFromForwarded, compileTrusted, isTrusted, plainAddress } from "./trusted-proxies.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

const ipv4 = fc.ipV4();
// ipaddr.js takes the old `::10.0.0.1` for `::ffff:10.0.0.1`.
const ipv6 = fc.ipV6().filter((text) => !/^[:0]*:\d+\./.test(text));

describe("isTrusted", () => {
  const trusted = compileTrusted(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:172.16.0.0/108"]);
  for (const address of [
    ..."10.0.0.0 10.255.255.255 192.0.2.7 ::ffff:10.1.2.3 ::FFFF:a01:203 172.31.255.255 ::ffff:172.16.0.1".split(" "),
    ..."2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff ::1 0:0:0:0:0:0:0:1 2001:DB8::10.0.0.1 ::1%lo".split(" "),
  ]) {
    test(`trusts ${address}`, () => assert.ok(isTrusted(trusted, address)));
  }
  for (const address of [
    ..."9.255.255.255 11.0.0.0 192.0.2.6 192.0.2.8 ::ffff:9.0.0.1 172.32.0.0 ::10.0.0.1 ::2 2001:db7:ffff:: 2001:db9::".split(
      " ",
    ),
    ..."10.0.0 10.0.0.1.2 10.0.0.256 010.0.0.1 10.0.0.1x 10..0.1 1 0x0a000001 :: ::: 1::2::3 [::1] ::1: :1 unix: -".split(
      " ",
    ),
    "",
    " 10.0.0.1",
    "10.0.0.1 ",
    "2001:db8:0:0:0:0:0:0:0",
    "2001:db8::0:0:0:0:0:0:0",
    "2001:db8::00000",
    "::ffff:10.0.0.1.",
    "2001:db8:1:2:3:4:5:10.0.0.1",
    "1".repeat(10_000),
  ]) {
    test(`does not trust ${JSON.stringify(address.slice(0, 50))}`, () => assert.ok(!isTrusted(trusted, address)));
  }

  test("nothing is trusted without ranges, everything of its family with a prefix of no bits", () => {
    assert.ok(!isTrusted(compileTrusted([]), "10.0.0.1"));
    assert.ok(isTrusted(compileTrusted(["0.0.0.0/0"]), "255.255.255.255"));
    assert.ok(!isTrusted(compileTrusted(["0.0.0.0/0"]), "::1"));
    assert.ok(isTrusted(compileTrusted(["::/0"]), "::1"));
    assert.ok(!isTrusted(compileTrusted(["::/0"]), "::ffff:10.0.0.1"));
  });

  test("agrees with ipaddr.js on any addresses and nested, touching or doubled ranges", () => {
    const ranges4 = fc.array(fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })), { maxLength: 12 });
    const ranges6 = fc.array(fc.tuple(ipv6, fc.integer({ min: 1, max: 128 })), { maxLength: 12 });
    const bit = fc.integer({ min: 0, max: 127 });
    fc.assert(
      fc.property(ranges4, ranges6, fc.array(ipv4), fc.array(ipv6), bit, (some4, some6, any4, any6, flipped) => {
        const networks = [...some4, ...some6].map(([address, length]) => network(address, length));
        const compiled = compileTrusted(networks.map(([address, length]) => `${address}/${length}`));
        const addresses = [...any4, ...any6, ...networks.flatMap(([address]) => [address, flip(address, flipped)])];
        for (const address of addresses) assert.equal(isTrusted(compiled, address), naive(networks, address), address);
      }),
      { seed, numRuns: 400 },
    );
  });
});

type Network = readonly [address: string, length: number];

function network(address: string, length: number): Network {
  const bytes = ipaddr.parse(address).toByteArray();
  const kept = bytes.map((byte, at) => byte & (0xff << (8 - Math.min(8, Math.max(0, length - at * 8)))) & 0xff);
  return [ipaddr.fromByteArray(kept).toString(), length];
}

function flip(address: string, bit: number): string {
  const bytes = ipaddr.parse(address).toByteArray();
  const at = (bit >> 3) % bytes.length;
  bytes[at] = bytes[at]! ^ (1 << (bit & 7));
  return ipaddr.fromByteArray(bytes).toString();
}

function naive(networks: readonly Network[], text: string): boolean {
  const address = ipaddr.process(text);
  return networks.some(([range, length]) => {
    const of = ipaddr.parse(range);
    const mapped = of.kind() === "ipv6" && length >= 96 && ipaddr.IPv6.parse(range).isIPv4MappedAddress();
    const [base, bits] = mapped ? [ipaddr.process(range), length - 96] : [of, length];
    return base.kind() === address.kind() && address.match(base, bits);
  });
}

describe("clientFromForwarded", () => {
  const trusted = compileTrusted(["10.0.0.0/8", "::1"]);
  const cases: readonly [peer: string, forwardedFor: string, client: string][] = [
    ["192.0.2.9", "198.51.100.1", "192.0.2.9"],
    ["::ffff:192.0.2.9", "198.51.100.1", "192.0.2.9"],
    ["10.0.0.1", "", "10.0.0.1"],
    ["::ffff:10.0.0.1", " , ,", "10.0.0.1"],
    ["::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"],
    ["::1", "198.51.100.1\t,\t10.0.0.5", "198.51.100.1"],
    ["::1", "198.51.100.1,10.0.0.5:0", "::1"],
    ["::1", "198.51.100.1,10.0.0.5:", "::1"],
    ["::1", "[10.0.0.5]", "::1"],
    ["::1", "[::1", "::1"],
    ["::1", "198.51.100.1, [::1]x", "::1"],
    ["::1", "198.51.100.1, []", "::1"],
    ["::1", "198.51.100.1, fe80::1%eth0", "::1"],
    ["::1", '198.51.100.1, "[::1]:80"', "::1"],
    ["::1", "198.51.100.1,10.0.0.2,10.0.0.3,10.0.0.4", "198.51.100.1"],
  ];
  for (const [peer, forwardedFor, client] of cases) {
    test(`from ${peer}, ${JSON.stringify(forwardedFor)} names ${client}`, () => {
      assert.equal(clientFromForwarded(trusted, forwardedFor, peer), client);
    });
  }

  test("a long row of trusted entries is walked to its end", () => {
    const row = `198.51.100.1${",10.0.0.1".repeat(100_000)}`;
    assert.equal(clientFromForwarded(trusted, row, "10.0.0.1"), "198.51.100.1");
  });

  test("gives the peer or an entry that stands there, whatever the header holds", () => {
    const junk = fc.string({ unit: fc.constantFrom(..."0123456789abcdef.:,[] %x"), maxLength: 60 });
    fc.assert(
      fc.property(junk, (forwardedFor) => {
        const client = clientFromForwarded(trusted, forwardedFor, "10.0.0.1");
        if (client === "10.0.0.1") return;
        assert.ok(forwardedFor.includes(client));
        assert.ok(ipaddr.isValid(client), client);
      }),
      { seed, numRuns: 3000 },
    );
  });
});

test("plainAddress undresses IPv4 and leaves the rest", () => {
  assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(plainAddress("::FFFF:192.0.2.1"), "192.0.2.1");
  assert.equal(plainAddress("::192.0.2.1"), "::192.0.2.1");
  assert.equal(plainAddress("::1"), "::1");
  assert.equal(plainAddress("192.0.2.1"), "192.0.2.1");
});
