import assert from "node:assert/strict";
import { test } from "node:test";
import { sourceAnswerBytesMax } from "../model/source.ts";
import { EtcdStream } from "./etcd-stream.ts";

function open() {
  const told: string[] = [];
  const stream = new EtcdStream("http://127.0.0.1:2379", {
    lines: (lines) => told.push(...lines),
    failed: ({ code, detail }) => told.push(`${code}: ${detail}`),
  });
  return { stream, told };
}

test("lines are handed on when they are whole, and the end of the stream is a failure", () => {
  const { stream, told } = open();
  stream.head({ status: 200 });
  stream.bytes(Buffer.from('{"a":1}\n{"b"'));
  stream.bytes(Buffer.from(":2}"));
  assert.deepEqual(told, ['{"a":1}']);
  stream.bytes(Buffer.from("\n"));
  stream.end({ ok: true, value: true });
  assert.deepEqual(told.slice(1), [
    '{"b":2}',
    "source.answer.cut: http://127.0.0.1:2379 ended the watch without a word",
  ]);
});

test("a line beyond the limit of an answer is a failure", () => {
  const { stream, told } = open();
  stream.head({ status: 200 });
  const half = Buffer.alloc(sourceAnswerBytesMax / 2, " ");
  stream.bytes(half);
  stream.bytes(half);
  assert.deepEqual(told, []);
  stream.bytes(half);
  assert.match(
    told.join(),
    /^source\.answer\.tooLarge: http:\/\/127\.0\.0\.1:2379 sends a line of more than 33554432 bytes$/,
  );
});

test("an answer that is no stream is told as what it is, however long it is", () => {
  const { stream, told } = open();
  stream.head({ status: 502 });
  for (let piece = 0; piece < 100; piece++) stream.bytes(Buffer.alloc(1_000, "x"));
  stream.end({ ok: true, value: true });
  assert.equal(told.length, 1);
  assert.match(told.join(), /^etcd\.foreign: http:\/\/127\.0\.0\.1:2379 answered 502 "x{120}"/);
});
