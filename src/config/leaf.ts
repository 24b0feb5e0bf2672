// The scalars of a configuration as zod schemas: each reads one text or number into what the program computes with,
// says in its own words what is wrong, and carries its JSON Schema. On the change's way, below the schema of the file.
// A number or a boolean may stand in quotes, so that `"${NAME}"` can give it; a text is never taken from a number,
// because `1.10` would arrive as `1.1`.

import * as z from "zod";
import { formatIpRange, ipRangeExpected, networkOf, parseIp, parseIpRange } from "../core/address.ts";
import type { Milliseconds } from "../core/clock.ts";
import {
  durationExpected,
  durationPattern,
  durationUnits,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  sizeExpected,
  sizePattern,
  sizeUnits,
} from "../core/units.ts";
import { durationMax, nameLengthMax } from "./limits.ts";
import { nearest } from "./nearest.ts";
import type { Complaint } from "./problem.ts";

export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly complaint: Complaint };

/** A JSON Schema (draft 2020-12), or part of one. */
export type JsonSchema = Record<string, unknown>;

/** What an editor must let pass where a reference to the environment stands instead of the value. */
const reference: JsonSchema = { type: "string", pattern: "\\$\\{" };

export function read<T>(value: T): Reading<T> {
  return { ok: true, value };
}

export function refuse(
  code: string,
  message: string,
  expected: string,
  suggestion?: string,
): { ok: false; complaint: Complaint } {
  return { ok: false, complaint: { code, message, expected, suggestion } };
}

/** A schema of one value from the function that reads it; a missing value is reported with `expected`. */
export function leaf<T>(reader: (value: unknown) => Reading<T>, json: JsonSchema, expected: string) {
  return z
    .unknown()
    .transform((value, context): T => {
      const reading = value === undefined ? refuse("config.key.missing", "is missing", expected) : reader(value);
      if (reading.ok) return reading.value;
      context.addIssue({ code: "custom", message: reading.complaint.message, params: { ...reading.complaint } });
      return z.NEVER;
    })
    .meta(json);
}

/** A schema of the keys of a mapping. A key stays as it was written. */
export function keyLeaf(reader: (value: unknown) => Reading<unknown>, json: JsonSchema) {
  return z
    .string()
    .superRefine((key, context) => {
      const reading = reader(key);
      if (reading.ok) return;
      context.addIssue({ code: "custom", message: reading.complaint.message, params: { ...reading.complaint } });
    })
    .meta(json);
}

/** A value in words: `the number 5`, `the text `x``, `a list`, `nothing`. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") return `the text \`${value.length > 60 ? `${value.slice(0, 60)}...` : value}\``;
  if (typeof value === "number") return `the number ${value}`;
  if (typeof value === "boolean") return `the value ${value}`;
  return Array.isArray(value) ? "a list" : "a mapping";
}

export function wrongType(value: unknown, expected: string): { ok: false; complaint: Complaint } {
  const unquoted = expected.startsWith("text") && (typeof value === "number" || typeof value === "boolean");
  return refuse("config.value.type", `found ${describeValue(value)}`, unquoted ? `${expected}, in quotes` : expected);
}

/** Reads a text and hands it on; anything else is the wrong type. */
export function textReader<T>(expected: string, reader: (text: string) => Reading<T>): (value: unknown) => Reading<T> {
  return (value) => (typeof value === "string" ? reader(value) : wrongType(value, expected));
}

/** The number that a value is, be it in quotes; NaN for anything else. */
function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
}

export function integer(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  const reader = (value: unknown): Reading<number> => {
    const number = numberOf(value);
    if (!Number.isInteger(number)) return wrongType(value, expected);
    if (number < min || number > max) return refuse("config.value.range", `${number} is out of range`, expected);
    return read(number);
  };
  const json = {
    anyOf: [
      { type: "integer", minimum: min, maximum: max },
      { type: "string", pattern: min < 0 ? "^-?\\d+$" : "^\\d+$" },
      reference,
    ],
  };
  return leaf(reader, json, expected);
}

