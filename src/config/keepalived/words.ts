// A line into words, in keepalived's two ways: plainly (blanks part words, double quotes hold them together) and, where a
// command stands, with both quotes and the escapes of a shell. On the change's way; every word knows its place.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { placeAt, slice, type Text } from "./text.ts";

export type Word = { readonly text: string; readonly place: ForeignPlace; readonly quoted: boolean };

export type Words = {
  readonly words: readonly Word[];
  /** A quote that nothing ends. */
  readonly unmatched: ForeignPlace | undefined;
};

const blanks = " \t\f\n\r\v";

/** keepalived's alloc_strvec: a quote within a word ends it and begins the next one. */
export function plainWords(text: Text): Words {
  const { characters } = text;
  const words: Word[] = [];
  let at = 0;
  for (;;) {
    while (at < characters.length && blanks.includes(characters[at] ?? "")) at++;
    if (at >= characters.length) return { words, unmatched: undefined };
    const place = placeAt(text, at);
    if (characters[at] === '"') {
      const end = characters.indexOf('"', at + 1);
      if (end < 0) return { words, unmatched: place };
      words.push({ text: characters.slice(at + 1, end), place, quoted: true });
      at = end + 1;
      continue;
    }
    const start = at;
    while (at < characters.length && !blanks.includes(characters[at] ?? "") && characters[at] !== '"') at++;
    words.push({ text: characters.slice(start, at), place, quoted: false });
  }
}

/** keepalived's alloc_strvec_quoted_escaped: quotes of both kinds anywhere in a word, escapes in and out of them. */
export function shellWords(text: Text): Words {
  const { characters } = text;
  const words: Word[] = [];
  let at = 0;
  for (;;) {
    while (at < characters.length && blanks.includes(characters[at] ?? "")) at++;
    if (at >= characters.length) return { words, unmatched: undefined };
    const place = placeAt(text, at);
    const word = readShellWord(characters, at);
    if (word === undefined) return { words, unmatched: place };
    words.push({ text: word.text, place, quoted: word.quoted });
    at = word.end;
  }
}

type ShellWord = { readonly text: string; readonly end: number; readonly quoted: boolean };

/** Undefined when a quote or an escape has no end. */
function readShellWord(characters: string, start: number): ShellWord | undefined {
  let [at, word, quote, quoted] = [start, "", "", false];
  while (at < characters.length) {
    const character = characters[at] ?? "";
    if (character === "\\") {
      const escaped = readEscape(characters.slice(at + 1, at + 64));
      if (escaped === undefined) return undefined;
      word += escaped.text;
      at += 1 + escaped.length;
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word += character;
      at++;
    } else if (character === '"' || character === "'") {
      [quote, quoted] = [character, true];
      at++;
    } else if (blanks.includes(character)) {
      break;
    } else {
      word += character;
      at++;
    }
  }
  return quote === "" ? { text: word, end: at, quoted } : undefined;
}

const named: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  E: "\u001b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** What stands behind a backslash: keepalived.conf(5), "Quoted strings". */
function readEscape(rest: string): { readonly text: string; readonly length: number } | undefined {
  const [first] = rest;
  if (first === undefined) return undefined;
  const hex = /^x([0-9A-Fa-f]+)/.exec(rest);
  // keepalived gathers any number of digits in one byte.
  if (hex !== null) {
    return { text: String.fromCharCode(Number.parseInt((hex[1] ?? "").slice(-2), 16)), length: hex[0].length };
  }
  const control = /^c([\s\S])/.exec(rest);
  if (control !== null) return { text: String.fromCharCode((control[1] ?? "").charCodeAt(0) & 31), length: 2 };
  const octal = /^[0-7]{1,3}/.exec(rest);
  if (octal !== null) return { text: String.fromCharCode(Number.parseInt(octal[0], 8) & 255), length: octal[0].length };
  return { text: named[first] ?? first, length: 1 };
}

export type Split = { readonly brace: "{" | "}" | undefined; readonly text: Text };

/** A line parted at its braces that no double quotes hold: what stands before each, and the brace. */
export function splitAtBraces(line: Text): Split[] {
  const splits: Split[] = [];
  let [start, quoted] = [0, false];
  for (let at = 0; at < line.characters.length; at++) {
    const character = line.characters[at];
    if (character === '"') quoted = !quoted;
    if (quoted || (character !== "{" && character !== "}")) continue;
    splits.push(
      { brace: undefined, text: slice(line, start, at) },
      { brace: character, text: slice(line, at, at + 1) },
    );
    start = at + 1;
  }
  splits.push({ brace: undefined, text: slice(line, start) });
  return splits.filter(({ brace, text }) => brace !== undefined || text.characters.trim() !== "");
}
