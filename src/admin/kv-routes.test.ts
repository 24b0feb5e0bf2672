import assert from "node:assert/strict";
import { test } from "node:test";
import { bad } from "../core/failure.ts";
import type { AdminAnswer } from "./answer.ts";
import { ask, bodyOf, pool, target, testNode, textOf } from "./test-node.ts";

const key = "/v1/kv/upstreams/app/10.0.0.1:80";

function node() {
  return testNode([pool("app", []), pool("app2", [target("[::1]:81", { backup: true })])]);
}

function valueIn(told: AdminAnswer): unknown {
  return told.body?.kind === "json" ? told.body.value : undefined;
}

test("a script's PUT goes on: upsync's JSON, whatever content type curl names, answered with true", async () => {
  const of = node();
  const body = '{"weight":1, "max_fails":2, "fail_timeout":10, "down":1}';
  const headers = { contentType: "application/x-www-form-urlencoded" };
  const put = await ask(of, "PUT", key, { headers, body, who: "token:deploy" });
  assert.deepEqual([put.status, valueIn(put), of.ordered[0]?.by], [200, true, "token:deploy"]);
  const made = of.registry.desiredTarget("app", "10.0.0.1:80", 0)?.target;
  assert.deepEqual([made?.maxFails, made?.failTimeout, made?.intent], [2, 10_000, "down"]);
  assert.equal(valueIn(await ask(of, "PUT", key)), true);
  assert.equal(of.registry.desiredTarget("app", "10.0.0.1:80", 0)?.target.intent, "up");
});

test("an entry is read as Consul shows it, raw, below a prefix, or as keys", async () => {
  const of = node();
  await ask(of, "PUT", key, { body: '{"weight":5}' });
  const [entry] = Object(valueIn(await ask(of, "GET", key)));
  const value = '{"weight":5,"max_fails":2,"fail_timeout":10,"down":0,"backup":0}';
  assert.equal(Buffer.from(entry.Value, "base64").toString(), value);
  assert.deepEqual([entry.Key, entry.Flags, entry.LockIndex], ["upstreams/app/10.0.0.1:80", 0, 0]);
  assert.ok(Number.isSafeInteger(entry.ModifyIndex) && entry.ModifyIndex > 0);
  assert.equal(textOf(await ask(of, "GET", `${key}?raw`)), value);
  const keys = ["upstreams/app/10.0.0.1:80", "upstreams/app2/[::1]:81"];
  assert.deepEqual(valueIn(await ask(of, "GET", "/v1/kv/upstreams/?keys")), keys);
  assert.deepEqual(valueIn(await ask(of, "GET", "/v1/kv/upstreams/?keys&separator=/")), [
    "upstreams/app/",
    "upstreams/app2/",
  ]);
  const count = async (path: string) => Object(valueIn(await ask(of, "GET", path)) ?? []).length;
  assert.deepEqual(
    [
      await count("/v1/kv/upstreams/app?recurse"),
      await count("/v1/kv/upstreams/app/?recurse"),
      await count("/v1/kv/?recurse"),
    ],
    [2, 1, 2],
  );
});

test("what is not there is an empty 404, read or listed", async () => {
  for (const path of [key, `${key}?raw`, "/v1/kv/upstreams/none/?recurse", "/v1/kv/x?keys", "/v1/kv/upstreams/app2"]) {
    const told = await ask(node(), "GET", path);
    assert.deepEqual([told.status, told.body], [404, { kind: "text", text: "" }], path);
  }
});

test("DELETE is true when it is gone, also when it never was", async () => {
  const of = node();
  await ask(of, "PUT", key);
  for (const path of [key, key]) assert.deepEqual(valueIn(await ask(of, "DELETE", path)), true);
  assert.deepEqual(of.registry.desired("app", 0), []);
  const owned = await ask(of, "DELETE", "/v1/kv/upstreams/app2/[::1]:81");
  assert.equal(owned.status, 409);
  assert.match(textOf(owned), /comes from the file/);
  assert.equal((await ask(of, "DELETE", "/v1/kv/upstreams/app2/?recurse")).status, 400);
});

test("cas holds as long as the entry is the same, and 0 wants none", async () => {
  const of = node();
  assert.equal(valueIn(await ask(of, "PUT", `${key}?cas=0`)), true);
  assert.equal(valueIn(await ask(of, "PUT", `${key}?cas=0`)), false);
  const [{ ModifyIndex: index }] = Object(valueIn(await ask(of, "GET", key)));
  assert.equal(valueIn(await ask(of, "PUT", `${key}?cas=${index}`, { body: '{"weight":2}' })), true);
  assert.equal(valueIn(await ask(of, "PUT", `${key}?cas=${index}`, { body: '{"weight":3}' })), false);
  assert.equal(valueIn(await ask(of, "DELETE", `${key}?cas=${index}`)), false);
});

test("what is wrong is told in a sentence", async () => {
  const cases: [string, string, string, number, RegExp][] = [
    ["PUT", "/v1/kv/upstreams/app/example.org:80", "", 400, /no key of a target; expected upstreams\/POOL\/IP:PORT/],
    ["PUT", "/v1/kv/upstreams/10.0.0.1:80", "", 400, /no key/],
    ["PUT", "/v1/kv/other/app/10.0.0.1:80", "", 400, /no key/],
    ["PUT", "/v1/kv/upstreams/none/10.0.0.1:80", "", 404, /no pool none/],
    ["PUT", key, "{weight:1}", 400, /no JSON/],
    ["PUT", key, '{"weight":"x"}', 400, /^weight: /],
    ["PUT", `${key}?acquire=1`, "", 400, /acquire is not supported/],
    ["PUT", `${key}?cas=x`, "", 400, /cas/],
  ];
  for (const [method, path, body, status, pattern] of cases) {
    const told = await ask(node(), method, path, { body });
    assert.equal(told.status, status, path);
    assert.match(textOf(told), pattern);
    assert.match(String(told.headers["content-type"]), /^text\/plain/);
  }
  const full = testNode([], {
    orderTarget: () =>
      Promise.resolve(bad({ code: "state.unwritable", origin: "self", retrySafe: false, detail: "disk full" })),
  });
  const told = await ask(full, "PUT", key);
  assert.deepEqual([told.status, textOf(told), bodyOf(told)], [507, "disk full\n", {}]);
});
