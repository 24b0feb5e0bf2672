// What is wrong with a configuration, and how it is told. On the change's way: every stage of decoding adds to one
// report, and nothing is applied while it holds a problem. A warning stands beside: it does not stop the
// configuration. Must not print; it returns text.

import { problemsMax } from "./limits.ts";

/** Keys and indices from the root to a place in the file. */
export type Path = readonly (string | number)[];

export type Problem = {
  readonly file: string;
  /** Both from 1; the column counts UTF-16 units, as editors do. */
  readonly line: number;
  readonly column: number;
  /** `pools.app.targets["10.0.4.20:8080"].weight`; empty for the file as a whole. */
  readonly path: string;
  /** Stable, dotted: `config.key.unknown`. */
  readonly code: string;
  /** What is wrong. */
  readonly message: string;
  /** What would be right, or empty. */
  readonly expected: string;
  /** The nearest valid name or value. */
  readonly suggestion: string | undefined;
};

/** A problem before its place is known. */
export type Complaint = {
  readonly code: string;
  readonly message: string;
  readonly expected?: string;
  readonly suggestion?: string | undefined;
  /** Point at the key of the place rather than at its value. */
  readonly atKey?: boolean;
};

export type Position = { readonly line: number; readonly column: number };

export type Place = Position & { readonly file: string; readonly path: Path };

/** Where a path stands in its file: its value, or its key; a path that leads nowhere, the last key of it that exists. */
export type Locate = (path: Path, atKey?: boolean) => Place;

/** Where problems gather. The place of a path is found by whoever holds the parsed file. */
export type Report = {
  readonly file: string;
  readonly problems: Problem[];
  readonly warnings: Problem[];
};

export function createReport(file: string): Report {
  return { file, problems: [], warnings: [] };
}

/** Builds a problem; the list it goes to keeps the first `problemsMax`. */
export function addProblem(list: Problem[], complaint: Complaint, place: Place): void {
  if (list.length >= problemsMax) return;
  list.push({
    file: place.file,
    line: place.line,
    column: place.column,
    path: formatPath(place.path),
    code: complaint.code,
    message: complaint.message,
    expected: complaint.expected ?? "",
    suggestion: complaint.suggestion,
  });
}

/** `listeners.web.routes[0].pool`; a key that is no plain word is quoted in brackets. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

/** File by file as they first appear, each in its order; problems of one place keep the order in which they were found. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  return problems.toSorted(
    (left, right) =>
      files.indexOf(left.file) - files.indexOf(right.file) || left.line - right.line || left.column - right.column,
  );
}

/** One line: lb.yaml:12:9: unknown key `weigth`; did you mean `weight`? Control characters are escaped. */
export function describeProblem(problem: Problem): string {
  let text = `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
  if (problem.expected !== "") text += `; expected ${problem.expected}`;
  if (problem.suggestion !== undefined) text += `; did you mean \`${problem.suggestion}\`?`;
  // What a terminal would obey or reorder must not reach it from a file: C0, DEL, C1, line separators, bidi controls.
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** One line a problem, each ended by a newline; empty text for none. Says so when the list was cut at `problemsMax`. */
export function describeProblems(problems: readonly Problem[]): string {
  const lines = problems.map((problem) => `${describeProblem(problem)}\n`);
  if (problems.length >= problemsMax) lines.push(`the first ${problemsMax} problems; there may be more\n`);
  return lines.join("");
}
