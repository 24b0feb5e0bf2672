// Splits TypeScript into tokens, so that an import inside a comment, a string, a template or a regular expression is not
// taken for one. Not a parser: where a slash divides and where it begins a regular expression is judged by the token
// before it, and a wrong judgement ends, as a rule, in a string or expression without an end, which is reported.

export type Token = {
  readonly kind: "word" | "string" | "template" | "regex" | "mark";
  /** Of a string what is between its quotes, of a mark the one character, of a part of a template its last one. */
  readonly text: string;
  readonly line: number;
  readonly start: number;
  readonly end: number;
};

export function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === "mark" && token.text === text;
}

export function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === "word" && token.text === text;
}

export type Read = { readonly tokens: readonly Token[]; readonly broken: { line: number; what: string } | undefined };

/**
 * Splits TypeScript into its tokens as far as an import can be told from what only looks like one: comments vanish,
 * strings, parts of templates and regular expressions are one token each. Never throws; `broken` says where it gave up.
 */
export function readTokens(text: string): Read {
  const tokens: Token[] = [];
  /** Open braces since each `${` that is not closed yet. */
  const templates: number[] = [];
  let line = 1;
  let at = text.startsWith("#!") ? endOfLine(text, 0) : 0;
  const add = (kind: Token["kind"], end: number, shown: string): void => {
    tokens.push({ kind, text: shown, line, start: at, end });
    for (let i = at; i < end; i++) if (text[i] === "\n") line++;
    at = end;
  };
  const broken = (what: string): Read => ({ tokens, broken: { line, what } });
  while (at < text.length) {
    const char = text[at] as string;
    const two = text.slice(at, at + 2);
    if (char === "\n") {
      line++;
      at++;
    } else if (/\s/.test(char)) at++;
    else if (two === "//") at = endOfLine(text, at);
    else if (two === "/*") {
      const end = text.indexOf("*/", at + 2);
      if (end < 0) return broken("a comment without an end");
      for (let i = at; i < end; i++) if (text[i] === "\n") line++;
      at = end + 2;
    } else if (char === '"' || char === "'") {
      const end = endOfString(text, at, char);
      if (end < 0) return broken("a string without an end");
      add("string", end, text.slice(at + 1, end - 1));
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      if (char === "}") templates.pop();
      const end = endOfTemplatePart(text, at + 1);
      if (end < 0) return broken("a template without an end");
      if (text[end - 1] === "{") templates.push(0);
      add("template", end, text[end - 1] as string);
    } else if (char === "/" && startsRegex(tokens)) {
      const end = endOfRegex(text, at);
      if (end < 0) return broken("a regular expression without an end");
      add("regex", end, "");
    } else if (/[\w$#\u0080-\uffff]/.test(char)) {
      let end = at + 1;
      while (end < text.length && /[\w$\u0080-\uffff]/.test(text[end] as string)) end++;
      add("word", end, text.slice(at, end));
    } else {
      const depth = templates.length - 1;
      if (depth >= 0 && (char === "{" || char === "}"))
        templates[depth] = (templates[depth] ?? 0) + (char === "{" ? 1 : -1);
      add("mark", at + 1, char);
    }
  }
  return templates.length > 0 ? broken("a template without an end") : { tokens, broken: undefined };
}

const wordsBeforeValue = new Set(
  "return typeof case in of delete void throw new instanceof else do yield await".split(" "),
);

/** A slash begins a regular expression where a value may begin, and divides where one has just ended. */
function startsRegex(tokens: readonly Token[]): boolean {
  const last = tokens.at(-1);
  if (last === undefined) return true;
  if (last.kind === "word") return wordsBeforeValue.has(last.text);
  if (last.kind === "string" || last.kind === "regex") return false;
  if (last.kind === "template") return last.text === "{";
  if (")]}".includes(last.text)) return false;
  const before = tokens.at(-2);
  const adjacent = before?.end === last.start;
  // `i++ / 2` and `value! / 2`.
  if ((last.text === "+" || last.text === "-") && adjacent && isMark(before, last.text)) return false;
  if (last.text === "!" && adjacent && before !== undefined) {
    return !(before.kind === "word" || isMark(before, ")") || isMark(before, "]"));
  }
  return true;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end;
}

/** Index after the closing quote, or -1. */
function endOfString(text: string, at: number, quote: string): number {
  for (let i = at + 1; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === quote) return i + 1;
  }
  return -1;
}

/** Index after the closing backquote or after `${`, or -1. */
function endOfTemplatePart(text: string, at: number): number {
  for (let i = at; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") return i + 1;
    else if (text[i] === "$" && text[i + 1] === "{") return i + 2;
  }
  return -1;
}

/** Index after the flags, or -1. */
function endOfRegex(text: string, at: number): number {
  let inClass = false;
  for (let i = at + 1; i < text.length && text[i] !== "\n"; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) {
      let end = i + 1;
      while (end < text.length && /[a-z]/.test(text[end] as string)) end++;
      return end;
    }
  }
  return -1;
}
