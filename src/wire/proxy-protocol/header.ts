// What a parsed PROXY protocol header is, and what one is written from. On the request's way, once per connection. The
// listener owns one `ProxyHeader` and fills it again for every connection: copy what must outlive the event. Ends are
// named from the client's point of view, as the protocol's document does: it connected to the destination.

/** Whose addresses the header states. */
export const Proxied = {
  /** None: LOCAL, UNKNOWN, unspecified or unix. The connection's own addresses are the right ones. */
  nothing: 0,
  /** A TCP connection's. */
  stream: 1,
  /** A UDP client's; a listener of TCP has no use for such a header and may refuse it or keep its own addresses. */
  datagram: 2,
} as const;
export type Proxied = (typeof Proxied)[keyof typeof Proxied];

/** The two ends of what is relayed. Addresses are text without brackets; ports 0 to 65535. */
export type ProxiedEnds = {
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
};

export type ProxyHeader = {
  /** Offset of the first byte after the header. */
  end: number;
  /** After `Parsed.incomplete`: bytes that must be there, counted from the first, before another call can say more. */
  needed: number;
  version: 1 | 2;
  proxied: Proxied;
  /** Canonical (core/address.ts); an IPv4 address in IPv6 form is given as IPv4. "" when nothing is proxied. */
  clientAddress: string;
  clientPort: number;
  destinationAddress: string;
  destinationPort: number;
};

export function proxyHeader(): ProxyHeader {
  return {
    end: 0,
    needed: 0,
    version: 1,
    proxied: Proxied.nothing,
    clientAddress: "",
    clientPort: 0,
    destinationAddress: "",
    destinationPort: 0,
  };
}

/** CR LF CR LF NUL CR LF "QUIT" LF: no HTTP, TLS, SMTP or FTP server takes it for a beginning (section 6). */
export const SIGNATURE: readonly number[] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

/** Signature, version and command, family and transport, length. */
export const PREFIX_BYTES = 16;
export const VERSION_2 = 0x20;
export const Command = { local: 0, proxy: 1 } as const;
export const Family = { unspecified: 0, ipv4: 1, ipv6: 2, unix: 3 } as const;
