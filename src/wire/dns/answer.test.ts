import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { testSeed } from "../test-kit.ts";
import { answerId, decodeAnswer } from "./answer.ts";
import { dnsFaults } from "./faults.ts";
import { encodeQuery } from "./query.ts";
import {
  type MessageParts,
  messageBytes,
  nameBytes,
  pointer,
  type RecordBytes,
  soaData,
  srvData,
} from "./test-message.ts";

const question = { name: "app.example.com", type: 1 };
const asked = pointer(12);
const a = (last: number, ttl = 60): RecordBytes => ({ name: asked, type: 1, ttl, data: [10, 0, 4, last] });

const decode = (parts: MessageParts) => decodeAnswer(messageBytes(parts));
const codeOf = (parts: MessageParts) => {
  const read = decode(parts);
  return read.ok ? "read" : read.failure.code;
};

test("a question is written to the byte, with and without EDNS", () => {
  const plain = encodeQuery({ id: 0xabcd, name: "app.example.com", type: "SRV", edns: false });
  assert.equal(
    Buffer.from(plain).toString("hex"),
    `abcd01000001000000000000${Buffer.from(nameBytes("app.example.com")).toString("hex")}00210001`,
  );
  const extended = encodeQuery({ id: 1, name: ".", type: "AAAA", edns: true });
  assert.equal(
    Buffer.from(extended).toString("hex"),
    "000101000001000000000001" + "00001c0001" + "00002904d0000000000000",
  );
});

test("addresses are read in order, each with its time to live", () => {
  const aaaa = { name: asked, type: 28, ttl: 5, data: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] };
  const read = decode({ question, answers: [a(20), a(21, 30), aaaa] });
  assert.ok(read.ok);
  assert.deepEqual(read.value, {
    id: 0x1234,
    question: { name: "app.example.com", type: 1, class: 1 },
    isAuthoritative: true,
    isRecursive: true,
    isTruncated: false,
    rcode: 0,
    answers: [
      { type: "A", name: "app.example.com", ttlSeconds: 60, address: "10.0.4.20" },
      { type: "A", name: "app.example.com", ttlSeconds: 30, address: "10.0.4.21" },
      { type: "AAAA", name: "app.example.com", ttlSeconds: 5, address: "2001:db8::1" },
    ],
    authority: [],
  });
});

test("SRV and CNAME are read, their names compressed or not", () => {
  const answers = [
    { name: asked, type: 5, data: [3, 0x73, 0x72, 0x76, ...pointer(16)] },
    { name: asked, type: 33, data: srvData(10, 65_535, 8080, nameBytes("One.example.com")) },
    { name: asked, type: 33, data: srvData(20, 0, 1, pointer(16)) },
    { name: asked, type: 33, data: srvData(0, 0, 0, [0]) },
  ];
  const read = decode({ question, answers });
  assert.ok(read.ok);
  assert.deepEqual(read.value.answers, [
    { type: "CNAME", name: "app.example.com", ttlSeconds: 60, target: "srv.example.com" },
    {
      type: "SRV",
      name: "app.example.com",
      ttlSeconds: 60,
      priority: 10,
      weight: 65_535,
      port: 8080,
      target: "one.example.com",
    },
    { type: "SRV", name: "app.example.com", ttlSeconds: 60, priority: 20, weight: 0, port: 1, target: "example.com" },
    { type: "SRV", name: "app.example.com", ttlSeconds: 60, priority: 0, weight: 0, port: 0, target: "." },
  ]);
});

test("a negative answer has its SOA, a referral its servers", () => {
  const read = decode({
    question,
    flags: 0x8183,
    authority: [
      { name: nameBytes("example.com"), type: 6, ttl: 900, data: soaData(300) },
      { name: nameBytes("example.com"), type: 2, data: nameBytes("ns.example.com") },
    ],
  });
  assert.ok(read.ok);
  assert.deepEqual([read.value.rcode, read.value.isAuthoritative, read.value.isRecursive], [3, false, true]);
  assert.deepEqual(read.value.authority, [
    { type: "SOA", name: "example.com", ttlSeconds: 900, minimumSeconds: 300 },
    { type: "NS", name: "example.com", ttlSeconds: 60, target: "ns.example.com" },
  ]);
});

