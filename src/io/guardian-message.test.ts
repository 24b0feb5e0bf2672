import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeOrder, decodeReport, encodeOrder, type GuardianOrder } from "./guardian-message.ts";

const wanted = {
  address: "10.0.0.9",
  prefixLength: 32,
  interfaceIndex: 2,
  interfaceName: "eth0",
  scope: "global",
  label: undefined,
} as const;
const guard: GuardianOrder = {
  kind: "guard",
  addresses: [{ wanted, marked: true }],
  farewells: [
    {
      family: 4,
      interface: { name: "eth0", index: 2 },
      source: "10.0.0.1",
      peers: "multicast",
      destinations: ["224.0.0.18"],
      packet: Uint8Array.of(0x31, 51, 0, 1, 0xff),
    },
  ],
};

test("orders are read as they were given", () => {
  for (const order of [guard, { kind: "renew", untilBootMs: 12345.5 }, { kind: "done" }] as const) {
    const decoded = decodeOrder(encodeOrder(order));
    assert.deepEqual(decoded, { ok: true, value: order });
  }
});

test("an order that is not wholly right is refused, never half obeyed", () => {
  const text = encodeOrder(guard);
  const wrong = [
    "",
    "{",
    "[]",
    '{"kind":"remove"}',
    '{"kind":"renew"}',
    text.replace('"prefixLength":32', '"prefixLength":129'),
    text.replace('"interfaceIndex":2', '"interfaceIndex":0'),
    text.replace('"marked":true', '"marked":1'),
    text.replace('"family":4', '"family":5'),
    text.replace('"scope":"global"', '"scope":"any"'),
    text.replace('"destinations":["224.0.0.18"]', '"destinations":[5]'),
    text.replace('"index":2', '"index":"2"'),
  ];
  for (const line of wrong) {
    const decoded = decodeOrder(line);
    assert.ok(!decoded.ok && decoded.failure.code === "guardian.order", line);
  }
});

test("every cut of an order is refused", () => {
  const text = encodeOrder(guard);
  for (let length = 0; length < text.length; length++) assert.ok(!decodeOrder(text.slice(0, length)).ok);
});

test("reports are read, and other lines are none", () => {
  const report = { kind: "failed", code: "a.b", detail: "words" } as const;
  assert.deepEqual(decodeReport(JSON.stringify(report)), report);
  assert.deepEqual(decodeReport('{"kind":"ready","realtime":true}'), { kind: "ready", realtime: true });
  for (const line of ["", "(node:1) Warning", '{"kind":"gone"}', '{"kind":"guarding","addresses":-1,"farewells":0}']) {
    assert.equal(decodeReport(line), undefined);
  }
});
