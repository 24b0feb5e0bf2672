// Every way in which the first bytes of a TLS client can be wrong, as small numbers for the request's way and as words for
// people. Whoever is told one closes the connection: without a name there is no route. The origin is always the client.

import { addFault, faultTable, type WireFault } from "../parsed.ts";

const table = faultTable();

/** What a `ClientHelloParser` returns: always negative, `-Fault.x` is the index into `tlsFaults`. */
export const Fault = {
  recordMissing: addFault(table, "tls.record.missing", "the connection does not begin with a TLS handshake record"),
  recordInvalid: addFault(
    table,
    "tls.record.invalid",
    "a record within the ClientHello is not a handshake record of TLS with 1 to 16384 bytes",
  ),
  helloMissing: addFault(table, "tls.hello.missing", "the first handshake message is not a ClientHello"),
  helloTooLarge: addFault(table, "tls.hello.tooLarge", "the ClientHello with its record headers exceeds the limit"),
  helloInvalid: addFault(table, "tls.hello.invalid", "the parts of the ClientHello do not fill it exactly"),
  serverNameInvalid: addFault(
    table,
    "tls.serverName.invalid",
    "server_name is not a list with one host name, or comes twice",
  ),
  hostNameInvalid: addFault(
    table,
    "tls.serverName.hostName",
    "the host name is not labels of letters, digits, hyphens and underscores with 255 bytes at most",
  ),
  protocolsInvalid: addFault(
    table,
    "tls.protocols.invalid",
    "application_layer_protocol_negotiation is not a list of names, or comes twice",
  ),
} as const;

/** Index = minus what the parser returned. */
export const tlsFaults: readonly WireFault[] = table;
