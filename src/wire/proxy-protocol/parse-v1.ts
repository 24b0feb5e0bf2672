// Version 1, one line of text: `PROXY TCP4 192.0.2.1 198.51.100.2 56324 443` CRLF (proxy-protocol.txt section 2.1). On
// the request's way, once per connection. The line is scanned first and its addresses are read only when the CRLF is
// there, as the document demands.

import { formatIp, type IpAddress, parseIp } from "../../core/address.ts";
import { Parsed } from "../parsed.ts";
import { plain } from "./addresses.ts";
import { Fault } from "./faults.ts";
import { Proxied, type ProxyHeader } from "./header.ts";

/** Section 2.1, "worst case", CRLF included. Only UNKNOWN and IPv6 addresses with dots can be longer. */
export const LINE_BYTES_MAX = 107;

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const LETTER_U = 0x55;

const IPV4_TEXT_MAX = 15;
/** Eight groups, the last two with dots: inet_ntop writes IPv4-mapped addresses so, and with it HAProxy and nginx. */
const IPV6_TEXT_MAX = 45;
const PORT_MAX = 65535;

/** The first byte is not that of version 2. Returns as `parseProxyHeader` does. */
export function parseLine(bytes: Buffer, start: number, end: number, header: ProxyHeader): number {
  header.version = 1;
  const stop = Math.min(end, start + LINE_BYTES_MAX);
  const result = scanLine(bytes, start, stop, header);
  if (result !== Parsed.incomplete) return result;
  if (stop - start === LINE_BYTES_MAX) return Fault.lineTooLong;
  // A CR at the end wants its LF; anything else at least both.
  const missing = bytes[end - 1] === CR && end - start > 1 ? 1 : 2;
  header.needed = Math.max(header.needed, end - start + missing);
  return Parsed.incomplete;
}

function scanLine(bytes: Buffer, start: number, end: number, header: ProxyHeader): number {
  let at = expectText(bytes, start, end, "PROXY ", Fault.headerMissing);
  if (at <= 0) return at;
  if (at < end && bytes[at] === LETTER_U) return scanUnknown(bytes, at, end, header);
  at = expectText(bytes, at, end, "TCP", Fault.protocolInvalid);
  if (at <= 0 || at >= end) return Math.min(at, 0);
  const family = bytes[at]! - ZERO;
  if (family !== 4 && family !== 6) return Fault.protocolInvalid;
  const clientStart = expectText(bytes, at + 1, end, " ", Fault.protocolInvalid);
  if (clientStart <= 0) return clientStart;
  const clientEnd = scanAddress(bytes, clientStart, end, family);
  if (clientEnd <= 0) return clientEnd;
  const destinationStart = clientEnd + 1;
  const destinationEnd = scanAddress(bytes, destinationStart, end, family);
  if (destinationEnd <= 0) return destinationEnd;
  at = scanPort(bytes, destinationEnd + 1, end);
  if (at <= 0) return at;
  if (bytes[at] !== SP) return stopFault(bytes[at]!, Fault.portInvalid);
  header.clientPort = portAt(bytes, destinationEnd + 1, at);
  const portStart = at + 1;
  at = scanPort(bytes, portStart, end);
  if (at <= 0) return at;
  header.destinationPort = portAt(bytes, portStart, at);
  if (bytes[at] !== CR) return stopFault(bytes[at]!, Fault.portInvalid);
  if (at + 1 >= end) return Parsed.incomplete;
  if (bytes[at + 1] !== LF) return Fault.lineEndInvalid;
  return readEnds(bytes, header, family, [clientStart, clientEnd, destinationStart, destinationEnd], at + 2);
}

function readEnds(
  bytes: Buffer,
  header: ProxyHeader,
  family: 4 | 6,
  places: readonly [number, number, number, number],
  end: number,
): number {
  const client = parseIp(bytes.toString("latin1", places[0], places[1]));
  const destination = parseIp(bytes.toString("latin1", places[2], places[3]));
  if (!isOf(family, client) || !isOf(family, destination)) return Fault.addressInvalid;
  header.clientAddress = formatIp(plain(client));
  header.destinationAddress = formatIp(plain(destination));
  header.proxied = Proxied.stream;
  header.end = end;
  return Parsed.complete;
}

function isOf(family: 4 | 6, address: IpAddress | undefined): address is IpAddress {
  return address !== undefined && address.family === family;
}

/**
 * `UNKNOWN` up to its CRLF: what stands between is ignored, but a CR or LF alone is refused, since a reader that ends
 * lines at one would find the end elsewhere.
 */
function scanUnknown(bytes: Buffer, start: number, end: number, header: ProxyHeader): number {
  let at = expectText(bytes, start, end, "UNKNOWN", Fault.protocolInvalid);
  if (at <= 0 || at >= end) return Math.min(at, 0);
  if (bytes[at] !== SP && bytes[at] !== CR) return stopFault(bytes[at]!, Fault.protocolInvalid);
  while (at < end && bytes[at] !== CR) {
    if (bytes[at] === LF) return Fault.lineEndInvalid;
    at++;
  }
  if (at + 1 >= end) return Parsed.incomplete;
  if (bytes[at + 1] !== LF) return Fault.lineEndInvalid;
  header.end = at + 2;
  return Parsed.complete;
}

/** Offset after the text, 0 when bytes are missing, or the fault. */
function expectText(bytes: Buffer, start: number, end: number, text: string, fault: number): number {
  for (let i = 0; i < text.length; i++) {
    if (start + i >= end) return 0;
    if (bytes[start + i] !== text.charCodeAt(i)) return stopFault(bytes[start + i]!, fault);
  }
  return start + text.length;
}

/** Offset of the space after what may be an address, 0 when bytes are missing, or a fault. */
function scanAddress(bytes: Buffer, start: number, end: number, family: 4 | 6): number {
  const lengthMax = family === 4 ? IPV4_TEXT_MAX : IPV6_TEXT_MAX;
  let at = start;
  while (at < end && isAddressByte(bytes[at]!, family)) at++;
  if (at - start > lengthMax) return Fault.addressInvalid;
  if (at >= end) return 0;
  if (bytes[at] !== SP) return stopFault(bytes[at]!, Fault.addressInvalid);
  return at === start ? Fault.addressInvalid : at;
}

function isAddressByte(byte: number, family: 4 | 6): boolean {
  if ((byte >= ZERO && byte <= 0x39) || byte === DOT) return true;
  if (family === 4) return false;
  const lower = byte | 0x20;
  return byte === COLON || (lower >= 0x61 && lower <= 0x66);
}

/** Offset of the byte after a decimal number of 0 to 65535 without leading zeros, 0 when bytes are missing, or a fault. */
function scanPort(bytes: Buffer, start: number, end: number): number {
  let port = 0;
  let at = start;
  for (; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) break;
    if (at > start && port === 0) return Fault.portInvalid;
    port = port * 10 + digit;
    if (port > PORT_MAX) return Fault.portInvalid;
  }
  if (at >= end) return 0;
  return at === start ? stopFault(bytes[at]!, Fault.portInvalid) : at;
}

function portAt(bytes: Buffer, start: number, end: number): number {
  let port = 0;
  for (let at = start; at < end; at++) port = port * 10 + bytes[at]! - ZERO;
  return port;
}

/** A line that ends too early, or ends with LF alone, is told so only where a line had begun. */
function stopFault(byte: number, fault: number): number {
  return byte === LF && fault !== Fault.headerMissing ? Fault.lineEndInvalid : fault;
}