export function flag() {
  const expected = "`true` or `false`";
  const reader = (value: unknown): Reading<boolean> => {
    if (value === true || value === "true") return read(true);
    if (value === false || value === "false") return read(false);
    return wrongType(value, expected);
  };
  return leaf(reader, { anyOf: [{ type: "boolean" }, { enum: ["true", "false"] }, reference] }, expected);
}

export function oneOf<const T extends string>(names: readonly T[]) {
  const expected = names.length === 1 ? `\`${names[0]}\`` : `one of ${names.map((name) => `\`${name}\``).join(", ")}`;
  const reader = textReader(expected, (text): Reading<T> => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return read(found);
    const suggestion = names.length > 1 ? nearest(text, names) : undefined;
    return refuse("config.value.unknown", `\`${text}\` is unknown`, expected, suggestion);
  });
  return leaf(reader, { anyOf: [{ enum: names }, reference] }, expected);
}

/**
 * The word that decides which keys may stand beside it. In the JSON Schema it stands for itself alone, never for a
 * reference to the environment, or an editor could not tell the alternatives apart.
 */
export function fixedWord<const T extends string>(word: T) {
  const expected = `\`${word}\``;
  const reader = textReader(expected, (text): Reading<T> => {
    return text === word ? read(word) : refuse("config.value.unknown", `\`${text}\` is unknown`, expected);
  });
  return leaf(reader, { enum: [word] }, expected);
}

/** A number out of a few. */
export function oneOfNumbers(numbers: readonly number[]) {
  const expected = `one of ${numbers.join(", ")}`;
  const reader = (value: unknown): Reading<number> => {
    const number = numberOf(value);
    if (Number.isNaN(number)) return wrongType(value, expected);
    return numbers.includes(number)
      ? read(number)
      : refuse("config.value.range", `${number} is not possible here`, expected);
  };
  return leaf(reader, { anyOf: [{ enum: numbers }, { type: "string", pattern: "^\\d+$" }, reference] }, expected);
}

/** A duration in milliseconds; `off` says that 0 is allowed and switches something off. */
export function duration(options: { readonly off: boolean }) {
  const range = `${options.off ? "" : "more than 0, "}at most ${formatDuration(durationMax)}`;
  const expected = options.off ? durationExpected : durationExpected.replace(", or 0", "");
  const reader = (value: unknown): Reading<Milliseconds> => {
    if (typeof value === "number" && value !== 0)
      return refuse("config.duration.unit", `${value} has no unit`, expected, `${value}s`);
    if (typeof value !== "string" && value !== 0) return wrongType(value, expected);
    const parsed = parseDuration(String(value));
    if (!parsed.ok) {
      const suggestion = withNearestUnit(String(value), durationUnits, "s");
      return refuse(`config.${parsed.failure.code}`, parsed.failure.detail, expected, suggestion);
    }
    const inRange = parsed.value <= durationMax && (options.off || parsed.value > 0);
    return inRange ? read(parsed.value) : refuse("config.value.range", `\`${value}\` is out of range`, range);
  };
  return leaf(reader, { anyOf: [{ type: "string", pattern: durationPattern }, { const: 0 }, reference] }, expected);
}

/** A size in bytes. */
export function size(min: number, max: number) {
  const reader = (value: unknown): Reading<number> => {
    if (typeof value !== "string" && typeof value !== "number") return wrongType(value, sizeExpected);
    const parsed = parseSize(String(value));
    if (!parsed.ok) {
      const suggestion = withNearestUnit(String(value), sizeUnits, "");
      return refuse(`config.${parsed.failure.code}`, parsed.failure.detail, sizeExpected, suggestion);
    }
    const inRange = parsed.value >= min && parsed.value <= max;
    if (inRange) return read(parsed.value);
    return refuse("config.value.range", `\`${value}\` is out of range`, `${formatSize(min)} to ${formatSize(max)}`);
  };
  const json = {
    anyOf: [{ type: "string", pattern: sizePattern }, { type: "integer", minimum: min, maximum: max }, reference],
  };
  return leaf(reader, json, sizeExpected);
}

