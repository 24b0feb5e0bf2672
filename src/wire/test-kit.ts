// For tests of wire formats: cases kept as documents (src/wire/http1/cases/README.md describes the format), input between
// hostile bytes in an arena, and the seed of random tests. Knows no format and reads no file. It stands on neither way, and
// nothing that runs may import it.

import type { Arena } from "./arena.ts";

export type Case = {
  readonly title: string;
  readonly file: string;
  /** First word after the fence. */
  readonly kind: string;
  readonly options: ReadonlyMap<string, string>;
  readonly input: Buffer;
  readonly expected: string;
};

/** What surrounds the input in the arena: bytes that would end or continue whatever is read past the end. */
export const SURROUNDINGS: readonly string[] = ["a", "\r\n\r\n", "\n", "0", "\0", "\x16\x03\x01", " ", "\xff"];

/** Line ends of the document mean nothing; `\r` `\n` `\t` `\\` `\x00` and `\repeat{40}{ab}` are written out. */
export function decodeInput(text: string): Buffer {
  const repeated = text
    .replaceAll("\n", "")
    .replace(/\\repeat\{(\d+)\}\{([^}]*)\}/g, (_all, count: string, what: string) => what.repeat(Number(count)));
  const decoded = repeated.replace(/\\(r|n|t|\\|x[0-9a-fA-F]{2})/g, (_all, code: string) => {
    if (code === "r") return "\r";
    if (code === "n") return "\n";
    if (code === "t") return "\t";
    return code === "\\" ? "\\" : String.fromCharCode(Number.parseInt(code.slice(1), 16));
  });
  return Buffer.from(decoded, "latin1");
}

/** The cases of one document: each has a title, the source of its sentence, an input and a result. Throws where one lacks. */
export function parseCases(file: string, text: string, source: RegExp): Case[] {
  const cases = text
    .split(/^## /m)
    .slice(1)
    .map((section) => parseCase(file, section, source));
  if (cases.length === 0) throw new Error(`${file} has no cases`);
  return cases;
}

function parseCase(file: string, section: string, source: RegExp): Case {
  const title = section.slice(0, section.indexOf("\n"));
  const [input, result, more] = [...section.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];
  if (input === undefined || result?.[1] !== "result" || more !== undefined) {
    throw new Error(`${file}: "${title}" is not an input and a result`);
  }
  if (!source.test(section)) throw new Error(`${file}: "${title}" does not name its source`);
  const [kind = "", ...options] = (input[1] ?? "").split(" ");
  return {
    title,
    file,
    kind,
    options: new Map(options.map((option) => [option.split("=")[0] ?? "", option.split("=")[1] ?? ""])),
    input: decodeInput(input[2] ?? ""),
    expected: (result[2] ?? "").trimEnd(),
  };
}

/** Fills the arena with `surroundings` and puts `input` at `start`; returns the offset after it. */
export function place(arena: Arena, surroundings: string, start: number, input: Uint8Array): number {
  arena.bytes.fill(surroundings, "latin1");
  arena.bytes.set(input, start);
  return start + input.length;
}

/** From EVENKEEL_SEED to have a run again, else new each time. */
export function testSeed(): number {
  const given = Number(process.env["EVENKEEL_SEED"]);
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * 0x7ffffffe);
}
