// The `down` of an entry in nginx-upsync-module's layout, read and changed without touching anything else that stands there.
// The change's way, pure. What was there is put back as it was: also an entry that had no `down`, or nothing at all.

import { decodeUpsyncValue } from "../../config/upsync-entry.ts";
import { good, type Result } from "../../core/failure.ts";

/** `1` or `0`. Codes: source.entry.*, for a value that balancers do not read either. */
export function downOf(value: string): Result<"0" | "1"> {
  const read = decodeUpsyncValue(value);
  return read.ok ? good(read.value.intent === "down" ? "1" : "0") : read;
}

/** The value with another `down`. It is JSON, as `downOf` has found. */
export function withDown(value: string, down: string): string {
  const tree: Readonly<Record<string, unknown>> = value.trim() === "" ? {} : Object(JSON.parse(value));
  // Names are read without regard to case.
  const name = Object.keys(tree).find((key) => key.toLowerCase() === "down") ?? "down";
  return JSON.stringify({ ...tree, [name]: Number(down) });
}
