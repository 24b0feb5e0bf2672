// One thing that the API said of a target as a line of text, and back: JSON with the words of the configuration, durations and
// times as people write them. The change's way, pure. Strict on purpose: what is not exactly what we write was not written by us, and a guess about which
// machines get traffic is worse than a word to the operator.

import { nameLengthMax } from "../../config/limits.ts";
import type { Milliseconds } from "../../core/clock.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import { formatDuration, parseDuration } from "../../core/units.ts";
import { parseTargetAddress } from "../../state/address-order.ts";
import {
  type KeptEntry,
  keptEntriesMax,
  type Lease,
  type PatchField,
  speakerMax,
  type TargetPatch,
} from "../../state/desired.ts";
import { judgeLease } from "../../state/target-order.ts";
import { judgeField, mergePatches, patchFields } from "../../state/target-patch.ts";

const durationFields: readonly PatchField[] = ["failTimeout", "slowStart"];

/** The word of the configuration for a field of the model. */
function wordOf(field: PatchField): string {
  return field === "connectionsMax" ? "maxConnections" : field;
}

/** One line without its end. Durations and times as people write them. */
export function encodeEntry({ pool, address, exists, patch, lease, by, atMs }: KeptEntry): string {
  const fields: Record<string, unknown> = {};
  for (const field of patchFields) {
    const value = patch[field];
    if (value === undefined) continue;
    fields[wordOf(field)] = typeof value === "number" && durationFields.includes(field) ? formatDuration(value) : value;
  }
  const at = new Date(Math.round(atMs)).toISOString();
  const held = lease === undefined ? undefined : { holder: lease.holder, ttl: formatDuration(lease.ttlMs) };
  return JSON.stringify({ pool, address, exists, patch: fields, lease: held, by, at });
}

type Line = Readonly<Record<string, unknown>>;

/** What is wrong with a line; thrown within this file, a value to everybody else. */
class BadLine extends Error {}

/** Reads what encodeEntry wrote and nothing else. Fails with `state.entry`; the detail says what was expected. */
export function decodeEntry(text: string): Result<KeptEntry> {
  try {
    return good(readEntry(readObject(JSON.parse(text), "the line")));
  } catch (error) {
    if (!(error instanceof BadLine || error instanceof SyntaxError)) throw error;
    return bad({ code: "state.entry", origin: "self", retrySafe: false, detail: error.message });
  }
}

function readEntry(line: Line): KeptEntry {
  refuseOthers(line, ["pool", "address", "exists", "patch", "lease", "by", "at"]);
  const exists = line["exists"];
  if (typeof exists !== "boolean") throw new BadLine("`exists`: true or false is expected");
  const patch = readPatch(readObject(line["patch"], "`patch`"));
  const lease = line["lease"] === undefined ? undefined : readLease(readObject(line["lease"], "`lease`"));
  if (!exists && lease === undefined && Object.keys(patch).length === 0) throw new BadLine("it says nothing");
  return {
    pool: readText(line, "pool", { most: nameLengthMax }),
    address: readAddress(line),
    exists,
    patch,
    lease,
    by: readText(line, "by", { least: 0, most: speakerMax }),
    atMs: readTime(readText(line, "at", { most: 32 })),
  };
}

function readObject(value: unknown, what: string): Line {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadLine(`${what} is no object`);
  return { ...value };
}

function refuseOthers(line: Line, known: readonly string[]): void {
  const other = Object.keys(line).find((name) => !known.includes(name));
  if (other !== undefined) throw new BadLine(`unknown field ${JSON.stringify(other.slice(0, nameLengthMax))}`);
}

function readText(line: Line, field: string, { least = 1, most }: { readonly least?: number; readonly most: number }) {
  const value = line[field];
  if (typeof value === "string" && value.length >= least && value.length <= most) return value;
  throw new BadLine(`\`${field}\`: a text of ${least} to ${most} characters is expected`);
}

function readAddress(line: Line): string {
  const text = readText(line, "address", { most: 64 });
  const parsed = parseTargetAddress(text);
  if (!parsed.ok) throw new BadLine(`\`address\`: ${parsed.failure.detail}`);
  const { address } = parsed.value;
  if (address !== text) throw new BadLine(`\`address\`: \`${text}\` is written \`${address}\``);
  return text;
}

function readTime(text: string): Milliseconds {
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs) || new Date(atMs).toISOString() !== text) {
    throw new BadLine("`at`: a time in UTC such as 2026-03-04T05:06:07.089Z is expected");
  }
  return atMs;
}

function readDuration(value: unknown, field: string): Milliseconds {
  const parsed = typeof value === "string" ? parseDuration(value) : undefined;
  if (parsed?.ok === true) return parsed.value;
  throw new BadLine(`\`${field}\`: a duration such as 500ms or 10s is expected`);
}

function readPatch(line: Line): TargetPatch {
  const patch: Partial<Record<PatchField, unknown>> = {};
  refuseOthers(line, patchFields.map(wordOf));
  for (const field of patchFields) {
    const name = wordOf(field);
    if (!Object.hasOwn(line, name)) continue;
    const read = durationFields.includes(field) ? readDuration(line[name], name) : line[name];
    const problem = judgeField(field, read);
    if (problem !== undefined) throw new BadLine(`\`${name}\`: ${problem}`);
    patch[field] = read;
  }
  return mergePatches({}, patch as TargetPatch); // judged field by field above
}

function readLease(line: Line): Lease {
  refuseOthers(line, ["holder", "ttl"]);
  const holder = line["holder"];
  if (typeof holder !== "string") throw new BadLine("`holder`: a text is expected");
  const lease = { holder, ttlMs: readDuration(line["ttl"], "ttl") };
  const wrong = judgeLease(lease);
  if (wrong !== undefined) throw new BadLine(`\`${wrong.field}\`: ${wrong.problem}`);
  return lease;
}

export type DecodedEntries = {
  readonly entries: readonly KeptEntry[];
  /** Lines of the text from 1, with what is wrong. */
  readonly badLines: readonly { readonly line: number; readonly detail: string }[];
};

/** All lines of a text, those that can be read and those that cannot; of one target the first. */
export function decodeEntries(text: string): DecodedEntries {
  const entries: KeptEntry[] = [];
  const badLines: { line: number; detail: string }[] = [];
  const known = new Set<string>();
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  for (const [index, each] of lines.entries()) {
    const decoded = decodeEntry(each);
    const name = decoded.ok ? `${decoded.value.address} ${decoded.value.pool}` : "";
    if (!decoded.ok) badLines.push({ line: index + 1, detail: decoded.failure.detail });
    else if (known.has(name)) badLines.push({ line: index + 1, detail: `a second entry of \`${name}\`` });
    else if (entries.length === keptEntriesMax) {
      badLines.push({ line: index + 1, detail: `there are more than ${keptEntriesMax} entries` });
    } else {
      known.add(name);
      entries.push(decoded.value);
    }
  }
  return { entries, badLines };
}
