// What the API may say of a target, field by field: which values there are, and how they lie over what its owner says. The
// change's way, pure. The registry takes nothing that this refuses, so whatever it keeps can be read from disk again.

import type { Milliseconds } from "../core/clock.ts";
import type { Target } from "../model/pool.ts";
import type { PatchField, TargetPatch } from "./desired.ts";

type Bounds = { readonly least: number; readonly most: number };

/** The longest duration of a configuration as well (src/config/limits.ts): 24 days. */
const durationMost: Milliseconds = 24 * 24 * 3_600_000;

/** Whole numbers, durations in milliseconds. A failTimeout of 0 is upsync's `fail_timeout=0`. */
export const patchBounds: Readonly<Record<Exclude<PatchField, "backup" | "intent">, Bounds>> = {
  weight: { least: 0, most: 65_535 },
  maxFails: { least: 0, most: 1_000_000 },
  failTimeout: { least: 0, most: durationMost },
  connectionsMax: { least: 0, most: 1_000_000 },
  slowStart: { least: 0, most: durationMost },
};

/** All fields, in the order in which they are told and written. */
export const patchFields: readonly PatchField[] = [
  "weight",
  "maxFails",
  "failTimeout",
  "connectionsMax",
  "backup",
  "intent",
  "slowStart",
];

/** What is wrong with the value of one field, as the end of a sentence; undefined when it is in order. */
export function judgeField(field: PatchField, value: unknown): string | undefined {
  switch (field) {
    case "backup":
      return typeof value === "boolean" ? undefined : "true or false is expected";
    case "intent":
      return value === "up" || value === "drain" || value === "down" ? undefined : "up, drain or down is expected";
    case "weight":
    case "maxFails":
    case "failTimeout":
    case "connectionsMax":
    case "slowStart": {
      const { least, most } = patchBounds[field];
      const fits = typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most;
      return fits ? undefined : `a whole number from ${least} to ${most} is expected`;
    }
    default:
      return field satisfies never;
  }
}

/** The first thing that is wrong with a patch, with the field's name; undefined when all is in order. */
export function judgePatch(patch: { readonly [Field in PatchField]?: unknown }): string | undefined {
  for (const field of patchFields) {
    const value = patch[field];
    const problem = value === undefined ? undefined : judgeField(field, value);
    if (problem !== undefined) return `\`${field}\`: ${problem}`;
  }
  return undefined;
}

/** `below` with the fields of `above` over it: one that is there and undefined takes the one below away. */
export function mergePatches(
  below: TargetPatch,
  above: { readonly [Field in PatchField]?: TargetPatch[Field] | undefined },
): TargetPatch {
  // One order of fields whoever said them: what is kept on disk and shown must not depend on it.
  const merged: { -readonly [Field in PatchField]?: TargetPatch[Field] | undefined } = {};
  const take = <Field extends PatchField>(field: Field) => {
    const value = Object.hasOwn(above, field) ? above[field] : below[field];
    if (value !== undefined) merged[field] = value;
  };
  for (const field of patchFields) take(field);
  return merged as TargetPatch; // without a field that is there and undefined: see above
}

/** The target as it is with what the API says of it. The same object when the API says nothing. */
export function layOver(target: Target, patch: TargetPatch | undefined): Target {
  return patch === undefined || Object.keys(patch).length === 0 ? target : { ...target, ...patch };
}

export function samePatch(left: TargetPatch, right: TargetPatch): boolean {
  return patchFields.every((field) => left[field] === right[field]);
}

/** Field by field, without a walk: pools have ten thousand of them. */
export function sameTarget(left: Target, right: Target): boolean {
  return (
    left === right ||
    (left.address === right.address &&
      left.weight === right.weight &&
      left.intent === right.intent &&
      left.backup === right.backup &&
      left.maxFails === right.maxFails &&
      left.failTimeout === right.failTimeout &&
      left.connectionsMax === right.connectionsMax &&
      left.slowStart === right.slowStart)
  );
}
