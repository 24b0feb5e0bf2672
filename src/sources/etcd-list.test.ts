import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdList } from "./etcd-list.ts";
import type { EtcdEvent, EtcdPair, EtcdRange } from "./etcd-message.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const header = (revision: bigint, clusterId = "1") => ({ clusterId, revision });
const pair = (key: string, value: string, modRevision: bigint): EtcdPair => ({
  key: base64(`up/${key}`),
  value: base64(value),
  modRevision,
});
const range = (revision: bigint, pairs: readonly EtcdPair[], more: Partial<EtcdRange> = {}): EtcdRange => ({
  header: header(revision),
  pairs,
  count: BigInt(pairs.length),
  ...more,
});
const put = (key: string, value: string, revision: bigint): EtcdEvent => ({
  type: "put",
  pair: pair(key, value, revision),
});
const gone = (key: string, revision: bigint): EtcdEvent => ({ type: "delete", pair: pair(key, "", revision) });
const told = (list: EtcdList) => list.entries().map(({ address, value }) => `${address}=${value}`);

function listOf(pairs: readonly EtcdPair[], revision = 5n): EtcdList {
  const list = new EtcdList("up/");
  list.replace(range(revision, pairs));
  return list;
}

test("a read replaces everything and says whether it differs", () => {
  const list = new EtcdList("up/");
  assert.equal(list.replace(range(5n, [])), true);
  assert.equal(list.replace(range(6n, [])), false);
  assert.equal(list.replace(range(7n, [pair("a", "1", 7n)])), true);
  assert.equal(list.replace(range(8n, [pair("a", "1", 7n)])), false);
  assert.equal(list.replace(range(9n, [pair("a", "2", 9n)])), true);
  assert.equal(list.replace(range(9n, [pair("b", "2", 9n)])), true);
  assert.deepEqual(told(list), ["b=2"]);
  assert.deepEqual(list.entries()[0], { key: "up/b", address: "b", value: "2" });
});

test("events carry the list on by their own revisions, whatever the header is ahead", () => {
  const list = listOf([pair("a", "1", 5n)]);
  assert.equal(list.apply(header(90n), [put("b", "2", 6n), gone("a", 7n), put("b", "3", 7n)]), true);
  assert.deepEqual(told(list), ["b=3"]);
  assert.equal(list.revision, 7n);
  assert.equal(list.apply(header(90n), [gone("never there", 8n)]), true);
});

test("events of another cluster, or of before what is known, don't fit", () => {
  const list = listOf([pair("a", "1", 5n)]);
  assert.equal(list.apply(header(6n, "2"), [put("b", "2", 6n)]), false);
  assert.equal(list.apply(header(6n), [put("b", "2", 4n)]), false);
});

test("a read of a cluster made anew begins again", () => {
  const list = listOf([pair("a", "1", 5n)], 100n);
  list.replace(range(2n, [pair("c", "1", 2n)], { header: header(2n, "2") }));
  assert.equal(list.revision, 2n);
  assert.equal(list.apply(header(3n, "2"), [put("d", "", 3n)]), true);
  assert.deepEqual(told(list), ["c=1", "d="]);
});

test("a sign of life fits when nothing was put and nothing is missing", () => {
  const list = listOf([pair("a", "1", 3n), pair("b", "1", 5n)]);
  const asked = list.standing();
  assert.equal(asked.revision, 5n);
  assert.equal(list.fits(range(5n, [], { count: 2n }), asked), true);
  assert.equal(list.fits(range(900n, [], { count: 2n }), asked), true, "other keys have changed");
  assert.equal(list.fits(range(6n, [pair("c", "", 6n)], { count: 3n }), asked), false, "put");
  assert.equal(list.fits(range(6n, [], { count: 1n }), asked), false, "removed");
  assert.equal(list.fits(range(4n, [], { count: 2n }), asked), false, "backwards");
  assert.equal(list.fits(range(5n, [], { count: 2n, header: header(5n, "2") }), asked), false, "another cluster");
});

test("a sign of life that the watch has overtaken says nothing", () => {
  const list = listOf([pair("a", "1", 5n)]);
  const asked = list.standing();
  list.apply(header(6n), [put("b", "", 6n)]);
  assert.equal(list.fits(range(5n, [], { count: 1n }), asked), true);
  assert.equal(list.fits(range(5n, [], { count: 1n }), list.standing()), false);
});

test("folders are passed over, keys in them are told with their way there", () => {
  const list = listOf([pair("", "", 1n), pair("sub/", "", 2n), pair("sub/10.0.0.1:80", "x", 3n)]);
  assert.deepEqual(told(list), ["sub/10.0.0.1:80=x"]);
});
