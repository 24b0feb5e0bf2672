// The PROXY protocol's sender (haproxy.org, proxy-protocol.txt of 2020/03/05). On the request's way, once per connection
// to a target that wants it; the header goes before the first byte of the tunnel and in one write with it where that is
// there already. Everything that a socket says of itself can be written: what is no address becomes UNKNOWN or LOCAL.

import { formatIp, type IpAddress } from "../../core/address.ts";
import { assert } from "../../core/assert.ts";
import { mapped, readAddress } from "./addresses.ts";
import { Command, Family, PREFIX_BYTES, type Proxied, type ProxiedEnds, SIGNATURE, VERSION_2 } from "./header.ts";

/** Bytes that every function here wants free at `at`; none writes more. */
export const PROXY_HEADER_ROOM = 107;

const PORT_MAX = 65535;

/**
 * Writes a header of version 1 at `at` and returns the offset after it. Both ends IPv4 (also as `::ffff:192.0.2.1`):
 * TCP4; else TCP6, where an IPv4 end is written in IPv6 form, as HAProxy does. A client that had gone before its address
 * was read has none: UNKNOWN, "when it is not possible to correctly fill the PROXY line" (section 2.1).
 */
export function encodeProxyV1(bytes: Uint8Array, at: number, ends: ProxiedEnds): number {
  const client = readAddress(ends.clientAddress);
  const destination = readAddress(ends.destinationAddress);
  if (client === undefined || destination === undefined) return encodeProxyV1Unknown(bytes, at);
  checkPorts(ends);
  const inIpv4 = client.family === 4 && destination.family === 4;
  const text = (address: IpAddress) => formatIp(inIpv4 ? address : mapped(address));
  const line = `PROXY TCP${inIpv4 ? 4 : 6} ${text(client)} ${text(destination)} ${ends.clientPort} ${ends.destinationPort}\r\n`;
  return writeText(bytes, at, line);
}

/** `PROXY UNKNOWN`: the receiver keeps the connection's own addresses. Some receivers refuse it (section 2.1). */
export function encodeProxyV1Unknown(bytes: Uint8Array, at: number): number {
  return writeText(bytes, at, "PROXY UNKNOWN\r\n");
}

/**
 * Writes a header of version 2 (28 or 52 bytes) at `at` and returns the offset after it. Families as with version 1; an
 * end that is no address makes it LOCAL, which every receiver must accept (section 2.2), as HAProxy does.
 */
export function encodeProxyV2(
  bytes: Uint8Array,
  at: number,
  ends: ProxiedEnds,
  transport: typeof Proxied.stream | typeof Proxied.datagram,
): number {
  const client = readAddress(ends.clientAddress);
  const destination = readAddress(ends.destinationAddress);
  if (client === undefined || destination === undefined) return encodeProxyV2Local(bytes, at);
  checkPorts(ends);
  const inIpv4 = client.family === 4 && destination.family === 4;
  const length = inIpv4 ? 4 : 16;
  writePrefix(bytes, at, {
    command: Command.proxy,
    family: ((inIpv4 ? Family.ipv4 : Family.ipv6) << 4) | transport,
    blockBytes: 2 * length + 4,
  });
  bytes.set(inIpv4 ? client.bytes : mapped(client).bytes, at + PREFIX_BYTES);
  bytes.set(inIpv4 ? destination.bytes : mapped(destination).bytes, at + PREFIX_BYTES + length);
  const ports = at + PREFIX_BYTES + 2 * length;
  bytes[ports] = ends.clientPort >> 8;
  bytes[ports + 1] = ends.clientPort & 0xff;
  bytes[ports + 2] = ends.destinationPort >> 8;
  bytes[ports + 3] = ends.destinationPort & 0xff;
  return ports + 4;
}

/** For a connection that relays nobody, a probe's: the receiver keeps the connection's own addresses. 16 bytes. */
export function encodeProxyV2Local(bytes: Uint8Array, at: number): number {
  writePrefix(bytes, at, { command: Command.local, family: Family.unspecified, blockBytes: 0 });
  return at + PREFIX_BYTES;
}

type Prefix = { readonly command: number; readonly family: number; readonly blockBytes: number };

function writePrefix(bytes: Uint8Array, at: number, prefix: Prefix): void {
  checkRoom(bytes, at);
  bytes.set(SIGNATURE, at);
  bytes[at + 12] = VERSION_2 | prefix.command;
  bytes[at + 13] = prefix.family;
  bytes[at + 14] = prefix.blockBytes >> 8;
  bytes[at + 15] = prefix.blockBytes & 0xff;
}

function writeText(bytes: Uint8Array, at: number, text: string): number {
  checkRoom(bytes, at);
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  return at + text.length;
}

function checkRoom(bytes: Uint8Array, at: number): void {
  assert(at >= 0 && at + PROXY_HEADER_ROOM <= bytes.length, "a PROXY protocol header has its room");
}

function checkPorts({ clientPort, destinationPort }: ProxiedEnds): void {
  assert(isPort(clientPort) && isPort(destinationPort), "the ports of a PROXY protocol header are 0 to 65535");
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= PORT_MAX;
}
