import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonDepthMax, parseJson } from "./json-text.ts";

function codeOf(text: string): string {
  const parsed = parseJson(text);
  return parsed.ok ? "good" : parsed.failure.code;
}

test("it reads what JSON.parse reads, to the same value", () => {
  const seed = 20_261_121;
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      const parsed = parseJson(text);
      // An object's prototype is no part of its value.
      assert.equal(parsed.ok && JSON.stringify(parsed.value), JSON.stringify(JSON.parse(text)));
    }),
    { seed, numRuns: 100 },
  );
});

test("what JSON.parse refuses, it refuses, and the other way round but for a key that is there twice", () => {
  const seed = 20_261_122;
  const piece = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"',
    "1",
    "-",
    ".5",
    "0",
    "e1",
    "true",
    "nul",
    " ",
    "\\u00",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const text = pieces.join("");
      let wanted = "good";
      try {
        JSON.parse(text);
      } catch {
        // It refuses; why, we tell ourselves.
        wanted = "json.syntax";
      }
      const told = codeOf(text);
      if (told !== "json.key.twice") assert.equal(told, wanted, text);
    }),
    { seed, numRuns: 3_000 },
  );
});

test("what is wrong is told with its place", () => {
  const cases: [string, string][] = [
    ["", "line 1, column 1: found the end of the text, expected a value"],
    ['{"a" 1}', "line 1, column 6: found `1`, expected `:` after a key"],
    ['{\n  "a": 1\n  "b": 2\n}', 'line 3, column 3: found `"`, expected `,` or `}`'],
    ["[1, 2", "line 1, column 6: found the end of the text, expected `,` or `]`"],
    ["{} x", "line 1, column 4: `x` after the end of the value"],
    ['["a\nb"]', "line 1, column 2: a text that is not ended, or holds a control character or an unknown escape"],
    ["[01]", "line 1, column 3: found `1`, expected `,` or `]`"],
    ['{"a":{"b":1,"b":2}}', 'line 1, column 13: the key "b" is there twice'],
    ["\ufeff{}", "line 1, column 1: found `\ufeff`, expected a value"],
  ];
  for (const [text, detail] of cases) {
    const parsed = parseJson(text);
    assert.equal(parsed.ok ? "good" : parsed.failure.detail, detail, text);
  }
});

test("depth has a limit, and keys of every object's prototype are only keys", () => {
  assert.equal(codeOf("[".repeat(jsonDepthMax) + "]".repeat(jsonDepthMax)), "good");
  assert.equal(codeOf("[".repeat(jsonDepthMax + 1) + "]".repeat(jsonDepthMax + 1)), "json.depth");
  const parsed = parseJson('{"__proto__":{"weight":1},"constructor":2}');
  assert.ok(parsed.ok);
  const value: object = Object(parsed.value);
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor"]);
  assert.equal(Object(value).weight, undefined);
});
