// IP addresses, address and port, and ranges, as text and as numbers. Used on the change's way (configuration, admin)
// and to compile trusted proxies once per snapshot; nothing here runs per request. Strict on purpose: one text, one
// address. No octal or short IPv4 forms (`010.0.0.1` and `10.1` are two addresses to two programs), no zone, no names.
// Must not resolve anything. A library of this strictness was not found: ipaddr.js reads `1` and `010.1.1.1`.

import { bad, good, type Result } from "./failure.ts";

export type IpAddress = {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly bytes: readonly number[];
};

export type IpRange = { readonly address: IpAddress; readonly prefixLength: number };

/** An IP literal in canonical text without brackets, and a port from 1 to 65535. */
export type SocketAddress = { readonly host: string; readonly port: number };

/** What to tell a person whose address was refused. */
export const socketAddressExpected = "an IP address and a port, such as 10.0.4.20:8080 or [2001:db8::1]:8080";
export const ipRangeExpected = "an IP address or a range, such as 10.0.4.20, 10.0.0.0/8 or 2001:db8::/32";

function refused(code: string, detail: string) {
  return bad({ code, origin: "self", retrySafe: false, detail });
}

/**
 * Reads an IPv4 address in four decimal parts without leading zeros, or an IPv6 address (RFC 4291 section 2.2) without
 * brackets or zone. Undefined when the text is neither.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes(":")) {
    const bytes = parseIpv6(text);
    return bytes === undefined ? undefined : { family: 6, bytes };
  }
  const bytes = parseIpv4(text);
  return bytes === undefined ? undefined : { family: 4, bytes };
}

function parseIpv4(text: string): number[] | undefined {
  if (text.length > 15) return undefined;
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split("::");
  const [left = "", right] = halves;
  if (halves.length > 2) return undefined;
  // Only the end of the whole text may be written as IPv4.
  const head = parseGroups(left, right === undefined);
  if (head === undefined) return undefined;
  if (right === undefined) return head.length === 16 ? head : undefined;
  const tail = parseGroups(right, true);
  // "::" stands for at least one group of zeros.
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (dotted === undefined) return undefined;
    bytes.push(...dotted);
  }
  return bytes;
}

/** Canonical text: RFC 5952 for IPv6 (lower case, longest run of zeros as `::`, IPv4-mapped with dots). No brackets. */
export function formatIp(address: IpAddress): string {
  const { bytes } = address;
  if (address.family === 4) return bytes.join(".");
  if (isMapped(address)) return `::ffff:${bytes.slice(12).join(".")}`;
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  const zeros = longestZeros(groups);
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (zeros.length < 2) return text(groups);
  return `${text(groups.slice(0, zeros.start))}::${text(groups.slice(zeros.start + zeros.length))}`;
}

function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    // The first of two equal runs wins (RFC 5952 section 4.2.3).
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

/** True for an IPv4 address in IPv6 form, `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2). */
export function isMapped(address: IpAddress): boolean {
  const { bytes } = address;
  return (
    bytes.length === 16 && bytes.findIndex((byte) => byte !== 0) === 10 && bytes[10] === 0xff && bytes[11] === 0xff
  );
}

/** True for `0.0.0.0` and `::`: every address of the family when bound, no address at all when connected to. */
export function isUnspecified(address: IpAddress): boolean {
  return address.bytes.every((byte) => byte === 0);
}

/**
 * Reads `host:port` with an IPv4 literal or `[host]:port` with an IPv6 literal into canonical parts.
 * Fails with `address.port` (missing, or not 1 to 65535), `address.brackets` (IPv6 without), `address.name` (a host
 * name: names are the business of a source, a target or bind address is an IP literal), `address.mapped` (an IPv4
 * address in IPv6 form would be a second name of the same place) and `address.syntax`.
 */
export function parseSocketAddress(text: string): Result<SocketAddress> {
  const bracketed = /^\[([^\][]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const address = parseIp(bracketed[1] ?? "");
    if (address === undefined || address.family !== 6) {
      return refused("address.syntax", `\`${text}\` has no IPv6 address in its brackets`);
    }
    return withPort(text, address, bracketed[2]);
  }
  const bare = parseIp(text);
  if (bare?.family === 6)
    return refused("address.brackets", `\`${text}\` has no port, or its IPv6 address no brackets`);
  if (bare !== undefined) return withPort(text, bare, undefined);
  const colon = text.lastIndexOf(":");
  const host = colon < 0 ? text : text.slice(0, colon);
  const address = parseIp(host);
  if (address?.family === 6) return refused("address.brackets", `\`${text}\` has an IPv6 address without brackets`);
  if (address !== undefined) return withPort(text, address, text.slice(colon + 1));
  if (/^(?=.*[A-Za-z])[A-Za-z0-9_.-]+$/.test(host)) {
    return refused("address.name", `\`${text}\` has the name \`${host}\` where an IP address must stand`);
  }
  return refused("address.syntax", `\`${text}\` is no address and port`);
}

function withPort(text: string, address: IpAddress, digits: string | undefined): Result<SocketAddress> {
  if (isMapped(address)) {
    return refused(
      "address.mapped",
      `\`${text}\` is the IPv4 address ${address.bytes.slice(12).join(".")} in IPv6 form`,
    );
  }
  if (digits === undefined) return refused("address.port", `\`${text}\` has no port`);
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > 65535) return refused("address.port", `\`${text}\` has a port that is not 1 to 65535`);
  return good({ host: formatIp(address), port });
}

/** `10.0.4.20:8080` or `[2001:db8::1]:8080`. */
export function formatSocketAddress(address: SocketAddress): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Reads an address (a range of one) or address/prefix length (RFC 4632 section 3.1).
 * Fails with `range.syntax`, `range.prefix` and `range.hostBits` (bits set beyond the prefix: probably not the range
 * that was meant).
 */
export function parseIpRange(text: string): Result<IpRange> {
  const slash = text.indexOf("/");
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return refused("range.syntax", `\`${text}\` is no IP address or range`);
  const bits = address.bytes.length * 8;
  if (slash < 0) return good({ address, prefixLength: bits });
  const digits = text.slice(slash + 1);
  const prefixLength = /^(0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : -1;
  if (prefixLength < 0 || prefixLength > bits) {
    return refused("range.prefix", `\`${text}\` has a prefix length that is not 0 to ${bits}`);
  }
  const network = networkOf({ address, prefixLength });
  if (network.bytes.some((byte, index) => byte !== address.bytes[index])) {
    return refused("range.hostBits", `\`${text}\` has bits set beyond its first ${prefixLength}`);
  }
  return good({ address, prefixLength });
}

/** The first address of the range that holds this address. */
export function networkOf(range: IpRange): IpAddress {
  const bytes = range.address.bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, range.prefixLength - index * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return { family: range.address.family, bytes };
}

/** `10.0.0.0/8`; a range of one address without its prefix length. */
export function formatIpRange(range: IpRange): string {
  const whole = range.prefixLength === range.address.bytes.length * 8;
  return whole ? formatIp(range.address) : `${formatIp(range.address)}/${range.prefixLength}`;
}
