import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsulServiceSource } from "../model/source.ts";
import { openConsulServices, serviceEntries } from "./consul-services.ts";
import type { SourceReading } from "./source.ts";
import { deps, fakeStore, until } from "./test-kit.ts";

type Shape = {
  readonly node?: string;
  readonly id?: string;
  readonly address?: string;
  readonly port?: unknown;
  readonly tags?: readonly string[] | null;
  readonly weights?: unknown;
  readonly checks?: readonly string[];
};

function instance({ node = "n1", id = "web", address = "10.0.0.1", port = 80, ...more }: Shape = {}) {
  const { tags = ["v2", "blue"], weights = { Passing: 1, Warning: 1 }, checks = ["passing"] } = more;
  return {
    Node: { Node: node, Address: "10.9.9.9" },
    Service: { ID: id, Service: "web", Address: address, Port: port, Tags: tags, Weights: weights },
    Checks: checks.map((Status) => ({ Status })),
  };
}

function entries(list: readonly unknown[], changes: Partial<Pick<ConsulServiceSource, "tags" | "health">> = {}) {
  return serviceEntries(list, { tags: [], health: "passing", ...changes })?.map(({ key, address, value }) =>
    [key, address, value].join(" "),
  );
}

test("an instance is its own address, or its node's, and its weight", () => {
  assert.deepEqual(entries([instance({ weights: { Passing: 10, Warning: 1 } })]), ["n1/web 10.0.0.1:80 10"]);
  assert.deepEqual(entries([instance({ address: "" })]), ["n1/web 10.9.9.9:80 1"]);
  assert.deepEqual(entries([instance({ address: "2001:db8::1", weights: undefined })]), ["n1/web [2001:db8::1]:80 1"]);
});

test("health says which checks an instance may have, and one that warns has the weight for that", () => {
  const list = [
    instance({ id: "a", address: "10.0.0.1" }),
    instance({ id: "b", address: "10.0.0.2", checks: ["passing", "warning"], weights: { Passing: 10, Warning: 2 } }),
    instance({ id: "c", address: "10.0.0.3", checks: ["warning", "critical"] }),
    instance({ id: "d", address: "10.0.0.4", checks: [] }),
  ];
  assert.deepEqual(entries(list), ["n1/a 10.0.0.1:80 1", "n1/d 10.0.0.4:80 1"]);
  assert.deepEqual(entries(list, { health: "warning" }), [
    "n1/a 10.0.0.1:80 1",
    "n1/b 10.0.0.2:80 2",
    "n1/d 10.0.0.4:80 1",
  ]);
});

test("an instance must have every tag, whatever the server made of several", () => {
  const list = [instance({ id: "a" }), instance({ id: "b", tags: ["v2"] }), instance({ id: "c", tags: null })];
  assert.deepEqual(entries(list, { tags: ["v2", "blue"] }), ["n1/a 10.0.0.1:80 1"]);
});

test("one address registered twice in the same way is one target, without a word", () => {
  const list = [instance({ node: "n2" }), instance({ node: "n1" })];
  assert.deepEqual(entries(list), ["n1/web 10.0.0.1:80 1"]);
});

test("the catalog is read in its own shape", () => {
  const item = {
    Node: "n1",
    Address: "10.9.9.9",
    ServiceID: "web",
    ServiceAddress: "",
    ServicePort: 80,
    ServiceTags: [],
    ServiceWeights: { Passing: 3, Warning: 1 },
  };
  assert.deepEqual(entries([item], { health: "any" }), ["n1/web 10.9.9.9:80 3"]);
  assert.equal(entries([item]), undefined);
});

test("an answer with one item that is no instance is no answer", () => {
  for (const other of [
    null,
    {},
    instance({ port: "80" }),
    { ...instance(), Checks: null },
    { ...instance(), Node: 5 },
  ]) {
    assert.equal(entries([instance(), other]), undefined);
  }
});

test("a watch asks for tags and health, and reports what cannot be a target", async (t) => {
  const store = await fakeStore(t);
  const readings: SourceReading[] = [];
  const failures: string[] = [];
  const source: ConsulServiceSource = {
    type: "consulService",
    endpoints: [store.endpoint],
    service: "web api",
    tags: ["v2", "blue"],
    health: "passing",
    tokenFile: undefined,
    datacenter: undefined,
    tls: undefined,
    wait: 10_000,
    required: false,
    startTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { first: 1, most: 5 },
    dump: { path: undefined, format: "json" },
  };
  const listener = {
    read: (reading: SourceReading) => readings.push(reading),
    failed: ({ code }: { readonly code: string }) => failures.push(code),
  };
  const watch = openConsulServices(source, { name: "app", slowStart: 0 }, listener, deps);
  t.after(() => watch.close());
  const list = [
    instance({ id: "a", weights: { Passing: 0, Warning: 1 } }),
    instance({ id: "b", address: "web1.internal" }),
    instance({ id: "c", address: "10.0.0.3", weights: { Passing: 70_000, Warning: 1 } }),
    instance({ id: "d", address: "10.0.0.1", weights: { Passing: 5, Warning: 1 } }),
  ];
  await store.answer(200, { "x-consul-index": "7" }, JSON.stringify(list));
  await until("a reading", () => readings.length === 1);
  assert.equal(store.asked[0]?.url, "/v1/health/service/web%20api?tag=v2&tag=blue&passing=&consistent=");
  const reading = readings[0];
  // As a target of the file that says nothing else, not as one of upsync's.
  assert.deepEqual(
    reading?.targets.map(({ address, weight, maxFails }) => [address, weight, maxFails]),
    [["10.0.0.1:80", 0, 1]],
  );
  assert.deepEqual(reading?.damaged.map(({ key, code }) => `${key} ${code}`).sort(), [
    "n1/b source.entry.address",
    "n1/c source.entry.field",
    "n1/d source.entry.twice",
  ]);
  // A service that nobody knows is an empty list with 200; 404 is no answer of Consul's.
  await store.answer(404, { "x-consul-index": "8" }, "");
  await until("a failure", () => failures.length === 1);
  assert.deepEqual(failures, ["consul.foreign"]);
});
