import assert from "node:assert/strict";
import { test } from "node:test";
import type { Target } from "../model/pool.ts";
import {
  decodeUpsyncValue,
  type EntryFields,
  encodeUpsyncServer,
  encodeUpsyncValue,
  upsyncDefaults,
} from "./upsync-entry.ts";

function read(text: string): EntryFields {
  const result = decodeUpsyncValue(text);
  assert.equal(result.ok, true, result.ok ? "" : result.failure.detail);
  return result.ok ? result.value : upsyncDefaults;
}

function refusal(text: string): string {
  const result = decodeUpsyncValue(text);
  assert.equal(result.ok, false, `${text} was read`);
  return result.ok ? "" : `${result.failure.code}: ${result.failure.detail}`;
}

test("an entry without a value has the defaults of nginx-upsync-module", () => {
  const defaults = { weight: 1, maxFails: 2, failTimeout: 10_000, backup: false, intent: "up" };
  for (const text of ["", " \n", "{}", '{"other":"kept for somebody else"}']) assert.deepEqual(read(text), defaults);
});

test("numbers and digits in a string say the same", () => {
  const expected = { weight: 5, maxFails: 0, failTimeout: 30_000, backup: true, intent: "down" };
  assert.deepEqual(read('{"weight":5,"max_fails":0,"fail_timeout":30,"down":1,"backup":1}'), expected);
  assert.deepEqual(read('{"weight":"5","max_fails":"0","fail_timeout":"30","down":"1","backup":"1"}'), expected);
  assert.deepEqual(read('{"WEIGHT":"05","Max_Fails":0,"fail_timeout":30.0,"down":true,"backup":true}'), expected);
});

test("the entries of the article are read as they are meant", () => {
  const { intent } = read('{"weight":1, "max_fails":2, "fail_timeout":10, "down":1}');
  assert.equal(intent, "down");
  assert.deepEqual(read('{"weight":1, "max_fails":2, "fail_timeout":10, "down":0}'), upsyncDefaults);
});

test("what is no JSON object is damage, also what upsync would read the beginning of", () => {
  for (const text of ["{", '{"weight":1} x', "5", '"5"', "[]", "null", "weight=1"]) {
    assert.match(refusal(text), /^source\.entry\.json: /);
  }
});

test("a value that upsync would take for another is damage, and names its field", () => {
  for (const [text, field] of [
    ['{"weight":0}', "weight"],
    ['{"weight":-1}', "weight"],
    ['{"weight":1.5}', "weight"],
    ['{"weight":""}', "weight"],
    ['{"weight":"1 "}', "weight"],
    ['{"weight":true}', "weight"],
    ['{"weight":70000}', "weight"],
    ['{"max_fails":null}', "max_fails"],
    ['{"max_fails":"-1"}', "max_fails"],
    ['{"max_fails":1e300}', "max_fails"],
    ['{"fail_timeout":"10s"}', "fail_timeout"],
    ['{"fail_timeout":[10]}', "fail_timeout"],
    ['{"fail_timeout":99999999999}', "fail_timeout"],
    ['{"down":2}', "down"],
    ['{"down":"true"}', "down"],
    ['{"backup":"yes"}', "backup"],
    ['{"Down":null}', "Down"],
  ] as const) {
    assert.match(refusal(text), new RegExp(`^source\\.entry\\.field: ${field}: .* is expected; found `), text);
  }
});

test("a field that is said twice is damage, since parsers differ on which holds", () => {
  assert.match(refusal('{"down":1,"weight":2,"down":0}'), /^source\.entry\.field: down: it is said twice/);
  assert.match(refusal('{"down":1,"DOWN":0}'), /said twice/);
  assert.match(refusal('{"d\\u006fwn":1,"down":0}'), /said twice/);
  // Not twice at one place, and not ours.
  assert.equal(read('{"down":1,"tags":{"down":0},"x":["down",":"],"note":"\\"down\\":0","x":1}').intent, "down");
});

test("a long value is told in part", () => {
  assert.ok(refusal(`{"weight":"${"9".repeat(5000)}"}`).length < 250);
});

test("what is encoded is read back as it was", () => {
  for (const fields of [
    upsyncDefaults,
    { weight: 65_535, maxFails: 1_000_000, failTimeout: 0, backup: true, intent: "down" },
  ] as const) {
    assert.deepEqual(read(encodeUpsyncValue(fields)), fields);
  }
  assert.equal(encodeUpsyncValue(upsyncDefaults), '{"weight":1,"max_fails":2,"fail_timeout":10,"down":0,"backup":0}');
});

test("what upsync cannot say is said as what comes nearest and takes no work", () => {
  const drained = { ...upsyncDefaults, intent: "drain", failTimeout: 1_500 } as const;
  assert.equal(encodeUpsyncValue(drained), '{"weight":1,"max_fails":2,"fail_timeout":2,"down":1,"backup":0}');
  assert.deepEqual(read(encodeUpsyncValue({ ...upsyncDefaults, weight: 0 })), { ...upsyncDefaults, intent: "down" });
});

test("a target's line is one that nginx reads", () => {
  const target: Target = {
    address: "10.0.0.1:80",
    host: "10.0.0.1",
    port: 80,
    connectionsMax: 0,
    slowStart: 0,
    ...upsyncDefaults,
  };
  assert.equal(encodeUpsyncServer(target), "server 10.0.0.1:80 weight=1 max_fails=2 fail_timeout=10s;");
  assert.equal(
    encodeUpsyncServer({ ...target, address: "[2001:db8::1]:80", intent: "down", backup: true, weight: 3 }),
    "server [2001:db8::1]:80 weight=3 max_fails=2 fail_timeout=10s backup down;",
  );
});
