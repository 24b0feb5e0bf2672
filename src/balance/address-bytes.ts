// A client's address from text to bytes without an object, for the ip hash; on the request's way. It reads what a
// socket or a trusted header gave (RFC 4291 section 2.2, dotted IPv4), into bytes that the caller owns, and judges
// nothing else.

const dot = 0x2e;
const colon = 0x3a;

/**
 * Writes the address into `bytes` (at least 16) and returns its length: 4, 16, or 0 for text that is no address. A zone
 * (`%eth0`) is ignored. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is an IPv4
 * address.
 */
export function readAddress(text: string, bytes: Uint8Array): number {
  const zone = text.indexOf("%");
  const end = zone < 0 ? text.length : zone;
  const group = text.indexOf(":");
  if (group >= 0 && group < end) return readIpv6(text, end, bytes);
  return readIpv4(text, 0, end, bytes, 0) ? 4 : 0;
}

/** The four numbers of text `from` to `end` into bytes `at` to `at + 3`. False when that is not what the text is. */
function readIpv4(text: string, from: number, end: number, bytes: Uint8Array, at: number): boolean {
  let octet = 0;
  let value = 0;
  let digits = 0;
  for (let i = from; i <= end; i++) {
    const code = i < end ? text.charCodeAt(i) : dot;
    if (code === dot) {
      if (digits === 0 || octet === 4) return false;
      bytes[at + octet] = value;
      octet++;
      value = 0;
      digits = 0;
      continue;
    }
    if (code < 0x30 || code > 0x39) return false;
    value = value * 10 + code - 0x30;
    if (++digits > 3 || value > 255) return false;
  }
  return octet === 4;
}

function readIpv6(text: string, end: number, bytes: Uint8Array): number {
  let at = 0;
  let gap = -1;
  let i = 0;
  if (text.startsWith("::")) {
    gap = 0;
    i = 2;
  }
  while (i < end) {
    const from = i;
    let value = 0;
    for (let digit = -1; i < end; i++) {
      digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      value = (value << 4) | digit;
    }
    if (i < end && text.charCodeAt(i) === dot) {
      if (at > 12 || !readIpv4(text, from, end, bytes, at)) return 0;
      at += 4;
      break;
    }
    if (i === from || i - from > 4 || at > 14) return 0;
    bytes[at] = value >>> 8;
    bytes[at + 1] = value & 0xff;
    at += 2;
    if (i === end) break;
    if (text.charCodeAt(i) !== colon) return 0;
    i++;
    if (i === end) return 0;
    if (text.charCodeAt(i) === colon) {
      if (gap >= 0) return 0;
      gap = at;
      i++;
    }
  }
  return spreadGap(bytes, at, gap);
}

/** Moves what stood after `::` to the end and fills the gap with zeros; unwraps an IPv4 address. */
function spreadGap(bytes: Uint8Array, at: number, gap: number): number {
  if (gap < 0 ? at !== 16 : at === 16) return 0;
  if (gap >= 0) {
    bytes.copyWithin(16 - (at - gap), gap, at);
    bytes.fill(0, gap, 16 - (at - gap));
  }
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return 16;
  if (bytes[10] !== 0xff || bytes[11] !== 0xff) return 16;
  bytes.copyWithin(0, 12, 16);
  return 4;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