test("records of other types and classes are stepped over, and so is what lies behind the last", () => {
  const answers = [{ name: asked, type: 46, data: [1, 2, 3] }, { ...a(9), class: 3 }, { ...a(9), type: 65_000 }, a(20)];
  const bytes = messageBytes({ question, answers });
  const read = decodeAnswer(Uint8Array.from([...bytes, 1, 2, 3]));
  assert.ok(read.ok);
  assert.equal(read.value.answers.length, 1);
});

test("the upper bits of a refusal come by EDNS", () => {
  const opt = { name: [0], type: 41, class: 1232, ttl: 0x01000000, data: [] };
  const read = decode({ question, additional: [opt] });
  assert.ok(read.ok);
  assert.equal(read.value.rcode, 16);
});

test("a time to live with its highest bit set is none", () => {
  const read = decode({ question, answers: [a(20, 0x80000000), a(21, 0x7fffffff)] });
  assert.ok(read.ok);
  assert.deepEqual(
    read.value.answers.map((record) => record.ttlSeconds),
    [0, 0x7fffffff],
  );
});

test("of a truncated answer nothing is read but that it is one", () => {
  const bytes = messageBytes({ question, flags: 0x8780, answers: [a(20), a(21)] });
  const read = decodeAnswer(bytes.subarray(0, bytes.length - 7));
  assert.ok(read.ok);
  assert.deepEqual([read.value.isTruncated, read.value.answers], [true, []]);
});

test("a refusal may leave the question out, an answer may not", () => {
  assert.equal(codeOf({ flags: 0x8181 }), "read");
  for (const flags of [0x8180, 0x8183]) assert.equal(codeOf({ flags }), "dns.question.count");
  const two = messageBytes({ question });
  two[5] = 2;
  assert.deepEqual(decodeAnswer(two).ok, false);
});

test("questions, other operations and data of the wrong length are refused", () => {
  assert.equal(codeOf({ question, flags: 0x0100 }), "dns.header.question");
  assert.equal(codeOf({ question, flags: 0xa800 }), "dns.header.opcode");
  const wrong: readonly (readonly [number, readonly number[]])[] = [
    [1, [10, 0, 4]],
    [1, [10, 0, 4, 1, 1]],
    [28, [10, 0, 4, 1]],
    [5, []],
    [5, [...pointer(12), 0]],
    [33, [0, 1, 0, 1, 0, 1]],
    [33, [...srvData(1, 1, 1, pointer(12)), 0]],
    [6, soaData(1).slice(0, -1)],
    [6, [...soaData(1), 0]],
  ];
  for (const [type, data] of wrong) {
    assert.equal(codeOf({ question, answers: [{ name: asked, type, data }] }), "dns.record.length", `${type} ${data}`);
  }
});

const whole = messageBytes({
  question,
  answers: [
    { name: asked, type: 5, data: [1, 0x78, ...pointer(16)] },
    a(20),
    { name: pointer(45), type: 33, data: srvData(1, 2, 3, pointer(16)) },
  ],
  authority: [{ name: pointer(16), type: 6, data: soaData(60) }],
  additional: [{ name: [0], type: 41, class: 1232, ttl: 0, data: [] }],
});

test("cut at any byte a message is incomplete, never something else", () => {
  assert.equal(decodeAnswer(whole).ok, true);
  assert.equal(answerId(whole), 0x1234);
  assert.equal(answerId(whole.subarray(0, 1)), undefined);
  for (let cut = 0; cut < whole.length; cut++) {
    const read = decodeAnswer(whole.subarray(0, cut));
    assert.equal(read.ok ? "read" : read.failure.code, "dns.length.short", `cut at ${cut}`);
  }
});

test("whatever a byte is changed to, there is an answer or a fault with a name", () => {
  const codes = new Set<string>(Object.keys(dnsFaults));
  const judge = (bytes: Uint8Array, how: string) => {
    const read = decodeAnswer(bytes);
    assert.ok(read.ok || codes.has(read.failure.code), how);
  };
  for (let at = 0; at < whole.length; at++) {
    for (const value of [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff]) {
      const changed = whole.slice();
      changed[at] = value;
      judge(changed, `byte ${at} = ${value}`);
    }
  }
  const seed = testSeed();
  const random = seededRandom(seed);
  for (let run = 0; run < 5_000; run++) {
    const changed = whole.slice();
    for (let hits = 1 + Math.floor(random() * 6); hits > 0; hits--) {
      changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
    }
    judge(changed, `seed ${seed}, run ${run}`);
  }
});
