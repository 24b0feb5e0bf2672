import assert from "node:assert/strict";
import { test } from "node:test";
import { type GatedRouter, gateRuleset } from "./gate-rules.ts";

const routers: readonly GatedRouter[] = [
  { key: 1, interface: "eth0", family: 4, vrid: 51, addresses: ["10.0.0.9", "10.0.0.8"], lease: 300 },
  { key: 300, interface: "eth0", family: 6, vrid: 51, addresses: ["fd00::9"], lease: 30 },
  { key: 3, interface: "eth1.7", family: 4, vrid: 7, addresses: ["10.1.0.9"], lease: 3000 },
];

test("each router's lease is renewed by its own advertisement and stands over its own addresses", () => {
  const text = gateRuleset(routers, { egress: true });
  assert.match(
    text,
    /ip protocol 112 @th,8,8 51 update @armed \{ meta mark and 0x0 or 0x1 timeout 60000ms \} update @lease \{ meta mark and 0x0 or 0x1 timeout 300ms \}/,
  );
  assert.match(
    text,
    /ip6 nexthdr 112 @th,8,8 51 update @armed \{ .* 0x12c .*\} update @lease \{ .* 0x12c timeout 30ms \}/,
  );
  assert.match(text, /arp daddr ip \{ 10\.0\.0\.9, 10\.0\.0\.8 \} jump gate_1\n/);
  assert.match(text, /nd-neighbor-solicit @th,64,128 \{ 0xfd000000000000000000000000000009 \} jump gate_300\n/);
  assert.match(text, /0x12c == @armed meta mark and 0x0 or 0x12c != @lease counter drop/);
});

test("an interface has one chain each way, with the rules of its routers only", () => {
  const text = gateRuleset(routers, { egress: true });
  assert.equal(text.match(/hook ingress/g)?.length, 2);
  assert.equal(text.match(/hook egress/g)?.length, 2);
  const [, second = ""] = text.split('hook ingress device "eth1.7"');
  const rules = second.slice(0, second.indexOf("}\n  }"));
  assert.match(rules, /10\.1\.0\.9/);
  assert.doesNotMatch(rules.split("chain")[0] ?? "", /10\.0\.0\.9/);
});

test("a kernel without the egress hook gets no rule of it", () => {
  const text = gateRuleset(routers, { egress: false });
  assert.doesNotMatch(text, /egress|update/);
  assert.match(text, /hook ingress/);
});

test("the table is made anew whatever was there", () => {
  assert.match(
    gateRuleset(routers, { egress: true }),
    /^table netdev evenkeel_gate\ndelete table netdev evenkeel_gate\n/,
  );
});
