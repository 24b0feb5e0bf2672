// The rules of the house as functions over a tree of texts: who may import whom, and what a file may look like. Pure:
// tools/check-imports.ts reads the files and prints. Type imports count, and a test file obeys the folder's row but may
// use any package and any part of Node.

import { builtinModules } from "node:module";
import { allows, type ImportTable } from "./import-table.ts";
import { type Import, type ModuleFacts, readModule } from "./module-facts.ts";

export type Problem = { readonly path: string; readonly line: number; readonly message: string };

export type Rules = {
  readonly table: ImportTable;
  /** The workers' first file, and the packages that must not be reached from it by any chain of our files. */
  readonly workerMain: string;
  readonly workerFree: readonly string[];
  readonly linesMax: number;
  readonly testLinesMax: number;
};

type File = { readonly path: string; readonly text: string; readonly facts: ModuleFacts };
type Files = ReadonlyMap<string, File>;

/** `tree`: text by path from the root, with `/`. The problems come in the order of paths and lines. */
export function checkTree(tree: ReadonlyMap<string, string>, rules: Rules): readonly Problem[] {
  const files: Files = new Map([...tree].map(([path, text]) => [path, { path, text, facts: readModule(text) }]));
  const problems: Problem[] = [];
  for (const file of files.values()) {
    problems.push(...checkShape(file, rules));
    for (const one of file.facts.imports) {
      const message = isRelative(one) ? judgeOwn(file, one, files, rules) : judgeForeign(file, one, rules);
      if (message !== undefined) problems.push({ path: file.path, line: one.line, message });
    }
  }
  problems.push(...findCycles(files), ...checkWorker(files, rules));
  return problems.sort((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1));
}

/** Test files, and what only they share. */
export function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || /\/test-[a-z-]+\.ts$/.test(path) || path.startsWith("test/");
}

function checkShape(file: File, rules: Rules): readonly Problem[] {
  const { path, text, facts } = file;
  const problems: Problem[] = facts.unreadable.map(({ line, what }) => ({
    path,
    line,
    message: `cannot be checked: ${what}`,
  }));
  const add = (line: number | undefined, message: string): void => {
    if (line !== undefined) problems.push({ path, line, message });
  };
  add(facts.defaultExport, "default export: name what you export");
  add(facts.starExport, "`export *`: export by name, from the file that has it");
  if (facts.barrel) add(1, "a barrel file: it only exports what other files have");
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  const max = isTest(path) ? rules.testLinesMax : rules.linesMax;
  if (lines > max) add(max + 1, `${lines} lines, at most ${max}: find the seam and split it`);
  const folder = folderOf(path);
  if (path.startsWith("src/") && !(folder !== undefined && rules.table.has(folder))) {
    add(
      1,
      `${folder === undefined ? "lies beside the folders of src" : `the folder '${folder}' is not`} in the import table`,
    );
  }
  return problems;
}

/** An import of one of our files. */
function judgeOwn(file: File, one: Import, files: Files, rules: Rules): string | undefined {
  const { specifier } = one;
  if (!specifier.endsWith(".ts")) return `'${specifier}' does not end in .ts`;
  const target = resolve(file.path, specifier);
  if (target === undefined || !files.has(target)) return `'${specifier}' is no file of ours`;
  if (isTest(target) && !isTest(file.path) && file.path.startsWith("src/")) return `imports a test: ${target}`;
  const from = folderOf(file.path);
  if (from === undefined) return undefined;
  const to = folderOf(target);
  if (to === undefined) return `src may not import ${target}`;
  const room = rules.table.get(from);
  // A folder without a row has its own problem.
  if (room === undefined || to === from || room.folders.has(to)) return undefined;
  return `${from} may not import ${to} ('${specifier}')`;
}

