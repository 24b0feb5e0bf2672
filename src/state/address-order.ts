// The order of targets that nobody wrote down in one: by address as numbers, so that 10.0.0.9 comes before 10.0.0.10 and every
// node that has the same targets has them in the same order (consistent hashing and round robin go by it). The change's way.

import {
  formatSocketAddress,
  isUnspecified,
  parseIp,
  parseSocketAddress,
  type SocketAddress,
} from "../core/address.ts";
import { assert } from "../core/assert.ts";
import { bad, good, type Result } from "../core/failure.ts";

/** Where a target is, as its canonical text, as its parts, and as its place among others. */
export type TargetPlace = SocketAddress & { readonly address: string; readonly key: string };

/**
 * Reads the address of a target as somebody wrote it. Fails with `target.address`; the detail says what is wrong with it: no
 * IP address and port (parseSocketAddress), or the unspecified address, to which nobody can connect.
 */
export function parseTargetAddress(text: string): Result<TargetPlace> {
  const refused = (detail: string) => bad({ code: "target.address", origin: "client", retrySafe: false, detail });
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) return refused(parsed.failure.detail);
  const { host, port } = parsed.value;
  const ip = parseIp(host);
  if (ip === undefined || isUnspecified(ip)) return refused(`\`${text}\` is no address to connect to`);
  return good({ address: formatSocketAddress(parsed.value), host, port, key: addressKey(parsed.value) });
}

/**
 * A text that sorts by code units as the address does by number: IPv4 before IPv6, then the address, then the port. Takes
 * an IP literal; a name never gets this far.
 */
export function addressKey({ host, port }: SocketAddress): string {
  const address = parseIp(host);
  assert(address !== undefined, `the host of a target is an IP address, not ${host}`);
  let key = address.family === 4 ? "4" : "6";
  for (const byte of address.bytes) key += twoDigits[byte];
  return key + twoDigits[port >> 8] + twoDigits[port & 0xff];
}

const twoDigits: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Where in a list that is in order a key stands, or would stand. */
export function placeOf(list: readonly { readonly key: string }[], key: string): number {
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((list[middle]?.key ?? "") < key) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** For sort(): two of one list never have the same key. */
export function byKey(left: { readonly key: string }, right: { readonly key: string }): number {
  return left.key < right.key ? -1 : 1;
}
