// Whose X-Forwarded-For we believe, and which client it then names. On the request's way: addresses are read as text from
// a range of a header and compared as numbers, without an object. The ranges are compiled once per snapshot into sorted
// rows, so that a thousand of them cost ten comparisons. Must not resolve names, and must not believe what is malformed.

import { parseIpRange } from "../core/address.ts";
import { assert } from "../core/assert.ts";

/** Disjoint ranges in ascending order; each bound is 1 (IPv4) or 4 (IPv6) unsigned 32-bit words, most significant first. */
type Row = {
  readonly width: 1 | 4;
  readonly count: number;
  readonly first: Uint32Array;
  readonly last: Uint32Array;
};

export type TrustedProxies = {
  readonly ipv4: Row;
  readonly ipv6: Row;
  /** Scratch for the address under judgement: word 0 for IPv4, 0 to 3 for IPv6. */
  readonly words: Uint32Array;
};

const COLON = 0x3a;

type Span = { readonly first: readonly number[]; readonly last: readonly number[] };

/**
 * Compiles addresses and CIDR ranges that the configuration has accepted; anything else is our own mistake and ends the
 * process. A range of IPv4-mapped IPv6 addresses (`::ffff:10.0.0.0/104`) is the IPv4 range; `::/0` does not hold IPv4.
 */
export function compileTrusted(ranges: readonly string[]): TrustedProxies {
  const ipv4: Span[] = [];
  const ipv6: Span[] = [];
  for (const text of ranges) {
    const range = parseIpRange(text);
    assert(range.ok, `the trusted range ${text} was validated`);
    let { prefixLength } = range.value;
    let bytes = range.value.address.bytes;
    const mapped = prefixLength >= 96 && bytes.slice(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 0xff));
    if (bytes.length === 16 && mapped) {
      bytes = bytes.slice(12);
      prefixLength -= 96;
    }
    const first: number[] = [];
    const last: number[] = [];
    for (let at = 0; at < bytes.length; at += 4) {
      const word = (bytes[at]! * 0x1000000 + (bytes[at + 1]! << 16) + (bytes[at + 2]! << 8) + bytes[at + 3]!) >>> 0;
      const kept = Math.min(32, Math.max(0, prefixLength - at * 8));
      const hostBits = kept === 32 ? 0 : 0xffffffff >>> kept;
      first.push((word & ~hostBits) >>> 0);
      last.push((word | hostBits) >>> 0);
    }
    (bytes.length === 4 ? ipv4 : ipv6).push({ first, last });
  }
  return { ipv4: compileRow(ipv4, 1), ipv6: compileRow(ipv6, 4), words: new Uint32Array(4) };
}

function compileRow(spans: Span[], width: 1 | 4): Row {
  spans.sort((a, b) => compareWords(a.first, b.first));
  const disjoint: Span[] = [];
  for (const span of spans) {
    const before = disjoint.at(-1);
    // CIDR ranges nest or are apart, so one that begins within another ends within it.
    if (before === undefined || compareWords(span.first, before.last) > 0) disjoint.push(span);
    else if (compareWords(span.last, before.last) > 0) disjoint[disjoint.length - 1] = span;
  }
  return {
    width,
    count: disjoint.length,
    first: Uint32Array.from(disjoint.flatMap(({ first }) => first)),
    last: Uint32Array.from(disjoint.flatMap(({ last }) => last)),
  };
}

function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** True when the address (IPv4, IPv6, IPv4-mapped; a zone is ignored) is in a trusted range; false for any other text. */
export function isTrusted(compiled: TrustedProxies, address: string): boolean {
  const zone = address.indexOf("%");
  return judge(compiled, address, 0, zone < 0 ? address.length : zone) === Judgement.trusted;
}

