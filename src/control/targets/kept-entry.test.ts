import assert from "node:assert/strict";
import { env } from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { durationMax } from "../../config/limits.ts";
import { decodeTarget, fieldNameOf, targetFieldNames } from "../../config/target-fields.ts";
import { leaseHolderMax, leaseTtlMax, leaseTtlMin, speakerMax } from "../../state/desired.ts";
import { Registry } from "../../state/registry.ts";
import { patchBounds, patchFields } from "../../state/target-patch.ts";
import { entryOf, poolOf } from "../../state/test-pools.ts";
import { decodeEntries, decodeEntry, encodeEntry } from "./kept-entry.ts";

const seed = Number(env["EVENKEEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

const whole = (name: keyof typeof patchBounds) =>
  fc.integer({ min: patchBounds[name].least, max: patchBounds[name].most });

test("every order that the registry takes is read from disk as it was written", (t) => {
  t.diagnostic(`seed ${seed}`);
  const order = fc.record(
    {
      patch: fc.record(
        {
          weight: whole("weight"),
          maxFails: whole("maxFails"),
          failTimeout: whole("failTimeout"),
          connectionsMax: whole("connectionsMax"),
          backup: fc.boolean(),
          intent: fc.constantFrom("up", "drain", "down"),
          slowStart: whole("slowStart"),
        },
        { requiredKeys: [], noNullPrototype: true },
      ),
      holder: fc.option(fc.string({ unit: "binary", minLength: 1, maxLength: leaseHolderMax })),
      ttlMs: fc.integer({ min: leaseTtlMin, max: leaseTtlMax }),
      by: fc.string({ unit: "binary", maxLength: speakerMax + 9 }),
      wallMs: fc.integer({ min: 0, max: 4e12 }),
      address: fc.constantFrom("10.0.0.1:80", "10.0.0.2:80", "[2001:DB8::0:1]:8443"),
    },
    { noNullPrototype: true },
  );
  const property = fc.property(order, ({ patch, holder, ttlMs, by, wallMs, address }) => {
    const registry = new Registry();
    registry.applyFile([poolOf("app", ["10.0.0.1:80"])]);
    const lease = holder === null || holder.length > leaseHolderMax ? undefined : { holder, ttlMs };
    const ordered = registry.order({
      pool: "app",
      address,
      order: { type: "put", patch, lease },
      by,
      nowMs: 0,
      wallMs,
    });
    assert.ok(ordered.ok);
    for (const entry of registry.entries()) {
      const line = encodeEntry(entry);
      assert.ok(!line.includes("\n"));
      assert.deepEqual(decodeEntry(line), { ok: true, value: entry });
    }
  });
  fc.assert(property, { seed, numRuns: 200 });
});

test("an entry is a line that people read", () => {
  const entry = entryOf("app", "10.0.0.1:80", {
    patch: { weight: 5, failTimeout: 10_000, connectionsMax: 8, slowStart: 90_000, intent: "drain" },
    lease: { holder: "web-7", ttlMs: 15_000 },
    atMs: Date.UTC(2026, 2, 4, 5, 6, 7, 89),
  });
  assert.equal(
    encodeEntry(entry),
    '{"pool":"app","address":"10.0.0.1:80","exists":true,"patch":{"weight":5,"failTimeout":"10s","maxConnections":8,' +
      '"intent":"drain","slowStart":"90s"},"lease":{"holder":"web-7","ttl":"15s"},"by":"api unix:root","at":"2026-03-04T05:06:07.089Z"}',
  );
});

test("the registry's bounds are those that the API's requests are read with", () => {
  const [weight, maxFails, connectionsMax] = [patchBounds.weight, patchBounds.maxFails, patchBounds.connectionsMax];
  const accepts = (fields: unknown) => decodeTarget(fields).ok;
  for (const [name, { least, most }] of Object.entries({ weight, maxFails, maxConnections: connectionsMax })) {
    assert.deepEqual(
      [least - 1, least, most, most + 1].map((value) => accepts({ [name]: value })),
      [false, true, true, false],
      name,
    );
  }
  assert.deepEqual([patchBounds.failTimeout.most, patchBounds.slowStart.most], [durationMax, durationMax]);
  assert.deepEqual(patchFields.map(fieldNameOf), targetFieldNames);
  const patch = {
    weight: 1,
    maxFails: 1,
    failTimeout: 1,
    connectionsMax: 1,
    backup: true,
    intent: "up",
    slowStart: 1,
  } as const;
  const line = JSON.parse(encodeEntry(entryOf("app", "10.0.0.1:80", { patch })));
  assert.deepEqual(Object.keys(line.patch), targetFieldNames);
});

test("a line that is not what evenkeel writes is refused with what is wrong in it", () => {
  const good = JSON.parse(encodeEntry(entryOf("app", "10.0.0.1:80", { patch: { weight: 1 } })));
  const leased = { holder: "a", ttl: "10s" };
  for (const [fields, detail] of [
    [{ wieght: 1 }, /unknown field "wieght"/],
    [{ pool: "" }, /`pool`/],
    [{ pool: "x".repeat(65) }, /`pool`/],
    [{ pool: undefined }, /`pool`/],
    [{ address: "10.0.0.1" }, /`address`: .*no port/],
    [{ address: "0.0.0.0:80" }, /no address to connect to/],
    [{ address: "[2001:DB8::1]:80" }, /is written `\[2001:db8::1\]:80`/],
    [{ exists: "yes" }, /`exists`/],
    [{ exists: false, patch: {} }, /says nothing/],
    [{ patch: [] }, /`patch` is no object/],
    [{ patch: null }, /`patch` is no object/],
    [{ patch: { host: "10.0.0.1" } }, /unknown field "host"/],
    [{ patch: { connectionsMax: 5 } }, /unknown field "connectionsMax"/],
    [{ patch: { weight: -1 } }, /`weight`: a whole number from 0 to 65535/],
    [{ patch: { weight: "1" } }, /`weight`/],
    [{ patch: { failTimeout: 10_000 } }, /`failTimeout`: a duration/],
    [{ patch: { slowStart: "25d" } }, /`slowStart`: a whole number/],
    [{ patch: { intent: "gone" } }, /`intent`: up, drain or down/],
    [{ patch: { backup: 1 } }, /`backup`: true or false/],
    [{ lease: { ...leased, ttl: "1ms" } }, /`ttl`: whole milliseconds from 1000/],
    [{ lease: { ...leased, holder: "" } }, /`holder`: 1 to 128/],
    [{ lease: { ...leased, holder: 5 } }, /`holder`/],
    [{ lease: { ...leased, until: 5 } }, /unknown field "until"/],
    [{ lease: null }, /`lease` is no object/],
    [{ by: 5 }, /`by`/],
    [{ at: "2026-03-04" }, /`at`: a time in UTC/],
    [{ at: "2026-02-30T00:00:00.000Z" }, /`at`/],
  ] as const) {
    const decoded = decodeEntry(JSON.stringify({ ...good, ...fields }));
    assert.ok(!decoded.ok, JSON.stringify(fields));
    assert.equal(decoded.failure.code, "state.entry");
    assert.match(decoded.failure.detail, detail);
  }
  for (const text of ['{"__proto__":{"pool":"app"}}', "", "{", "[]", "null", "5", '"x"', `${JSON.stringify(good)} x`]) {
    assert.equal(decodeEntry(text).ok, false, text);
  }
});

test("of a text the lines that can be read are used, and the others are told with their number", () => {
  const [one, two] = [entryOf("app", "10.0.0.1:80"), entryOf("b", "10.0.0.1:80")];
  const text = [encodeEntry(one), "rubbish", encodeEntry(two), encodeEntry({ ...one, by: "x" }), ""].join("\n");
  const { entries, badLines } = decodeEntries(text);
  assert.deepEqual(entries, [one, two]);
  assert.deepEqual(
    badLines.map(({ line }) => line),
    [2, 4],
  );
  assert.equal(badLines[1]?.detail, "a second entry of `10.0.0.1:80 app`");
  assert.deepEqual(decodeEntries(""), { entries: [], badLines: [] });
  assert.equal(decodeEntries("\n").badLines.length, 1);
});
