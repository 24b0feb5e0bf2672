import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReleaseRecord, recordBytesMax, recordFormat, releaseSteps, releaseTargetsMax } from "../model/release.ts";
import { initialRelease } from "./machine.ts";
import { decodeRecord, encodeRecord, laterRecord } from "./record.ts";

const base: ReleaseRecord = {
  format: recordFormat,
  id: "20260102T030405Z-abcdef",
  pool: "app",
  version: "v2",
  fence: 3,
  revision: 7,
  by: "root@lb-1/1/2/0123456789ab",
  startedMs: 1_790_000_000_000,
  changedMs: 1_790_000_000_500,
  digest: "0123456789abcdef",
  state: initialRelease([["10.0.0.1:80"], ["10.0.0.2:80"]]),
};

function decoded(text: string): ReleaseRecord {
  const read = decodeRecord(text);
  assert.ok(read.ok, read.ok ? "" : read.failure.detail);
  return read.value;
}

function encoded(record: ReleaseRecord): string {
  const text = encodeRecord(record);
  assert.ok(text.ok);
  return text.value;
}

test("a record comes back as it was, with what is under way and what failed", () => {
  const [one, two] = base.state.targets;
  assert.ok(one !== undefined && two !== undefined);
  const done = [{ step: "guard", atMs: 1, tookMs: 2, attempts: 1, note: "2 eligible" } as const];
  const failure = { step: "stop", atMs: 3, attempt: 2, code: "x", detail: "no", output: "said" } as const;
  const targets = [
    { ...one, done, before: { lb: "" }, underWay: { step: "out", atMs: 4, attempt: 1 } as const },
    { ...two, failure, attempts: { deploy: 2 } },
  ];
  const record = { ...base, state: { ...base.state, targets } };
  assert.deepEqual(JSON.parse(JSON.stringify(decoded(encoded(record)))), JSON.parse(JSON.stringify(record)));
});

test("a record as the admin API shows it is read as well", () => {
  const record = decoded(encoded(base));
  assert.deepEqual(decoded(JSON.stringify(record)), record);
});

test("the largest release that there may be fits", () => {
  const addresses = Array.from({ length: releaseTargetsMax }, (_, index) => `[2001:db8:1:2:3:4:5:${index}]:8080`);
  const state = initialRelease(addresses.map((address) => [address]));
  const done = releaseSteps.map((step) => ({
    step,
    atMs: 1_790_000_000_000,
    tookMs: 120_000,
    attempts: 1,
    note: "x".repeat(120),
  }));
  const before = { "lb-1": "", "lb-2": "" };
  const targets = state.targets.map((turn) => ({ ...turn, done, before }));
  const text = encoded({ ...base, state: { ...state, targets, batch: releaseTargetsMax } });
  assert.ok(text.length < recordBytesMax, String(text.length));
});

test("what is no record is refused, and so is one of a later evenkeel", () => {
  const broken = ["", "{}", "null", encoded(base).replace('"phase":"running"', '"phase":"flying"')];
  for (const text of [...broken, encoded(base).replace('"done":[]', '"done":[[99,1,2,3]]')]) {
    const read = decodeRecord(text);
    assert.equal(read.ok, false, text);
  }
  const later = decodeRecord(encoded(base).replace('"format":1', '"format":2'));
  assert.ok(!later.ok && /later evenkeel/.test(later.failure.detail));
});

test("the record of the later holder holds, and of one holder the later one", () => {
  const older = { fence: 2, revision: 90 };
  const newer = { fence: 3, revision: 1 };
  assert.equal(laterRecord(undefined, older), older);
  assert.equal(laterRecord(older, newer), newer);
  assert.equal(laterRecord(newer, older), newer);
  const next = { fence: 3, revision: 2 };
  assert.equal(laterRecord(newer, next), next);
});
