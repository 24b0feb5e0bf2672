// Strictness: no bytes, however cut or changed, make a reader throw or read what is not there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { testSeed } from "../test-kit.ts";
import { decodeAnswer } from "./answer.ts";
import { decodeConnection } from "./conntrack.ts";
import { decodeCounter, encodeElementChanges, findRefused, TRANSACTION_BYTES_MAX } from "./nftables.ts";
import {
  attributesOf,
  decodeMessages,
  messageType,
  type NetlinkMessage,
  nestedAttributes,
  nextAttribute,
  readBytes,
  readHostU32,
  readText,
  readU8,
  readU16,
  readU32,
  readU64,
} from "./reader.ts";
import { addressAndPort, concatenation, hostNumber, portNumber } from "./registers.ts";
import {
  closeMessage,
  closeNest,
  netlinkWriter,
  openMessage,
  openNest,
  putBytes,
  putHostU32,
  putText,
  putU8,
  putU16,
  putU32,
  written,
} from "./writer.ts";

const seed = testSeed();

const { talks } = JSON.parse(readFileSync(new URL("../../../test/oracles/netlink.json", import.meta.url), "utf8"));
const datagrams: readonly Buffer[] = Object.values<{ answers: string[] }>(talks)
  .flatMap(({ answers }) => answers)
  .map((hex) => Buffer.from(hex, "hex"));

/** Everything that reads answers; each must give a value or a failure. */
function readAll(datagram: Uint8Array): readonly boolean[] {
  const messages = decodeMessages(datagram);
  if (!messages.ok) {
    assert.equal(messages.failure.code, "netlink.malformed");
    return [false];
  }
  return messages.value.flatMap((message) =>
    [decodeAnswer, decodeCounter, decodeConnection].map((read) => read(message).ok),
  );
}

test("a datagram that is cut anywhere is refused or has fewer messages", () => {
  assert.ok(datagrams.length > 10);
  for (const datagram of datagrams) {
    const whole = decodeMessages(datagram);
    assert.ok(whole.ok);
    for (let length = 1; length < datagram.length; length++) {
      const cut = decodeMessages(datagram.subarray(0, length));
      if (cut.ok) assert.ok(cut.value.length < whole.value.length, `${length} of ${datagram.length} bytes`);
      readAll(datagram.subarray(0, length));
    }
  }
});

/** The message with its payload cut and its length made to agree. */
function shortened(message: NetlinkMessage, length: number): NetlinkMessage {
  return { ...message, payload: message.payload.subarray(0, length) };
}

test("a connection or counter that ends too early is refused or undecided, never half read", () => {
  for (const datagram of datagrams) {
    const messages = decodeMessages(datagram);
    assert.ok(messages.ok);
    for (const message of messages.value) {
      for (let length = 0; length < message.payload.length; length++) {
        const connection = decodeConnection(shortened(message, length));
        if (connection.ok && connection.value !== undefined) assert.ok(length >= 104, "both tuples are there");
        const counter = decodeCounter(shortened(message, length));
        if (counter.ok) assert.equal(counter.value, undefined, `${length} of ${message.payload.length} bytes`);
      }
    }
  }
});

