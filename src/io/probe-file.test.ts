import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFileNumber } from "./probe-file.ts";

// What keepalived 2.2.7 makes of a track_file: seen by the priority that it then advertised.
const texts: readonly (readonly [string, number])[] = [
  ["5\n", 5],
  ["-20\n", -20],
  ["+3", 3],
  ["abc\n", 0],
  ["\n", 0],
  ["", 0],
  [" 7 x\n", 7],
  ["-0", 0],
  ["99999999999999999999", 2 ** 31],
];

for (const [text, number] of texts) {
  test(`${JSON.stringify(text)} is ${number}`, () => assert.equal(parseFileNumber(text), number));
}
