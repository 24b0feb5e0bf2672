// Gratuitous ARP and neighbour discovery: bytes counted by hand, and what is read back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ArpFaultCode, arpFaults, decodeArp, encodeArpRequest, encodeGratuitousArp } from "./arp.ts";
import {
  decodeNeighbourAdvertisement,
  encodeSolicitation,
  encodeUnsolicitedAdvertisement,
  neighbourFaults,
  solicitedNode,
} from "./neighbour.ts";

const mac = "02:00:00:00:00:01";
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("a gratuitous ARP is a broadcast request for the sender's own address", () => {
  const frame = encodeGratuitousArp({ mac, address: "10.0.4.99" });
  assert.equal(
    hex(frame),
    "ffffffffffff0200000000010806" + "0001080006040001" + "0200000000010a000463" + "ffffffffffff0a000463",
  );
  const read = decodeArp(frame);
  assert.ok(read.ok);
  assert.equal(read.value.meaning, "announcement");
});

test("a question and a probe are told apart by their sender", () => {
  const ask = (senderAddress: string) => {
    const read = decodeArp(encodeArpRequest({ mac, senderAddress, targetAddress: "10.0.4.254" }));
    return read.ok ? `${read.value.operation} ${read.value.meaning} ${read.value.targetAddress}` : read.code;
  };
  assert.equal(ask("10.0.4.1"), "request other 10.0.4.254");
  assert.equal(ask("0.0.0.0"), "request probe 10.0.4.254");
});

test("a reply says who has the address, padded or not", () => {
  const frame = new Uint8Array(60);
  frame.set(encodeArpRequest({ mac, senderAddress: "10.0.4.254", targetAddress: "10.0.4.1" }));
  frame[21] = 2;
  const read = decodeArp(frame);
  assert.ok(read.ok);
  assert.deepEqual(
    [read.value.operation, read.value.senderMac, read.value.senderAddress],
    ["reply", mac, "10.0.4.254"],
  );
});

test("every way in which a frame is no ARP message has its code", () => {
  const frame = encodeGratuitousArp({ mac, address: "10.0.4.99" });
  const codeWith = (at: number, value: number) => {
    const changed = frame.slice();
    changed[at] = value;
    const read = decodeArp(changed);
    return read.ok ? undefined : read.code;
  };
  const short = decodeArp(frame.subarray(0, 41));
  const codes = [
    short.ok ? undefined : short.code,
    codeWith(13, 0),
    codeWith(15, 6),
    codeWith(16, 0x86),
    codeWith(21, 3),
  ];
  const expected: readonly ArpFaultCode[] = [
    "arp.length.short",
    "arp.type",
    "arp.hardware",
    "arp.protocol",
    "arp.operation",
  ];
  assert.deepEqual(codes, expected);
  assert.deepEqual(Object.keys(arpFaults), expected);
});

test("an unsolicited neighbour advertisement overrides, is not solicited, and says router where it forwards", () => {
  const message = encodeUnsolicitedAdvertisement({ mac, address: "2001:db8::99", source: "fe80::1", router: true });
  // fe80 + 1 + ff02 + 1 + 3a + 20 of the pseudo-header, 8800 + a000 + 2001 + db8 + 99 + 201 + 200 + 0 + 1: 35832,
  // folded 5835, complemented a7ca.
  assert.equal(hex(message), "8800a7caa000000020010db80000000000000000000000990201020000000001");
  const envelope = { source: "fe80::1", destination: "ff02::1", hopLimit: 255 };
  assert.deepEqual(decodeNeighbourAdvertisement(message, envelope), {
    ok: true,
    value: { target: "2001:db8::99", router: true, solicited: false, override: true, mac },
  });
});

test("every way in which a message is no neighbour advertisement has its code", () => {
  const message = encodeUnsolicitedAdvertisement({ mac, address: "2001:db8::99", source: "fe80::1", router: false });
  const envelope = { source: "fe80::1", destination: "ff02::1", hopLimit: 255 };
  const codeOf = (bytes: Uint8Array, around = envelope) => {
    const read = decodeNeighbourAdvertisement(bytes, around);
    return read.ok ? undefined : read.code;
  };
  // An option of length 0, with the checksum that makes it whole: the length was 1 of the high byte of a word.
  const optionless = message.slice();
  optionless[25] = 0;
  const sum = ((message[2] ?? 0) << 8) + (message[3] ?? 0) + 1;
  optionless[2] = sum >> 8;
  optionless[3] = sum & 0xff;
  assert.deepEqual(
    [
      codeOf(message.subarray(0, 23)),
      codeOf(encodeSolicitation({ mac, address: "2001:db8::99", source: "fe80::1" })),
      codeOf(message, { ...envelope, hopLimit: 64 }),
      codeOf(message, { ...envelope, source: "fe80::2" }),
      codeOf(optionless),
    ],
    Object.keys(neighbourFaults),
  );
});

test("the group in which the owner of an address listens ends in its last three bytes", () => {
  assert.equal(solicitedNode("2001:db8::12:3456"), "ff02::1:ff12:3456");
});