/**
 * The client's address. When the peer is trusted, walks X-Forwarded-For from the right over trusted addresses and gives
 * the first that is not, or the leftmost when all are. An entry that is no address ends the walk at the last good one:
 * whoever wrote it is trusted, what it says is not. As nginx with real_ip_recursive on. Several X-Forwarded-For lines
 * are joined with commas in their order. An entry may have a port (`192.0.2.1:5000`, `[2001:db8::1]:5000`), brackets
 * may stand without one (nginx wants it there); entries are separated by commas and blanks, empty ones don't count. An
 * IPv4-mapped client is given as IPv4, see `plainAddress`.
 */
export function clientFromForwarded(compiled: TrustedProxies, forwardedFor: string, peer: string): string {
  if (!isTrusted(compiled, peer)) return plainAddress(peer);
  let start = -1; // the last good entry; -1: the peer
  let end = 0;
  let at = forwardedFor.length;
  for (;;) {
    while (at > 0 && isSeparator(forwardedFor.charCodeAt(at - 1))) at--;
    if (at === 0) break;
    const entryEnd = at;
    while (at > 0 && !isSeparator(forwardedFor.charCodeAt(at - 1))) at--;
    let from = at;
    let to = entryEnd;
    const colon = find(forwardedFor, COLON, at, entryEnd);
    if (forwardedFor.charCodeAt(at) === 0x5b) {
      // Brackets are for IPv6 alone.
      to = find(forwardedFor, 0x5d, at, entryEnd);
      if (colon >= to || to === entryEnd || !isPort(forwardedFor, to + 1, entryEnd)) break;
      from++;
    } else if (colon < entryEnd && find(forwardedFor, COLON, colon + 1, entryEnd) === entryEnd) {
      // One colon is a port's; more are an IPv6 address.
      if (!isPort(forwardedFor, colon, entryEnd)) break;
      to = colon;
    }
    const judgement = judge(compiled, forwardedFor, from, to);
    if (judgement === Judgement.malformed) break;
    start = from;
    end = to;
    if (judgement === Judgement.untrusted) break;
  }
  return plainAddress(start < 0 ? peer : forwardedFor.slice(start, end));
}

/** An address as logs, headers and hashes want it: `::ffff:192.0.2.1`, how a dual-stack listener sees IPv4, is `192.0.2.1`. */
export function plainAddress(address: string): string {
  if (address.charCodeAt(0) !== 0x3a || address.indexOf(".") < 0) return address;
  return /^::ffff:([\d.]+)$/i.test(address) ? address.slice(7) : address;
}

/** Where the character is within start..end; `end` when it is not. A search to the end of the text would make the walk quadratic. */
function find(text: string, code: number, start: number, end: number): number {
  let at = start;
  while (at < end && text.charCodeAt(at) !== code) at++;
  return at;
}

function isSeparator(code: number): boolean {
  return code === 0x2c || code === 0x20 || code === 0x09;
}

/** True for nothing, and for a colon with a port from 1 to 65535. */
function isPort(text: string, start: number, end: number): boolean {
  if (start === end) return true;
  if (text.charCodeAt(start) !== COLON || end - start > 6) return false;
  let port = 0;
  for (let at = start + 1; at < end; at++) {
    const code = text.charCodeAt(at);
    if (!isDigit(code)) return false;
    port = port * 10 + code - 0x30;
  }
  return port >= 1 && port <= 65535;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Eight groups, the last two in IPv4's notation. Bounds the work on a long entry. */
const addressLengthMax = 45;

const Judgement = { malformed: 0, untrusted: 1, trusted: 2 } as const;
type Judgement = (typeof Judgement)[keyof typeof Judgement];

function judge(compiled: TrustedProxies, text: string, start: number, end: number): Judgement {
  const { words } = compiled;
  if (end - start > addressLengthMax || end <= start) return Judgement.malformed;
  if (find(text, COLON, start, end) === end) {
    const word = readIpv4(text, start, end);
    if (word < 0) return Judgement.malformed;
    words[0] = word;
    return holds(compiled.ipv4, words) ? Judgement.trusted : Judgement.untrusted;
  }
  if (!readIpv6(text, start, end, words)) return Judgement.malformed;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    words[0] = words[3]!;
    return holds(compiled.ipv4, words) ? Judgement.trusted : Judgement.untrusted;
  }
  return holds(compiled.ipv6, words) ? Judgement.trusted : Judgement.untrusted;
}

