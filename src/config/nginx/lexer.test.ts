// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of nginx.conf look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lexer, type Sentence } from "./lexer.ts";

/** All sentences of a text, the last one an end or a fault. */
function sentences(text: string): Sentence[] {
  const lexer = new Lexer(text);
  const all: Sentence[] = [];
  for (;;) {
    const next = lexer.next();
    all.push(next);
    if (next.kind === "end" || next.kind === "fault") return all;
  }
}

/** `listen 80;` as `listen|80;`, a fault as `!message LINE:COLUMN`. */
function brief(text: string): string {
  return sentences(text)
    .map((one) => {
      if (one.kind === "simple" || one.kind === "open") {
        return `${one.words.map((word) => word.text).join("|")}${one.kind === "simple" ? ";" : "{"}`;
      }
      if (one.kind === "fault") return `!${one.message} ${one.line}:${one.column}`;
      return one.kind === "close" ? "}" : "";
    })
    .join(" ")
    .trimEnd();
}

const cases: Readonly<Record<string, string>> = {
  "": "",
  "listen 80;": "listen|80;",
  "a  b\tc\r\nd ;": "a|b|c|d;",
  "server{listen 80;}": "server{ listen|80; }",
  "a 'b c' \"d e\";": "a|b c|d e;",
  "a 'it\\'s';": "a|it's;",
  'a "x\\"y" z\\;w;': 'a|x"y|z\\;w;',
  'a "\\r\\n\\t\\\\";': "a|\r\n\t\\;",
  "a \\d\\.;": "a|\\d\\.;",
  "a ${b}c $d{e};": "a|${b}c|$d{ e};",
  "a {$b}": 'a{ !unexpected end of file, expecting ";" or "}" 1:7',
  "a b#c; # d\ne;": "a|b#c; e;",
  "# nothing": "",
  "a ''; b \"\";": "a|; b|;",
  'if ($a = "b") { }': "if|($a|=|b|){ }",
  "a}b;": "a}b;",
  "a b\\ c;": "a|b\\ c;",
  ";": '!unexpected ";" 1:1',
  " {": '!unexpected "{" 1:2',
  "a }": '!unexpected "}" 1:3',
  "}": "}",
  "a\nb": '!unexpected end of file, expecting ";" or "}" 2:2',
  "a 'b'c;": '!unexpected "c" 1:6',
  "a 'b": '!unexpected end of file, expecting ";" or "}" 1:5',
  "\n\n  a 'b\nc' x}": '!unexpected end of file, expecting ";" or "}" 4:6',
};

for (const [text, expected] of Object.entries(cases)) {
  test(`${JSON.stringify(text)} is ${expected || "nothing"}`, () => assert.equal(brief(text), expected));
}

test("every word knows its line and column, a quoted one that of its quote", () => {
  const [first] = sentences("\n  listen\n 'a b' c;");
  assert.deepEqual(first, {
    kind: "simple",
    words: [
      { text: "listen", line: 2, column: 3 },
      { text: "a b", line: 3, column: 2 },
      { text: "c", line: 3, column: 8 },
    ],
  });
});

test("a word and what ends it have 4096 bytes, as in nginx's buffer", () => {
  assert.equal(brief(`${"x".repeat(4095)};`), `${"x".repeat(4095)};`);
  assert.equal(brief(`a;\n ${"x".repeat(4096)};`), 'a; !too long parameter "xxxxxxxxxx..." started 2:2');
  assert.equal(brief(`"${"x".repeat(4095)}";`), `${"x".repeat(4095)};`);
  const missing = '!too long parameter, probably missing terminating """ character 1:3';
  assert.equal(brief(`a "${"x".repeat(5000)};`), missing);
  assert.equal(brief(`a ${"é".repeat(2048)};`), `!too long parameter "${"é".repeat(10)}..." started 1:3`);
});

const sample = `# all kinds
user  nginx;
http { log_format m '$remote_addr "$request" \\'x\\''; server { listen 80; if ($host = "a b") { return 301 https://\${host}$request_uri; }
  location ~ ^/(a|b)\\.(c{2})$ { add_header X "q\\"uo\\te"; } } }
`;

test("a file cut at any place ends or faults, and what stood before the cut is read the same", () => {
  const whole = sentences(sample);
  assert.equal(whole.at(-1)?.kind, "end");
  for (let cut = 0; cut < sample.length; cut++) {
    const part = sentences(sample.slice(0, cut));
    assert.deepEqual(part.slice(0, -1), whole.slice(0, part.length - 1), `cut at ${cut}`);
  }
});

test("any text is read to an end or a fault, and words written in quotes come back", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const chars = fc.constantFrom(..." \t\n;{}#$\\'\"abc(){}[]=~é€😀".split(""), "${", "\\n", "//");
  fc.assert(
    fc.property(fc.array(chars, { maxLength: 60 }), (parts) => {
      const all = sentences(parts.join(""));
      assert.ok(all.length <= parts.join("").length + 1);
    }),
    { seed, numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 20 }), { minLength: 1, maxLength: 5 }), (words) => {
      const quoted = words.map((word) => `"${word.replaceAll(/[\\"]/g, "\\$&")}"`);
      const [first] = sentences(`${quoted.join(" ")};`);
      assert.deepEqual(first?.kind === "simple" ? first.words.map(({ text }) => text) : first, words);
    }),
    { seed, numRuns: 1000 },
  );
});
