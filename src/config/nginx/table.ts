// Which directives there are, where each may stand, how many words it takes, and what the adapter does with it. On the
// change's way; the rows are in table-*.ts, the meaning of those that are served in the files named for their subject.

import type { Context } from "./directive.ts";

/**
 * `once`, `many`: served, and whether it may be repeated in its block. `idle`: tuning of nginx's own insides. `refused`: not
 * served, but for the value `off`, which most directives have when they are not there; `never`: not served with `off` either.
 */
export type Disposition = "once" | "many" | "idle" | "refused" | "never";

export type Rule = {
  readonly name: string;
  readonly contexts: ReadonlySet<Context>;
  readonly least: number;
  readonly most: number;
  /** Its only word is `on` or `off`. */
  readonly flag: boolean;
  readonly block: boolean;
  readonly disposition: Disposition;
  /** Of an idle one: why; of a refused one: what to do instead. */
  readonly advice: string;
};

/** Name, contexts (a letter each, below), words (`1`, `1-2`, `2+`, `flag`, with `{` for a block), disposition, advice. */
export type Row = readonly [name: string, contexts: string, words: string, disposition: Disposition, advice?: string];

const contextLetters: Readonly<Record<string, Context>> = {
  m: "main",
  e: "events",
  h: "http",
  s: "server",
  l: "location",
  u: "upstream",
  i: "serverIf",
  j: "locationIf",
  x: "limitExcept",
  t: "stream",
  v: "streamServer",
  w: "streamUpstream",
};

/** As many words as nginx keeps of a directive that takes any number. */
const wordsMax = 1000;

export function rulesOf(rows: readonly Row[]): Rule[] {
  return rows.map(([name, letters, words, disposition, advice = ""]) => {
    const contexts = new Set([...letters].flatMap((letter) => contextLetters[letter] ?? []));
    const block = words.endsWith("{");
    const count = block ? words.slice(0, -1) : words;
    return { name, contexts, ...boundsOf(count), flag: count === "flag", block, disposition, advice };
  });
}

function boundsOf(words: string): { least: number; most: number } {
  if (words === "flag") return { least: 1, most: 1 };
  const [, least = "0", more, most] = /^(\d+)(?:(\+)|-(\d+))?$/.exec(words) ?? [];
  if (more !== undefined) return { least: Number(least), most: wordsMax };
  return { least: Number(least), most: Number(most ?? least) };
}

/** The block that a directive opens. */
export function contextWithin(name: string, context: Context): Context {
  switch (name) {
    case "events":
    case "http":
    case "stream":
    case "location":
      return name;
    case "server":
      return context === "stream" ? "streamServer" : "server";
    case "upstream":
      return context === "stream" ? "streamUpstream" : "upstream";
    case "if":
      return context === "location" || context === "locationIf" ? "locationIf" : "serverIf";
    case "limit_except":
      return "limitExcept";
    default:
      return "table";
  }
}
