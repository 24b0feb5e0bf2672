// The values of a release file that nothing else has: versions, shares of a pool, words with placeholders, where a balancer is
// asked. On the change's way, below release-schema.ts.

import { formatSocketAddress, socketAddressExpected } from "../core/address.ts";
import { releaseTargetsMax } from "../model/release.ts";
import { readCommandWord } from "./health-check-leaf.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { leaf, type Reading, read, refuse, textReader, wrongType } from "./leaf.ts";
import { nearest } from "./nearest.ts";
import { staysHere } from "./source-leaf.ts";

/** What may stand in braces in a command. */
export const placeholders = ["host", "port", "address", "version", "pool", "release"] as const;
export type Placeholder = (typeof placeholders)[number];

const versionExpected = "1 to 128 letters, digits and `._+:@/-`, not beginning with `-`";
const versionPattern = "^[A-Za-z0-9._+:@/][A-Za-z0-9._+:@/-]{0,127}$";

/** A version goes into command lines of other machines, so it has none of what a shell might read. */
export function readVersion(text: string): Reading<string> {
  if (new RegExp(versionPattern).test(text)) return read(text);
  return refuse("config.release.version", `\`${text.slice(0, 60)}\` is no version`, versionExpected);
}

export function version() {
  const json = { type: "string", pattern: `${versionPattern}|\\$\\{` };
  return leaf(textReader(`text: ${versionExpected}`, readVersion), json, versionExpected);
}

export type BatchRead =
  | { readonly kind: "count"; readonly count: number }
  | { readonly kind: "share"; readonly percent: number };

const batchExpected = `a number of targets from 1 to ${releaseTargetsMax}, or a share such as 25%`;

/** `2` or `25%`. */
export function batch() {
  const reader = (value: unknown): Reading<BatchRead> => {
    if (typeof value !== "number" && typeof value !== "string") return wrongType(value, batchExpected);
    const [, digits = "", percent] = /^(\d{1,4})(%?)$/.exec(String(value)) ?? [];
    const number = Number(digits);
    if (digits === "") return refuse("config.release.batch", `\`${value}\` is no such number`, batchExpected);
    const most = percent === "%" ? 100 : releaseTargetsMax;
    if (number < 1 || number > most) return refuse("config.value.range", `${value} is out of range`, batchExpected);
    return read(percent === "%" ? { kind: "share", percent: number } : { kind: "count", count: number });
  };
  const json = {
    anyOf: [
      { type: "integer", minimum: 1, maximum: releaseTargetsMax },
      { type: "string", pattern: "^(\\d+%?|.*\\$\\{.*)$" },
    ],
  };
  return leaf(reader, json, batchExpected);
}

const wordExpected = `a word, with ${placeholders.map((name) => `{${name}}`).join(" ")} filled in ({{ and }} for braces)`;

/** A word of a command in which only known names stand in braces. */
export function releaseWord() {
  const reader = (value: unknown): Reading<string> => {
    // A port or a count is meant as it is written.
    const plain = readCommandWord(Number.isInteger(value) ? String(value) : value);
    if (!plain.ok) return plain;
    const names = plain.value.replaceAll(/\{\{|\}\}/g, "").matchAll(/\{([A-Za-z][A-Za-z0-9_]*)\}/g);
    for (const [whole, name = ""] of names) {
      if (placeholders.some((known) => known === name)) continue;
      const meant = nearest(name, placeholders);
      const message = `\`${whole}\` stands for nothing`;
      const expected = `${placeholders.map((known) => `{${known}}`).join(", ")}, or {{${name}}} for the braces themselves`;
      return refuse("config.release.placeholder", message, expected, meant === undefined ? undefined : `{${meant}}`);
    }
    return plain;
  };
  return leaf(reader, { anyOf: [{ type: "string" }, { type: "integer" }] }, wordExpected);
}

/** The word with its placeholders filled in. */
export function fillWord(word: string, values: Readonly<Record<Placeholder, string>>): string {
  return word.replaceAll(/\{\{|\}\}|\{([a-z]+)\}/g, (whole, name: string | undefined) => {
    if (name === undefined) return whole.charAt(0);
    const known = placeholders.find((one) => one === name);
    return known === undefined ? whole : values[known];
  });
}

const urlExpected = "the URL of an admin API on this machine, such as http://127.0.0.1:9911";

export function adminUrl() {
  const reader = textReader(urlExpected, (text): Reading<string> => {
    const match = /^http:\/\/([^/?#@]+):(\d{1,5})\/?$/.exec(text);
    if (match === null) return refuse("config.release.balancer", `\`${text}\` is no such URL`, urlExpected);
    if (staysHere(`http://${match[1]}`)) return read(text.replace(/\/$/, ""));
    const message = `\`${match[1]}\` is another machine, and the token would go there in the clear`;
    return refuse("config.release.balancer", message, "`ssh -L 9911:127.0.0.1:9911` and http://127.0.0.1:9911");
  });
  return leaf(reader, { type: "string" }, urlExpected);
}

/** A target's address in canonical text. */
export function targetAddress() {
  const reader = textReader(socketAddressExpected, (text): Reading<string> => {
    const found = readTargetAddress(text);
    return found.ok ? read(formatSocketAddress(found.value)) : found;
  });
  return leaf(reader, { type: "string" }, socketAddressExpected);
}
