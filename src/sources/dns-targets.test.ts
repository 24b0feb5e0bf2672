import assert from "node:assert/strict";
import { test } from "node:test";
import { targetsPerPoolMax, weightMax } from "../config/limits.ts";
import { type DnsPlace, targetsOfPlaces } from "./dns-targets.ts";

const pool = { name: "app", slowStart: 7 };
const place = (more: Partial<DnsPlace>): DnsPlace => ({
  key: "one.example.com:8080",
  host: "10.0.4.20",
  port: 8080,
  priority: 10,
  weight: 1,
  ...more,
});
const told = (places: readonly DnsPlace[]) =>
  targetsOfPlaces(places, pool).targets.map(({ address, weight, backup }) => [address, weight, backup]);

test("all that are not of the lowest priority are backups", () => {
  const places = [
    place({ host: "10.0.4.22", priority: 30 }),
    place({ host: "10.0.4.21", priority: 20 }),
    place({ host: "10.0.4.20" }),
  ];
  assert.deepEqual(told(places), [
    ["10.0.4.20:8080", 1, false],
    ["10.0.4.21:8080", 1, true],
    ["10.0.4.22:8080", 1, true],
  ]);
});

test("weight 0 has the share that RFC 2782 gives it, which is that of 1", () => {
  const places = [place({ weight: 0 }), place({ host: "10.0.4.21", weight: 65_535 })];
  assert.deepEqual(told(places), [
    ["10.0.4.20:8080", 1, false],
    ["10.0.4.21:8080", 65_535, false],
  ]);
});

test("one address and port is one target: the lowest priority holds, equal ones add up", () => {
  const places = [
    place({ weight: 5 }),
    place({ weight: 7, key: "two.example.com:8080" }),
    place({ weight: 50, priority: 20 }),
    place({ port: 8081, weight: 60_000 }),
    place({ port: 8081, weight: 60_000 }),
    place({ port: 8082, priority: 20 }),
    place({ port: 8082, priority: 10, weight: 3 }),
  ];
  assert.deepEqual(told(places), [
    ["10.0.4.20:8080", 12, false],
    ["10.0.4.20:8081", weightMax, false],
    ["10.0.4.20:8082", 3, false],
  ]);
});

test("a target has the pool's slow start and otherwise what every target has", () => {
  const [target] = targetsOfPlaces([place({ host: "2001:db8::1" })], pool).targets;
  assert.equal(target?.address, "[2001:db8::1]:8080");
  assert.equal(target?.host, "2001:db8::1");
  assert.equal(target?.slowStart, 7);
  assert.equal(target?.intent, "up");
});

test("addresses that nobody can connect to are damage", () => {
  const hosts = ["0.0.0.0", "::", "::ffff:10.0.4.20"];
  const { targets, damaged } = targetsOfPlaces([...hosts.map((host) => place({ host })), place({ port: 0 })], pool);
  assert.deepEqual(targets, []);
  assert.deepEqual(
    damaged.map(({ code, kept }) => `${code} ${kept}`),
    new Array(4).fill("source.entry.address false"),
  );
});

test("a pool has a limit, and what is beyond it is told once", () => {
  const places = Array.from({ length: targetsPerPoolMax + 2 }, (_, index) =>
    place({ host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` }),
  );
  const { targets, damaged } = targetsOfPlaces(places, pool);
  assert.equal(targets.length, targetsPerPoolMax);
  assert.deepEqual(
    damaged.map(({ code }) => code),
    ["source.entry.limit"],
  );
  assert.match(damaged[0]?.detail ?? "", /this address and 1 after it/);
});
