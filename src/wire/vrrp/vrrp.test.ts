// VRRP packets: what we write against bytes counted by hand, every way in which one can die, and that no bytes whatever
// make the decoder do anything but answer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { addWords, foldChecksum } from "../checksum.ts";
import type { Advertisement } from "./advertisement.ts";
import { type DecodedAdvertisement, type DecodeOptions, decodeIpv4Packet, decodeIpv6Payload } from "./decode.ts";
import { encodeAdvertisement, encodeIpv4Packet } from "./encode.ts";
import { type VrrpFaultCode, vrrpFaults, vrrpOddities } from "./faults.ts";

const strict: DecodeOptions = { ttlMin: 255, checksumForm: "pseudoHeader" };
const to4 = { source: "10.0.4.1", destination: "224.0.0.18" };
const to6 = { source: "fe80::1", destination: "ff02::12" };

const v2: Advertisement = {
  version: 2,
  family: 4,
  vrid: 51,
  priority: 100,
  interval: 1000,
  password: undefined,
  addresses: ["10.0.4.99"],
};
const v2Pass: Advertisement = { ...v2, password: "s3cret" };
const v3: Advertisement = { ...v2, version: 3, interval: 100, addresses: ["10.0.4.99", "10.0.4.100"] };
const v6: Advertisement = { ...v3, family: 6, addresses: ["fe80::99", "2001:db8::99"] };

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("version 2 without a password has eight bytes of zeros behind its addresses, and they are summed", () => {
  // 2133 + 6401 + 0001 + 0a00 + 0463 = 9398, complemented 6c67.
  assert.equal(hex(encodeAdvertisement(v2, to4)), "2133640100016c670a0004630000000000000000");
});

test("version 2 with PASS carries the password filled up with zeros, and sums it", () => {
  const bytes = encodeAdvertisement(v2Pass, to4);
  assert.equal(hex(bytes.subarray(12)), "7333637265740000");
  assert.equal(foldChecksum(addWords(0, bytes, 0, bytes.length)), 0);
});

test("version 3 over IPv4 sums the pseudo-header, or does not where the others don't", () => {
  const withHeader = encodeAdvertisement(v3, to4);
  const without = encodeAdvertisement(v3, to4, "asVersion2");
  // 3133 + 6402 + 000a + 0a00 + 0463 + 0a00 + 0464 = b206, complemented 4df9.
  assert.equal(hex(without), "31336402000a4df90a0004630a000464");
  // and 0a00 + 0401 + e000 + 0012 + 0070 + 0010 of the pseudo-header: 1a099, folded a09a, complemented 5f65.
  assert.equal(hex(withHeader), "31336402000a5f650a0004630a000464");
});

test("the IPv4 header is keepalived's: TOS 0xc0, TTL 255, protocol 112, its own checksum", () => {
  const packet = encodeIpv4Packet(encodeAdvertisement(v2, to4), to4);
  assert.equal(hex(packet.subarray(0, 10)), "45c0002800000000ff70");
  assert.equal(foldChecksum(addWords(0, packet, 0, 20)), 0);
});

function packetOf(advertisement: Advertisement): Uint8Array {
  return encodeIpv4Packet(encodeAdvertisement(advertisement, to4), to4);
}

function takenOf(decoded: DecodedAdvertisement) {
  assert.ok(decoded.ok, decoded.ok ? "" : decoded.code);
  return decoded.value;
}

for (const [name, advertisement] of Object.entries({ v2, v2Pass, v3, resigning: { ...v3, priority: 0 } })) {
  test(`what is written is read back: ${name}`, () => {
    const read = takenOf(decodeIpv4Packet(packetOf(advertisement), strict));
    assert.deepEqual(read, {
      ...to4,
      advertisement,
      ttl: 255,
      trafficClass: 0xc0,
      checksumForm: "pseudoHeader",
      oddities: [],
    });
  });
}

const v6Envelope = { ...to6, hopLimit: 255, trafficClass: 0xc0 };

test("what is written is read back: version 3 over IPv6", () => {
  const read = takenOf(decodeIpv6Payload(encodeAdvertisement(v6, to6), v6Envelope, strict));
  assert.deepEqual(read.advertisement, v6);
  assert.deepEqual(read.oddities, []);
});

