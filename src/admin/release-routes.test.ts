import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeptRelease, ReleaseOrder } from "../control/release/release-book.ts";
import { bad, good } from "../core/failure.ts";
import { ask, bodyOf, pool, testNode } from "./test-node.ts";

const kept: KeptRelease = {
  pool: "app",
  fence: 4,
  lease: { holder: "root@lb/1/2/3", ttlMs: 15_000, leftMs: 900.4 },
  record: undefined,
  copyOf: undefined,
};

function node(more: Parameters<typeof testNode>[1] = {}) {
  const orders: (readonly [string, ReleaseOrder, string])[] = [];
  const orderRelease = (name: string, order: ReleaseOrder, by: string) => {
    orders.push([name, order, by]);
    return Promise.resolve(good(kept));
  };
  return { orders, node: testNode([pool("app", [])], { releases: () => [kept], orderRelease, ...more }) };
}

test("releases are shown, with durations as in the configuration", async () => {
  const { node: of } = node();
  const told = await ask(of, "GET", "/v1/releases/app");
  assert.equal(told.status, 200);
  assert.deepEqual(bodyOf(told)["lease"], { holder: "root@lb/1/2/3", ttl: "15s", leftMs: 900 });
  assert.equal((await ask(of, "GET", "/v1/releases")).status, 200);
  const none = await ask(of, "GET", "/v1/releases/other");
  assert.deepEqual([none.status, bodyOf(none)["code"]], [404, "release.unknown"]);
});

test("the lock is taken, renewed and given back, the record written, each in the name of who asks", async () => {
  const { node: of, orders } = node();
  const post = (word: string, body: object) =>
    ask(of, "POST", `/v1/releases/app:${word}`, { body: JSON.stringify(body) });
  assert.equal((await post("acquire", { holder: "a", ttl: "15s", fence: 3, instead: "b" })).status, 200);
  await post("renew", { holder: "a" });
  await post("leave", { holder: "a" });
  await ask(of, "PUT", "/v1/releases/app", { body: '{"holder":"a","record":{"x":1}}' });
  await ask(of, "PUT", "/v1/releases/app", { body: '{"copyOf":"consul k","record":{"x":1}}' });
  assert.deepEqual(
    orders.map(([name, { type }, by]) => [name, type, by]),
    ["acquire", "renew", "leave", "keep", "copy"].map((type) => ["app", type, "unix:root"]),
  );
  assert.deepEqual(orders[0]?.[1], { type: "acquire", holder: "a", ttlMs: 15_000, fence: 3, instead: "b" });
});

test("wrong bodies are refused with their fields, other pools with 404", async () => {
  const { node: of, orders } = node();
  for (const body of [
    "{}",
    '{"holder":"a b","ttl":"15s"}',
    '{"holder":"a","ttl":"1s"}',
    '{"holder":"a","ttl":"15s","x":1}',
  ]) {
    assert.equal((await ask(of, "POST", "/v1/releases/app:acquire", { body })).status, 400, body);
  }
  for (const body of ['{"record":{}}', '{"holder":"a","copyOf":"b","record":{}}', '{"holder":"a","record":[]}']) {
    assert.equal((await ask(of, "PUT", "/v1/releases/app", { body })).status, 400, body);
  }
  assert.equal((await ask(of, "POST", "/v1/releases/no:renew", { body: '{"holder":"a"}' })).status, 404);
  assert.deepEqual(orders, []);
});

test("a lock that somebody else has is a conflict", async () => {
  const failure = { code: "release.held", origin: "client", retrySafe: false, detail: "held by b" } as const;
  const { node: of } = node({ orderRelease: () => Promise.resolve(bad(failure)) });
  const told = await ask(of, "POST", "/v1/releases/app:acquire", { body: '{"holder":"a","ttl":"15s"}' });
  assert.deepEqual([told.status, bodyOf(told)["code"], bodyOf(told)["detail"]], [409, "release.held", "held by b"]);
});
