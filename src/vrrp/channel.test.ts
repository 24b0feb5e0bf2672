import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToVrrp } from "../state/vrrp-protocol.ts";
import { decodeToVrrp } from "./channel.ts";
import { testSetup } from "./test-edges.ts";

const configure: ToVrrp = {
  type: "configure",
  id: 3,
  setups: [testSetup()],
  gate: "renewedByKernel",
  awaitedInterfaces: ["eth7"],
  standings: { chk: "up", load: -20, late: "unknown" },
};

const messages: readonly ToVrrp[] = [
  configure,
  { type: "track", name: "chk", standing: "down" },
  { type: "track", name: "load", standing: 5 },
  { type: "order", id: 1, router: "VI_1", order: "takeover" },
  { type: "status", id: 2 },
  { type: "beat" },
  { type: "stop" },
];

test("what the supervisor says is read as it was said", () => {
  for (const message of messages) {
    const decoded = decodeToVrrp(JSON.stringify(message));
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value, JSON.parse(JSON.stringify(message)));
  }
});

test("a line that is cut short or foreign is refused", () => {
  const text = JSON.stringify(configure);
  for (let length = 0; length < text.length; length++) assert.ok(!decodeToVrrp(text.slice(0, length)).ok);
  const wrong = [
    "[]",
    "null",
    '{"type":"remove"}',
    '{"type":"track","name":"chk","standing":"left"}',
    '{"type":"order","id":1,"router":"VI_1","order":"stop"}',
    text.replace('"renewedByKernel"', '"renewed"'),
    text.replace('"gateKey":1', '"gateKey":"1"'),
    text.replace('"vrid":51', '"vrid":null'),
  ];
  for (const line of wrong) {
    const decoded = decodeToVrrp(line);
    assert.ok(!decoded.ok && decoded.failure.code === "vrrp.channel", line);
  }
});
