// How a block of keepalived.conf is read: a table says for each word what it means, that it means nothing here and why, or that
// it cannot be had and what to do instead. On the change's way, for all blocks alike. A word that no table knows, words too
// many or too few, and a directive that stands twice are problems: keepalived passes over all of them.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { nearest } from "../nearest.ts";
import type { Statement } from "./blocks.ts";
import type { Findings, Said } from "./findings.ts";
import type { Word } from "./words.ts";

export type Rule =
  | {
      readonly kind: "read";
      /** How many words may follow the keyword. */
      readonly least: number;
      readonly most: number;
      /** `lines`: a block whose lines are values; `words`: a block of directives. */
      readonly block: "none" | "needed";
      readonly repeats: boolean;
      readonly read: (statement: Statement, words: readonly Word[]) => void;
    }
  | { readonly kind: "idle"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string; readonly instead: string };

export type Rules = ReadonlyMap<string, Rule>;

type ReadWords = (words: readonly Word[], statement: Statement) => void;

/** One word follows the keyword. */
export function one(read: (word: Word, statement: Statement) => void): Rule {
  return some(1, 1, ([word], statement) => {
    if (word !== undefined) read(word, statement);
  });
}

export function some(least: number, most: number, read: ReadWords): Rule {
  const call = (statement: Statement, words: readonly Word[]) => read(words, statement);
  return { kind: "read", least, most, block: "none", repeats: false, read: call };
}

/** A flag that may say `on` or `off`: true without a word. */
export function flagged(findings: Findings, read: (said: Said<boolean>) => void): Rule {
  return some(0, 1, ([word], { place, keyword }) => {
    const value = word === undefined ? true : flagOf(findings, word, keyword);
    if (value !== undefined) read({ value, place });
  });
}

/** A block, with at most so many words before it. */
export function block(least: number, most: number, read: (statement: Statement, words: readonly Word[]) => void): Rule {
  return { kind: "read", least, most, block: "needed", repeats: false, read };
}

/** The same, as often as one likes. */
export function repeated(rule: Rule): Rule {
  return rule.kind === "read" ? { ...rule, repeats: true } : rule;
}

export function idle(why: string): Rule {
  return { kind: "idle", why };
}

export function refused(why: string, instead: string): Rule {
  return { kind: "refused", why, instead };
}

/** One rule for several words. */
export function each(words: string, rule: Rule): [string, Rule][] {
  return words.split(" ").map((word) => [word, rule]);
}

/** Reads every statement of a block by its rule; `where` is what the block is called. */
export function readBlock(findings: Findings, statements: readonly Statement[], rules: Rules, where: string): void {
  const seen = new Map<string, ForeignPlace>();
  for (const statement of statements) {
    const { keyword, place, words } = statement;
    const rule = rules.get(keyword);
    if (rule === undefined) {
      complainUnknown(findings, statement, rules, where);
      continue;
    }
    if (rule.kind === "idle") {
      findings.idle(place, keyword, rule.why);
      continue;
    }
    if (rule.kind === "refused") {
      findings.complain(place, "refused", { message: `\`${keyword}\`: ${rule.why}`, expected: rule.instead });
      continue;
    }
    const before = seen.get(keyword);
    if (before !== undefined && !rule.repeats) {
      const message = `\`${keyword}\` stands here a second time, first in line ${before.line}; keepalived would take one of the two`;
      findings.complain(place, "twice", { message, expected: "it once" });
      continue;
    }
    seen.set(keyword, before ?? place);
    if (hasForm(findings, statement, rule)) rule.read(statement, words.slice(1));
  }
}

function complainUnknown(
  findings: Findings,
  { keyword, place, block: inner }: Statement,
  rules: Rules,
  where: string,
): void {
  const reads =
    inner === undefined
      ? "keepalived would pass over the line"
      : `keepalived would read what its block holds as if it stood in ${where} itself, and end that at the block's \`}\``;
  findings.complain(place, "unknown", {
    message: `\`${keyword}\` is no word of ${where}; ${reads}`,
    suggestion: nearest(keyword, [...rules.keys()]),
  });
}

