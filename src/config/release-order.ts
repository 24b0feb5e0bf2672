// What the admin API may be told of a release, read with the leaves of the configuration: leases and records. On the change's
// way, pure. What a record holds, src/release/record.ts reads.

import * as z from "zod";
import type { Milliseconds } from "../core/clock.ts";
import { complaintsOf } from "./issues.ts";
import { duration, integer, type JsonSchema, leaf, type Reading, read, refuse, textReader } from "./leaf.ts";
import { formatPath } from "./problem.ts";
import type { FieldsRead } from "./target-fields.ts";

const holderExpected = "1 to 128 printable ASCII characters without blanks";
const holderPattern = "^[!-~]{1,128}$";

function holder() {
  const reader = textReader(holderExpected, (text): Reading<string> => {
    if (new RegExp(holderPattern).test(text)) return read(text);
    return refuse("config.holder", `\`${text.slice(0, 60)}\` is no holder`, holderExpected);
  });
  return leaf(reader, { type: "string", pattern: holderPattern }, holderExpected);
}

const acquire = z.strictObject({
  holder: holder().describe("Who drives the release."),
  ttl: duration({ off: false }).describe("The lock is free again when nobody has renewed it for so long; 2s to 10m."),
  fence: integer(0, Number.MAX_SAFE_INTEGER).prefault(0).describe("The fencing number to have, or a greater one."),
  instead: holder().optional().describe("A holder of whom the asker knows that he is gone."),
});
const held = z.strictObject({ holder: holder().describe("Who has the lock.") });
const data = z.record(z.string(), z.unknown()).describe("The record, as whoever drives the release writes it.");
const keep = z.strictObject({ holder: holder().optional(), copyOf: z.string().max(1024).optional(), record: data });

export type AcquireSaid = {
  readonly holder: string;
  readonly ttl: Milliseconds;
  readonly fence: number;
  readonly instead?: string | undefined;
};
export type KeepSaid = {
  readonly holder?: string | undefined;
  readonly copyOf?: string | undefined;
  readonly record: Readonly<Record<string, unknown>>;
};

export const decodeAcquire = (value: unknown): FieldsRead<AcquireSaid> => readWhole(acquire, value);
export const decodeHeld = (value: unknown): FieldsRead<{ readonly holder: string }> => readWhole(held, value);
export const decodeKeep = (value: unknown): FieldsRead<KeepSaid> => readWhole(keep, value);

function readWhole<T>(schema: z.ZodType<T>, value: unknown): FieldsRead<T> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const errors = complaintsOf(schema, value, result.error.issues).map(({ path, complaint }) => {
    const { code, message, expected = "" } = complaint;
    return { field: formatPath(path), code, detail: expected === "" ? message : `${message}; expected ${expected}` };
  });
  return { ok: false, errors };
}

/** JSON Schemas (draft 2020-12) of the bodies that the functions above read. */
export const releaseOrderSchemas = {
  acquire: (): JsonSchema => schemaOf(acquire),
  held: (): JsonSchema => schemaOf(held),
  keep: (): JsonSchema => schemaOf(keep),
};

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" });
  return Object(rest);
}
