// The bytes of HTTP/1.x: which may stand where, as tables of 256 entries, and the one loop that reads four at a time.
// On the request's way, at its hottest. Nothing here knows what a header means.

/**
 * Bytes by name. Files of the hot path take theirs as `const { CR, LF } = Byte` and their tables as consts too: an import
 * is read from the other module at every use, a const of the file is a constant of the machine code (10 to 15% of a parse,
 * bench/parse.ts).
 */
export const Byte = {
  HTAB: 0x09,
  LF: 0x0a,
  CR: 0x0d,
  SP: 0x20,
  QUOTE: 0x22,
  STAR: 0x2a,
  COMMA: 0x2c,
  DOT: 0x2e,
  SLASH: 0x2f,
  ZERO: 0x30,
  COLON: 0x3a,
  SEMICOLON: 0x3b,
  EQUALS: 0x3d,
  QUESTION: 0x3f,
  OPEN_BRACKET: 0x5b,
  BACKSLASH: 0x5c,
  CLOSE_BRACKET: 0x5d,
} as const;

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** The bytes of an ASCII text. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function table(marks: Readonly<Record<number, string>>): Uint8Array {
  const made = new Uint8Array(256);
  for (const [mark, characters] of Object.entries(marks)) {
    for (let i = 0; i < characters.length; i++) made[characters.charCodeAt(i)] = Number(mark);
  }
  return made;
}

/** `tchar` of RFC 9110 section 5.6.2 in lower case, 0 for every other byte: one look-up judges, folds and feeds the hash. */
export const TOKEN_LOWER: Uint8Array = new Uint8Array(256);
for (const character of `!#$%&'*+-.^_\`|~${DIGITS}${LOWER}${UPPER}`) {
  TOKEN_LOWER[character.charCodeAt(0)] = character.toLowerCase().charCodeAt(0);
}

/** 1 for the bytes of a field value (RFC 9110 section 5.5): HTAB, SP, visible ASCII and obs-text. No other control, no DEL. */
export const VALUE: Uint8Array = new Uint8Array(256).fill(1, 0x20);
VALUE[Byte.HTAB] = 1;
VALUE[0x7f] = 0;

/** Value of a hexadecimal digit plus 1; 0 for every other byte. */
export const HEX: Uint8Array = new Uint8Array(256);
for (let i = 0; i < 16; i++) {
  HEX[i.toString(16).charCodeAt(0)] = i + 1;
  HEX[i.toString(16).toUpperCase().charCodeAt(0)] = i + 1;
}

/** What a byte does in a path: nothing (0: it may not stand there, or ends it), or one of these. */
export const PathByte = { plain: 1, slash: 2, dot: 3, percent: 4 } as const;

// RFC 3986 `pchar` and "/", and what browsers send raw in paths because the URL standard does not encode it there
// (https://url.spec.whatwg.org/#path-percent-encode-set): [ ] |. Older ones and curl also send " ^ ` { } raw. None of
// these separates anything in HTTP/1.x. Refused: "#" (a fragment never travels), "<" and ">" (every browser encodes
// them, and they are what reflected scripts are made of), "\" (a target on Windows may take it for "/", which would
// walk around a route), controls, SP, DEL and bytes above 0x7f (RFC 3986 section 2.1: they must be percent-encoded).
const PCHAR = `${DIGITS}${LOWER}${UPPER}-_~!$&'()*+,;=:@`;
const TOLERATED = '"[]^`{|}';
export const PATH: Uint8Array = table({
  [PathByte.plain]: PCHAR + TOLERATED,
  [PathByte.slash]: "/",
  [PathByte.dot]: ".",
  [PathByte.percent]: "%",
});

/** 1 for the bytes of a query: those of a path, "?" and "\", which browsers send raw there and which no target takes for "/". */
export const QUERY: Uint8Array = table({ 1: `${PCHAR}${TOLERATED}/.%?\\` });

/** 1 for the bytes of a host name as we take it: `unreserved` of RFC 3986. See host.ts for the reason. */
export const HOST_NAME: Uint8Array = table({ 1: `${DIGITS}${LOWER}${UPPER}-._~` });

const valueByte = VALUE;

/**
 * Offset of the first byte in start..end that a field value may not have, or `end`. `words` is the memory of `bytes` from
 * its first byte on, so that offset 4n is word n; byte order does not matter.
 */
export function scanValue(bytes: Uint8Array, words: Int32Array, start: number, end: number): number {
  let at = start;
  while ((at & 3) !== 0) {
    if (at >= end || valueByte[bytes[at]!] === 0) return at;
    at++;
  }
  const wordEnd = end >>> 2;
  for (;;) {
    let word = at >>> 2;
    while (word < wordEnd) {
      const four = words[word]!;
      // Bit 7 of a byte comes up when it is below 0x20 (left) or, exclusive-or made it 0, when it is 0x7f (right). A borrow
      // can raise a byte above a true one wrongly, never without a true one: enough to leave, the bytes are looked at next.
      const flipped = four ^ 0x7f7f7f7f;
      if (((((four - 0x20202020) & ~four) | ((flipped - 0x01010101) & ~flipped)) & 0x80808080) !== 0) break;
      word++;
    }
    at = word << 2;
    const stop = word < wordEnd ? at + 4 : end;
    while (at < stop && valueByte[bytes[at]!] !== 0) at++;
    // A whole word passed the second look: its tab is allowed in a value, go on.
    if (at < stop || at >= end) return at;
  }
}
