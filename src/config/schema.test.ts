// The published JSON Schema against the files it describes. The little validator below knows the keywords that the schema
// uses and fails on any other, so that a new one cannot slip through unchecked.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { same } from "../core/same.ts";
import { configFile, configJsonSchema } from "./schema.ts";

const schema = configJsonSchema();

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a value breaks, as `path: keyword`. */
function breaches(rule: unknown, value: unknown, path: string): string[] {
  if (rule === false) return [`${path}: not allowed`];
  if (!isRecord(rule)) return [];
  return Object.entries(rule).flatMap(([keyword, operand]) => breach(keyword, { operand, value, path, rule }));
}

type Check = { operand: unknown; value: unknown; path: string; rule: Record<string, unknown> };

function breach(keyword: string, { operand, value, path, rule }: Check): string[] {
  const unless = (fine: boolean) => (fine ? [] : [`${path}: ${keyword} ${JSON.stringify(operand)}`]);
  const list = Array.isArray(operand) ? operand : [];
  const passing = () => list.filter((option) => breaches(option, value, path).length === 0).length;
  switch (keyword) {
    case "$schema":
    case "title":
    case "description":
    case "default":
    case "format":
      return [];
    case "type":
      return unless(typeMatches(operand, value));
    case "anyOf":
      return unless(passing() > 0);
    case "oneOf":
      return unless(passing() === 1);
    case "enum":
      return unless(list.includes(value));
    case "const":
      return unless(operand === value);
    case "pattern":
      return unless(typeof value !== "string" || new RegExp(String(operand), "u").test(value));
    case "minimum":
      return unless(typeof value !== "number" || value >= Number(operand));
    case "maximum":
      return unless(typeof value !== "number" || value <= Number(operand));
    case "maxItems":
      return unless(!Array.isArray(value) || value.length <= Number(operand));
    case "minProperties":
      return unless(!isRecord(value) || Object.keys(value).length >= Number(operand));
    case "maxProperties":
      return unless(!isRecord(value) || Object.keys(value).length <= Number(operand));
    case "required":
      return unless(!isRecord(value) || list.every((key) => Object.hasOwn(value, key)));
    case "items":
      return Array.isArray(value) ? value.flatMap((item, index) => breaches(operand, item, `${path}[${index}]`)) : [];
    case "propertyNames":
      return isRecord(value) ? Object.keys(value).flatMap((key) => breaches(operand, key, `${path}.${key}`)) : [];
    case "properties":
      if (!isRecord(value) || !isRecord(operand)) return [];
      return Object.keys(operand).flatMap((key) =>
        Object.hasOwn(value, key) ? breaches(operand[key], value[key], `${path}.${key}`) : [],
      );
    case "additionalProperties": {
      if (!isRecord(value)) return [];
      const named = isRecord(rule["properties"]) ? rule["properties"] : {};
      const others = Object.keys(value).filter((key) => !Object.hasOwn(named, key));
      return others.flatMap((key) => breaches(operand, value[key], `${path}.${key}`));
    }
    default:
      throw new Error(`the validator does not know ${keyword}`);
  }
}

