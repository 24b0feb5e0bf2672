// YAML text into a tree whose every key and value knows where it stands. On the change's way, first stage of decoding.
// YAML 1.2, core schema, one document, text keys, no tags beyond the core's; JSON is YAML. Duplicate keys, unknown and
// circular aliases and whatever the parser refuses become problems. Must not know what any key means.

import {
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  Parser,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { type Environment, expandEnvironment } from "./environment.ts";
import { fileBytesMax, nestingMax, valuesMax } from "./limits.ts";
import { nearest } from "./nearest.ts";
import { addProblem, type Complaint, type Path, type Position, type Report } from "./problem.ts";
import { explainSyntax } from "./syntax.ts";

/** A value of the file. `at` is its offset; `size` and `depth` count it with all below it, aliases written out. */
export type Tree = { readonly at: number; readonly size: number; readonly depth: number } & (
  | { readonly kind: "scalar"; readonly value: string | number | boolean | null }
  | { readonly kind: "list"; readonly items: readonly Tree[] }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Entry> }
);

export type Entry = { readonly keyAt: number; readonly value: Tree };

/** The parsed file: its tree, where lines begin, and the offsets of values whose reference or alias led nowhere. */
export type Source = { readonly root: Tree; readonly lines: LineCounter; readonly unresolved: ReadonlySet<number> };

type Walk = {
  readonly text: string;
  readonly lines: LineCounter;
  readonly environment: Environment;
  readonly report: Report;
  /** What each anchor stands for; `open` while its own value is being read. */
  readonly anchors: Map<string, Tree | "open">;
  readonly unresolved: Set<number>;
};

/**
 * Parses a configuration's text. Undefined when it is no well-formed YAML (all syntax problems are then in the report);
 * other problems (duplicate keys, aliases, environment) are reported and the tree is returned without what was wrong.
 */
export function parseTree(text: string, environment: Environment, report: Report): Source | undefined {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const walk: Walk = { text, lines, environment, report, anchors: new Map(), unresolved: new Set() };
  if (text.length > fileBytesMax) {
    complain(walk, 0, {
      code: "config.file.size",
      message: "the file is too large",
      expected: `at most ${fileBytesMax} bytes`,
    });
    return undefined;
  }
  const tokens = [
    ...new Parser((offset) => {
      if (offset > 0) lines.addNewLine(offset);
    }).parse(text),
  ];
  const tooMuch = survey(tokens);
  if (tooMuch !== undefined) {
    complain(walk, tooMuch.at, tooMuch.complaint);
    return undefined;
  }
  const root = compose(walk, tokens);
  if (root === undefined) return undefined;
  const tree = readNode(walk, root);
  if (tree.size > valuesMax) {
    complain(walk, tree.at, expansionComplaint);
    return undefined;
  }
  if (tree.depth > nestingMax) {
    complain(walk, tree.at, nestingComplaint);
    return undefined;
  }
  return { root: tree, lines, unresolved: walk.unresolved };
}

const nestingComplaint: Complaint = {
  code: "config.yaml.nesting",
  message: "collections are nested too deeply",
  expected: `at most ${nestingMax} levels`,
};

const expansionComplaint: Complaint = {
  code: "config.yaml.expansion",
  message: "the file holds too many values once its aliases are written out",
  expected: `at most ${valuesMax}`,
};

function complain(walk: Walk, at: number, complaint: Complaint, path: Path = []): void {
  addProblem(walk.report.problems, complaint, { ...positionAt(walk.lines, at), file: walk.report.file, path });
}

/** Line and column, from 1, of an offset. */
export function positionAt(lines: LineCounter, at: number): Position {
  const { line, col } = lines.linePos(at);
  return { line, column: col };
}

/** What makes a file too much to read on: nested too deeply, too many values. No recursion, for depth is what it guards. */
function survey(tokens: readonly CST.Token[]): { readonly at: number; readonly complaint: Complaint } | undefined {
  const open: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  let values = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > nestingMax) return { at: token.offset, complaint: nestingComplaint };
    if (token.type === "document" && token.value !== undefined) open.push({ token: token.value, depth });
    if (!("items" in token)) continue;
    values += token.items.length;
    if (values > valuesMax) return { at: token.offset, complaint: expansionComplaint };
    for (const item of token.items) {
      if (item.key) open.push({ token: item.key, depth: depth + 1 });
      if (item.value) open.push({ token: item.value, depth: depth + 1 });
    }
  }
  return undefined;
}

/** The root node of the only document, or undefined after reporting why there is none. */
function compose(walk: Walk, tokens: readonly CST.Token[]): ParsedNode | undefined {
  // Duplicate keys are found by our own walk: the parser compares each key with each other one.
  const composer = new Composer({ version: "1.2", schema: "core", stringKeys: true, uniqueKeys: false });
  const [document, second] = [...composer.compose(tokens, true, walk.text.length)];
  const known = walk.report.problems.length;
  if (document === undefined) return undefined;
  for (const { at, complaint } of explainSyntax(walk.text, walk.lines, [...document.errors, ...document.warnings])) {
    complain(walk, at, complaint);
  }
  if (document.directives.yaml.version !== "1.2") {
    const message = `the file declares YAML ${document.directives.yaml.version}`;
    complain(walk, 0, { code: "config.yaml.version", message, expected: "YAML 1.2" });
  }
  if (second !== undefined) {
    const message = "a second document begins in the same file";
    complain(walk, second.range[0], { code: "config.yaml.documents", message, expected: "one document" });
  }
  if (walk.report.problems.length > known) return undefined;
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    complain(walk, 0, { code: "config.file.empty", message: "the file is empty", expected: "a configuration" });
    return undefined;
  }
  return document.contents;
}

