// The DNS source against a real authoritative server.

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import type { DnsSource } from "../../src/model/source.ts";
import { needsNsd, startNameServer } from "./dns-kit.ts";
import { freePort, until } from "./kit.ts";
import { quickRules, watchSource } from "./watch-kit.ts";

const limit = { timeout: 60_000, skip: needsNsd };

function sourceOf(servers: readonly string[], more: Partial<DnsSource> = {}): DnsSource {
  const refresh = { least: 100, most: 60_000 };
  const rules = { ...quickRules, requestTimeout: 500 };
  return { ...rules, type: "dns", name: "app.example.test", record: "address", port: 8080, servers, refresh, ...more };
}

test(
  "A and AAAA together are the targets, and a change is taken up when its time to live is over",
  limit,
  async (t) => {
    const server = await startNameServer(t, ["app A 10.0.4.20", "app AAAA 2001:db8::20"]);
    const beganMs = performance.now();
    const watched = watchSource(t, sourceOf([server.address]));
    const both = ["10.0.4.20:8080", "[2001:db8::20]:8080"];
    await watched.has(both);
    assert.deepEqual(watched.readings[0]?.targets[0], {
      address: "10.0.4.20:8080",
      host: "10.0.4.20",
      port: 8080,
      weight: 1,
      maxFails: 1,
      failTimeout: 10_000,
      connectionsMax: 0,
      backup: false,
      intent: "up",
      slowStart: 0,
    });
    await server.serve(["app A 10.0.4.21", "app A 10.0.4.22"]);
    const changedMs = performance.now();
    await watched.has(["10.0.4.21:8080", "10.0.4.22:8080"]);
    const tookMs = performance.now() - changedMs;
    // Once a second and not more often, and not at the least interval: the time to live decides.
    const roundsMax = 1 + (performance.now() - beganMs) / 1_000;
    assert.ok(watched.readings.length <= roundsMax, `${watched.readings.length} readings, at most ${roundsMax}`);
    t.diagnostic(`taken up ${Math.round(tookMs)} ms after the server had it, time to live 1 s`);
    assert.deepEqual(watched.failures, []);
  },
);

test("a name that is gone empties the pool, for the server itself says so", limit, async (t) => {
  const server = await startNameServer(t, ["app A 10.0.4.20", "app TXT here"]);
  const watched = watchSource(t, sourceOf([server.address]));
  await watched.has(["10.0.4.20:8080"]);
  await server.serve(["app TXT here"]);
  await watched.has([]);
  await server.serve(["app A 10.0.4.21"]);
  await watched.has(["10.0.4.21:8080"]);
  await server.serve([]);
  await watched.has([]);
  assert.deepEqual(watched.failures, []);
});

test("a server that is gone, or refuses, changes nothing, and is asked again until it is back", limit, async (t) => {
  const server = await startNameServer(t, ["app A 10.0.4.20"]);
  const watched = watchSource(t, sourceOf([server.address]));
  await watched.has(["10.0.4.20:8080"]);
  await server.stop();
  await until("failures", () => watched.watch.status().failures >= 4);
  assert.equal(watched.failures[0]?.code, "source.connect.refused");
  assert.equal(watched.watch.status().connected, false);
  assert.deepEqual(watched.addresses(), ["10.0.4.20:8080"]);
  await server.start();
  await server.serve(["app A 10.0.4.21"]);
  await watched.has(["10.0.4.21:8080"]);
  assert.equal(watched.watch.status().connected, true);

  const refused = watchSource(t, sourceOf([server.address], { name: "app.example.com" }));
  await until("a refusal", () => refused.failures[0]);
  assert.equal(refused.failures[0]?.code, "dns.refused");
  assert.deepEqual(refused.readings, []);
});

test("the next server is asked at once when one is not there", limit, async (t) => {
  const server = await startNameServer(t, ["app A 10.0.4.20"]);
  const watched = watchSource(t, sourceOf([`127.0.0.1:${await freePort()}`, server.address]));
  await watched.has(["10.0.4.20:8080"]);
  assert.equal(watched.failures.length, 1);
  assert.equal(watched.watch.status().endpoint, server.address);
});

test("SRV gives ports, weights and backups, and follows the addresses of its names", limit, async (t) => {
  const zone = [
    "_http._tcp.app SRV 10 0 8080 one",
    "_http._tcp.app SRV 10 60 8081 two",
    "_http._tcp.app SRV 20 5 9090 spare",
    "_http._tcp.app SRV 20 5 9090 nowhere",
    "one A 10.0.4.20",
    "two CNAME two.hosts",
    "two.hosts A 10.0.4.21",
    "two.hosts AAAA 2001:db8::21",
    "spare A 10.0.4.30",
  ];
  const server = await startNameServer(t, zone);
  const watched = watchSource(t, sourceOf([server.address], { name: "_http._tcp.app.example.test", record: "srv" }));
  await watched.has(["10.0.4.20:8080", "10.0.4.21:8081", "10.0.4.30:9090", "[2001:db8::21]:8081"]);
  assert.deepEqual(
    watched.readings.at(-1)?.targets.map(({ weight, backup }) => [weight, backup]),
    [
      [1, false],
      [60, false],
      [5, true],
      [60, false],
    ],
  );
  assert.deepEqual(watched.readings.at(-1)?.damaged, [
    { key: "nowhere.example.test:9090", code: "source.entry.address", detail: "this name has no address", kept: false },
  ]);
  await server.serve(zone.map((line) => line.replace("10.0.4.30", "10.0.4.31").replace(" 10 0 8080", " 30 1 8088")));
  await watched.has(["10.0.4.20:8088", "10.0.4.21:8081", "10.0.4.31:9090", "[2001:db8::21]:8081"]);
  await server.serve(["_http._tcp.app SRV 0 0 0 ."]);
  await watched.has([]);
  assert.deepEqual(watched.failures, []);
});

test("an answer that does not fit into a datagram comes by TCP", limit, async (t) => {
  const addresses = Array.from({ length: 400 }, (_, index) => `10.1.${index >> 7}.${index & 127}`);
  const server = await startNameServer(
    t,
    addresses.map((address) => `app A ${address}`),
  );
  const watched = watchSource(t, sourceOf([server.address]));
  await until("all targets", () => watched.addresses()?.length === 400);
  assert.deepEqual(watched.failures, []);
});