/** An import of a package or of a part of Node. */
function judgeForeign(file: File, one: Import, rules: Rules): string | undefined {
  const { specifier } = one;
  if (/^(\/|file:|#|https?:|data:)/.test(specifier)) return `'${specifier}' is neither a file of ours nor a package`;
  const folder = folderOf(file.path);
  const isNode = specifier.startsWith("node:");
  if (!isNode && builtinModules.includes(specifier)) return `write 'node:${specifier}'`;
  const room = folder === undefined ? undefined : rules.table.get(folder);
  if (room === undefined) return undefined;
  const within = file.path.slice(`src/${room.folder}/`.length);
  const name = isNode ? specifier.slice("node:".length) : packageOf(specifier);
  const allowed = allows(isNode ? room.builtins : room.packages, name, within);
  // koffi reaches past every check of the language: it stays in its room even in tests.
  if (allowed || (isTest(file.path) && name !== "koffi")) return undefined;
  return `${room.folder} may not import ${isNode ? `node:${name}` : `the package ${name}`}${within.length > 0 ? ` in ${within}` : ""}`;
}

/** Follows our files from the workers' first one: the packages that a worker must be free of, with the chain. */
function checkWorker(files: Files, rules: Rules): readonly Problem[] {
  const { workerMain } = rules;
  if (!files.has(workerMain)) {
    return [{ path: workerMain, line: 1, message: "does not exist, so nothing says what a worker loads" }];
  }
  const problems: Problem[] = [];
  const cameFrom = new Map<string, string | undefined>([[workerMain, undefined]]);
  for (const path of cameFrom.keys()) {
    for (const one of files.get(path)?.facts.imports ?? []) {
      const target = isRelative(one) ? resolve(path, one.specifier) : undefined;
      if (target !== undefined && files.has(target) && !cameFrom.has(target)) cameFrom.set(target, path);
      if (isRelative(one) || !rules.workerFree.includes(packageOf(one.specifier))) continue;
      const chain: string[] = [];
      for (let at: string | undefined = path; at !== undefined; at = cameFrom.get(at)) chain.unshift(at);
      problems.push({
        path,
        line: one.line,
        message: `brings ${one.specifier} into the workers: ${chain.join(" > ")}`,
      });
    }
  }
  return problems;
}

/**
 * One problem for each ring of files that import each other (Tarjan's strongly connected components). Here alone type
 * imports don't count: two classes may know each other's type, what breaks is the order in which files are loaded.
 */
function findCycles(files: Files): readonly Problem[] {
  const problems: Problem[] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (path: string): void => {
    const own = index.size;
    index.set(path, own);
    low.set(path, own);
    stack.push(path);
    for (const target of targetsOf(path, files)) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(path, Math.min(low.get(path) ?? own, low.get(target) ?? own));
    }
    if (low.get(path) !== own) return;
    const ring = stack.splice(stack.indexOf(path));
    if (ring.length > 1 || targetsOf(path, files).includes(path)) {
      const [first = path, ...others] = ring.sort();
      const ringText = [first, ...others].join(", ");
      problems.push({ path: first, line: 1, message: `files that import each other: ${ringText}` });
    }
  };
  for (const path of files.keys()) if (!index.has(path)) visit(path);
  return problems;
}

function targetsOf(path: string, files: Files): readonly string[] {
  const targets: string[] = [];
  for (const one of files.get(path)?.facts.imports ?? []) {
    const target = isRelative(one) && !one.typeOnly ? resolve(path, one.specifier) : undefined;
    if (target !== undefined && files.has(target)) targets.push(target);
  }
  return targets;
}

function isRelative(one: Import): boolean {
  return one.specifier.startsWith("./") || one.specifier.startsWith("../");
}

/** The path from the root, or undefined when it leaves the tree. */
function resolve(from: string, specifier: string): string | undefined {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join("/");
}

/** `src/proxy/x/y.ts` lies in `proxy`; undefined for what lies in no folder of src. */
function folderOf(path: string): string | undefined {
  const parts = path.split("/");
  return parts[0] === "src" && parts.length > 2 ? parts[1] : undefined;
}

/** `@scope/name` or `name`, without what follows. */
function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}
