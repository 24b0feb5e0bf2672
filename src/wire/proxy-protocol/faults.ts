// Every way in which a PROXY protocol header can be wrong, as small numbers for the request's way and as words for people.
// Whoever is told one closes the connection and answers nothing: a sender that gets this wrong cannot be trusted with
// what follows, and a client that is no proxy at all must not learn more. The origin is always the client's side.

import { addFault, faultTable, type WireFault } from "../parsed.ts";

const table = faultTable();

/** What `parseProxyHeader` returns: always negative, `-Fault.x` is the index into `proxyFaults`. */
export const Fault = {
  headerMissing: addFault(
    table,
    "proxyProtocol.header.missing",
    "the connection does not begin with a PROXY protocol header",
  ),

  protocolInvalid: addFault(table, "proxyProtocol.v1.protocol", "what follows PROXY is not TCP4, TCP6 or UNKNOWN"),
  addressInvalid: addFault(
    table,
    "proxyProtocol.v1.address",
    "an address is not one of the announced family between single spaces",
  ),
  portInvalid: addFault(table, "proxyProtocol.v1.port", "a port is not 0 to 65535 without leading zeros"),
  lineEndInvalid: addFault(table, "proxyProtocol.v1.lineEnd", "a CR without LF or a LF without CR"),
  lineTooLong: addFault(table, "proxyProtocol.v1.tooLong", "no CRLF within 107 bytes"),

  versionUnsupported: addFault(table, "proxyProtocol.v2.version", "the version behind the signature is not 2"),
  commandInvalid: addFault(table, "proxyProtocol.v2.command", "the command is neither LOCAL nor PROXY"),
  familyInvalid: addFault(table, "proxyProtocol.v2.family", "the address family is unassigned"),
  transportInvalid: addFault(table, "proxyProtocol.v2.transport", "the transport protocol is unassigned"),
  headerTooShort: addFault(
    table,
    "proxyProtocol.v2.tooShort",
    "the length has no room for the addresses of the family",
  ),
  headerTooLarge: addFault(table, "proxyProtocol.v2.tooLarge", "the header has more bytes than the limit"),
  vectorInvalid: addFault(
    table,
    "proxyProtocol.v2.tlv",
    "a type-length-value goes beyond the header, or a checksum is not 4 bytes or comes twice",
  ),
  checksumDiffers: addFault(
    table,
    "proxyProtocol.v2.checksum",
    "the CRC32c of the header is not the one that it states",
  ),
} as const;

/** Index = minus what the parser returned. */
export const proxyFaults: readonly WireFault[] = table;
