// The files of a keepalived.conf into the lines that keepalived would read: comments gone, `@` conditions decided, parameters
// replaced, repetitions written out, included files in their places. On the change's way, first stage of the adapter. keepalived.conf(5),
// "Advanced configuration"; lib/parser.c for what the page leaves open. Must not know any word but `include`.

import type { ForeignFile, ForeignPlace, ReadForeign } from "../foreign/adapted.ts";
import { type Definitions, definitionAt, lineLengthMax, substitute } from "./definitions.ts";
import type { Findings } from "./findings.ts";
import { type Pass, readRepeat } from "./repeat.ts";
import { join, made, placeAt, slice, type Text, trim, written } from "./text.ts";
import { plainWords, type Word } from "./words.ts";

export type KeepalivedEnvironment = {
  /** As uname -n gives it. */
  readonly hostname: string;
  /** keepalived's `-i`; by default the host name up to its first dot. */
  readonly configId?: string | undefined;
};

/** Lines with all repetitions written out, and files: far above what anybody runs, far below what would stop the program. */
export const linesMax = 200_000;
const filesMax = 1000;
const depthMax = 16;

type Entry =
  | { readonly kind: "line"; readonly text: Text; readonly isWritten: boolean }
  | { readonly kind: "define"; readonly pass: Pass; readonly place: ForeignPlace };

type Walk = {
  readonly findings: Findings;
  readonly read: ReadForeign;
  readonly configId: string;
  readonly definitions: Definitions;
  readonly out: Text[];
  /** Paths of the files that are open. */
  readonly open: string[];
  steps: number;
  files: number;
};

/** Every line that means something, in the order in which keepalived reads them; what is wrong is told to the findings. */
export function readLines(
  file: ForeignFile,
  options: { readonly read: ReadForeign; readonly environment: KeepalivedEnvironment; readonly findings: Findings },
): Text[] {
  const { hostname, configId = hostname.split(".")[0] ?? "" } = options.environment;
  const start: ForeignPlace = { file: file.path, line: 1, column: 1 };
  const definitions: Definitions = new Map(
    Object.entries({ _INSTANCE: configId, _HASH: "#", _BANG: "!" }).map(([name, value]) => [
      name,
      [made(value, start)],
    ]),
  );
  const { read, findings } = options;
  const walk: Walk = { findings, read, configId, definitions, out: [], open: [], steps: 0, files: 0 };
  readFile(walk, file);
  return walk.out;
}

/** A definition whose lines are being gathered. */
type Gathering = { readonly name: string; readonly lines: Text[]; readonly place: ForeignPlace };

