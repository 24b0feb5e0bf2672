// What the encoders write, and that the parser reads it back as what went in.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp, isMapped } from "../../core/address.ts";
import { createArena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { place, SURROUNDINGS, testSeed } from "../test-kit.ts";
import { encodeProxyV1, encodeProxyV1Unknown, encodeProxyV2, encodeProxyV2Local, PROXY_HEADER_ROOM } from "./encode.ts";
import { Proxied, type ProxiedEnds, proxyHeader } from "./header.ts";
import { parseProxyHeader } from "./parse.ts";

const AT = 40;
const seed = testSeed();

function ends(clientAddress: string, destinationAddress: string, ports: readonly [number, number] = [1, 2]) {
  return { clientAddress, clientPort: ports[0], destinationAddress, destinationPort: ports[1] };
}

/** Encodes into the middle of memory with its room and nothing more; what lies around must stay. */
function encoded(encode: (bytes: Uint8Array, at: number) => number): Buffer {
  const bytes = Buffer.alloc(AT + PROXY_HEADER_ROOM, 0xee);
  const end = encode(bytes, AT);
  assert.ok(bytes.subarray(0, AT).every((byte) => byte === 0xee) && bytes.subarray(end).every((byte) => byte === 0xee));
  return bytes.subarray(AT, end);
}

function line(what: ProxiedEnds): string {
  return encoded((bytes, at) => encodeProxyV1(bytes, at, what)).toString("latin1");
}

function binary(
  what: ProxiedEnds,
  transport: typeof Proxied.stream | typeof Proxied.datagram = Proxied.stream,
): string {
  return encoded((bytes, at) => encodeProxyV2(bytes, at, what, transport)).toString("hex");
}

const SIGNATURE_HEX = "0d0a0d0a000d0a515549540a";

test("version 1 is one line", () => {
  const v4 = ends("192.0.2.1", "198.51.100.2", [56324, 443]);
  assert.equal(line(v4), "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
  assert.equal(line(ends("2001:db8::1", "::1", [0, 65535])), "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
  const longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  assert.equal(line(ends(longest, longest, [65535, 65535])).length, 104);
  assert.equal(encoded(encodeProxyV1Unknown).toString("latin1"), "PROXY UNKNOWN\r\n");
});

test("version 2 is its bytes", () => {
  const v4 = ends("192.0.2.1", "198.51.100.2", [56324, 443]);
  assert.equal(binary(v4), `${SIGNATURE_HEX}2111000cc0000201c6336402dc0401bb`);
  assert.equal(binary(v4, Proxied.datagram), `${SIGNATURE_HEX}2112000cc0000201c6336402dc0401bb`);
  const v6 = `20010db8${"0".repeat(23)}1${"0".repeat(31)}100010002`;
  assert.equal(binary(ends("2001:db8::1", "::1")), `${SIGNATURE_HEX}21210024${v6}`);
  assert.equal(binary(ends("2001:db8::1", "::1"), Proxied.datagram), `${SIGNATURE_HEX}21220024${v6}`);
  assert.equal(encoded(encodeProxyV2Local).toString("hex"), `${SIGNATURE_HEX}20000000`);
});

test("what a dual-stack socket calls an IPv4 client is written as IPv4", () => {
  assert.equal(line(ends("::ffff:192.0.2.1", "::ffff:198.51.100.2")), "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n");
  assert.equal(line(ends("::ffff:192.0.2.1", "198.51.100.2")), "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n");
  assert.match(binary(ends("::ffff:192.0.2.1", "198.51.100.2")), /2111000cc0000201c6336402/);
});

test("an IPv4 end beside an IPv6 one is written in IPv6 form, as HAProxy does", () => {
  assert.equal(line(ends("192.0.2.1", "2001:db8::2")), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
  assert.equal(line(ends("2001:db8::2", "192.0.2.1")), "PROXY TCP6 2001:db8::2 ::ffff:192.0.2.1 1 2\r\n");
  assert.match(binary(ends("192.0.2.1", "::1")), /21210024[0]{20}ffffc0000201[0]{31}1/);
});

test("a zone is left out", () => {
  assert.equal(line(ends("fe80::1%eth0", "fe80::2%lo")), "PROXY TCP6 fe80::1 fe80::2 1 2\r\n");
});

test("a client without an address, gone before it was asked, is UNKNOWN or LOCAL", () => {
  for (const gone of ["", "unix:", "localhost"]) {
    assert.equal(line(ends(gone, "192.0.2.1")), "PROXY UNKNOWN\r\n");
    assert.equal(line(ends("192.0.2.1", gone)), "PROXY UNKNOWN\r\n");
    assert.equal(binary(ends(gone, "192.0.2.1")), `${SIGNATURE_HEX}20000000`);
  }
});

test("no room and a port that is none are our own mistakes", () => {
  const bytes = Buffer.alloc(PROXY_HEADER_ROOM);
  const good = ends("192.0.2.1", "192.0.2.2");
  assert.throws(() => encodeProxyV1(bytes, 1, good), /room/);
  assert.throws(() => encodeProxyV2(bytes, 1, good, Proxied.stream), /room/);
  assert.throws(() => encodeProxyV2Local(bytes, -1), /room/);
  for (const port of [-1, 65536, 1.5, Number.NaN]) {
    assert.throws(() => encodeProxyV1(bytes, 0, { ...good, clientPort: port }), /ports/);
    assert.throws(() => encodeProxyV2(bytes, 0, { ...good, destinationPort: port }, Proxied.stream), /ports/);
  }
});

const anyIp = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => formatIp({ family: 4, bytes: [...bytes] })),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatIp({ family: 6, bytes: [...bytes] })),
  // Few bits set, so that runs of zeros come up.
  fc
    .array(fc.constantFrom(0, 0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
    .filter((bytes) => !isMapped({ family: 6, bytes }))
    .map((bytes) => formatIp({ family: 6, bytes })),
);
const anyPort = fc.integer({ min: 0, max: 65535 });
const anyEnds: fc.Arbitrary<ProxiedEnds> = fc.record({
  clientAddress: anyIp,
  clientPort: anyPort,
  destinationAddress: anyIp,
  destinationPort: anyPort,
});

test(`what is written is read back, at every split point (seed ${seed})`, () => {
  const arena = createArena(1024);
  const header = proxyHeader();
  fc.assert(
    fc.property(anyEnds, fc.constantFrom("v1", "stream", "datagram"), fc.nat(7), (what, format, around) => {
      const bytes = encoded((memory, at) =>
        format === "v1"
          ? encodeProxyV1(memory, at, what)
          : encodeProxyV2(memory, at, what, Proxied[asTransport(format)]),
      );
      const surroundings = SURROUNDINGS[around] ?? "a";
      for (let length = 0; length < bytes.length; length++) {
        const end = place(arena, surroundings, 16, bytes.subarray(0, length));
        assert.equal(parseProxyHeader(arena, 16, end, header), Parsed.incomplete);
        assert.ok(header.needed > length && header.needed <= bytes.length);
      }
      const end = place(arena, surroundings, 16, bytes);
      assert.equal(parseProxyHeader(arena, 16, end, header), Parsed.complete);
      const { clientAddress, clientPort, destinationAddress, destinationPort } = header;
      assert.deepEqual({ clientAddress, clientPort, destinationAddress, destinationPort }, { ...what });
      assert.deepEqual([header.end, header.version], [end, format === "v1" ? 1 : 2]);
      assert.equal(header.proxied, Proxied[asTransport(format)]);
    }),
    { seed, numRuns: 400 },
  );
});

function asTransport(format: string): "stream" | "datagram" {
  return format === "datagram" ? "datagram" : "stream";
}
