// `~SEQ(var, start, step, end)`, `~SEQx(...)` and `~LST(var, a, b)` at the start of a line: the rest of the line is read once for each
// value. On the change's way, below lines.ts. keepalived.conf(5), "Sequence blocks" and "List blocks".

import { type Definitions, substitute } from "./definitions.ts";
import { placeAt, slice, type Text, trim } from "./text.ts";

/** What one pass defines, by name. */
export type Pass = readonly { readonly name: string; readonly value: string }[];

export type Repeat =
  | { readonly ok: true; readonly passes: readonly Pass[]; readonly rest: Text }
  | { readonly ok: false; readonly message: string };

/** Passes of one repetition; nested ones multiply, and lines.ts bounds their product. */
const passesMax = 65_536;

/** The repetition that a line begins with. */
export function readRepeat(line: Text, definitions: Definitions): Repeat {
  const head = /^~(SEQx|SEQ|LST)[ \t]*\(/.exec(line.characters);
  if (head === null) return { ok: false, message: "`~` begins neither `~SEQ(...)`, `~SEQx(...)` nor `~LST(...)`" };
  const close = line.characters.indexOf(")", head[0].length);
  if (close < 0) return { ok: false, message: "the parenthesis is not closed" };
  const inside = substitute(slice(line, head[0].length, close), definitions, placeAt(line, 0));
  if (!inside.ok || inside.following.length > 0) return { ok: false, message: "its parameters cannot be replaced" };
  const rest = trim(slice(line, close + 1));
  const values = inside.line.characters;
  const passes = head[1] === "LST" ? readList(values) : readSequence(values, head[1] === "SEQx");
  if (passes === undefined) return { ok: false, message: `\`${head[1]}(${values})\` is no such list` };
  if (passes.length > passesMax) return { ok: false, message: `more than ${passesMax} values` };
  return { ok: true, passes, rest };
}

function readSequence(inside: string, isHex: boolean): Pass[] | undefined {
  const [name = "", ...texts] = inside.split(",").map((part) => part.trim());
  const numbers = texts.map(readNumber);
  if (!/^[A-Za-z_]\w*$/.test(name) || texts.length < 1 || texts.length > 3) return undefined;
  const range = rangeOf(numbers.map((number) => number ?? Number.NaN));
  if (range === undefined || (isHex && (range.start < 0 || range.end < 0))) return undefined;
  const passes: Pass[] = [];
  const isWithin = (value: number) => (range.step > 0 ? value <= range.end : value >= range.end);
  for (let value = range.start; isWithin(value) && passes.length <= passesMax; value += range.step) {
    passes.push([{ name, value: value.toString(isHex ? 16 : 10) }]);
  }
  return passes;
}

type Range = { readonly start: number; readonly step: number; readonly end: number };

/** One number is the end, two are start and end, three have the step between them. */
function rangeOf(numbers: readonly number[]): Range | undefined {
  if (!numbers.every(Number.isSafeInteger)) return undefined;
  const [first = 0, second, third] = numbers;
  if (second === undefined) return { start: first < 0 ? -1 : 1, step: first < 1 ? -1 : 1, end: first };
  if (third === undefined) return { start: first, step: first <= second ? 1 : -1, end: second };
  const runsAway = second === 0 || (first < third && second < 0) || (first > third && second > 0);
  return runsAway ? undefined : { start: first, step: second, end: third };
}

/** As strtol with base 0: `10`, `0x1f`, `017`. */
function readNumber(text: string): number | undefined {
  const match = /^([+-]?)(0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9]\d*)$/.exec(text);
  if (match === null) return undefined;
  const [, sign, digits = ""] = match;
  const isOctal = /^0[0-7]+$/.test(digits);
  const value = isOctal ? Number.parseInt(digits, 8) : Number(digits);
  return sign === "-" ? -value : value;
}

function readList(inside: string): Pass[] | undefined {
  const parts = splitOutsideBraces(inside);
  const [names, ...values] = parts.map(membersOf);
  if (names === undefined || values.length === 0 || !names.every((name) => /^[A-Za-z_]\w*$/.test(name)))
    return undefined;
  if (values.some((value) => value.length !== names.length)) return undefined;
  return values.map((value) => names.map((name, index) => ({ name, value: value[index] ?? "" })));
}

function splitOutsideBraces(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const character of text) {
    if (character === "{") depth++;
    if (character === "}") depth--;
    if (character === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim());
}

/** `{a, b}` has two members, anything else is one. */
function membersOf(part: string): string[] {
  const inside = /^\{(.*)\}$/s.exec(part)?.[1];
  return inside === undefined ? [part] : inside.split(",").map((member) => member.trim());
}