function readFile(walk: Walk, { path, text }: ForeignFile): void {
  const outer = walk.definitions.get("_PWD");
  const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : ".";
  walk.definitions.set("_PWD", [made(directory, { file: path, line: 1, column: 1 })]);
  walk.open.push(path);
  walk.files++;
  let gathering: Gathering | undefined;
  for (const [index, characters] of text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    const place = { file: path, line: index + 1, column: 1 };
    const { line, goesOn } = withoutComment(walk.findings, written(characters.replace(/\r+$/, ""), place));
    if (walk.steps > linesMax) break;
    if (gathering !== undefined) {
      if (line.characters !== "") gathering.lines.push(line);
      if (!goesOn) {
        if (line.characters === "" && /^[ \t]*[#!]/.test(characters)) warnEnded(walk.findings, gathering.name, place);
        gathering = finish(walk, gathering);
      }
      continue;
    }
    gathering = begin(walk, line, goesOn);
    if (gathering === undefined) expand(walk, line);
  }
  if (gathering !== undefined) finish(walk, gathering);
  walk.open.pop();
  if (outer !== undefined) walk.definitions.set("_PWD", outer);
}

function warnEnded(findings: Findings, name: string, place: ForeignPlace): void {
  const message = `this comment ends the definition of \`$${name}\`, as in keepalived: no backslash is at its end`;
  findings.warn(place, "definition", { message, expected: "the comment above the definition" });
}

function finish(walk: Walk, { name, lines, place }: Gathering): undefined {
  walk.definitions.set(name, lines.length === 0 ? [made("", place)] : lines);
  return undefined;
}

/** A line with a backslash at its end begins a definition of several lines, and is nothing otherwise. */
function begin(walk: Walk, line: Text, goesOn: boolean): Gathering | undefined {
  if (!goesOn) return undefined;
  const conditioned = conditionOf(walk, line);
  const definition = conditioned === undefined ? undefined : definitionAt(conditioned);
  const place = placeAt(line, 0);
  if (definition !== undefined) {
    const { name, value } = definition;
    return { name, lines: value.characters === "" ? [] : [value], place };
  }
  // What another node's condition keeps out may still have lines of its own behind it.
  if (conditioned === undefined) return { name: "", lines: [], place };
  walk.findings.complain(placeAt(line, line.characters.length), "continuation", {
    message:
      "`\\` continues no line here: keepalived joins only the lines of a definition, and takes this one for a word",
    expected: "the whole directive in one line",
  });
  return undefined;
}

/** keepalived's decomment: comments begin anywhere, also within a word; a backslash takes that from them. */
function withoutComment(findings: Findings, raw: Text): { readonly line: Text; readonly goesOn: boolean } {
  const { characters } = raw;
  if (characters.length > lineLengthMax) {
    const message = `the line has ${characters.length} characters, and keepalived would take what is behind ${lineLengthMax} for another line`;
    findings.complain(placeAt(raw, lineLengthMax), "line", { message, expected: `at most ${lineLengthMax}` });
    return { line: slice(raw, 0, 0), goesOn: false };
  }
  if (characters.includes("\0")) {
    const message = "the line holds NUL, at which keepalived would end it";
    findings.complain(placeAt(raw, characters.indexOf("\0")), "character", { message, expected: "text" });
    return { line: slice(raw, 0, 0), goesOn: false };
  }
  const kept: Text[] = [];
  let [from, quoted, end, goesOn] = [0, false, characters.length, false];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at];
    const isComment = end < characters.length;
    if (character === "\\" && at === characters.length - 1) {
      goesOn = true;
      end = Math.min(end, at);
    } else if (character === "\\") {
      const next = characters[at + 1];
      if (!quoted && !isComment && (next === "#" || next === "!")) {
        kept.push(slice(raw, from, at));
        from = at + 1;
      }
      at++;
    } else if (character === '"' && !isComment) quoted = !quoted;
    else if (!quoted && !isComment && (character === "#" || character === "!")) {
      end = at;
      warnGlued(findings, raw, at);
    }
  }
  kept.push(slice(raw, from, Math.max(from, end)));
  return { line: trim(join(kept)), goesOn };
}

/** `auth_pass ab!cd` is the password `ab`. */
function warnGlued(findings: Findings, raw: Text, at: number): void {
  const { characters } = raw;
  const word = /[^\s"{}]+$/.exec(characters.slice(0, at))?.[0];
  if (word === undefined || !/\S/.test(characters[at + 1] ?? "")) return;
  findings.warn(placeAt(raw, at), "comment", {
    message: `\`${word}\` ends here: \`${characters[at]}\` begins a comment, as in keepalived`,
    expected: "a blank before the comment, or the word in double quotes",
  });
}

/** The line without its condition; undefined when that keeps it out, or nothing is behind it. */
function conditionOf(walk: Walk, line: Text): Text | undefined {
  const match = /^@(\^?)(\S*)[ \t]+(?=\S)/.exec(line.characters);
  if (match === null) return line.characters.startsWith("@") ? undefined : line;
  const isMatch = (match[2] ?? "") === walk.configId;
  return isMatch === (match[1] === "^") ? undefined : slice(line, match[0].length);
}

/** One line, and all that it comes to. */
function expand(walk: Walk, line: Text): void {
  const stack: Entry[] = [{ kind: "line", text: line, isWritten: true }];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    if (entry.kind === "define") {
      const { place } = entry;
      for (const { name, value } of entry.pass) walk.definitions.set(name, [made(value, place)]);
      continue;
    }
    if (entry.text.characters === "") continue;
    if (++walk.steps > linesMax) {
      if (walk.steps === linesMax + 1) {
        const message = `the configuration comes to more than ${linesMax} lines`;
        walk.findings.complain(placeAt(entry.text, 0), "lines", { message, expected: `at most ${linesMax}` });
      }
      return;
    }
    step(walk, entry, stack);
  }
}

function step(walk: Walk, entry: Extract<Entry, { kind: "line" }>, stack: Entry[]): void {
  const line = conditionOf(walk, entry.text);
  if (line === undefined) return;
  const place = placeAt(line, 0);
  const definition = definitionAt(line);
  if (definition !== undefined) {
    walk.definitions.set(definition.name, [definition.value]);
    return;
  }
  if (line.characters.startsWith("~")) {
    repeat(walk, line, stack);
    return;
  }
  const substituted = substitute(line, walk.definitions, place);
  if (!substituted.ok) {
    refuse(walk, placeAt(line, substituted.at), substituted.what);
    return;
  }
  if (substituted.changed) {
    const rest = [substituted.line, ...substituted.following].map((text) => trim(text));
    for (const text of rest.toReversed()) stack.push({ kind: "line", text, isWritten: false });
    return;
  }
  if (checkWords(walk, line, place)) return;
  const isWritten = entry.isWritten && line === entry.text;
  if (/^include/.test(line.characters) && include(walk, line, isWritten)) return;
  walk.out.push(line);
}

