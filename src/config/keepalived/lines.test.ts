// Words, lines and blocks of keepalived.conf by themselves: what keepalived 2.2.7 was seen to make of them, and that no text
// whatever brings the adapter down: every case cut at every character, and cases torn, doubled and mixed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { good } from "../../core/failure.ts";
import { seededRandom } from "../../core/random.ts";
import { decodeConfig } from "../decode.ts";
import { nativeJson } from "../foreign/native-text.ts";
import { adaptKeepalived } from "./adapt.ts";
import { Findings } from "./findings.ts";
import { linesMax, readLines } from "./lines.ts";
import { join, made, placeAt, slice, trim, written } from "./text.ts";
import { plainWords, shellWords, splitAtBraces } from "./words.ts";

const place = { file: "k.conf", line: 3, column: 5 };
const environment = { hostname: "lb-1.example.com" };
const nothing = () => good([]);

const plain = (text: string) => plainWords(written(text, place)).words.map((word) => word.text);
const shell = (text: string) => shellWords(written(text, place)).words.map((word) => word.text);

function lines(text: string): string[] {
  const findings = new Findings();
  const read = readLines({ path: "k.conf", text }, { read: nothing, environment, findings });
  assert.deepEqual(findings.problems, []);
  return read.map((line) => line.characters);
}

test("words are parted by blanks, and a quote within a word begins another one", () => {
  assert.deepEqual(plain('auth_pass a"b c"d  "x y"\tz'), ["auth_pass", "a", "b c", "d", "x y", "z"]);
  assert.notEqual(plainWords(written('a "b', place)).unmatched, undefined);
});

test("a command's words have both quotes and the escapes of a shell", () => {
  assert.deepEqual(shell("a 'b c'\"d e\"f\\ g"), ["a", "b cd ef g"]);
  assert.deepEqual(shell("\\x41\\102\\n\\cA\\q\\\\"), ["AB\n\u0001q\\"]);
  for (const text of ["a 'b", 'a "b', "a\\"]) {
    assert.notEqual(shellWords(written(text, place)).unmatched, undefined, text);
  }
});

test("braces part a line unless double quotes hold them", () => {
  const parts = splitAtBraces(written('a{b "}" }c', place)).map(({ text }) => text.characters.trim());
  assert.deepEqual(parts, ["a", "{", 'b "}"', "}", "c"]);
});

test("a word that was put together points where its pieces were written", () => {
  const value = written("10.0", { file: "v.conf", line: 1, column: 9 });
  const text = join([written("ip ", place), value, written(".4.99", { ...place, column: 12 })]);
  assert.equal(text.characters, "ip 10.0.4.99");
  assert.deepEqual(placeAt(text, 1), { ...place, column: 6 });
  assert.deepEqual(placeAt(text, 5), { file: "v.conf", line: 1, column: 11 });
  assert.deepEqual(placeAt(text, 8), { ...place, column: 13 });
  assert.deepEqual(placeAt(slice(text, 4, 9), 4), { ...place, column: 13 });
  assert.deepEqual(placeAt(made("many characters", place), 7), place);
  assert.equal(trim(written("  a\t", place)).characters, "a");
});

test("comments begin at # and !, also within a word, not in double quotes and not behind a backslash", () => {
  assert.deepEqual(lines('a b#c\n! d\ne "f # g" ! h\ni\\#j\n\n'), ["a b", 'e "f # g"', "i#j"]);
});

test("conditions compare the host name up to its first dot, or the configuration's id", () => {
  const text = "@lb-1 a\n@lb-2 b\n@^lb-1 c\n@^lb-2 d\n@lb-1\n@ e\n@^ f";
  assert.deepEqual(lines(text), ["a", "d", "f"]);
  const findings = new Findings();
  const options = { read: nothing, environment: { ...environment, configId: "lb-2" }, findings };
  const read = readLines({ path: "k.conf", text }, options).map((line) => line.characters);
  assert.deepEqual(read, ["b", "c", "f"]);
});

