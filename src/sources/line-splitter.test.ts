import assert from "node:assert/strict";
import { test } from "node:test";
import { LineSplitter } from "./line-splitter.ts";

const text = '{"a":1}\n\n{"name":"Łódź"}\nrest';
const lines = ['{"a":1}', "", '{"name":"Łódź"}'];

test("lines are the same however the bytes are cut, within characters as well", () => {
  const bytes = Buffer.from(text);
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const splitter = new LineSplitter(100);
      const parts = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
      assert.deepEqual(
        parts.flatMap((part) => splitter.push(part) ?? ["too long"]),
        lines,
        `cut at ${first} and ${second}`,
      );
    }
  }
});

test("a line beyond the limit is told before its end has come", () => {
  const splitter = new LineSplitter(4);
  assert.deepEqual(splitter.push(Buffer.from("1234\n12")), ["1234"]);
  assert.deepEqual(splitter.push(Buffer.from("34")), []);
  assert.equal(splitter.push(Buffer.from("5")), undefined);
  assert.equal(new LineSplitter(4).push(Buffer.from("1\n12345\n")), undefined);
});
