// Between the addresses of a header and the text that the program uses. On the request's way, once per connection: it
// goes through core/address.ts (0.3 us for an IPv4 address, 1 us for IPv6, beside 70 us for accepting a connection)
// rather than through one more reader of addresses. An IPv4 address in IPv6 form is an IPv4 address everywhere but where
// the other end has none.

import { formatIp, type IpAddress, isMapped, parseIp } from "../../core/address.ts";

/** Canonical text of 4 or 16 bytes at `at`. */
export function addressText(bytes: Uint8Array, at: number, length: 4 | 16): string {
  if (length === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  return formatIp(plain({ family: 6, bytes: Array.from(bytes.subarray(at, at + 16)) }));
}

/** `::ffff:192.0.2.1`, how a dual-stack socket sees IPv4, as `192.0.2.1`; other addresses as they are. */
export function plain(address: IpAddress): IpAddress {
  return isMapped(address) ? { family: 4, bytes: address.bytes.slice(12) } : address;
}

/** The IPv6 form of any address (RFC 4291 section 2.5.5.2). */
export function mapped(address: IpAddress): IpAddress {
  if (address.family === 6) return address;
  return { family: 6, bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address.bytes] };
}

/** The address of a socket as its own family; a zone (`fe80::1%eth0`) means nothing to another machine and is dropped. */
export function readAddress(text: string): IpAddress | undefined {
  const zone = text.indexOf("%");
  const address = parseIp(zone < 0 ? text : text.slice(0, zone));
  return address === undefined ? undefined : plain(address);
}
