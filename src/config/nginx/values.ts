// nginx's times and sizes into ours. `10`, `1m30s` and `500ms` are times (ngx_parse_time), `8k`, `1m` and `1g` sizes
// (ngx_parse_size, ngx_parse_offset), powers of 1024. On the change's way. Must not know which directive has which.

import { formatDuration, formatSize } from "../../core/units.ts";

const units: Readonly<Record<string, number>> = {
  y: 365 * 86_400_000,
  M: 30 * 86_400_000,
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
};
const order = Object.keys(units);

/**
 * Milliseconds of a time; undefined when nginx would refuse it. Parts go from large to small, each unit once; a number
 * without unit is seconds, or milliseconds for a directive of the health check module (`plain`).
 */
export function parseTime(text: string, plain = 1000): number | undefined {
  if (text === "") return undefined;
  let total = 0;
  let last = -1;
  let rest = text;
  while (rest !== "") {
    const match = /^ ?(\d{1,12})(ms|[yMwdhms])? ?/.exec(rest);
    if (match === null) return undefined;
    const [whole, digits = "", unit] = match;
    // Without a unit it is the last part.
    const rank = unit === undefined ? order.indexOf("s") : order.indexOf(unit);
    if (rank <= last || (unit === undefined && whole.length < rest.length)) return undefined;
    last = rank;
    total += Number(digits) * (unit === undefined ? plain : (units[unit] ?? 0));
    rest = rest.slice(whole.length);
  }
  return Number.isSafeInteger(total) ? total : undefined;
}

/** Bytes of a size; undefined when nginx would refuse it. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,15})([kKmMgG])?$/.exec(text);
  if (match === null) return undefined;
  const [, digits = "", unit = ""] = match;
  const factor = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[unit.toLowerCase()] ?? 1;
  const bytes = Number(digits) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A time as our configuration has it: `90s`, or 0. */
export function durationText(ms: number): string | number {
  return ms === 0 ? 0 : formatDuration(ms);
}

/** A size as our configuration has it: `1MiB`, or 0. */
export function sizeText(bytes: number): string | number {
  return bytes === 0 ? 0 : formatSize(bytes);
}