function hasForm(findings: Findings, statement: Statement, rule: Extract<Rule, { kind: "read" }>): boolean {
  const { keyword, words, place, block: inner } = statement;
  const count = words.length - 1;
  if (rule.block === "needed" && inner === undefined) {
    findings.complain(place, "block", { message: `\`${keyword}\` has no block`, expected: `\`${keyword} { ... }\`` });
    return false;
  }
  if (rule.block === "none" && inner !== undefined) {
    findings.complain(place, "block", { message: `\`${keyword}\` takes no block`, expected: "no `{`" });
    return false;
  }
  if (count < rule.least) {
    const message = `\`${keyword}\` is missing a word behind it`;
    findings.complain(place, "words", { message, expected: `at least ${rule.least}` });
    return false;
  }
  const extra = words[rule.most + 1];
  if (count <= rule.most || extra === undefined) return true;
  findings.complain(extra.place, "words", {
    message: `\`${extra.text}\` is a word too many behind \`${keyword}\`, which keepalived would drop`,
    expected: rule.most === 0 ? "none" : `at most ${rule.most}, and each directive in a line of its own`,
  });
  return false;
}

/** `on`, `true`, `yes` and their opposites. */
export function flagOf(findings: Findings, word: Word, keyword: string): boolean | undefined {
  if (/^(?:on|true|yes)$/.test(word.text)) return true;
  if (/^(?:off|false|no)$/.test(word.text)) return false;
  const message = `\`${word.text}\` behind \`${keyword}\` is neither yes nor no, and keepalived would pass over the line`;
  findings.complain(word.place, "value", { message, expected: "`on`, `off`, `true`, `false`, `yes` or `no`" });
  return undefined;
}

type Into<Key extends string, T> = { [One in Key]?: Said<T> };

/** One word, kept as it is. */
export function textInto<Key extends string>(into: Into<Key, string>, key: Key): Rule {
  return one(({ text, place }) => keep(into, key, { value: text, place }));
}

export function numberInto<Key extends string>(
  findings: Findings,
  into: Into<Key, number>,
  key: Key,
  range: Range,
): Rule {
  return one((word, { keyword }) => keep(into, key, integerOf(findings, word, keyword, range)));
}

/** Kept as milliseconds. */
export function secondsInto<Key extends string>(
  findings: Findings,
  into: Into<Key, number>,
  key: Key,
  range: Range,
): Rule {
  return one((word, { keyword }) => keep(into, key, secondsOf(findings, word, keyword, range)));
}

export function flagInto<Key extends string>(findings: Findings, into: Into<Key, boolean>, key: Key): Rule {
  return flagged(findings, (said) => keep(into, key, said));
}

/** No word behind it: standing there is all it says. */
export function presentInto<Key extends string>(into: Into<Key, boolean>, key: Key): Rule {
  return some(0, 0, (_, { place }) => keep(into, key, { value: true, place }));
}

function keep<Key extends string, T>(into: Into<Key, T>, key: Key, said: Said<T> | undefined): void {
  if (said !== undefined) Object.assign(into, { [key]: said });
}

export type Range = {
  readonly least: number;
  readonly most: number;
  /** What keepalived does with anything else: a clause. */
  readonly otherwise?: string;
};

/** A whole number; undefined after telling what is wrong. */
export function integerOf(findings: Findings, word: Word, keyword: string, range: Range): Said<number> | undefined {
  const value = /^[+-]?\d{1,12}$/.test(word.text) ? Number(word.text) : Number.NaN;
  return within(findings, word, { keyword, value, range, unit: "a whole number" });
}

/** Seconds, with a fraction, as milliseconds; less than one becomes one. */
export function secondsOf(findings: Findings, word: Word, keyword: string, range: Range): Said<number> | undefined {
  const value = /^\+?(?:\d{1,9}(?:\.\d*)?|\.\d+)$/.test(word.text) ? Number(word.text) : Number.NaN;
  const said = within(findings, word, { keyword, value, range, unit: "seconds" });
  if (said === undefined) return undefined;
  return { value: said.value === 0 ? 0 : Math.max(1, Math.round(said.value * 1000)), place: said.place };
}

type Checked = { readonly keyword: string; readonly value: number; readonly range: Range; readonly unit: string };

function within(findings: Findings, word: Word, { keyword, value, range, unit }: Checked): Said<number> | undefined {
  const { least, most, otherwise } = range;
  if (value >= least && value <= most) return { value, place: word.place };
  const message = `\`${word.text}\` is no \`${keyword}\``;
  findings.complain(word.place, "value", {
    message: otherwise === undefined ? message : `${message}; keepalived ${otherwise}`,
    expected: `${unit} from ${least} to ${most}`,
  });
  return undefined;
}

/** `2s`, `1500ms`: as the native configuration writes it; 0 is the number. */
export function durationText(milliseconds: number): string | number {
  if (milliseconds === 0) return 0;
  return milliseconds % 1000 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`;
}
