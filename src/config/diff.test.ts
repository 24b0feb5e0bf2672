import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { decodeConfig } from "./decode.ts";
import { describeDiff, diffConfig, same } from "./diff.ts";

function config(text: string): Config {
  const decoded = decodeConfig(text, { file: "lb.yaml", environment: {}, machine: { hostname: "h", cores: 2 } });
  assert(decoded.ok);
  return decoded.config;
}

const before = config(`
drainTimeout: 30s
listeners:
  web:
    bind: 0.0.0.0:80
    routes:
      - { name: api, path: /api, pool: api }
      - { name: old, path: /old, pool: site }
      - { name: all, pool: site }
  admin: { bind: 127.0.0.1:81, routes: [{ pool: api }] }
pools:
  api: { targets: { 10.0.0.1:80: {}, 10.0.0.2:80: {} } }
  site: { targets: { 10.0.0.3:80: {} } }
`);

const after = config(`
drainTimeout: 1m
accessLog: { path: stdout }
listeners:
  web:
    bind: 0.0.0.0:8080
    timeouts: { idle: 5s }
    routes:
      - { name: new, path: /new, pool: site }
      - { name: api, path: /api, pool: api, bodyLimit: 2MiB, timeouts: { idle: 60s } }
      - { name: all, pool: site, timeouts: { idle: 60s } }
  extra: { bind: 127.0.0.1:82, routes: [{ pool: api }] }
pools:
  api: { balance: leastConnections, targets: { 10.0.0.1:80: { weight: 3, intent: drain }, 10.0.0.9:80: {} } }
  site: { targets: { 10.0.0.3:80: {} } }
  spare: { targets: { 10.0.0.4:80: {} } }
`);

test("a configuration does not differ from itself", () => {
  const diff = diffConfig(before, before);
  assert.equal(diff.empty, true);
  assert.deepEqual(describeDiff(diff), []);
});

test("a diff names what was added, removed and changed, down to a target's field", () => {
  const diff = diffConfig(before, after);
  assert.equal(diff.empty, false);
  assert.deepEqual(describeDiff(diff), [
    "~ drainTimeout 30000 -> 60000",
    '~ accessLog (none) -> {"path":"stdout","format":"json","bufferBytesMax":65536,"flushInterval":1000}',
    "+ listener extra",
    "- listener admin",
    "~ listener web: bind 0.0.0.0:80 -> 0.0.0.0:8080",
    "~ listener web: timeouts.idle 60000 -> 5000",
    "+ listener web: route new",
    "- listener web: route old",
    "~ listener web: route api: bodyBytesMax 1048576 -> 2097152",
    "+ pool spare",
    '~ pool api: balance.policy "roundRobin" -> "leastConnections"',
    "+ pool api: target 10.0.0.9:80",
    "- pool api: target 10.0.0.2:80",
    "~ pool api: target 10.0.0.1:80: weight 1 -> 3",
    '~ pool api: target 10.0.0.1:80: intent "up" -> "drain"',
  ]);
});

test("a diff is plain data, and the way back swaps what was added and removed", () => {
  const forth = diffConfig(before, after);
  const back = diffConfig(after, before);
  assert.deepEqual(JSON.parse(JSON.stringify(forth.listeners.added)), back.listeners.removed);
  assert.deepEqual(forth.pools.added, back.pools.removed);
  assert.deepEqual(forth.listeners.changed[0]?.bind, { before: "0.0.0.0:80", after: "0.0.0.0:8080" });
  assert.deepEqual(back.listeners.changed[0]?.bind, { before: "0.0.0.0:8080", after: "0.0.0.0:80" });
});

test("routes that only change places are told, for the first match is taken", () => {
  const listener = (routes: string) => config(`listeners: { web: { bind: 0.0.0.0:80, routes: [${routes}] } }`);
  const [a, b] = ["{ name: a, path: { regex: a }, respond: {} }", "{ name: b, path: { regex: b }, respond: {} }"];
  const diff = diffConfig(listener(`${a}, ${b}`), listener(`${b}, ${a}`));
  assert.deepEqual(describeDiff(diff), ["~ listener web: routes in another order"]);
});

test("the order of targets is part of a pool, for it is the order of round robin", () => {
  const pool = (targets: string) => config(`pools: { app: { targets: { ${targets} } } }`);
  const diff = diffConfig(pool("10.0.0.1:80: , 10.0.0.2:80: "), pool("10.0.0.2:80: , 10.0.0.1:80: "));
  assert.deepEqual(describeDiff(diff), ["~ pool app: targets in another order"]);
});

test("JSON data is the same by its content, absent or undefined", () => {
  assert.equal(same({ a: 1, b: undefined }, { a: 1 }), true);
  assert.equal(same([1, { a: [2] }], [1, { a: [2] }]), true);
  assert.equal(same([1], [1, 2]), false);
  assert.equal(same({ a: 1 }, [1]), false);
  assert.equal(same(null, {}), false);
});