test("parameters are replaced when they are used, again and again", () => {
  assert.deepEqual(lines(`$A=1.\${B}\n$B=2\n\${A}.3\n$B=4\n\${A}.3\nx $B,y $Bz $B`), ["1.2.3", "1.4.3", "x 4,y $Bz 4"]);
  assert.deepEqual(lines("@lb-1 $P=240\n@lb-2 $P=200\np $P\n$IF=@lb-2\n$IF q"), ["p 240"]);
  assert.deepEqual(lines(`a \${_HASH} \${_BANG} \${_INSTANCE} \${_PWD}`), ["a # ! lb-1 ."]);
});

test("definitions of several lines are read line by line, at the end of a line alone", () => {
  assert.deepEqual(lines("$L=\\\n a \\\n b\n51 $L"), ["51 a", "b"]);
});

test("repetitions are written out, one within the other", () => {
  assert.deepEqual(lines(`~SEQ(A, 2) ~LST(B, x, y) \${A}\${B}`), ["1x", "1y", "2x", "2y"]);
  assert.deepEqual(lines(`~LST({A, B}, {1, 2}, {3, 4}) \${A}-\${B}\n~SEQx(C, 0xe, 0x10) \${C}`), [
    "1-2",
    "3-4",
    "e",
    "f",
    "10",
  ]);
  assert.deepEqual(lines(`~SEQ(A, -2) \${A}\n~SEQ(B, 9, -4, 1) \${B}`), ["-1", "-2", "9", "5", "1"]);
});

test("a file that multiplies itself is stopped", () => {
  const findings = new Findings();
  const text = `~SEQ(A, 1000) ~SEQ(B, 1000) x \${A} \${B}\n`;
  const read = readLines({ path: "k.conf", text }, { read: nothing, environment, findings });
  assert.equal(findings.problems.length, 1);
  assert.ok(read.length <= linesMax);
});

const folder = new URL("./cases/", import.meta.url);
const corpus = readdirSync(folder)
  .filter((name) => name.endsWith(".case"))
  .map((name) => readFileSync(new URL(name, folder), "utf8").split("\n----------\n")[0] ?? "");

/** What must hold whatever the text is. */
function check(text: string, decodes = true): void {
  const adapted = adaptKeepalived({ path: "k.conf", text }, nothing, environment);
  const count = text.split("\n").length;
  const told = [...adapted.problems, ...adapted.warnings, ...adapted.noEffect.map((one) => one.place)];
  for (const { file, line, column } of told) {
    assert.ok(file === "k.conf" && line >= 1 && line <= count && column >= 1, `${file}:${line}:${column} of ${count}`);
  }
  if (adapted.problems.length > 0 || !decodes) return;
  // Ours may still refuse it; it must not refuse words that we put there.
  const machine = { hostname: "lb-1", cores: 1 };
  const decoded = decodeConfig(nativeJson(adapted.value), { file: "native", environment: {}, machine });
  const codes = decoded.ok ? [] : decoded.problems.map(({ code }) => code);
  assert.deepEqual(
    codes.filter((code) => code === "config.key.unknown" || code === "config.value.type"),
    [],
  );
}

test("every case cut at every character is told about or understood", () => {
  for (const text of corpus) for (let end = 0; end <= text.length; end++) check(text.slice(0, end), text[end] === "\n");
});

test("cases torn, doubled and mixed bring nothing down", () => {
  const seed = Number(process.env["SEED"] ?? 20_260_611);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pieces = [
    "{",
    "}",
    '"',
    "'",
    "\\",
    "$",
    `\${`,
    "@",
    "~SEQ(",
    "~LST(",
    "#",
    "!",
    "\n",
    "\0",
    " ",
    "weight",
    "999",
    "é",
  ];
  for (let round = 0; round < 1500; round++) {
    let text = corpus[below(corpus.length)] ?? "";
    for (let change = below(4); change >= 0; change--) {
      const at = below(text.length + 1);
      const other = corpus[below(corpus.length)] ?? "";
      const from = below(other.length + 1);
      const put = below(3) === 0 ? other.slice(from, from + below(200)) : (pieces[below(pieces.length)] ?? "");
      text = text.slice(0, at) + put + text.slice(at + below(6));
    }
    check(text);
  }
});