/** What other programs' spellings of units stand for here, `64k` above all. */
const foreignUnits: ReadonlyMap<string, string> = new Map([
  ...["k", "kb", "kib"].map((spelling) => [spelling, "KiB"] as const),
  ...["m", "mb", "mib"].map((spelling) => [spelling, "MiB"] as const),
  ...["g", "gb", "gib"].map((spelling) => [spelling, "GiB"] as const),
  ...["msec", "millis", "milliseconds"].map((spelling) => [spelling, "ms"] as const),
  ...["sec", "secs", "second", "seconds"].map((spelling) => [spelling, "s"] as const),
  ...["min", "mins", "minute", "minutes"].map((spelling) => [spelling, "m"] as const),
  ...["hr", "hour", "hours"].map((spelling) => [spelling, "h"] as const),
  ...["day", "days"].map((spelling) => [spelling, "d"] as const),
]);

function withNearestUnit(text: string, units: readonly string[], otherwise: string): string | undefined {
  const match = /^(\d+)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = "", name = ""] = match;
  if (name === "") return `${digits}${otherwise}`;
  const spellings = units.includes(name)
    ? [name]
    : [name, name.toLowerCase()].flatMap((key) => foreignUnits.get(key) ?? []);
  const unit = spellings.find((known) => units.includes(known));
  return unit === undefined ? undefined : `${digits}${unit}`;
}

const nameExpected = `at most ${nameLengthMax} of letters, digits, \`_\`, \`-\` and \`.\`, the last two not in front`;
const namePattern = `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,${nameLengthMax - 1}}$`;

function readName(text: string): Reading<string> {
  if (new RegExp(namePattern).test(text)) return read(text);
  return refuse("config.name", `\`${text}\` is no name`, nameExpected);
}

export function name() {
  const json = { anyOf: [{ type: "string", pattern: namePattern }, reference] };
  return leaf(textReader("text", readName), json, "a name");
}

export function nameKey() {
  return keyLeaf(textReader("text", readName), { anyOf: [{ pattern: namePattern }, reference] });
}

/** A path of the file system from its root, of at most `bytesMax` bytes in UTF-8, or one of the given words. */
export function absolutePath(bytesMax: number, words: readonly string[] = []) {
  const expected = ["an absolute path", ...words.map((word) => `\`${word}\``)].join(" or ");
  const reader = textReader(expected, (text): Reading<string> => {
    if (words.includes(text)) return read(text);
    if (!text.startsWith("/") || text.includes("\0")) {
      return refuse("config.path.relative", `\`${text}\` is no absolute path`, expected, nearest(text, words));
    }
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > bytesMax) return refuse("config.path.long", `the path has ${bytes} bytes`, `at most ${bytesMax} bytes`);
    return read(text);
  });
  return leaf(reader, { type: "string" }, expected);
}

/** An address or a range in canonical text. */
export function ipRange() {
  const reader = textReader(ipRangeExpected, (text): Reading<string> => {
    const parsed = parseIpRange(text);
    if (parsed.ok) return read(formatIpRange(parsed.value));
    const { code, detail } = parsed.failure;
    return refuse(`config.${code}`, detail, ipRangeExpected, code === "range.hostBits" ? networkText(text) : undefined);
  });
  return leaf(reader, { type: "string" }, ipRangeExpected);
}

function networkText(text: string): string | undefined {
  const [host = "", digits = ""] = text.split("/");
  const address = parseIp(host);
  if (address === undefined) return undefined;
  const prefixLength = Number(digits);
  return formatIpRange({ address: networkOf({ address, prefixLength }), prefixLength });
}
