// What the admin API may be told of one target, read with the words, bounds and messages of the configuration: the same
// leaves, so that a weight of 70000 is refused in both with the same sentence. Also the way back, and the JSON Schema. On
// the change's way, pure. Which target it is and whose word holds, the registry knows.

import * as z from "zod";
import type { Milliseconds } from "../core/clock.ts";
import { formatDuration } from "../core/units.ts";
import type { Target } from "../model/pool.ts";
import { complaintsOf } from "./issues.ts";
import { duration, type JsonSchema, leaf, type Reading, read, refuse, textReader } from "./leaf.ts";
import { targetFile } from "./pool-schema.ts";
import { type Complaint, formatPath, type Path } from "./problem.ts";

const file = targetFile.shape;

// Without the defaults: what is not said here is what the target's owner says.
const fieldSchemas = {
  weight: file.weight.unwrap().optional().describe("Share of new work; 0 takes none."),
  maxFails: file.maxFails
    .unwrap()
    .optional()
    .describe("This many failed reports within failTimeout take the target out for as long; 0 switches it off."),
  failTimeout: file.failTimeout.unwrap().optional().describe("As nginx's fail_timeout."),
  maxConnections: file.maxConnections
    .unwrap()
    .optional()
    .describe("Exchanges, connections or flows at a time on this node; 0 is no limit."),
  backup: file.backup.unwrap().optional().describe("Takes work only while no other target of the pool does."),
  intent: file.intent.unwrap().optional().describe("All work, no new work, or none at all."),
  slowStart: duration({ off: true })
    .optional()
    .describe("A new or recovered target's share of work grows to its weight in this time; 0: has it at once."),
};

const holderExpected = "1 to 128 printable ASCII characters without blanks";
const holderPattern = "^[!-~]{1,128}$";

function readHolder(text: string): Reading<string> {
  if (new RegExp(holderPattern).test(text)) return read(text);
  return refuse("config.holder", `\`${text.slice(0, 60)}\` is no holder`, holderExpected);
}

const holder = leaf(
  textReader(holderExpected, readHolder),
  { type: "string", pattern: holderPattern },
  holderExpected,
).describe("Who holds the lease: whoever renews it must say the same.");

const lease = z
  .strictObject({
    holder,
    ttl: duration({ off: false }).describe("The target goes when nobody has renewed the lease for so long."),
  })
  .describe("The target stays only as long as somebody says so again.");

const patchFile = z.strictObject(fieldSchemas);
const putFile = z.strictObject({ ...fieldSchemas, lease: lease.optional() });
const renewFile = z.strictObject({ holder });

export type TargetFieldName = keyof typeof fieldSchemas;

/** In the order in which they are told. */
export const targetFieldNames: readonly TargetFieldName[] = [
  "weight",
  "maxFails",
  "failTimeout",
  "maxConnections",
  "backup",
  "intent",
  "slowStart",
];

/** With the names of the model. */
export type TargetFields = Partial<Omit<Target, "address" | "host" | "port">>;

export type WrongField = { readonly field: string; readonly code: string; readonly detail: string };
export type FieldsRead<T> =
  | { readonly ok: true; readonly value: T }
  /** Every problem at once. */
  | { readonly ok: false; readonly errors: readonly WrongField[] };

export type TargetSaid = {
  readonly fields: TargetFields;
  readonly lease: { readonly holder: string; readonly ttlMs: Milliseconds } | undefined;
};

/** A whole target: what it does not say is not said. */
export function decodeTarget(value: unknown): FieldsRead<TargetSaid> {
  const found = readWhole(putFile, value);
  if (!found.ok) return found;
  const said = found.value.lease;
  return {
    ok: true,
    value: { fields: toModel(found.value), lease: said && { holder: said.holder, ttlMs: said.ttl } },
  };
}

/** Fields that change; one that is there and undefined is no longer said. */
export type TargetChange = { readonly [Name in keyof TargetFields]: TargetFields[Name] | undefined };

