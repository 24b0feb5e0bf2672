// Domain names as text and as bytes (RFC 1035 sections 3.1 and 4.1.4). The change's way. Names are compared as texts, so
// each has one: letters in lower case (RFC 4343), no dot at the end, the root as `.`, and what is no plain character as
// `\DDD` (RFC 1035 section 5.1), a dot within a label as well. Must not trust a length or a pointer that it has read.

import { assert } from "../../core/assert.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import { dnsFault } from "./faults.ts";

/** Bytes of a name with its lengths and the root's, and of one label (RFC 1035 section 2.3.4). */
export const nameBytesMax = 255;
export const labelBytesMax = 63;

// No honest name needs more: 127 labels, each in another place, are 255 bytes.
const pointersMax = 127;

const headerBytes = 12;

/**
 * Reads a name as an operator writes it: letters, digits, `-` and `_`, with or without a dot at the end, never relative
 * to a search list. Fails with `dns.name.syntax`, where other scripts must be written as `xn--...`.
 */
export function parseName(text: string): Result<string> {
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  const refused = (detail: string) => bad({ code: "dns.name.syntax", origin: "self", retrySafe: false, detail });
  if (name === "") return refused(`\`${text}\` is no domain name`);
  for (const label of name.split(".")) {
    if (!/^[a-z0-9_-]+$/.test(label)) return refused(`\`${text}\` has the label \`${label}\`, which is none`);
    if (label.length > labelBytesMax)
      return refused(`\`${text}\` has a label of more than ${labelBytesMax} characters`);
  }
  if (name.length + 2 > nameBytesMax) return refused(`\`${text}\` is longer than ${nameBytesMax - 2} characters`);
  return good(name);
}

/** The bytes of a name that parseName or decodeName gave; without compression. */
export function encodeName(name: string): readonly number[] {
  if (name === ".") return [0];
  const bytes: number[] = [];
  for (const label of name.split(".")) {
    const text = label.replace(/\\(\d{3})/g, (_all, code: string) => String.fromCharCode(Number(code)));
    assert(text.length > 0 && text.length <= labelBytesMax, `\`${name}\` is no name`);
    bytes.push(text.length);
    for (let at = 0; at < text.length; at++) bytes.push(text.charCodeAt(at));
  }
  bytes.push(0);
  assert(bytes.length <= nameBytesMax, `\`${name}\` is no name`);
  return bytes;
}

export type DecodedName = { readonly name: string /** Offset behind it, where it was met. */; readonly end: number };

/**
 * Reads the name at the offset of a whole message. A pointer must lead to before where the labels that it ends began
 * ("a prior occurrence", RFC 1035 section 4.1.4), so no chain of them can close. Fails with `dns.length.short`,
 * `dns.name.label`, `dns.name.long` and `dns.name.pointer`.
 */
export function decodeName(message: Uint8Array, at: number): Result<DecodedName> {
  const labels: string[] = [];
  let end: number | undefined;
  let runStart = at;
  let next = at;
  let nameBytes = 1;
  let pointers = 0;
  for (;;) {
    const length = message[next];
    if (length === undefined) return dnsFault("dns.length.short");
    if (length === 0) break;
    if (length >= 0xc0) {
      const low = message[next + 1];
      if (low === undefined) return dnsFault("dns.length.short");
      end ??= next + 2;
      next = ((length & 0x3f) << 8) | low;
      if (next >= runStart || next < headerBytes || ++pointers > pointersMax) return dnsFault("dns.name.pointer");
      runStart = next;
      continue;
    }
    if (length > labelBytesMax) return dnsFault("dns.name.label");
    nameBytes += length + 1;
    if (nameBytes > nameBytesMax) return dnsFault("dns.name.long");
    if (next + 1 + length > message.length) return dnsFault("dns.length.short");
    labels.push(labelText(message.subarray(next + 1, next + 1 + length)));
    next += 1 + length;
  }
  return good({ name: labels.length === 0 ? "." : labels.join("."), end: end ?? next + 1 });
}

function labelText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    if (/[a-z0-9_-]/.test(character)) text += character;
    else if (/[A-Z]/.test(character)) text += character.toLowerCase();
    else text += `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}
