import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeRange,
  decodeToken,
  decodeWatchLine,
  encodePulse,
  encodeRange,
  encodeWatch,
  rangeOfPrefix,
} from "./etcd-message.ts";

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64");
const here = "http://127.0.0.1:2379";
// As etcd 3.4.23 said it.
const header = { cluster_id: "324952591200643719", member_id: "3319814642761637952", revision: "5", raft_term: "2" };
const read = { clusterId: "324952591200643719", revision: 5n };

const codeOf = (result: { readonly ok: boolean } & object) =>
  "failure" in result ? (result.failure as { readonly code: string }).code : "read";

test("a prefix is the range up to the next text of its length", () => {
  assert.deepEqual(rangeOfPrefix("up/"), { key: base64("up/"), rangeEnd: base64("up0") });
  assert.deepEqual(rangeOfPrefix(""), { key: "AA==", rangeEnd: "AA==" });
  // Text never ends with a byte of 0xff; what comes after a multi-byte character does.
  assert.deepEqual(rangeOfPrefix("ÿ").rangeEnd, base64(Uint8Array.from([0xc3, 0xc0])));
});

test("questions are written as the gateway reads them", () => {
  const range = rangeOfPrefix("up/");
  assert.equal(encodeRange(range), '{"key":"dXAv","range_end":"dXAw"}');
  assert.deepEqual(JSON.parse(encodePulse(range, 9n)), {
    key: "dXAv",
    range_end: "dXAw",
    min_mod_revision: "10",
    keys_only: true,
    limit: "1",
  });
  assert.deepEqual(JSON.parse(encodeWatch(range, 10n)), {
    create_request: { key: "dXAv", range_end: "dXAw", start_revision: "10" },
  });
});

test("a range is read with what the gateway leaves out", () => {
  const kvs = [
    { key: "dXAvYQ==", create_revision: "2", mod_revision: "2", version: "1", value: "e30=" },
    { key: "dXAvYg==", create_revision: "3", mod_revision: "9223372036854775807", version: "1" },
  ];
  assert.deepEqual(decodeRange(JSON.stringify({ header, kvs, count: "2" }), here), {
    ok: true,
    value: {
      header: read,
      pairs: [
        { key: "dXAvYQ==", value: "e30=", modRevision: 2n },
        { key: "dXAvYg==", value: "", modRevision: 9223372036854775807n },
      ],
      count: 2n,
    },
  });
  assert.deepEqual(decodeRange(JSON.stringify({ header }), here), {
    ok: true,
    value: { header: read, pairs: [], count: 0n },
  });
});

test("what is not etcd's answer is none, and never an empty list", () => {
  const bodies: readonly unknown[] = [
    {},
    [],
    "text",
    null,
    { header: {} },
    { header: { ...header, revision: "0" } },
    { header: { ...header, revision: "-1" } },
    { header: { ...header, revision: "x" } },
    { header: { revision: "5" } },
    { header, kvs: {} },
    { header, kvs: [null] },
    { header, kvs: [{ value: "e30=" }] },
    { header, kvs: [{ key: "dXAvYQ==", value: 1 }] },
    { header, count: "many" },
  ];
  for (const body of bodies)
    assert.equal(codeOf(decodeRange(JSON.stringify(body), here)), "etcd.foreign", JSON.stringify(body));
  for (const body of ["", "<html>", '{"header":']) assert.equal(codeOf(decodeRange(body, here)), "etcd.foreign");
});

test("the messages of a watch are told apart", () => {
  const lines: readonly (readonly [unknown, unknown])[] = [
    [{ result: { header, created: true } }, { type: "created", header: read }],
    [
      {
        result: {
          header,
          events: [
            { kv: { key: "dXAvYw==", create_revision: "4", mod_revision: "4", version: "1", value: "eA==" } },
            { type: "DELETE", kv: { key: "dXAvYQ==", mod_revision: "5" } },
          ],
        },
      },
      {
        type: "events",
        header: read,
        events: [
          { type: "put", pair: { key: "dXAvYw==", value: "eA==", modRevision: 4n } },
          { type: "delete", pair: { key: "dXAvYQ==", value: "", modRevision: 5n } },
        ],
      },
    ],
    [
      { result: { header }, more: 1 },
      { type: "events", header: read, events: [] },
    ],
    [{ result: { header: { raft_term: "2" }, canceled: true, compact_revision: "4" } }, { type: "compacted" }],
    [
      { result: { header, watch_id: "-1", created: true, canceled: true, cancel_reason: "no" } },
      { type: "canceled", said: { code: undefined, message: "no" } },
    ],
    [
      {
        error: { grpc_code: 14, http_code: 503, message: "etcdserver: no leader", http_status: "Service Unavailable" },
      },
      { type: "canceled", said: { code: 14, message: "etcdserver: no leader" } },
    ],
  ];
  for (const [line, expected] of lines) {
    assert.deepEqual(decodeWatchLine(JSON.stringify(line), here), { ok: true, value: expected });
  }
});

test("a line that is no message of a watch is none", () => {
  const event = { kv: { key: "dXAvYw==", mod_revision: "4" } };
  const lines: readonly unknown[] = [
    {},
    { result: {} },
    { result: { header, events: [{ ...event, type: "NEW" }] } },
    { result: { header, events: [{ kv: { key: "dXAvYw==" } }] } },
    { result: { header, events: [{}] } },
  ];
  for (const line of lines)
    assert.equal(codeOf(decodeWatchLine(JSON.stringify(line), here)), "etcd.foreign", JSON.stringify(line));
  assert.equal(codeOf(decodeWatchLine("", here)), "etcd.foreign");
});

test("a token that cannot stand in a header is none, and is not told", () => {
  assert.deepEqual(decodeToken('{"token":"abc.1"}', here), { ok: true, value: "abc.1" });
  for (const body of ["{}", '{"token":""}', '{"token":"secret\\r\\nx: y"}', '{"token":1}']) {
    const result = decodeToken(body, here);
    assert.equal(codeOf(result), "etcd.foreign");
    assert.doesNotMatch(JSON.stringify(result), /secret/);
  }
});
