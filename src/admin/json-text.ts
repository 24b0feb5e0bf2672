// JSON text to a value (RFC 8259), with the place of what is wrong: JSON.parse leaves the place out for short texts, and
// takes the last of two equal keys without a word, where another reader takes the first. Pure; the change's way. Objects
// have no prototype, so no key of theirs is anything but data.

import { bad, good, type Result } from "../core/failure.ts";

/** Objects and arrays within each other. What the API takes is three deep. */
export const jsonDepthMax = 32;

type Wrong = { readonly at: number; readonly code: string; readonly what: string };
type Cursor = { readonly text: string; at: number; wrong: Wrong | undefined };

const blank = /[ \t\n\r]*/y;
const numberForm = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const stringForm = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const wordForm = /true|false|null/y;

/**
 * Codes: json.syntax, json.key.twice, json.depth. The detail begins with the place, `line 2, column 13: `, both from 1, the
 * column in UTF-16 units.
 */
export function parseJson(text: string): Result<unknown> {
  const cursor: Cursor = { text, at: 0, wrong: undefined };
  const value = readValue(cursor, 0);
  if (cursor.wrong === undefined) {
    skipBlank(cursor);
    if (cursor.at < text.length) refuse(cursor, "json.syntax", `${shown(cursor)} after the end of the value`);
  }
  if (cursor.wrong === undefined) return good(value);
  const { at, code, what } = cursor.wrong;
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - before.lastIndexOf("\n");
  return bad({ code, origin: "client", retrySafe: true, detail: `line ${line}, column ${column}: ${what}` });
}

/** Undefined and `wrong` set when there is no value. */
function readValue(cursor: Cursor, depth: number): unknown {
  skipBlank(cursor);
  const next = cursor.text[cursor.at];
  if (next === "{" || next === "[") {
    if (depth === jsonDepthMax)
      return refuse(cursor, "json.depth", `more than ${jsonDepthMax} objects within each other`);
    return next === "{" ? readObject(cursor, depth + 1) : readArray(cursor, depth + 1);
  }
  if (next === '"') return readString(cursor);
  const word = take(cursor, wordForm) ?? take(cursor, numberForm);
  if (word === undefined) return refuse(cursor, "json.syntax", `found ${shown(cursor)}, expected a value`);
  return JSON.parse(word);
}

function readObject(cursor: Cursor, depth: number): unknown {
  const object: Record<string, unknown> = Object.create(null);
  cursor.at++;
  if (isNext(cursor, "}")) return object;
  for (;;) {
    skipBlank(cursor);
    const keyAt = cursor.at;
    if (cursor.text[keyAt] !== '"')
      return refuse(cursor, "json.syntax", `found ${shown(cursor)}, expected a key in quotes`);
    const key = readString(cursor);
    if (key === undefined) return undefined;
    if (Object.hasOwn(object, key)) {
      cursor.at = keyAt;
      return refuse(cursor, "json.key.twice", `the key ${JSON.stringify(key)} is there twice`);
    }
    if (!isNext(cursor, ":"))
      return refuse(cursor, "json.syntax", `found ${shown(cursor)}, expected \`:\` after a key`);
    object[key] = readValue(cursor, depth);
    if (cursor.wrong !== undefined || isNext(cursor, "}")) return object;
    if (!isNext(cursor, ",")) return refuse(cursor, "json.syntax", `found ${shown(cursor)}, expected \`,\` or \`}\``);
  }
}

function readArray(cursor: Cursor, depth: number): unknown {
  const array: unknown[] = [];
  cursor.at++;
  if (isNext(cursor, "]")) return array;
  for (;;) {
    array.push(readValue(cursor, depth));
    if (cursor.wrong !== undefined || isNext(cursor, "]")) return array;
    if (!isNext(cursor, ",")) return refuse(cursor, "json.syntax", `found ${shown(cursor)}, expected \`,\` or \`]\``);
  }
}

function readString(cursor: Cursor): string | undefined {
  const quoted = take(cursor, stringForm);
  if (quoted === undefined) {
    refuse(cursor, "json.syntax", "a text that is not ended, or holds a control character or an unknown escape");
    return undefined;
  }
  return String(JSON.parse(quoted));
}

/** Passes over blanks and the character, if that is what comes next. */
function isNext(cursor: Cursor, character: string): boolean {
  skipBlank(cursor);
  if (cursor.text[cursor.at] !== character) return false;
  cursor.at++;
  return true;
}

function skipBlank(cursor: Cursor): void {
  take(cursor, blank);
}

function take(cursor: Cursor, form: RegExp): string | undefined {
  form.lastIndex = cursor.at;
  const found = form.exec(cursor.text)?.[0];
  if (found !== undefined) cursor.at += found.length;
  return found;
}

function refuse(cursor: Cursor, code: string, what: string): undefined {
  cursor.wrong ??= { at: cursor.at, code, what };
  return undefined;
}

function shown({ text, at }: Cursor): string {
  const code = text.codePointAt(at);
  return code === undefined ? "the end of the text" : `\`${String.fromCodePoint(code)}\``;
}
