// Entity tags (RFC 9110 section 8.8.3) and the preconditions that are made of them. A target's tag is a hash of what is
// desired of it, so it is the same after a restart and on every node that desires the same; what is observed (health,
// work under way) is no part of it, and so a tag guards writes and saves nobody a read. Pure; the change's way.

import { createHash } from "node:crypto";
import { bad, good, type Result } from "../core/failure.ts";
import type { Target } from "../model/pool.ts";
import type { DesiredTarget } from "../state/desired.ts";

/** `"l0Fz..."`: 22 characters of base64url, 128 bits of SHA-256, in quotes as on the wire. */
export function targetTag(target: Target): string {
  return `"${digestOf(target).subarray(0, 16).toString("base64url")}"`;
}

/** The same as a number that JSON holds exactly, 1 to 2^48. */
export function targetIndex(target: Target): number {
  return digestOf(target).readUIntBE(0, 6) + 1;
}

function digestOf(target: Target): Buffer {
  const { address, weight, maxFails, failTimeout, connectionsMax, backup, intent, slowStart } = target;
  const fields = [address, weight, maxFails, failTimeout, connectionsMax, backup, intent, slowStart];
  return createHash("sha256").update(JSON.stringify(fields)).digest();
}

/** A list of tags as a header has it; weak ones keep their `W/`. */
type TagList = "any" | readonly string[];

export type Preconditions = { readonly ifMatch: TagList | undefined; readonly ifNoneMatch: TagList | undefined };

/** Code: admin.header, with the header's name at the front of the detail. */
export function parsePreconditions(headers: {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}): Result<Preconditions> {
  const ifMatch = parseTagList("If-Match", headers.ifMatch);
  if (!ifMatch.ok) return ifMatch;
  const ifNoneMatch = parseTagList("If-None-Match", headers.ifNoneMatch);
  if (!ifNoneMatch.ok) return ifNoneMatch;
  return good({ ifMatch: ifMatch.value, ifNoneMatch: ifNoneMatch.value });
}

const tagForm = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

function parseTagList(name: string, header: string | undefined): Result<TagList | undefined> {
  if (header === undefined) return good(undefined);
  if (header.trim() === "*") return good("any");
  // A tag may hold commas, so the list is not split at them but between the quotes.
  const tags = header.match(/(?:W\/)?"[^"]*"|[^\s,]+/g) ?? [];
  if (tags.length > 0 && tags.every((tag) => tagForm.test(tag))) return good(tags);
  const detail = `${name}: \`${header.slice(0, 100)}\` is no list of entity tags; expected \`*\` or tags in quotes, such as "l0Fz"`;
  return bad({ code: "admin.header", origin: "client", retrySafe: true, detail });
}

/**
 * Do the preconditions of a write hold for what is desired now? If-Match compares strongly (a weak tag matches nothing),
 * If-None-Match weakly; RFC 9110 sections 13.1.1, 13.1.2 and 13.2.2.
 */
export function holds({ ifMatch, ifNoneMatch }: Preconditions, now: DesiredTarget | undefined): boolean {
  const tag = now === undefined ? undefined : targetTag(now.target);
  if (ifMatch !== undefined) {
    if (tag === undefined || (ifMatch !== "any" && !ifMatch.includes(tag))) return false;
  }
  if (ifNoneMatch === undefined || tag === undefined) return true;
  return ifNoneMatch !== "any" && !ifNoneMatch.some((one) => withoutWeakness(one) === tag);
}

/** Of a read: is what the reader has the same? Weak comparison. A header that is no list matches nothing. */
export function matchesTag(header: string | undefined, tag: string): boolean {
  const list = parseTagList("If-None-Match", header);
  if (!list.ok || list.value === undefined) return false;
  return list.value === "any" || list.value.some((one) => withoutWeakness(one) === tag);
}

function withoutWeakness(tag: string): string {
  return tag.replace(/^W\//, "");
}