function holds(row: Row, words: Uint32Array): boolean {
  const { width } = row;
  // The last range that does not begin behind the address.
  let low = 0;
  let high = row.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareAt(row.first, middle * width, words, width) > 0) high = middle;
    else low = middle + 1;
  }
  return low > 0 && compareAt(row.last, (low - 1) * width, words, width) >= 0;
}

/** Above 0 when the bound at `at` is greater than the address, 0 when it is the address. */
function compareAt(bounds: Uint32Array, at: number, words: Uint32Array, width: number): number {
  for (let i = 0; i < width; i++) {
    const bound = bounds[at + i]!;
    const word = words[i]!;
    if (bound !== word) return bound > word ? 1 : -1;
  }
  return 0;
}

/** Four decimal parts without leading zeros (`010` is 8 to some programs and 10 to others); -1 for anything else. */
function readIpv4(text: string, start: number, end: number): number {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let at = start; at <= end; at++) {
    const code = at === end ? 0x2e : text.charCodeAt(at);
    if (code === 0x2e) {
      if (part < 0) return -1;
      value = value * 256 + part;
      part = -1;
      parts++;
    } else {
      if (!isDigit(code) || part === 0) return -1;
      part = (part < 0 ? 0 : part * 10) + code - 0x30;
      if (part > 255) return -1;
    }
  }
  return parts === 4 ? value : -1;
}

/** RFC 4291 section 2.2, without brackets and zone, into four words. False for anything else. */
function readIpv6(text: string, start: number, end: number, words: Uint32Array): boolean {
  words.fill(0);
  let groups = 0;
  let gap = -1; // number of groups before `::`
  let at = start;
  if (text.charCodeAt(at) === 0x3a) {
    if (at + 1 >= end || text.charCodeAt(at + 1) !== 0x3a) return false;
    gap = 0;
    at += 2;
  }
  while (at < end) {
    const groupStart = at;
    let group = 0;
    let digit = hexDigit(text.charCodeAt(at));
    while (digit >= 0) {
      group = group * 16 + digit;
      digit = ++at < end ? hexDigit(text.charCodeAt(at)) : -1;
    }
    const length = at - groupStart;
    if (at < end && text.charCodeAt(at) === 0x2e) {
      const word = groups > 6 ? -1 : readIpv4(text, groupStart, end);
      if (word < 0) return false;
      putGroup(words, groups++, word >>> 16);
      putGroup(words, groups++, word & 0xffff);
      at = end;
      break;
    }
    if (length === 0 || length > 4 || groups === 8) return false;
    putGroup(words, groups++, group);
    if (at === end) break;
    if (text.charCodeAt(at) !== 0x3a || ++at === end) return false;
    if (text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return false;
      gap = groups;
      at++;
    }
  }
  if (gap < 0) return groups === 8;
  if (groups > 7) return false;
  moveBehindGap(words, gap, groups);
  return true;
}

function hexDigit(code: number): number {
  if (isDigit(code)) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function putGroup(words: Uint32Array, index: number, group: number): void {
  const word = words[index >> 1]!;
  words[index >> 1] = index & 1 ? (word & 0xffff0000) | group : (word & 0xffff) | (group << 16);
}

/** Moves the groups from `gap` on to the end and fills the gap with zeros. */
function moveBehindGap(words: Uint32Array, gap: number, groups: number): void {
  for (let from = groups - 1, to = 7; from >= gap; from--, to--) {
    const word = words[from >> 1]!;
    putGroup(words, to, from & 1 ? word & 0xffff : word >>> 16);
    if (to !== from) putGroup(words, from, 0);
  }
}
