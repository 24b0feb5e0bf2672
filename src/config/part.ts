// Reads one part of the tree against its schema and reports what is wrong with it under its path, so that what is wrong in
// one part hides nothing in another. On the change's way, below shape.ts and ha-shape.ts, which know what parts there
// are. Must not know the meaning of any key.

import * as z from "zod";
import { type Choice, complaintsOf, withSubject } from "./issues.ts";
import { nameKey } from "./leaf.ts";
import type { Complaint, Path } from "./problem.ts";
import { plainOf, type Source, type Tree, treeAt } from "./tree.ts";

/** A part, its place, and which of its keys had problems (now in the report) and are left out of the value. */
export type Part<T> = { readonly path: Path; readonly value: T | undefined; readonly broken: ReadonlySet<string> };

export type NamedPart<T> = Part<T> & { readonly name: string };

/** True when nothing of it was wrong. */
export function isWhole(part: Part<unknown>): boolean {
  return part.value !== undefined && part.broken.size === 0;
}

export type Reader = {
  readonly source: Source;
  readonly plain: Map<Tree, unknown>;
  readonly complain: (path: Path, complaint: Complaint) => void;
};

/**
 * One part against its schema; its complaints go to the report under its path. What remains without the keys that they
 * are about is read again, so that later checks see it. An address alone is a target with nothing set, as people write
 * it in block style.
 */
export function readPart<T>(reader: Reader, schema: z.ZodType<T>, path: Path, choice?: Choice): Part<T> {
  const tree = treeAt(reader.source.root, path);
  const found = tree === undefined ? undefined : plainOf(tree, reader.plain);
  const input = found === null && path.at(-2) === "targets" ? {} : found;
  const result = schema.safeParse(input);
  if (result.success) return { path, value: result.data, broken: none };
  const broken = new Set<string>();
  for (const one of complaintsOf(schema, input, result.error.issues, choice)) {
    const place = [...path, ...one.path];
    reader.complain(place, withSubject(place, one.complaint));
    broken.add(String(one.path[0] ?? ""));
  }
  if (tree?.kind !== "map") return { path, value: undefined, broken };
  const rest: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of tree.entries) if (!broken.has(key)) rest[key] = plainOf(entry.value, reader.plain);
  return { path, value: schema.safeParse(rest).data, broken };
}

const none: ReadonlySet<string> = new Set();

/** The keys of the mapping at a path, in the order of the file; none when it is no mapping, which its parent reports. */
export function namesAt(reader: Reader, path: Path, max: number): string[] {
  const tree = treeAt(reader.source.root, path);
  if (tree?.kind !== "map") return [];
  if (tree.entries.size > max) {
    const message = `${path.at(-1)}: has ${tree.entries.size} entries`;
    reader.complain(path, { code: "config.count", message, expected: `at most ${max}`, atKey: true });
  }
  return [...tree.entries.keys()];
}

/** The text that stands at a path; undefined for anything else. */
export function textAt(reader: Reader, path: Path): string | undefined {
  const tree = treeAt(reader.source.root, path);
  return tree?.kind === "scalar" && typeof tree.value === "string" ? tree.value : undefined;
}

export const nameSchema = z.record(nameKey(), z.unknown());

/** A key against the schema of its mapping's keys. */
export function checkKey(reader: Reader, schema: z.ZodRecord<z.ZodType<string, string>>, path: Path): void {
  const key = String(path.at(-1));
  const input: Record<string, unknown> = Object.create(null);
  input[key] = true;
  const result = schema.safeParse(input);
  if (result.success) return;
  for (const { complaint } of complaintsOf(schema, input, result.error.issues)) reader.complain(path, complaint);
}