test("a checksum of version 3 without pseudo-header is taken and named", () => {
  const read = takenOf(decodeIpv4Packet(encodeIpv4Packet(encodeAdvertisement(v3, to4, "asVersion2"), to4), strict));
  assert.equal(read.checksumForm, "asVersion2");
  assert.deepEqual(read.oddities, ["vrrp.odd.checksumForm"]);
  const asWell = decodeIpv4Packet(encodeIpv4Packet(encodeAdvertisement(v3, to4, "asVersion2"), to4), {
    ...strict,
    checksumForm: "asVersion2",
  });
  assert.deepEqual(takenOf(asWell).oddities, []);
});

test("a unicast packet whose checksum was counted with the multicast group is taken", () => {
  const unicast = { source: "10.0.4.1", destination: "10.0.4.2" };
  const packet = encodeIpv4Packet(encodeAdvertisement(v3, to4), unicast);
  assert.equal(takenOf(decodeIpv4Packet(packet, strict)).destination, "10.0.4.2");
});

test("padding of the link behind the total length counts for nothing", () => {
  const padded = new Uint8Array(60);
  padded.set(packetOf(v2));
  assert.deepEqual(takenOf(decodeIpv4Packet(padded, strict)).advertisement, v2);
});

test("options in the IP header are stepped over", () => {
  const packet = packetOf(v2);
  const longer = new Uint8Array(packet.length + 4);
  longer.set(packet.subarray(0, 20));
  longer.set(packet.subarray(20), 24);
  longer[0] = 0x46;
  longer[3] = longer.length;
  assert.deepEqual(takenOf(decodeIpv4Packet(longer, strict)).advertisement, v2);
});

test("another traffic class, and IPv6 addresses that begin with no link-local one, are named", () => {
  const packet = packetOf(v2);
  packet[1] = 0;
  assert.deepEqual(takenOf(decodeIpv4Packet(packet, strict)).oddities, ["vrrp.odd.tos"]);
  const global = encodeAdvertisement({ ...v6, addresses: ["2001:db8::99"] }, to6);
  assert.deepEqual(takenOf(decodeIpv6Payload(global, v6Envelope, strict)).oddities, ["vrrp.odd.linkLocal"]);
});

/** Changes bytes of the message and counts its checksum anew, as a sender would have. */
function forged(advertisement: Advertisement, change: (message: Uint8Array) => Uint8Array | undefined): Uint8Array {
  const original = encodeAdvertisement(advertisement, to4, "asVersion2");
  const message = change(original) ?? original;
  message[6] = 0;
  message[7] = 0;
  const checksum = foldChecksum(addWords(0, message, 0, message.length));
  message[6] = checksum >> 8;
  message[7] = checksum & 0xff;
  return encodeIpv4Packet(message, to4);
}

function edited(packet: Uint8Array, at: number, value: number): Uint8Array {
  packet[at] = value;
  return packet;
}

const deaths: readonly (readonly [VrrpFaultCode, string, Uint8Array])[] = [
  ["vrrp.ip.truncated", "nothing at all", new Uint8Array(0)],
  ["vrrp.ip.truncated", "19 bytes", packetOf(v2).subarray(0, 19)],
  ["vrrp.ip.truncated", "one byte less than the total length", packetOf(v2).subarray(0, 39)],
  ["vrrp.ip.version", "IP version 6 on an IPv4 socket", edited(packetOf(v2), 0, 0x65)],
  ["vrrp.ip.headerLength", "a header of 16 bytes", edited(packetOf(v2), 0, 0x44)],
  ["vrrp.ip.headerLength", "a header longer than the packet", edited(packetOf(v2), 0, 0x4f)],
  ["vrrp.ip.totalLength", "a total length below the header", edited(packetOf(v2), 3, 19)],
  ["vrrp.ip.fragment", "more fragments follow", edited(packetOf(v2), 6, 0x20)],
  ["vrrp.ip.fragment", "a later fragment", edited(packetOf(v2), 7, 1)],
  ["vrrp.ip.authenticationHeader", "IPsec AH around it", edited(packetOf(v2), 9, 51)],
  ["vrrp.ip.protocol", "CARP's neighbour, protocol 113", edited(packetOf(v2), 9, 113)],
  ["vrrp.ip.ttl", "TTL 254", edited(packetOf(v2), 8, 254)],
  ["vrrp.ip.source", "a multicast source", edited(packetOf(v2), 12, 224)],
  ["vrrp.ip.source", "source 0.0.0.0/8", edited(packetOf(v2), 12, 0)],
  ["vrrp.length.short", "seven bytes", encodeIpv4Packet(new Uint8Array(7), to4)],
  ["vrrp.length.short", "one address fewer than counted", forged(v3, (message) => message.subarray(0, 12))],
  ["vrrp.length.short", "version 2 without its last eight bytes", forged(v2, (message) => message.subarray(0, 12))],
  ["vrrp.length.trailing", "one address more than counted", forged(v3, (message) => edited(message, 3, 1))],
  ["vrrp.version", "version 4", forged(v3, (message) => edited(message, 0, 0x41))],
  ["vrrp.type", "type 2", forged(v3, (message) => edited(message, 0, 0x32))],
  ["vrrp.vrid.zero", "vrid 0", forged(v3, (message) => edited(message, 1, 0))],
  ["vrrp.addresses.none", "count 0", forged(v3, (message) => edited(message, 3, 0))],
  ["vrrp.authentication.header", "authentication type 2", forged(v2, (message) => edited(message, 4, 2))],
  ["vrrp.authentication.type", "authentication type 3", forged(v2, (message) => edited(message, 4, 3))],
  ["vrrp.checksum", "one bit turned", edited(packetOf(v3), 22, 101)],
  ["vrrp.interval.zero", "interval 0 in version 2", forged(v2, (message) => edited(message, 5, 0))],
  ["vrrp.interval.zero", "interval 0 in version 3", forged(v3, (message) => edited(message, 5, 0))],
];

