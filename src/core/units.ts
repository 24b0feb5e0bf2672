// Durations and sizes as people write them, and back again. Used on the change's way only: a snapshot holds plain
// milliseconds and bytes. One number and one unit, no fractions and no sums (`1m30s` is `90s`), so that a value has
// one meaning and can be compared by eye. Must not guess: `64k` is refused, because nginx means 65536 by it and others
// 64000.

import type { Milliseconds } from "./clock.ts";
import { bad, good, type Result } from "./failure.ts";

type Unit = readonly [name: string, factor: number];

const durations: readonly Unit[] = [
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
];

const sizes: readonly Unit[] = [
  ["B", 1],
  ["KiB", 2 ** 10],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["kB", 1e3],
  ["MB", 1e6],
  ["GB", 1e9],
];

export const durationUnits: readonly string[] = durations.map(([name]) => name);
export const sizeUnits: readonly string[] = sizes.map(([name]) => name);

/** What to tell a person whose duration or size was refused. */
export const durationExpected = "a duration such as 500ms, 2s, 6m, 1h or 1d, or 0";
export const sizeExpected = "a size such as 64KiB, 1MiB, 10MB or a plain number of bytes";

/** ECMA 262 pattern of what parseDuration reads, anchored, for a JSON Schema. */
export const durationPattern = `^(0|\\d+(${durationUnits.join("|")}))$`;
/** ECMA 262 pattern of what parseSize reads, anchored, for a JSON Schema. */
export const sizePattern = `^\\d+(${sizeUnits.join("|")})?$`;

/**
 * Reads `500ms`, `2s`, `6m`, `1h`, `1d` or `0` into milliseconds.
 * Fails with `duration.syntax` (no number), `duration.unit` (none, or one we don't have) and `duration.range` (beyond
 * what a number holds exactly).
 */
export function parseDuration(text: string): Result<Milliseconds> {
  if (text === "0") return good(0);
  return parseQuantity(text, { units: durations, plain: false, what: "duration" });
}

/**
 * Reads `1MiB`, `64KiB`, `10MB`, `512B` or plain `512` into bytes: KiB, MiB and GiB are powers of 1024; kB, MB and GB
 * powers of 1000 (IEC 80000-13). Fails with `size.syntax`, `size.unit` and `size.range`.
 */
export function parseSize(text: string): Result<number> {
  return parseQuantity(text, { units: sizes, plain: true, what: "size" });
}

type Grammar = { readonly units: readonly Unit[]; readonly plain: boolean; readonly what: "duration" | "size" };

function parseQuantity(text: string, grammar: Grammar): Result<number> {
  const { what, units, plain } = grammar;
  const match = /^(\d+)([A-Za-z]*)$/.exec(text);
  if (match === null) return refused(`${what}.syntax`, `\`${text}\` is no ${what}`);
  const [, digits = "", name = ""] = match;
  const factor = name === "" && plain ? 1 : units.find(([unit]) => unit === name)?.[1];
  if (factor === undefined) {
    return refused(
      `${what}.unit`,
      name === "" ? `\`${text}\` has no unit` : `\`${text}\` has the unknown unit \`${name}\``,
    );
  }
  const value = Number(digits) * factor;
  if (!Number.isSafeInteger(value)) return refused(`${what}.range`, `\`${text}\` is too large`);
  return good(value);
}

function refused(code: string, detail: string) {
  return bad({ code, origin: "self", retrySafe: false, detail });
}

/** The shortest text that parseDuration reads back as the same milliseconds: the largest unit that divides them. */
export function formatDuration(duration: Milliseconds): string {
  return duration === 0 ? "0" : formatQuantity(Math.round(duration), durations);
}

/** The shortest text that parseSize reads back as the same bytes, in powers of 1024: `1MiB`, `1000B`. */
export function formatSize(bytes: number): string {
  return formatQuantity(Math.round(bytes), sizes.slice(0, 4));
}

function formatQuantity(value: number, units: readonly Unit[]): string {
  const largest = value === 0 ? undefined : units.findLast(([, factor]) => value % factor === 0);
  const [name, factor] = largest ?? units[0] ?? ["", 1];
  return `${value / factor}${name}`;
}
