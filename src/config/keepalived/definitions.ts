// Parameters of a keepalived.conf: `$NAME=VALUE`, over several lines where each ends with a backslash, and their uses `$NAME` and
// `${NAME}`, replaced again and again until nothing is left to replace. On the change's way, below lines.ts.
// keepalived.conf(5), "Parameter substitution"; keepalived lib/parser.c for what may follow a name.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { join, made, slice, type Text } from "./text.ts";

/** keepalived's own buffer, less its final NUL: what is longer it takes for two lines. */
export const lineLengthMax = 1023;

/** Replacements within one line; keepalived stops when its line is full. */
const replacementsMax = 1000;

/** The lines that stand for the name; more than one where it was defined over several lines. */
export type Definitions = Map<string, readonly Text[]>;

/** The start of a definition: its name, and what follows the equals sign. */
export function definitionAt(line: Text): { readonly name: string; readonly value: Text } | undefined {
  const match = /^\$([A-Za-z_][A-Za-z0-9_]*)=[ \t]*/.exec(line.characters);
  if (match === null) return undefined;
  return { name: match[1] ?? "", value: slice(line, match[0].length) };
}

export type Substituted =
  | { readonly ok: true; readonly line: Text; readonly following: readonly Text[]; readonly changed: boolean }
  | { readonly ok: false; readonly at: number; readonly what: "endless" | "random" };

const use = /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)((?: [0-9 ]*[0-9])?)\}|([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)]|$))/g;

/**
 * Replaces every parameter of a line. The first line of one that has several takes its place, `following` come next; such a one
 * is replaced at the end of a line only, as keepalived does. What is not defined stays as it is.
 */
export function substitute(line: Text, definitions: Definitions, place: ForeignPlace): Substituted {
  let [text, from, changed] = [line, 0, false];
  for (let count = 0; count < replacementsMax; count++) {
    use.lastIndex = from;
    const match = use.exec(text.characters);
    if (match === null) return { ok: true, line: text, following: [], changed };
    const [whole, braced, parameters, bare] = match;
    const name = braced ?? bare ?? "";
    if (name === "_RANDOM") return { ok: false, at: match.index, what: "random" };
    const end = match.index + whole.length;
    const lines = parameters === undefined || parameters === "" ? definitions.get(name) : undefined;
    if (lines === undefined || (lines.length > 1 && end < text.characters.length)) {
      from = match.index + 1;
      continue;
    }
    const [first = made("", place), ...following] = lines;
    text = join([slice(text, 0, match.index), first, slice(text, end)]);
    changed = true;
    // A repetition reads the rest of its line itself, once for each of its values.
    if (following.length > 0 || first.characters.startsWith("~")) return { ok: true, line: text, following, changed };
    if (text.characters.length > lineLengthMax) return { ok: false, at: 0, what: "endless" };
    from = match.index;
  }
  return { ok: false, at: 0, what: "endless" };
}
