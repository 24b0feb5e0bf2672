import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsulKvSource } from "../model/source.ts";
import { kvEntries, openConsulKv } from "./consul-kv.ts";
import type { SourceReading } from "./source.ts";
import { addresses, deps, fakeStore, until } from "./test-kit.ts";

const folder = "upstreams/app/";

function pair(key: string, value: string | null) {
  const Value = value === null ? null : Buffer.from(value).toString("base64");
  return { LockIndex: 0, Key: key, Flags: 0, Value, CreateIndex: 1, ModifyIndex: 1 };
}

test("keys below the folder are entries, folders are none, and a nested key keeps its way", () => {
  const entries = kvEntries(
    [
      pair(folder, null),
      pair(`${folder}10.0.0.1:80`, '{"weight":2}'),
      pair(`${folder}10.0.0.2:80`, null),
      pair(`${folder}canary/`, null),
      pair(`${folder}canary/10.0.0.3:80`, "\u00e9"),
    ],
    folder,
  );
  assert.deepEqual(entries, [
    { key: `${folder}10.0.0.1:80`, address: "10.0.0.1:80", value: '{"weight":2}' },
    { key: `${folder}10.0.0.2:80`, address: "10.0.0.2:80", value: "" },
    { key: `${folder}canary/10.0.0.3:80`, address: "canary/10.0.0.3:80", value: "\u00e9" },
  ]);
});

test("an answer with one entry that is none is no answer", () => {
  const good = pair(`${folder}10.0.0.1:80`, null);
  for (const other of [
    null,
    5,
    "x",
    {},
    { Key: 5, Value: null },
    { Key: `${folder}x` },
    pair("other/10.0.0.1:80", null),
  ]) {
    assert.equal(kvEntries([good, other], folder), undefined);
  }
  assert.equal(kvEntries({}, folder), undefined);
  assert.deepEqual(kvEntries([], folder), []);
});

function source(endpoints: readonly string[], changes: Partial<ConsulKvSource> = {}): ConsulKvSource {
  return {
    type: "consul",
    endpoints,
    prefix: "upstreams/app",
    tokenFile: undefined,
    datacenter: undefined,
    tls: undefined,
    wait: 10_000,
    required: false,
    startTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { first: 1, most: 5 },
    dump: { path: undefined, format: "json" },
    ...changes,
  };
}

const pool = { name: "app", slowStart: 0 };

test("a watch asks for its folder, tells what is there, and blocks; a failure moves it to the next endpoint", async (t) => {
  const one = await fakeStore(t);
  const other = await fakeStore(t);
  const readings: SourceReading[] = [];
  const failures: string[] = [];
  const watch = openConsulKv(
    source([one.endpoint, other.endpoint], { prefix: "upstreams/a b#/app" }),
    pool,
    { read: (reading) => readings.push(reading), failed: ({ code }) => failures.push(code) },
    deps,
  );
  t.after(() => watch.close());
  const key = "upstreams/a b#/app/10.0.0.1:80";
  await one.answer(200, { "x-consul-index": "7" }, JSON.stringify([pair(key, null)]));
  await until("a reading", () => readings.length === 1);
  assert.deepEqual(addresses(readings[0]), ["10.0.0.1:80"]);
  assert.equal(one.asked[0]?.url, "/v1/kv/upstreams/a%20b%23/app/?recurse=&consistent=");
  await until("a blocking query", () => one.asked.length === 2);
  assert.equal(one.asked[1]?.url, "/v1/kv/upstreams/a%20b%23/app/?recurse=&index=7&wait=10000ms");
  assert.deepEqual([watch.status().connected, watch.status().endpoint], [true, one.endpoint]);
  await one.answer(500, {}, "No cluster leader");
  await other.answer(404, { "x-consul-index": "9" }, "");
  await until("a reading", () => readings.length === 2);
  assert.deepEqual([addresses(readings[1]), failures], [[], ["consul.leader"]]);
  const { connected, endpoint, answers, failures: count, lastFailure } = watch.status();
  assert.deepEqual([connected, endpoint, answers, count], [true, other.endpoint, 2, 1]);
  assert.match(lastFailure ?? "", /No cluster leader.*\(consul\.leader\)$/);
  // The connection is kept: all of an endpoint's requests came over one.
  assert.equal(new Set(one.asked.map(({ socket }) => socket)).size, 1);
});

test("a server that does not answer in time is left for the next one", async (t) => {
  const hung = await fakeStore(t);
  const other = await fakeStore(t);
  const readings: SourceReading[] = [];
  const failures: string[] = [];
  const watch = openConsulKv(
    source([hung.endpoint, other.endpoint], { requestTimeout: 30 }),
    pool,
    { read: (reading) => readings.push(reading), failed: ({ code }) => failures.push(code) },
    deps,
  );
  t.after(() => watch.close());
  await hung.next();
  await other.answer(200, { "x-consul-index": "7" }, "[]");
  await until("a reading", () => readings.length > 0);
  assert.deepEqual(failures, ["source.timeout"]);
});

test("nothing is told after close, and nothing is asked", async (t) => {
  const store = await fakeStore(t);
  let told = 0;
  const count = () => {
    told++;
  };
  const watch = openConsulKv(source([store.endpoint]), pool, { read: count, failed: count }, deps);
  const response = await store.next();
  const gone = new Promise((resolve) => response.once("close", resolve));
  watch.close();
  await gone;
  assert.deepEqual([told, watch.status().connected], [0, false]);
  assert.equal(store.asked.length, 1);
});

test("a watch that is closed by whoever it tells asks no more", async (t) => {
  const store = await fakeStore(t);
  let closed = false;
  const watch = openConsulKv(
    source([store.endpoint]),
    pool,
    {
      read: () => {
        watch.close();
        closed = true;
      },
      failed: () => {},
    },
    deps,
  );
  await store.answer(200, { "x-consul-index": "7" }, "[]");
  await until("the reading", () => closed);
  assert.equal(store.asked.length, 1);
});
