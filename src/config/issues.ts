// From zod's issues to complaints an operator can act on: the key they are about, what was found, what was expected
// and the nearest valid name. On the change's way, between the schema and the report. Must not let an issue pass
// untold: one that it has no words for is told in zod's.

import * as z from "zod";
import { ourWord } from "./foreign-words.ts";
import { describeValue } from "./leaf.ts";
import { nearest } from "./nearest.ts";
import type { Complaint, Path } from "./problem.ts";

export type LocatedComplaint = { readonly path: Path; readonly complaint: Complaint };

type Issue = z.core.$ZodIssue;

/** Which schema holds at a place is decided by another key; a key that only another of them has is told as such. */
export type Choice = {
  /** In words, `a listener with `protocol: tcp``. */
  readonly chosen: string;
  /** The other schemas by what would have chosen them. */
  readonly others: ReadonlyMap<string, z.ZodType>;
};

/** Every complaint about `input`, with paths below its own place. */
export function complaintsOf(
  schema: z.ZodType,
  input: unknown,
  issues: readonly Issue[],
  choice?: Choice,
): LocatedComplaint[] {
  return issues.flatMap((issue) => explain(schema, input, issue, choice));
}

function explain(schema: z.ZodType, input: unknown, issue: Issue, choice: Choice | undefined): LocatedComplaint[] {
  const path = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
  const about = (complaint: Complaint): LocatedComplaint[] => [{ path, complaint }];
  switch (issue.code) {
    case "custom":
      return about(carried(issue.params, issue.message));
    case "unrecognized_keys": {
      const known = keysOf(schemaAt(schema, path));
      return issue.keys.map((key) => {
        const foreign = choice === undefined ? undefined : foreignKey(key, path, choice);
        return { path: [...path, key], complaint: foreign ?? unknownKey(key, known) };
      });
    }
    case "invalid_type":
      return about(wrongShape(valueAt(input, path), expectedShape(issue.expected)));
    case "invalid_union":
      return explainUnion(schema, input, issue, path);
    case "invalid_key":
      return issue.issues.map((inner) => ({
        path,
        complaint: { ...carried(inner.code === "custom" ? inner.params : undefined, inner.message), atKey: true },
      }));
    case "too_big":
      return about({
        code: "config.count",
        message: `has ${countAt(input, path)} entries`,
        expected: `at most ${issue.maximum}`,
      });
    default:
      return about({ code: "config.value", message: issue.message });
  }
}

/** What an option says of a value that it is not made for. */
const shapeCodes = ["config.value.type", "config.key.missing"];

/** A union's options fail each in their own way; told is the one whose shape the value has. */
function explainUnion(
  schema: z.ZodType,
  input: unknown,
  issue: z.core.$ZodIssueInvalidUnion,
  path: Path,
): LocatedComplaint[] {
  const mismatches: string[] = [];
  const options = optionsOf(schemaAt(schema, path));
  for (const [index, inner] of issue.errors.entries()) {
    const option = options[index];
    const found = option === undefined ? [] : complaintsOf(option, valueAt(input, path), inner);
    const [first] = found;
    const otherShape = first !== undefined && first.path.length === 0 && shapeCodes.includes(first.complaint.code);
    if (!otherShape && found.length > 0) {
      return found.map((one) => ({ path: [...path, ...one.path], complaint: one.complaint }));
    }
    if (first?.complaint.expected !== undefined) mismatches.push(first.complaint.expected);
  }
  return [{ path, complaint: wrongShape(valueAt(input, path), [...new Set(mismatches)].join(", or ")) }];
}

/** `weight: found nothing`, `statuses[0]: ...`: what is said of a value begins with its key; a key is quoted. */
export function withSubject(path: Path, complaint: Complaint): Complaint {
  const last = path.at(-1);
  if (last === undefined || complaint.atKey) return complaint;
  const subject = typeof last === "number" ? `${path.at(-2) ?? ""}[${last}]` : last;
  return { ...complaint, message: `${subject}: ${complaint.message}` };
}

function carried(params: Record<string, unknown> | undefined, message: string): Complaint {
  const text = (key: string) => (typeof params?.[key] === "string" ? params[key] : undefined);
  return {
    code: text("code") ?? "config.value",
    message: text("message") ?? message,
    expected: text("expected") ?? "",
    suggestion: text("suggestion"),
  };
}

/** The complaint about a key that no schema has there; lists the valid keys unless one is near. */
export function unknownKey(key: string, known: readonly string[]): Complaint {
  const suggestion = ourWord(key, known) ?? nearest(key, known);
  const list = known.map((name) => `\`${name}\``).join(", ");
  const expected = suggestion === undefined && list !== "" ? `one of ${list}` : "";
  return { code: "config.key.unknown", message: `unknown key \`${key}\``, expected, suggestion, atKey: true };
}

/** The complaint about a key that belongs to another choice; undefined when none has it. */
function foreignKey(key: string, path: Path, choice: Choice): Complaint | undefined {
  const owners = [...choice.others].filter(([, schema]) => keysOf(schemaAt(schema, path)).includes(key));
  if (owners.length === 0) return undefined;
  return {
    code: "config.key.unknown",
    message: `unknown key \`${key}\` in ${choice.chosen}`,
    expected: `it with ${owners.map(([name]) => name).join(" or ")} only`,
    atKey: true,
  };
}

function expectedShape(shape: string): string {
  return shape === "object" || shape === "record" ? "a mapping" : shape === "array" ? "a list" : shape;
}

function wrongShape(value: unknown, expected: string): Complaint {
  if (value === undefined) return { code: "config.key.missing", message: "is missing", expected };
  return { code: "config.value.type", message: `found ${describeValue(value)}`, expected };
}

function valueAt(input: unknown, path: Path): unknown {
  let value: unknown = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

function countAt(input: unknown, path: Path): number {
  const value = valueAt(input, path);
  return Array.isArray(value) ? value.length : 0;
}

function unwrapped(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault) inner = inner.unwrap();
  return inner;
}

/** The schema that governs a path. A union leads on by the option that has the key. */
function schemaAt(schema: unknown, path: Path): unknown {
  let inner = unwrapped(schema);
  for (const part of path) {
    if (inner instanceof z.ZodUnion) inner = optionsOf(inner).find((option) => keysOf(option).includes(String(part)));
    if (inner instanceof z.ZodObject) inner = inner.shape[part];
    else if (inner instanceof z.ZodRecord) inner = inner.valueType;
    else if (inner instanceof z.ZodArray) inner = inner.element;
    else return undefined;
    inner = unwrapped(inner);
  }
  return inner;
}

function keysOf(schema: unknown): string[] {
  if (schema instanceof z.ZodUnion) return optionsOf(schema).flatMap(keysOf);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function optionsOf(schema: unknown): z.ZodType[] {
  if (!(schema instanceof z.ZodUnion)) return [];
  return schema.options.map(unwrapped).filter((option) => option instanceof z.ZodType);
}
