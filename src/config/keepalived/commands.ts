// Commands and names as keepalived.conf has them. A command is one word, quoted when it has arguments, split a second time by quotes
// and escapes and run without a shell; what follows is the user, then the group. On the change's way.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { nameLengthMax } from "../limits.ts";
import type { Statement } from "./blocks.ts";
import type { Findings, Said } from "./findings.ts";
import { made } from "./text.ts";
import { shellWords, type Word } from "./words.ts";

export type Command = {
  readonly words: readonly string[];
  readonly user: Said<string> | undefined;
  readonly place: ForeignPlace;
};

/** The command of a directive; undefined after telling why there is none. `users`: a user and a group may follow. */
export function commandOf(
  findings: Findings,
  { text, keyword, place }: Statement,
  { users }: { readonly users: boolean },
): Command | undefined {
  const outer = shellWords(text);
  const [, command, user, group, extra] = outer.words;
  if (outer.unmatched !== undefined || command === undefined) {
    const message = `the command of \`${keyword}\` has a quote or an escape without end`;
    findings.complain(outer.unmatched ?? place, "quote", { message, expected: "a quote at both ends" });
    return undefined;
  }
  const tooMany = users ? extra : user;
  if (tooMany !== undefined) {
    const message = `\`${tooMany.text}\` stands outside the quotes of the command, so keepalived would not hand it over`;
    findings.complain(tooMany.place, "command", {
      message,
      expected: "the command and its arguments in one pair of quotes",
    });
    return undefined;
  }
  const inner = shellWords(made(command.text, command.place));
  if (inner.unmatched !== undefined || inner.words.length === 0) {
    const message = inner.words.length === 0 ? "names no program" : "has a quote within that nothing ends";
    findings.complain(command.place, "command", {
      message: `the command of \`${keyword}\` ${message}`,
      expected: "a program",
    });
    return undefined;
  }
  const words = inner.words.map((word) => word.text);
  warnShell(findings, command, words);
  return { words, user: userOf(findings, user, group), place: command.place };
}

const shellSigns = /^(?:&&|\|\|?|;|&|[0-9]?>>?.*|<.*|2>&1)$|\$\(|`/;

function warnShell(findings: Findings, command: Word, words: readonly string[]): void {
  const sign = words.slice(1).find((word) => shellSigns.test(word));
  if (sign === undefined) return;
  findings.warn(command.place, "shell", {
    message: `\`${sign}\` is an argument of \`${words[0]}\` like any other: there is no shell, here and in keepalived`,
    expected: "a script of its own",
  });
}

/** The user; a group that is not the user's own cannot be had. */
export function userOf(findings: Findings, user: Word | undefined, group: Word | undefined): Said<string> | undefined {
  if (user === undefined) return undefined;
  if (group !== undefined && group.text !== user.text) {
    findings.complain(group.place, "group", {
      message: `commands run with the groups of their user, not with \`${group.text}\``,
      expected: `no group, or a user of that group instead of \`${user.text}\``,
    });
  }
  return { value: user.text, place: user.place };
}

/** A name that our configuration can have: other characters become `_`, which is noted. */
export function nameOf(findings: Findings, word: Word, what: string): Said<string> {
  const value = plainName(word.text);
  if (value !== word.text) findings.note(word.place, what, `\`${word.text}\` is called \`${value}\` here`);
  return { value, place: word.place };
}

export function plainName(text: string): string {
  const characters = text.replaceAll(/[^A-Za-z0-9_.-]/g, "_").slice(0, nameLengthMax);
  return /^[.-]/.test(characters) || characters === "" ? `_${characters.slice(1)}` : characters;
}