function typeMatches(type: unknown, value: unknown): boolean {
  switch (type) {
    case "object":
      return isRecord(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}

function visit(rule: unknown, path: string, look: (rule: Record<string, unknown>, path: string) => void): void {
  if (Array.isArray(rule)) for (const [index, item] of rule.entries()) visit(item, `${path}[${index}]`, look);
  if (!isRecord(rule)) return;
  look(rule, path);
  for (const [key, inner] of Object.entries(rule)) if (key !== "default") visit(inner, `${path}.${key}`, look);
}

test("the JSON Schema is of draft 2020-12 and plain JSON", () => {
  assert.equal(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema);
});

test("every mapping says what may stand in it, and every key is described", () => {
  let keys = 0;
  visit(schema, "", (rule, path) => {
    if (rule["type"] === "object") assert(rule["additionalProperties"] !== undefined, path);
    const properties = rule["type"] === "object" && isRecord(rule["properties"]) ? rule["properties"] : {};
    for (const [key, inner] of Object.entries(properties)) {
      // The one key of this mapping is what the mapping is.
      const text = isRecord(inner) ? inner["description"] : undefined;
      assert(typeof text === "string" && text.length > 10, `${path}.${key}`);
      keys++;
    }
  });
  assert(keys > 60, `${keys} keys seen`);
});

test("what has a default shows it", () => {
  const defaults = new Map<string, unknown[]>();
  visit(schema, "", (rule, path) => {
    const key = path.split(".").at(-1) ?? "";
    if (rule["default"] !== undefined) defaults.set(key, [...(defaults.get(key) ?? []), rule["default"]]);
  });
  const expected = {
    clientHeader: "60s",
    clientBody: "60s",
    keepAlive: "75s",
    connect: "5s",
    send: "60s",
    firstByte: "60s",
    idle: "60s",
    exchange: 0,
    tunnel: "1h",
    headerBytes: "32KiB",
    headerCount: 100,
    connections: 10_000,
    exchangesPerConnection: 0,
    backlog: 4096,
    bodyLimit: "1MiB",
    weight: 1,
    maxFails: 1,
    failTimeout: "10s",
    maxConnections: 0,
    backup: false,
    intent: "up",
    idleConnections: 128,
    idleTimeout: "4s",
    tries: 3,
    time: "10s",
    statuses: [],
    workers: "auto",
    drainTimeout: "30s",
    socket: "/run/evenkeel/admin.sock",
    buffer: "64KiB",
    flush: "1s",
    format: "json",
    forwarded: true,
    balance: "roundRobin",
    protocol: "http",
    trustedProxies: [],
    interval: "2s",
    jitterPercent: 10,
    timeout: "1s",
    rise: 2,
    fall: 3,
    initial: "healthy",
    verify: false,
    connection: "own",
    engine: "proxy",
    preserveClientAddress: false,
    receive: false,
    responses: "unlimited",
    flow: "60s",
    flows: 65_536,
    keepOnStop: false,
    advertisementInterval: "1s",
    downAdvertisements: 3,
    version: 3,
    preempt: true,
    preemptDelay: 0,
    refresh: "60s",
    ttlMin: 255,
    quorum: 1,
    spread: false,
    stopTimeout: "5s",
    countTraffic: false,
    stateDirectory: "/var/lib/evenkeel",
    slowStart: 0,
    targets: {},
    required: false,
    startTimeout: "10s",
    requestTimeout: "5s",
    wait: "10s",
    first: "100ms",
    most: "5s",
    least: "1s",
    record: "address",
    servers: [],
  }; // prettier-ignore
  for (const [key, value] of Object.entries(expected)) {
    const shown = defaults.get(key) ?? [];
    assert(
      shown.some((one) => same(one, value)),
      `${key}: ${JSON.stringify(shown)}`,
    );
  }
});

const examples = new URL("../../examples/", import.meta.url);
const cases = new URL("./cases/", import.meta.url);

for (const name of readdirSync(examples).filter((file) => file.endsWith(".yaml"))) {
  test(`examples/${name} fits the JSON Schema with its references still in it`, () => {
    const value: unknown = parse(readFileSync(new URL(name, examples), "utf8"));
    assert.deepEqual(breaches(schema, value, ""), []);
  });
}

test("what is decoded fits the JSON Schema and the schema of the whole file", () => {
  const good = readdirSync(cases).filter((name) => /^(good|warn)-/.test(name));
  assert(good.length > 10);
  for (const name of good) {
    const [input = ""] = readFileSync(new URL(name, cases), "utf8").split("\n----------\n");
    const value: unknown = parse(input);
    assert.deepEqual(breaches(schema, value, ""), [], name);
    if (!input.includes("$")) assert.deepEqual(configFile.safeParse(value).error?.issues ?? [], [], name);
  }
});

test("a listener is one of three shapes, told apart by a protocol that stands for itself", () => {
  const shapes: string[] = [];
  visit(schema, "", (rule, path) => {
    const protocol = isRecord(rule["properties"]) ? rule["properties"]["protocol"] : undefined;
    if (!isRecord(protocol)) return;
    assert.match(path, /\.listeners\.additionalProperties\.oneOf\[\d\]$/);
    const required = Array.isArray(rule["required"]) && rule["required"].includes("protocol");
    shapes.push(`${JSON.stringify(protocol["enum"])}${required ? "" : "?"}`);
  });
  assert.deepEqual(shapes, ['["http"]?', '["tcp"]', '["udp"]']);
  const bare = { listeners: { tcp: { bind: "0.0.0.0:80", protocol: "tcp" } } };
  assert.notDeepEqual(breaches(schema, bare, ""), [], "a TCP listener has a pool or routes");
});

test("the JSON Schema refuses what an editor should underline", () => {
  const refused: unknown[] = [
    [],
    { nod: "x" },
    { workers: 0 },
    { drainTimeout: 5 },
    { drainTimeout: "5sec" },
    { defaults: { bodyLimit: "1m" } },
    { listeners: { "a b": { bind: "0.0.0.0:80", routes: [] } } },
    { listeners: { web: { bind: "0.0.0.0:80" } } },
    { listeners: { web: { bind: "0.0.0.0:80", routes: [{}] } } },
    { listeners: { web: { bind: "0.0.0.0:80", routes: [{ pool: "a", respond: {} }] } } },
    { listeners: { web: { bind: "0.0.0.0:80", routes: [{ pool: "a", path: { exact: "/a", prefix: "/b" } }] } } },
    { listeners: { web: { bind: "0.0.0.0:80", protocol: "tpc", routes: [] } } },
    { listeners: { web: { bind: "0.0.0.0:80", pool: "a" } } },
    { listeners: { tcp: { bind: "0.0.0.0:80", protocol: "tcp", pool: "a", forwarded: true } } },
    { listeners: { tcp: { bind: "0.0.0.0:80", protocol: "tcp", pool: "a", timeouts: { firstByte: "1s" } } } },
    { listeners: { tcp: { bind: "0.0.0.0:80", protocol: "tcp", routes: [{ pool: "a", path: "/" }] } } },
    { listeners: { tcp: { bind: "0.0.0.0:80", protocol: "tcp", pool: "a", routes: [] } } },
    { listeners: { udp: { bind: "0.0.0.0:80", protocol: "udp", routes: [] } } },
    { listeners: { udp: { bind: "0.0.0.0:80", protocol: "udp", pool: "a", responses: "all" } } },
    { listeners: { udp: { bind: "0.0.0.0:80", protocol: "udp", pool: "a", engine: "nft" } } },
    { kernel: { keepOnStop: "maybe" } },
    { pools: { a: { targets: { "10.0.0.1": {} } } } },
    { pools: { a: { targets: { "10.0.0.1:80": { weigth: 1 } } } } },
    { pools: { a: { balance: "least_conn", targets: {} } } },
    { pools: { a: { slowStart: 30 } } },
    { pools: { a: { source: {} } } },
    { pools: { a: { source: { type: "zookeeper" } } } },
    { pools: { a: { source: { type: "consul", endpoints: ["a:1"], prefix: "a" } } } },
    { pools: { a: { source: { type: "consul", endpoints: ["a:1"], prefix: "a/", user: "x" } } } },
    { pools: { a: { source: { type: "consul", endpoints: ["tcp://a:1"], prefix: "a/" } } } },
    { pools: { a: { source: { type: "etcd", endpoints: ["a:1"] } } } },
    { pools: { a: { source: { type: "etcd", prefix: "a/" } } } },
    { pools: { a: { source: { type: "dns", port: 80 } } } },
    { pools: { a: { source: { type: "dns", name: "a.example", record: "aaaa" } } } },
    { admin: { http: 9911 } },
    { ha: { virtualRouters: { a: { interface: "eth0", vrid: 0, addresses: ["10.0.4.99"] } } } },
    { ha: { virtualRouters: { a: { vrid: 1, addresses: ["10.0.4.99"] } } } },
    { ha: { virtualRouters: { a: { interface: "eth0", vrid: 1, addresses: ["10.0.4.99"], version: 4 } } } },
    { ha: { tracks: { a: {} } } },
    { ha: { tracks: { a: { command: "/bin/true" } } } },
    { ha: { tracks: { a: { interface: "eth0", quorum: 1 } } } },
    { ha: { tracks: { a: { gateway: "10.0.4.1" } } } },
    { ha: { services: { a: { command: ["/bin/true"] } } } },
    { ha: { notify: { email: { to: ["a@example.com"] } } } },
  ];
  for (const value of refused) {
    assert.notDeepEqual(breaches(schema, value, ""), [], JSON.stringify(value));
    assert.equal(
      configFile.safeParse(value).success && !JSON.stringify(value).includes("routes"),
      false,
      JSON.stringify(value),
    );
  }
});

test("a source is one of three shapes, told apart by its type; one of Consul names a prefix or a service", () => {
  const fits = (source: unknown) => breaches(schema, { pools: { a: { source } } }, "").length === 0;
  const consul = { type: "consul", endpoints: ["127.0.0.1:8500", "https://consul.example.com"] };
  assert(fits({ ...consul, prefix: "upstreams/app/" }));
  assert(fits({ ...consul, service: "app", tags: ["a"], health: "any" }));
  assert(!fits(consul));
  assert(!fits({ ...consul, prefix: "upstreams/app/", service: "app" }));
  assert(fits({ type: "dns", name: "app.example.com", port: 80 }));
});
