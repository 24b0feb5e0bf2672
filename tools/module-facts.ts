// Reads from a TypeScript file what it imports and exports, for the checker of the import table. The compiler has no
// stable interface for this, and stripping types would lose the type imports, which count. What it cannot read it says;
// it must never pass over a file in silence.

import { isMark, isWord, readTokens, type Token } from "./typescript-tokens.ts";

export type Import = {
  readonly specifier: string;
  readonly line: number;
  /** `import type`, `export type … from`: gone when the program runs. */
  readonly typeOnly: boolean;
};

export type ModuleFacts = {
  /** `import`, `export … from`, `import()` and `require()`, types included, in the order of the file. */
  readonly imports: readonly Import[];
  /** Line of the first default export. */
  readonly defaultExport: number | undefined;
  /** Line of the first `export *`. */
  readonly starExport: number | undefined;
  /** True when the file does nothing but export what other files export. */
  readonly barrel: boolean;
  /** What hides an import from every check, or could not be read. */
  readonly unreadable: readonly { readonly line: number; readonly what: string }[];
};

type Take = (specifier: Token, typeOnly: boolean) => void;

/** Reads one file. Never throws. */
export function readModule(text: string): ModuleFacts {
  const { tokens, broken } = readTokens(text);
  const imports: Import[] = [];
  const unreadable: { line: number; what: string }[] = broken === undefined ? [] : [broken];
  let defaultExport: number | undefined;
  let starExport: number | undefined;
  let ownStatements = 0;
  let reexports = 0;
  let at = 0;
  const take: Take = (token, typeOnly) => {
    imports.push({ specifier: token.text, line: token.line, typeOnly });
  };
  while (at < tokens.length) {
    const token = tokens[at] as Token;
    const next = tokens[at + 1];
    const member = tokens[at - 1]?.text === "." && tokens[at - 1]?.kind === "mark";
    if (isWord(token, "getBuiltinModule") && isMark(next, "("))
      unreadable.push({ line: token.line, what: "getBuiltinModule" });
    if (token.kind !== "word" || member) {
      if (!isMark(token, ";")) ownStatements++;
      at++;
    } else if (token.text === "import" && !isMark(next, ".") && !isMark(next, ":")) {
      const end = readImport(tokens, at, take, unreadable);
      if (isMark(next, "(")) ownStatements++;
      at = end;
    } else if (token.text === "export") {
      const clause = readExport(tokens, at);
      if (clause.isDefault) defaultExport ??= token.line;
      if (clause.isStar) starExport ??= token.line;
      if (clause.from !== undefined) take(clause.from, isWord(next, "type"));
      if (clause.from === undefined) ownStatements++;
      else reexports++;
      at = clause.end;
    } else {
      if (token.text === "require" && isMark(next, "(")) readCall(tokens, at, take, unreadable);
      ownStatements++;
      at++;
    }
  }
  return { imports, defaultExport, starExport, barrel: reexports > 0 && ownStatements === 0, unreadable };
}

/** Returns the index after what it has read. */
function readImport(
  tokens: readonly Token[],
  at: number,
  take: Take,
  unreadable: { line: number; what: string }[],
): number {
  const next = tokens[at + 1];
  if (isMark(next, "(")) return readCall(tokens, at, take, unreadable);
  if (next?.kind === "string") {
    take(next, false);
    return at + 2;
  }
  for (let i = at + 1; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    const following = tokens[i + 1];
    if (token.kind === "word" && token.text === "from" && following?.kind === "string") {
      // `import type from "x"` names a value `type`.
      take(following, isWord(next, "type") && i > at + 2);
      return i + 2;
    }
    if (token.kind !== "word" && token.kind !== "string" && !"{},*".includes(token.text)) break;
  }
  unreadable.push({ line: (tokens[at] as Token).line, what: "an import of a form that is not used here" });
  return at + 1;
}

/** `import("…")`, `require("…")`: only a plain string can be checked. */
function readCall(
  tokens: readonly Token[],
  at: number,
  take: Take,
  unreadable: { line: number; what: string }[],
): number {
  const what = tokens[at + 2];
  const after = tokens[at + 3];
  if (what?.kind === "string" && (isMark(after, ")") || isMark(after, ","))) take(what, false);
  else unreadable.push({ line: (tokens[at] as Token).line, what: "an import whose path is computed" });
  return at + 2;
}

type ExportClause = {
  readonly isDefault: boolean;
  readonly isStar: boolean;
  readonly from: Token | undefined;
  readonly end: number;
};

function readExport(tokens: readonly Token[], at: number): ExportClause {
  let i = at + 1;
  if (isWord(tokens[i], "default")) return { isDefault: true, isStar: false, from: undefined, end: i + 1 };
  if (isWord(tokens[i], "type") && (isMark(tokens[i + 1], "{") || isMark(tokens[i + 1], "*"))) i++;
  const isStar = isMark(tokens[i], "*");
  let isDefault = false;
  if (!isStar && !isMark(tokens[i], "{")) return { isDefault, isStar, from: undefined, end: i };
  if (isStar) {
    while (i < tokens.length && !isWord(tokens[i], "from")) i++;
  } else {
    while (i < tokens.length && !isMark(tokens[i], "}")) {
      if (isWord(tokens[i], "default") && !isWord(tokens[i + 1], "as")) isDefault = true;
      i++;
    }
    i++;
  }
  const from = isWord(tokens[i], "from") && tokens[i + 1]?.kind === "string" ? tokens[i + 1] : undefined;
  return { isDefault, isStar, from, end: from === undefined ? i : i + 2 };
}
