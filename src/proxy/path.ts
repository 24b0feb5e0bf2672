// Paths on the request's way: a path as received to the path that routes are matched against, and a rewritten path back
// to what may stand in a request line. Strings hold one byte a character (latin1), as they were cut from the arena.
// Routes must be matched against nothing but a normalized path, or `/public/%2e%2e/admin` slips past the rule for
// `/admin`. What is sent to a target without a rewrite is the path as received, as nginx's proxy_pass without a URI.

const SLASH = 0x2f;
const DOT = 0x2e;

// Reused by every call and grown to the longest path seen, which headerBytesMax bounds. Holds nothing between calls.
let scratch = Buffer.allocUnsafeSlow(4096);

/**
 * Text of the configuration as the bytes a client would send for it: UTF-8, one byte a character. For paths, prefixes
 * and header values that meet strings of the wire. Not for the request's way: compile once.
 */
export function byteText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/**
 * The path (without its query) with percent sequences decoded, `//` merged and dot segments resolved; undefined when it
 * must be refused with 400. Matches nginx's ngx_http_parse_complex_uri with merge_slashes on:
 *  - a decoded `/` or `.` counts as one: `/a%2F..%2Fb` and `/a/%2e%2e/b` are `/b`; `%2e` alone never hides;
 *  - decoding happens once: `%252e` is the three characters `%2e`; decoded `%`, `#` and `?` are plain characters;
 *  - merging comes before climbing: `/a//../b` is `/b`; `/a/..` is `/`, `/a/.` is `/a/`;
 *  - refused: a climb above the root, `%` without two hexadecimal digits, `%00`.
 * Decoded controls other than NUL are let through, as in nginx: they are legal in a URI, and encodePath escapes them again.
 * Stricter than nginx, whose parser has other duties: a raw control, space, DEL, `?` or `#`, and a path that does not
 * begin with `/`, are refused (nginx cuts the path at `#`). A backslash is a plain character on both.
 */
export function normalizePath(path: string): string | undefined {
  const length = path.length;
  if (length === 0 || path.charCodeAt(0) !== SLASH) return undefined;
  if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(length * 2);
  const out = scratch;
  out[0] = SLASH;
  let used = 1;
  let segment = 1; // where the segment under way starts in `out`
  for (let at = 1; at < length; at++) {
    let byte = path.charCodeAt(at);
    if (byte === 0x25) {
      byte = (hexDigit(path.charCodeAt(at + 1)) << 4) | hexDigit(path.charCodeAt(at + 2));
      if (byte <= 0) return undefined; // -1: no digit or no character there; 0: NUL
      at += 2;
    } else if (byte <= 0x20 || byte === 0x7f || byte === 0x3f || byte === 0x23 || byte > 0xff) {
      return undefined;
    }
    if (byte !== SLASH) {
      out[used++] = byte;
      continue;
    }
    used = endSegment(out, segment, used);
    if (used < 0) return undefined;
    if (out[used - 1] !== SLASH) out[used++] = SLASH;
    segment = used;
  }
  used = endSegment(out, segment, used);
  return used < 0 ? undefined : out.toString("latin1", 0, used);
}

/** Resolves the segment at segment..used when it is `.` or `..`. Where the output now ends; -1 for a climb above the root. */
function endSegment(out: Uint8Array, segment: number, used: number): number {
  const length = used - segment;
  if (length === 0 || length > 2 || out[segment] !== DOT) return used;
  if (length === 1) return segment;
  if (out[segment + 1] !== DOT) return used;
  if (segment === 1) return -1;
  let end = segment - 1;
  while (out[end - 1] !== SLASH) end--;
  return end;
}

/** 0 to 15, or -1 for any other character and for NaN (beyond the end). */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

const unsafe = /[\x00-\x20"#%<>?\\^`{|}\x7f-\xff]/;
const escapes: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  unsafe.test(String.fromCharCode(byte)) ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}` : undefined,
);

/**
 * A normalized path as it may stand in a request line: controls, space, `"#%<>?\^`, backquote, `{|}`, DEL and bytes
 * above are escaped as `%XX`; the set that nginx 1.21.1 and later escape in a URI they rewrote. A path without any of
 * them is returned as it is. What a client had escaped without need (`%2F`, `%41`) comes out bare, as from nginx.
 */
export function encodePath(path: string): string {
  if (!unsafe.test(path)) return path;
  let out = "";
  let done = 0;
  for (let at = 0; at < path.length; at++) {
    const sequence = escapes[path.charCodeAt(at)];
    if (sequence === undefined) continue;
    out += path.slice(done, at) + sequence;
    done = at + 1;
  }
  return out + path.slice(done);
}

const dotSegment = /\/\.\.?(?:\/|$)/;

/**
 * A normalized path with the prefix that its route matched replaced; both prefixes through `byteText`. As nginx's
 * proxy_pass with a URI, the replacement is by bytes (`/api` to `/v1/` makes `/v1/x` of `/apix`), but the seam is guarded:
 *  - a slash on both sides of it becomes one (nginx sends `//`, which targets may read as the start of a host);
 *  - undefined, to be refused with 400, when the result has a dot segment: `/api../x` with `/api` to `/v1/` would reach
 *    the target as `/v1/../x`, outside of what the route gives away.
 * The result begins with `/` and is not yet encoded.
 */
export function rewritePrefix(path: string, matchedPrefix: string, replacement: string): string | undefined {
  let rest = matchedPrefix.length;
  if (replacement.endsWith("/") && path.charCodeAt(rest) === SLASH) rest++;
  let rewritten = replacement + path.slice(rest);
  if (rewritten.charCodeAt(0) !== SLASH) rewritten = `/${rewritten}`;
  return dotSegment.test(rewritten) ? undefined : rewritten;
}
