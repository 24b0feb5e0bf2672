// The authority: a host name, an IPv4 address or a bracketed IPv6 address, with an optional port. On the request's way.
// Stricter than RFC 3986, whose reg-name allows "a,b", "a;b", "(a)" and percent-encoding: no such host exists, and a
// target that decodes or splits it would answer for another host than the one our routes matched. So a name is
// `unreserved` only. IPvFuture and zone identifiers are refused: neither has a meaning in a request that came to us.

import { Byte, HEX, HOST_NAME } from "./bytes.ts";

const { COLON, DOT, OPEN_BRACKET, CLOSE_BRACKET, ZERO } = Byte;
const hexDigit = HEX;
const hostNameByte = HOST_NAME;

export const Authority = { invalid: -1, withoutPort: 65536 } as const;

const PORT_MAX = 65535;
const PORT_DIGITS_MAX = 5;

/**
 * Judges `host[:port]` at start..end (RFC 9110 section 7.2, RFC 3986 section 3.2). Returns the port 0 to 65535,
 * `Authority.withoutPort` when none is written (also for `name:`, which RFC 3986 allows), or `Authority.invalid`. An empty
 * host is invalid; whether an empty Host value is good is the caller's question.
 */
export function judgeAuthority(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (at < end && bytes[at] === OPEN_BRACKET) {
    let close = at + 1;
    while (close < end && bytes[close] !== CLOSE_BRACKET) close++;
    if (close === end || !isIpv6(bytes, at + 1, close)) return Authority.invalid;
    at = close + 1;
  } else {
    while (at < end && hostNameByte[bytes[at]!] !== 0) at++;
    if (at === start) return Authority.invalid;
  }
  if (at === end) return Authority.withoutPort;
  if (bytes[at] !== COLON) return Authority.invalid;
  return judgePort(bytes, at + 1, end);
}

function judgePort(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return Authority.withoutPort;
  if (end - start > PORT_DIGITS_MAX) return Authority.invalid;
  let port = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return Authority.invalid;
    port = port * 10 + digit;
  }
  return port > PORT_MAX ? Authority.invalid : port;
}

/** RFC 4291 section 2.2: eight groups of up to four hexadecimal digits, one `::` for one or more of them, IPv4 at the end. */
function isIpv6(bytes: Uint8Array, start: number, end: number): boolean {
  let groups = 0;
  let gap = false;
  let at = start;
  if (end - start >= 2 && bytes[at] === COLON && bytes[at + 1] === COLON) {
    gap = true;
    at += 2;
  }
  while (at < end) {
    const groupStart = at;
    while (at < end && hexDigit[bytes[at]!] !== 0) at++;
    if (at < end && bytes[at] === DOT) return isIpv4(bytes, groupStart, end) && (gap ? groups <= 5 : groups === 6);
    if (at === groupStart || at - groupStart > 4) return false;
    groups++;
    if (at === end) break;
    if (bytes[at] !== COLON || at + 1 === end) return false;
    at++;
    if (bytes[at] === COLON) {
      if (gap) return false;
      gap = true;
      at++;
    }
  }
  return gap ? groups <= 7 : groups === 8;
}

function isIpv4(bytes: Uint8Array, start: number, end: number): boolean {
  let octets = 0;
  let digits = 0;
  let value = 0;
  for (let i = start; i <= end; i++) {
    if (i === end || bytes[i] === DOT) {
      if (digits === 0) return false;
      octets++;
      digits = 0;
      value = 0;
      continue;
    }
    const digit = bytes[i]! - ZERO;
    // A leading zero would be octal for some readers.
    if (digit < 0 || digit > 9 || (digits === 1 && value === 0)) return false;
    value = value * 10 + digit;
    digits++;
    if (value > 255) return false;
  }
  return octets === 4;
}