function readNode(walk: Walk, node: unknown): Tree {
  if (isAlias(node)) return readAlias(walk, node.source, startOf(node));
  const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
  if (anchor !== undefined) walk.anchors.set(anchor, "open");
  const tree = isMap(node) ? readMap(walk, node) : isSeq(node) ? readList(walk, node) : readScalar(walk, node);
  if (anchor !== undefined) walk.anchors.set(anchor, tree);
  return tree;
}

function startOf(node: { readonly range?: readonly [number, number, number] | null }): number {
  return node.range?.[0] ?? 0;
}

function readAlias(walk: Walk, name: string, at: number): Tree {
  const tree = walk.anchors.get(name);
  if (tree !== undefined && tree !== "open") return tree;
  const circular = tree === "open";
  complain(walk, at, {
    code: circular ? "config.yaml.circular" : "config.yaml.alias",
    message: circular
      ? `the alias \`*${name}\` stands inside its own anchor`
      : `the alias \`*${name}\` has no anchor before it`,
    suggestion: circular ? undefined : nearest(name, [...walk.anchors.keys()]),
  });
  walk.unresolved.add(at);
  return scalar(at, null);
}

function scalar(at: number, value: string | number | boolean | null): Tree {
  return { kind: "scalar", value, at, size: 1, depth: 0 };
}

function readScalar(walk: Walk, node: unknown): Tree {
  if (!isScalar(node)) return scalar(0, null);
  const at = startOf(node);
  const { value } = node;
  if (typeof value === "string") return scalar(at, expand(walk, value, node.range ?? undefined));
  if (typeof value === "number" || typeof value === "boolean") return scalar(at, value);
  return scalar(at, null);
}

function expand(walk: Walk, value: string, range: readonly [number, number, number] | undefined): string {
  const expansion = expandEnvironment(value, walk.environment);
  for (const complaint of expansion.complaints) {
    const [start, end] = range ?? [0, 0];
    // An escape or a fold may hide the reference; then the start of the value must do.
    const within = walk.text.slice(start, end).indexOf(complaint.reference);
    complain(walk, within < 0 ? start : start + within, complaint);
  }
  if (expansion.complaints.length > 0) walk.unresolved.add(range?.[0] ?? 0);
  return expansion.text;
}

function readList(walk: Walk, node: YAMLSeq): Tree {
  const items = node.items.map((item) => readNode(walk, item));
  return { kind: "list", items, at: startOf(node), ...extentOf(items) };
}

function readMap(walk: Walk, node: YAMLMap): Tree {
  const entries = new Map<string, Entry>();
  for (const { key, value } of node.items) {
    if (isAlias(key))
      complain(walk, startOf(key), { code: "config.yaml.key", message: "an alias as a key", expected: "text" });
    if (!isScalar(key)) continue;
    const keyAt = startOf(key);
    const name = expand(walk, String(key.value ?? ""), key.range ?? undefined);
    const tree = value === null ? scalar(keyAt, null) : readNode(walk, value);
    const first = entries.get(name);
    if (first !== undefined) {
      const { line } = positionAt(walk.lines, first.keyAt);
      complain(walk, keyAt, {
        code: "config.key.duplicate",
        message: `the key \`${name}\` stands here a second time, first in line ${line}`,
      });
    } else if (name === "<<") {
      const message = "merge keys belong to YAML 1.1";
      complain(walk, keyAt, {
        code: "config.yaml.merge",
        message,
        expected: "the keys themselves, or an alias as a whole value",
      });
    } else if (name === "__proto__") {
      complain(walk, keyAt, { code: "config.key.unknown", message: "the key `__proto__` is not allowed anywhere" });
    } else {
      entries.set(name, { keyAt, value: tree });
    }
  }
  const values = [...entries.values()].map((entry) => entry.value);
  return { kind: "map", entries, at: startOf(node), ...extentOf(values) };
}

function extentOf(children: readonly Tree[]): { readonly size: number; readonly depth: number } {
  let size = 1;
  let depth = 0;
  for (const child of children) {
    size += child.size;
    depth = Math.max(depth, child.depth);
  }
  return { size, depth: depth + 1 };
}

/** The tree as plain data; objects without prototype, an alias the same object as its anchor. */
export function plainOf(tree: Tree, known: Map<Tree, unknown>): unknown {
  if (tree.kind === "scalar") return tree.value;
  const before = known.get(tree);
  if (before !== undefined) return before;
  if (tree.kind === "list") {
    const list = tree.items.map((item) => plainOf(item, known));
    known.set(tree, list);
    return list;
  }
  const map: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of tree.entries) map[key] = plainOf(entry.value, known);
  known.set(tree, map);
  return map;
}

/** What stands at a path, if anything does. */
export function treeAt(root: Tree, path: Path): Tree | undefined {
  let tree: Tree | undefined = root;
  for (const part of path) tree = tree === undefined ? undefined : childOf(tree, part)?.value;
  return tree;
}

function childOf(tree: Tree, part: string | number): Entry | undefined {
  if (tree.kind === "map") return tree.entries.get(String(part));
  const item = tree.kind === "list" && typeof part === "number" ? tree.items[part] : undefined;
  return item === undefined ? undefined : { keyAt: item.at, value: item };
}

/** The offset of the value at a path, or of its key; where the path leads nowhere, that of the last key that exists. */
export function offsetAt(root: Tree, path: Path, atKey: boolean): number {
  let entry: Entry = { keyAt: root.at, value: root };
  for (const part of path) {
    const child = childOf(entry.value, part);
    if (child === undefined) return entry.keyAt;
    entry = child;
  }
  return atKey ? entry.keyAt : entry.value.at;
}