/** A change of some fields as RFC 7396 has it: null takes the word back. */
export function decodeTargetChange(value: unknown): FieldsRead<TargetChange> {
  const entries = isMapping(value) ? Object.entries(value) : [];
  const takenBack = targetFieldNames.filter((name) => entries.some(([key, field]) => key === name && field === null));
  const rest = entries.filter(([key, field]) => field !== null || !takenBack.some((name) => name === key));
  const found = readWhole(patchFile, isMapping(value) ? Object.fromEntries(rest) : value);
  if (!found.ok) return found;
  const back = Object.fromEntries(takenBack.map((name) => [modelNames[name], undefined]));
  return { ok: true, value: { ...toModel(found.value), ...back } };
}

/** What a renewal says: who holds the lease. */
export function decodeRenewal(value: unknown): FieldsRead<{ readonly holder: string }> {
  return readWhole(renewFile, value);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readWhole<T>(schema: z.ZodType<T>, value: unknown): FieldsRead<T> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const errors = complaintsOf(schema, value, result.error.issues).map(({ path, complaint }) => told(path, complaint));
  return { ok: false, errors };
}

function told(path: Path, { code, message, expected = "", suggestion }: Complaint): WrongField {
  const right = expected === "" ? "" : `; expected ${expected}`;
  const meant = suggestion === undefined ? "" : `; did you mean \`${suggestion}\`?`;
  return { field: formatPath(path), code, detail: `${message}${right}${meant}` };
}

/** The word of the configuration by the model's. */
const modelNames = {
  weight: "weight",
  maxFails: "maxFails",
  failTimeout: "failTimeout",
  maxConnections: "connectionsMax",
  backup: "backup",
  intent: "intent",
  slowStart: "slowStart",
} as const satisfies Readonly<Record<TargetFieldName, keyof TargetFields>>;

/** The word of the configuration for a field of the model. */
export function fieldNameOf(field: keyof TargetFields): TargetFieldName {
  return targetFieldNames.find((name) => modelNames[name] === field) ?? "weight";
}

function toModel(said: z.output<typeof patchFile>): TargetFields {
  const { weight, maxFails, failTimeout, maxConnections, backup, intent, slowStart } = said;
  return {
    ...(weight === undefined ? {} : { weight }),
    ...(maxFails === undefined ? {} : { maxFails }),
    ...(failTimeout === undefined ? {} : { failTimeout }),
    ...(maxConnections === undefined ? {} : { connectionsMax: maxConnections }),
    ...(backup === undefined ? {} : { backup }),
    ...(intent === undefined ? {} : { intent }),
    ...(slowStart === undefined ? {} : { slowStart }),
  };
}

/** A target as `decodeTarget` would read it, every field said. */
export function encodeTarget(target: Target): Readonly<Record<TargetFieldName, unknown>> {
  const { weight, maxFails, failTimeout, connectionsMax, backup, intent, slowStart } = target;
  return {
    weight,
    maxFails,
    failTimeout: formatDuration(failTimeout),
    maxConnections: connectionsMax,
    backup,
    intent,
    slowStart: formatDuration(slowStart),
  };
}

/** JSON Schemas (draft 2020-12) of the bodies that the functions above read. */
export const targetSchemas = {
  target: (): JsonSchema => schemaOf(putFile),
  renewal: (): JsonSchema => schemaOf(renewFile),
  change: (): JsonSchema => {
    const schema = schemaOf(patchFile);
    const properties = Object.entries(Object(schema["properties"])).map(([name, field]) => [
      name,
      { anyOf: [field, { type: "null" }] },
    ]);
    return { ...schema, properties: Object.fromEntries(properties) };
  },
};

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" });
  return Object(withoutReferences(rest));
}

/** A request has no `${...}` of the environment, which the leaves of the file let pass. */
function withoutReferences(part: unknown): unknown {
  if (Array.isArray(part)) return part.filter((one) => Object(one).pattern !== "\\$\\{").map(withoutReferences);
  if (!isMapping(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, withoutReferences(value)]));
}
