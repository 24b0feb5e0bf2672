// nginx.conf's text, and all it includes, into a tree of directives of which each stands where it may and has as many words as
// it takes; what breaks these rules is refused in nginx's own words. On the change's way, second stage of the adapter.
// Must not know what a directive means.

import type { ForeignFile, ForeignPlace, ReadForeign } from "../foreign/adapted.ts";
import { nearest } from "../nearest.ts";
import type { Adaptation } from "./adaptation.ts";
import type { Context, Directive } from "./directive.ts";
import { Lexer, type Sentence, type Word } from "./lexer.ts";
import { contextWithin, type Rule, rulesOf } from "./table.ts";
import { coreRows } from "./table-core.ts";
import { httpRows } from "./table-http.ts";
import { streamRows } from "./table-stream.ts";

/** Blocks within blocks, and files within files: what is deeper was not written by hand. */
const depthMax = 32;
/** Directives of all files together. */
const directivesMax = 200_000;

const rules: ReadonlyMap<string, readonly Rule[]> = Map.groupBy(
  rulesOf([...coreRows, ...httpRows, ...streamRows]),
  ({ name }) => name,
);

type Reading = {
  readonly file: string;
  readonly lexer: Lexer;
  readonly state: State;
  /** Blocks and files around it. */
  readonly depth: number;
};

type State = { readonly read: ReadForeign; readonly adaptation: Adaptation; directives: number };

/** All directives of the main file and what it includes; undefined when some file could not be read to its end. */
export function parseNginx(file: ForeignFile, read: ReadForeign, adaptation: Adaptation): Directive[] | undefined {
  const state: State = { read, adaptation, directives: 0 };
  return readFile(file, state, "main", 0);
}

function readFile(file: ForeignFile, state: State, context: Context, depth: number): Directive[] | undefined {
  const reading: Reading = { file: file.path, lexer: new Lexer(file.text), state, depth };
  return readBlock(reading, context, "file");
}

/** Up to the `}` of the block, or the end of the file. */
function readBlock(reading: Reading, context: Context, type: "block" | "file"): Directive[] | undefined {
  const { state, depth } = reading;
  const directives: Directive[] = [];
  for (;;) {
    const sentence = reading.lexer.next();
    if (sentence.kind === "close") {
      if (type === "block") return directives;
      return fail(reading, sentence, 'unexpected "}"');
    }
    if (sentence.kind === "end") {
      if (type === "file") return directives;
      return fail(reading, sentence, 'unexpected end of file, expecting "}"');
    }
    if (sentence.kind === "fault") return fail(reading, sentence, sentence.message);
    state.directives += 1;
    if (state.directives > directivesMax || depth > depthMax) {
      const [limit, what] =
        depth > depthMax ? [depthMax, "blocks and files within each other"] : [directivesMax, "directives"];
      return fail(reading, firstOf(sentence.words), `more than ${limit} ${what}`);
    }
    const found = readDirective(reading, context, sentence);
    if (found === undefined) return undefined;
    directives.push(...found);
  }
}

function firstOf(words: readonly Word[]): { readonly line: number; readonly column: number } {
  return words[0] ?? { line: 1, column: 1 };
}

function fail(reading: Reading, at: { readonly line: number; readonly column: number }, message: string): undefined {
  const place = { file: reading.file, line: at.line, column: at.column };
  reading.state.adaptation.refuse(place, { code: "nginx.syntax", message });
  return undefined;
}

type Directed = Extract<Sentence, { kind: "simple" | "open" }>;

/** The directive, or those of the files that it includes; none when it breaks a rule, which is told. */
function readDirective(reading: Reading, context: Context, sentence: Directed): Directive[] | undefined {
  const { words, kind } = sentence;
  const [first, ...rest] = words;
  const placeOf = ({ line, column }: Word): ForeignPlace => ({ file: reading.file, line, column });
  const name = first?.text ?? "";
  const place = placeOf(first ?? { text: "", line: 1, column: 1 });
  const directive = { name, args: rest.map(({ text }) => text), place, argPlaces: rest.map(placeOf), block: undefined };
  if (context === "table") {
    if (kind === "open") return fail(reading, firstOf(words), 'unexpected "{"');
    return name === "include" && rest.length === 1 ? include(reading, context, directive) : [directive];
  }
  const rule = judge(reading.state.adaptation, directive, context, kind === "open");
  if (kind === "open") {
    // A block is read to its end also when it may not stand here, so that what is behind it is judged by its own.
    const within = contextWithin(name, context);
    const inner = { ...reading, depth: reading.depth + 1 };
    const block = rule === undefined ? skipBlock(inner) : readBlock(inner, within, "block");
    if (block === undefined) return undefined;
    return rule === undefined ? [refused(directive)] : [{ ...directive, block }];
  }
  if (rule === undefined) return [refused(directive)];
  return name === "include" ? include(reading, context, directive) : [directive];
}

