// Header names as numbers: the hash that the parser computes while it reads a name, the names that the proxy must know,
// and the comparison of bytes that decides. A hash alone never decides: anybody can make two names with one hash.

import { assert } from "../../core/assert.ts";
import type { Arena } from "../arena.ts";
import { ascii, TOKEN_LOWER } from "./bytes.ts";
import { type Head, HeaderId, LINE, LineField } from "./head.ts";

const tokenLower = TOKEN_LOWER;

/** The known names in lower case, by HeaderId. */
const NAMES: Readonly<Record<Exclude<keyof typeof HeaderId, "other">, string>> = {
  host: "host",
  connection: "connection",
  contentLength: "content-length",
  transferEncoding: "transfer-encoding",
  keepAlive: "keep-alive",
  proxyConnection: "proxy-connection",
  te: "te",
  trailer: "trailer",
  upgrade: "upgrade",
  expect: "expect",
  xForwardedFor: "x-forwarded-for",
  xForwardedProto: "x-forwarded-proto",
  xForwardedHost: "x-forwarded-host",
  xForwardedPort: "x-forwarded-port",
  xRealIp: "x-real-ip",
  forwarded: "forwarded",
  proxyAuthenticate: "proxy-authenticate",
  proxyAuthorization: "proxy-authorization",
  userAgent: "user-agent",
  referer: "referer",
  date: "date",
  server: "server",
};

/**
 * The hash that `Head.lines` holds for a header of this name, a signed 32-bit integer. The parser has the same formula
 * in its loop. Upper case hashes as lower case; a character that no header name can have makes a hash of no meaning.
 */
export function headerNameHash(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + (tokenLower[name.charCodeAt(i) & 0xff] ?? 0)) | 0;
  return hash;
}

/** The name (lower case) at start..end, compared without regard to case. */
export function nameIs(bytes: Uint8Array, start: number, end: number, nameLower: Uint8Array): boolean {
  const length = nameLower.length;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) {
    if (tokenLower[bytes[start + i]!] !== nameLower[i]) return false;
  }
  return true;
}

/** True when line `index` of the head has this name. Compare the hash first, it is cheaper and nearly always different. */
export function lineIs(arena: Arena, head: Head, index: number, nameLower: Uint8Array): boolean {
  const at = index * LINE;
  return nameIs(arena.bytes, head.lines[at + LineField.nameStart]!, head.lines[at + LineField.nameEnd]!, nameLower);
}

// 512 slots by the low bits of the hash. No two known names share one (asserted below), so a name needs one look.
const SLOT_MASK = 511;
const slots = new Uint8Array(SLOT_MASK + 1);
const knownNames: Uint8Array[] = [new Uint8Array(0)];
for (const [key, name] of Object.entries(NAMES)) {
  const id = HeaderId[key as keyof typeof NAMES];
  const slot = headerNameHash(name) & SLOT_MASK;
  assert(slots[slot] === 0, `header name ${name} shares a slot`);
  slots[slot] = id;
  knownNames[id] = ascii(name);
}

/** HeaderId of the name at start..end whose hash is given; `HeaderId.other` for a name that is not known. */
export function headerIdOf(hash: number, bytes: Uint8Array, start: number, end: number): HeaderId {
  const id = slots[hash & SLOT_MASK]!;
  // Most names end here: an empty slot.
  if (id === 0 || !nameIs(bytes, start, end, knownNames[id]!)) return 0;
  return id as HeaderId;
}
