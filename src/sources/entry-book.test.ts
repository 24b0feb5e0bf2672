import assert from "node:assert/strict";
import { test } from "node:test";
import { targetsPerPoolMax } from "../config/limits.ts";
import { EntryBook } from "./entry-book.ts";
import { addresses, target } from "./test-kit.ts";

const pool = { name: "app", slowStart: 5_000 };

function entry(address: string, value = "") {
  return { key: `up/app/${address}`, address, value };
}

test("entries become targets in the order of their addresses, with the pool's slow start", () => {
  const book = new EntryBook(pool, []);
  const reading = book.read([entry("10.0.0.2:80", '{"weight":3,"backup":1}'), entry("10.0.0.1:80")], "7");
  assert.deepEqual(reading, {
    targets: [
      target("10.0.0.1:80", { maxFails: 2, slowStart: 5_000 }),
      target("10.0.0.2:80", { maxFails: 2, slowStart: 5_000, weight: 3, backup: true }),
    ],
    damaged: [],
    revision: "7",
  });
});

test("a damaged entry keeps its last good reading, and is reported until it is well", () => {
  const book = new EntryBook(pool, []);
  book.read([entry("10.0.0.1:80", '{"weight":3}')], "1");
  for (const value of ["{", '{"weight":"x"}']) {
    const reading = book.read([entry("10.0.0.1:80", value)], "2");
    assert.equal(reading.targets[0]?.weight, 3);
    assert.deepEqual(
      reading.damaged.map(({ key, kept }) => [key, kept]),
      [["up/app/10.0.0.1:80", true]],
    );
  }
  const well = book.read([entry("10.0.0.1:80", '{"weight":4}')], "3");
  assert.equal(well.targets[0]?.weight, 4);
  assert.deepEqual(well.damaged, []);
});

test("an entry that was never readable is left out", () => {
  const reading = new EntryBook(pool, []).read([entry("10.0.0.1:80", "{"), entry("10.0.0.2:80")], "1");
  assert.deepEqual(addresses(reading), ["10.0.0.2:80"]);
  assert.deepEqual(
    reading.damaged.map(({ code, kept }) => [code, kept]),
    [["source.entry.json", false]],
  );
});

test("an entry that is gone is forgotten: coming back damaged it is left out", () => {
  const book = new EntryBook(pool, []);
  book.read([entry("10.0.0.1:80")], "1");
  assert.deepEqual(addresses(book.read([], "2")), []);
  assert.deepEqual(addresses(book.read([entry("10.0.0.1:80", "{")], "3")), []);
});

test("what was known before the watch began stands for an entry that is damaged from the start", () => {
  const known = [target("10.0.0.1:80", { weight: 9 }), target("10.0.0.2:80")];
  const reading = new EntryBook(pool, known).read([entry("10.0.0.1:80", "{")], "1");
  assert.deepEqual(reading.targets, [target("10.0.0.1:80", { weight: 9, slowStart: 5_000 })]);
  assert.equal(reading.damaged[0]?.kept, true);
});

test("a key that names no address and port is damage", () => {
  const wrong = ["web1:80", "10.0.0.1", "10.0.0.1:0", "2001:db8::1:80", "canary/10.0.0.1:80", "010.0.0.1:80"];
  const reading = new EntryBook(pool, []).read(
    wrong.map((address) => entry(address)),
    "1",
  );
  assert.deepEqual(reading.targets, []);
  assert.deepEqual(new Set(reading.damaged.map(({ code }) => code)), new Set(["source.entry.address"]));
  assert.equal(reading.damaged.length, wrong.length);
});

test("of two keys for one address the canonical one holds, whatever the order, and the other is reported", () => {
  const canonical = entry("[2001:db8::1]:80", '{"weight":2}');
  const other = entry("[2001:DB8:0::1]:80", '{"weight":3}');
  for (const list of [
    [canonical, other],
    [other, canonical],
  ]) {
    const reading = new EntryBook(pool, []).read(list, "1");
    assert.deepEqual(
      reading.targets.map(({ address, weight }) => [address, weight]),
      [["[2001:db8::1]:80", 2]],
    );
    assert.deepEqual(
      reading.damaged.map(({ key, code }) => [key, code]),
      [[other.key, "source.entry.twice"]],
    );
  }
});

test("an entry that has not changed is the same object again", () => {
  const book = new EntryBook(pool, []);
  const [before] = book.read([entry("10.0.0.1:80"), entry("10.0.0.2:80")], "1").targets;
  const after = book.read([entry("10.0.0.1:80"), entry("10.0.0.2:80", '{"weight":2}')], "2").targets;
  assert.equal(after[0], before);
  assert.equal(after[1]?.weight, 2);
});

test("a list beyond the limit loses its last entries, and says how many", () => {
  const all = Array.from({ length: targetsPerPoolMax + 3 }, (_, index) =>
    entry(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:80`),
  );
  const reading = new EntryBook(pool, []).read(all, "1");
  assert.equal(reading.targets.length, targetsPerPoolMax);
  assert.deepEqual(
    reading.damaged.map(({ code }) => code),
    ["source.entry.limit"],
  );
  assert.match(reading.damaged[0]?.detail ?? "", /this entry and 2 after it/);
});

test("a key of any length is told in part", () => {
  const reading = new EntryBook(pool, []).read([entry("x".repeat(100_000))], "1");
  assert.ok(JSON.stringify(reading).length < 2_000);
});