test(`changed bytes are never an exception (seed ${seed})`, () => {
  const change = fc.record({
    datagram: fc.constantFrom(...datagrams),
    changes: fc.array(fc.record({ at: fc.nat(1000), byte: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
  });
  fc.assert(
    fc.property(change, ({ datagram, changes }) => {
      const changed = Buffer.from(datagram);
      for (const { at, byte } of changes) changed[at % changed.length] = byte;
      readAll(changed);
    }),
    { seed, numRuns: 2000 },
  );
});

test(`any bytes are never an exception (seed ${seed})`, () => {
  const message = fc.record({
    type: fc.constantFrom(messageType.answer, messageType.done, 0x0a12, 0x0100),
    flags: fc.nat(0x7ff),
    sequence: fc.nat(),
    portId: fc.nat(),
    payload: fc.uint8Array({ maxLength: 200 }),
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), message, (bytes, made) => {
      readAll(bytes);
      for (const read of [decodeAnswer, decodeCounter, decodeConnection]) read(made);
    }),
    { seed, numRuns: 2000 },
  );
});

test("attributes are read back as they were written", () => {
  const writer = netlinkWriter(8);
  const start = openMessage(writer, { type: 0x0a12, flags: 5, sequence: 77, family: 1, resource: 10 });
  putU8(writer, 1, 200);
  putU16(writer, 2, 0x1234);
  putU32(writer, 3, 0xfedcba98);
  putHostU32(writer, 4, 0xfedcba98);
  putText(writer, 5, "name");
  const nest = openNest(writer, 6);
  putBytes(writer, 7, Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 3));
  closeNest(writer, nest);
  closeMessage(writer, start);
  const messages = decodeMessages(written(writer));
  assert.ok(messages.ok);
  const [message] = messages.value;
  assert.deepEqual(
    [message?.type, message?.flags, message?.sequence, message?.portId, messages.value.length],
    [0x0a12, 5, 77, 0, 1],
  );
  assert.equal(Buffer.from(message!.payload.subarray(0, 4)).toString("hex"), "0100000a");
  const cursor = attributesOf(message!.payload, 4);
  const seen: unknown[] = [];
  while (nextAttribute(cursor)) {
    if (cursor.type === 1) seen.push(readU8(cursor));
    if (cursor.type === 2) seen.push(readU16(cursor));
    if (cursor.type === 3) seen.push(readU32(cursor));
    if (cursor.type === 4) seen.push(readHostU32(cursor));
    if (cursor.type === 5) seen.push(readText(cursor));
    if (cursor.type !== 6) continue;
    const inner = nestedAttributes(cursor);
    while (nextAttribute(inner)) seen.push(readU64(inner), inner.type);
  }
  assert.deepEqual(seen, [200, 0x1234, 0xfedcba98, 0xfedcba98, "name", 2 * 2 ** 32 + 3, 7]);
  assert.equal(cursor.malformed, false);
});

const lies: Readonly<Record<string, string>> = {
  "a length of 3": "0300010000000000",
  "a length beyond the end": "0900010000000000",
  "a header that is cut": "080001",
};

for (const [what, hex] of Object.entries(lies)) {
  test(`an attribute with ${what} ends the walk and is told to the nest around it`, () => {
    const bytes = Buffer.from(hex, "hex");
    const outer = Buffer.concat([Buffer.from([bytes.length + 4, 0, 1, 0x80]), bytes]);
    const cursor = attributesOf(outer, 0);
    assert.equal(nextAttribute(cursor), true);
    const inner = nestedAttributes(cursor);
    assert.equal(nextAttribute(inner), false);
    assert.deepEqual([inner.malformed, cursor.malformed, nextAttribute(cursor)], [true, true, false]);
  });
}

test("a number or text of another width is malformed, not read beside", () => {
  for (const read of [readU8, readU16, readU32, readU64, readHostU32]) {
    const cursor = attributesOf(Buffer.from("0700010001020300", "hex"), 0);
    nextAttribute(cursor);
    assert.equal(read(cursor), 0);
    assert.equal(cursor.malformed, true);
  }
  for (const hex of ["080001006e616d65", "080001006e006d00", "04000100"]) {
    const cursor = attributesOf(Buffer.from(hex, "hex"), 0);
    nextAttribute(cursor);
    assert.equal(readText(cursor), "");
    assert.equal(cursor.malformed, true, hex);
  }
  const cursor = attributesOf(Buffer.from("0700010001020300", "hex"), 0);
  nextAttribute(cursor);
  assert.equal(readBytes(cursor, 4).length, 0);
  assert.equal(attributesOf(Buffer.alloc(3), 4).malformed, true, "no room for the netfilter header");
});

test("a refusal's own words are read, behind the whole message that it repeats or its header alone", () => {
  const original = Buffer.alloc(20);
  original.writeUInt32LE(20, 0);
  const words = Buffer.from("0b0001006e6f2074617000000800020014000000", "hex");
  const errno = Buffer.from([0xff, 0xff, 0xff, 0xff]);
  const read = (flags: number, repeated: Buffer) => {
    const payload = Buffer.concat([errno, repeated, words]);
    return decodeAnswer({ type: messageType.answer, flags, sequence: 5, portId: 0, payload });
  };
  const value = { sequence: 5, errno: 1, text: "no tap", offset: 20 };
  assert.deepEqual(read(0x200, original), { ok: true, value });
  assert.deepEqual(read(0x300, original.subarray(0, 16)), { ok: true, value });
  original.writeUInt32LE(0xfffffff0, 0);
  assert.equal(read(0x200, original).ok, false, "the repeated length lies");
});

test("4,099 slots are one transaction of several messages, with one acknowledgement asked for", () => {
  const slots = Array.from({ length: 4099 }, (_, index) => hostNumber(index));
  const data = addressAndPort({ host: "fd45:2::21", port: 443 });
  const request = encodeElementChanges("t", [{ map: "m", remove: slots, add: slots.map((key) => ({ key, data })) }], 9);
  assert.ok(request.ok);
  const messages = decodeMessages(request.value.bytes);
  assert.ok(messages.ok);
  assert.deepEqual(
    messages.value.map(({ sequence }) => sequence),
    messages.value.map((_, index) => 9 + index),
  );
  assert.deepEqual([messages.value[0]?.type, messages.value.at(-1)?.type], [0x10, 0x11]);
  const acknowledged = messages.value.filter(({ flags }) => (flags & 4) !== 0).map(({ sequence }) => sequence);
  assert.deepEqual(acknowledged, [request.value.last]);
  assert.equal(messages.value.at(-1)?.sequence, request.value.last + 1);
  let elements = 0;
  for (const message of messages.value.slice(1, -1)) {
    const attributes = attributesOf(message.payload, 4);
    while (nextAttribute(attributes)) {
      if (attributes.type !== 3) continue;
      const items = nestedAttributes(attributes);
      while (nextAttribute(items)) elements++;
    }
    assert.equal(attributes.malformed, false);
  }
  assert.equal(elements, 2 * 4099);
});

test("what no transaction holds is refused before it is sent", () => {
  const add = new Array(700_000).fill({ key: hostNumber(1), data: hostNumber(1) });
  const request = encodeElementChanges("t", [{ map: "m", remove: [], add }], 1);
  assert.ok(!request.ok);
  assert.equal(request.failure.code, "netfilter.tooLarge");
  assert.ok(request.failure.detail.includes(String(TRANSACTION_BYTES_MAX)));
});

test("a refusal of the batch points at no element", () => {
  const request = encodeElementChanges("t", [{ map: "m", remove: [hostNumber(1)], add: [] }], 1);
  assert.ok(request.ok);
  assert.equal(findRefused(request.value.bytes, 1, undefined), undefined);
  assert.equal(findRefused(request.value.bytes, 99, undefined), undefined);
  assert.deepEqual(findRefused(request.value.bytes, 2, undefined), { map: "m", key: undefined });
});

test("each part of a concatenation begins a register", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  assert.equal(hex(hostNumber(0x01020304)), "04030201");
  assert.equal(hex(addressAndPort({ host: "10.0.0.1", port: 443 })), "0a00000101bb0000");
  assert.equal(hex(addressAndPort({ host: "::1", port: 443 })), "0000000000000000000000000000000101bb0000");
  assert.equal(hex(concatenation([portNumber(1), Uint8Array.of(6), hostNumber(7)])), "000100000600000007000000");
});
