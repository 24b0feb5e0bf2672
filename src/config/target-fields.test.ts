import assert from "node:assert/strict";
import { test } from "node:test";
import { type Target, targetDefaults } from "../model/pool.ts";
import {
  decodeRenewal,
  decodeTarget,
  decodeTargetChange,
  encodeTarget,
  fieldNameOf,
  targetFieldNames,
  targetSchemas,
} from "./target-fields.ts";

const target: Target = {
  address: "10.0.0.1:80",
  host: "10.0.0.1",
  port: 80,
  ...targetDefaults,
  weight: 3,
  failTimeout: 90_000,
  connectionsMax: 7,
  slowStart: 1_500,
};

test("what is shown of a target is read back as the same fields, with the model's names", () => {
  const { address: _, host: __, port: ___, ...fields } = target;
  const shown = encodeTarget(target);
  assert.deepEqual(Object.keys(shown), targetFieldNames);
  assert.deepEqual([shown["failTimeout"], shown["maxConnections"], shown["slowStart"]], ["90s", 7, "1500ms"]);
  assert.deepEqual(decodeTarget(shown), { ok: true, value: { fields, lease: undefined } });
  assert.deepEqual([fieldNameOf("connectionsMax"), fieldNameOf("slowStart")], ["maxConnections", "slowStart"]);
});

test("what is not said comes out unsaid, and no default in its place", () => {
  assert.deepEqual(decodeTarget({}), { ok: true, value: { fields: {}, lease: undefined } });
  assert.deepEqual(decodeTarget({ weight: "2", backup: "true", lease: { holder: "a", ttl: "2m" } }), {
    ok: true,
    value: { fields: { weight: 2, backup: true }, lease: { holder: "a", ttlMs: 120_000 } },
  });
});

test("null takes a field back in a change, and is no value in a whole target", () => {
  assert.deepEqual(decodeTargetChange({ weight: null, maxConnections: null, intent: "down" }), {
    ok: true,
    value: { weight: undefined, connectionsMax: undefined, intent: "down" },
  });
  const whole = decodeTarget({ weight: null });
  assert.deepEqual(whole.ok || whole.errors.map(({ field }) => field), ["weight"]);
  const unknown = decodeTargetChange({ wieght: null, lease: null });
  assert.deepEqual(unknown.ok || unknown.errors.map(({ field, code }) => `${field} ${code}`), [
    "wieght config.key.unknown",
    "lease config.key.unknown",
  ]);
});

test("what is no mapping is told as that, whatever reads it", () => {
  for (const value of [null, [], "x", 5, undefined]) {
    for (const decode of [decodeTarget, decodeTargetChange, decodeRenewal]) {
      const read = decode(value);
      assert.ok(!read.ok, `${decode.name} of ${JSON.stringify(value)}`);
      assert.deepEqual([read.errors.length, read.errors[0]?.field], [1, ""]);
    }
  }
});

test("a holder is a word", () => {
  for (const holder of ["", "a b", "x".repeat(129), 5, "é"])
    assert.equal(decodeRenewal({ holder }).ok, false, `${holder}`);
  assert.deepEqual(decodeRenewal({ holder: "web-7@lb:1/x" }), { ok: true, value: { holder: "web-7@lb:1/x" } });
});

test("the schemas name every field and nothing of the environment", () => {
  const { properties, additionalProperties } = targetSchemas.target();
  assert.deepEqual([Object.keys(Object(properties)), additionalProperties], [[...targetFieldNames, "lease"], false]);
  assert.deepEqual(Object.keys(Object(targetSchemas.change()["properties"])), targetFieldNames);
  assert.deepEqual(Object(targetSchemas.change()["properties"]).weight.anyOf[1], { type: "null" });
  assert.doesNotMatch(JSON.stringify([targetSchemas.target(), targetSchemas.renewal()]), /\$\\\\\{|\\\\\$/);
});