function refuse(walk: Walk, place: ForeignPlace, what: "endless" | "random"): void {
  if (what === "random") {
    const message = "`_RANDOM` is another number at every start, so nobody could say what this configuration means";
    walk.findings.complain(place, "random", { message, expected: "a number" });
    return;
  }
  const message = `the line grows beyond ${lineLengthMax} characters as its parameters are replaced`;
  walk.findings.complain(place, "definition", { message, expected: "a definition that does not name itself" });
}

/** A parameter that is not defined stays as it is, and its braces part the line; within quotes it is text like any other. */
const undefinedUse = /^(?:[^"]|"[^"]*")*?(\$\{[A-Za-z_]\w*\})/;

/** True when something was told of the line. */
function checkWords(walk: Walk, line: Text, place: ForeignPlace): boolean {
  const name = /^(\$[A-Za-z_]\w*)[ \t]+=/.exec(line.characters)?.[1];
  if (name === undefined) {
    const use = undefinedUse.exec(line.characters);
    if (use === null) return false;
    const message = `\`${use[1]}\` is not defined, and keepalived would take its braces for a block`;
    const at = use[0].length - (use[1]?.length ?? 0);
    walk.findings.complain(placeAt(line, at), "definition", { message, expected: "a definition above it" });
    return true;
  }
  const message = `\`${name}\` is no definition: keepalived takes none with a blank before \`=\``;
  walk.findings.complain(place, "definition", { message, expected: `\`${name}=\`` });
  return true;
}

function repeat(walk: Walk, line: Text, stack: Entry[]): void {
  const place = placeAt(line, 0);
  const read = readRepeat(line, walk.definitions);
  if (!read.ok) {
    const expected = `such as \`~SEQ(N, 1, 3) 10.0.0.\${N}\``;
    walk.findings.complain(place, "repeat", { message: read.message, expected });
    return;
  }
  for (const pass of read.passes.toReversed()) {
    stack.push({ kind: "line", text: read.rest, isWritten: false }, { kind: "define", pass, place });
  }
}

const includes = ["include", "includer", "includem", "includew", "includeb", "includea"];

/** True when the line is an include, whatever came of it. */
function include(walk: Walk, line: Text, isWritten: boolean): boolean {
  const [keyword, pattern, extra] = plainWords(line).words;
  if (keyword === undefined || !includes.includes(keyword.text)) return false;
  const complain = (place: ForeignPlace, message: string, expected = "") =>
    walk.findings.complain(place, "include", { message, expected });
  if (!isWritten) {
    const message = `keepalived does not see \`${keyword.text}\` behind a condition or with a parameter in its line`;
    complain(keyword.place, message, "it in a line of its own, as it stands");
  } else if (pattern === undefined || extra !== undefined) {
    complain(
      (extra ?? keyword).place,
      `\`${keyword.text}\` names one file`,
      "a path, or a pattern such as conf.d/*.conf",
    );
  } else if (walk.open.length > depthMax) {
    complain(pattern.place, "files include each other more deeply than anybody means", `at most ${depthMax} levels`);
  } else {
    includeFiles(walk, keyword, pattern);
  }
  return true;
}

function includeFiles(walk: Walk, keyword: Word, pattern: Word): void {
  const complain = (message: string, expected: string) =>
    walk.findings.complain(pattern.place, "include", { message, expected });
  const found = walk.read(pattern.text, pattern.place);
  if (!found.ok) {
    complain(`${found.failure.detail}, which keepalived passes over without a word`, "a file that can be read");
    return;
  }
  if (found.value.length === 0 && /^include[wa]$/.test(keyword.text)) {
    complain(`no file matches \`${pattern.text}\`, and \`${keyword.text}\` asks for one`, "one, or `include`");
  }
  for (const file of found.value) {
    if (walk.open.includes(file.path)) complain(`\`${file.path}\` includes itself`, "each file once");
    else if (walk.files < filesMax) readFile(walk, file);
    else complain("too many files", `at most ${filesMax}`);
  }
}