/** Without a name nobody takes it for anything, but its block is known not to be whole. */
function refused(directive: Directive): Directive {
  return { ...directive, name: "" };
}

function skipBlock(reading: Reading): Directive[] | undefined {
  for (let open = 1; open > 0; ) {
    const sentence = reading.lexer.next();
    if (sentence.kind === "open") open += 1;
    if (sentence.kind === "close") open -= 1;
    if (sentence.kind === "end") return fail(reading, sentence, 'unexpected end of file, expecting "}"');
    if (sentence.kind === "fault") return fail(reading, sentence, sentence.message);
  }
  return [];
}

/** The rule that the directive keeps, in the order in which nginx asks; undefined when it keeps none, which is told. */
function judge(adaptation: Adaptation, directive: Directive, context: Context, open: boolean): Rule | undefined {
  const { name, args, place } = directive;
  const known = rules.get(name) ?? [];
  const refuse = (code: string, message: string, suggestion?: string): undefined => {
    adaptation.refuse(place, { code: `nginx.directive.${code}`, message, suggestion });
    return undefined;
  };
  if (known.length === 0) return refuse("unknown", `unknown directive "${name}"`, nearest(name, [...rules.keys()]));
  const here = known.filter(({ contexts }) => contexts.has(context));
  const [rule] = here.filter(({ block }) => block === open).concat(here);
  if (rule === undefined) return refuse("place", `"${name}" directive is not allowed here`);
  if (rule.block && !open) return refuse("block", `directive "${name}" has no opening "{"`);
  if (!rule.block && open) return refuse("block", `directive "${name}" is not terminated by ";"`);
  if (args.length < rule.least || args.length > rule.most) {
    return refuse("arguments", `invalid number of arguments in "${name}" directive`);
  }
  const [value = ""] = args;
  if (rule.flag && !/^(?:on|off)$/i.test(value)) {
    return refuse("flag", `invalid value "${value}" in "${name}" directive, it must be "on" or "off"`);
  }
  tell(adaptation, directive, rule);
  return rule;
}

function tell(adaptation: Adaptation, directive: Directive, rule: Rule): void {
  const isOff = directive.args.length === 1 && directive.args[0]?.toLowerCase() === "off";
  if (rule.disposition === "idle") adaptation.idle(directive, rule.advice);
  else if (rule.disposition === "refused" && isOff) adaptation.idle(directive, "so it is without it, too");
  else if (rule.disposition === "refused" || rule.disposition === "never") {
    // Only `off` asks for something that is not so anyway.
    const asksNothing = rule.flag && rule.disposition === "never" && !isOff;
    if (asksNothing) adaptation.idle(directive, "so it is without it, too");
    else adaptation.unserved(directive, `"${directive.name}" is not served; ${rule.advice}`, "");
  }
}

/** Directives that may stand once in a block are told when they stand there again. */
export function checkDuplicates(adaptation: Adaptation, block: readonly Directive[], context: Context): void {
  const seen = new Set<string>();
  for (const directive of block) {
    const rule = (rules.get(directive.name) ?? []).find(
      ({ contexts, block: opens }) => contexts.has(context) && opens === (directive.block !== undefined),
    );
    if (rule?.disposition === "once" && context !== "table") {
      if (seen.has(directive.name)) adaptation.wrong(directive, `"${directive.name}" directive is duplicate`);
      seen.add(directive.name);
    }
    if (directive.block !== undefined) {
      checkDuplicates(adaptation, directive.block, contextWithin(directive.name, context));
    }
  }
}

function include(reading: Reading, context: Context, directive: Directive): Directive[] | undefined {
  const { state, depth } = reading;
  const [pattern = ""] = directive.args;
  const found = state.read(pattern, directive.place);
  if (!found.ok) {
    // nginx-upsync-module wants its dump included; whether the file is one, the whole upstream says.
    if (context === "upstream" || context === "streamUpstream") {
      return [{ ...directive, args: [pattern, found.failure.detail] }];
    }
    state.adaptation.refuse(directive.place, { code: "nginx.include", message: found.failure.detail });
    return [];
  }
  const all: Directive[] = [];
  for (const file of found.value) {
    if (depth + 1 > depthMax) {
      return fail(reading, directive.place, `more than ${depthMax} blocks and files within each other`);
    }
    const inside = readFile(file, state, context, depth + 1);
    if (inside === undefined) return undefined;
    all.push(...inside);
  }
  return all;
}