for (const [code, what, packet] of deaths) {
  test(`${code}: ${what}`, () => {
    assert.deepEqual(decodeIpv4Packet(packet, strict), { ok: false, code });
  });
}

test("IPv6: a hop limit below 255, a multicast source, version 2 and a wrong checksum kill", () => {
  const message = encodeAdvertisement(v6, to6);
  const codeOf = (bytes: Uint8Array, envelope = v6Envelope) => {
    const decoded = decodeIpv6Payload(bytes, envelope, strict);
    return decoded.ok ? "alive" : decoded.code;
  };
  assert.equal(codeOf(message), "alive");
  assert.equal(codeOf(message, { ...v6Envelope, hopLimit: 64 }), "vrrp.ip.ttl");
  assert.equal(codeOf(message, { ...v6Envelope, source: "ff02::5" }), "vrrp.ip.source");
  assert.equal(codeOf(edited(message.slice(), 0, 0x21)), "vrrp.version");
  assert.equal(codeOf(edited(message.slice(), 2, 99)), "vrrp.checksum");
});

test("the reserved bits of version 3 are ignored", () => {
  const read = takenOf(
    decodeIpv4Packet(
      forged(v3, (message) => edited(message, 4, 0xf0)),
      strict,
    ),
  );
  assert.equal(read.advertisement.interval, 100);
});

test("a count of 0 in version 2 is taken: keepalived without addresses sends it", () => {
  const none = takenOf(decodeIpv4Packet(packetOf({ ...v2, addresses: [] }), strict));
  assert.deepEqual(none.advertisement.addresses, []);
});

test("every code is one word of dotted parts, under which it is counted", () => {
  const codes = [...Object.keys(vrrpFaults), ...Object.keys(vrrpOddities)];
  assert.equal(new Set(codes).size, codes.length);
  for (const code of codes) assert.match(code, /^vrrp(\.[a-z][a-zA-Z0-9]*)+$/);
});

test("whatever the bytes, the decoder answers, and what it takes can be written again", () => {
  const random = seededRandom(9568);
  const models = [packetOf(v2), packetOf(v2Pass), packetOf(v3)];
  let taken = 0;
  for (let round = 0; round < 20_000; round++) {
    const model = models[round % models.length]!;
    const packet = model.slice(0, random() < 0.2 ? Math.floor(random() * model.length) : model.length);
    const edits = Math.floor(random() * 4);
    for (let edit = 0; edit < edits; edit++) packet[Math.floor(random() * packet.length)] = Math.floor(random() * 256);
    const decoded = decodeIpv4Packet(packet, { ...strict, ttlMin: 0 });
    if (!decoded.ok) continue;
    taken++;
    const { advertisement, source, destination } = decoded.value;
    const again = encodeAdvertisement(advertisement, { source, destination });
    assert.equal(again.length, packet.length - 20 - ((packet[0] ?? 0) & 0xf) * 4 + 20);
  }
  assert.ok(taken > 1000 && taken < 19_000, `${taken} of 20000 taken`);
});
