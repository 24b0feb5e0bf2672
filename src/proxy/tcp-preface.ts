// What a TCP client's connection begins with where the listener reads it: a PROXY header that names the real client, then a
// TLS ClientHello that names the host. On the request's way; lives until both are read. Bytes are held until enough are
// there, whatever pieces they come in; the header is ours and ends here, the hello goes on to the target as it came.

import { assert } from "../core/assert.ts";
import { Parsed, type WireFault } from "../wire/parsed.ts";
import { proxyFaults } from "../wire/proxy-protocol/faults.ts";
import { Proxied, type ProxiedEnds } from "../wire/proxy-protocol/header.ts";
import { PROXY_HEADER_BYTES_MAX, parseProxyHeader } from "../wire/proxy-protocol/parse.ts";
import { CLIENT_HELLO_BYTES_MAX } from "../wire/tls/client-hello.ts";
import { Fault, tlsFaults } from "../wire/tls/faults.ts";
import type { Context } from "./context.ts";
import { EarlyBytes } from "./early-bytes.ts";
import { JOIN, JOIN_BYTES, READ } from "./layout.ts";

assert(
  PROXY_HEADER_BYTES_MAX + CLIENT_HELLO_BYTES_MAX + READ.size <= JOIN_BYTES,
  "what is held and one more read fit where they are put together",
);

/** What `Preface.read` answers. */
export const PrefaceResult = { incomplete: 0, complete: 1, fault: 2 } as const;
export type PrefaceResult = (typeof PrefaceResult)[keyof typeof PrefaceResult];

export class Preface {
  /** Both ends of the client's own connection, as its proxy tells; undefined: the connection's own are the right ones. */
  proxied: ProxiedEnds | undefined = undefined;
  /** "" when the client gave none. */
  serverName = "";
  /** The client sent a whole ClientHello. */
  speaksTls = false;
  /** Set with `PrefaceResult.fault`; with `complete` when the client speaks no TLS, which some route may take. */
  fault: WireFault | undefined = undefined;
  /** Once complete: where in the arena the bytes for the target are, the hello included. */
  restStart = 0;
  restEnd = 0;
  /** The client has said something. */
  begun = false;
  private readonly context: Context;
  private readonly readsHello: boolean;
  private awaitsHeader: boolean;
  private held: EarlyBytes | undefined = undefined;
  /** Bytes that must be held before another look tells more. */
  private needed = 1;

  constructor(context: Context, expects: { readonly header: boolean; readonly hello: boolean }) {
    this.context = context;
    this.awaitsHeader = expects.header;
    this.readsHello = expects.hello;
  }

  /** Takes bytes start..end of the arena. */
  read(start: number, end: number): PrefaceResult {
    const { held, context } = this;
    this.begun = true;
    if (held === undefined) return this.parse(start, end);
    const { bytes } = context.arena;
    held.append(bytes, start, end);
    if (held.length < this.needed) return PrefaceResult.incomplete;
    this.held = undefined;
    return this.parse(JOIN, held.copyTo(bytes, JOIN));
  }

  private parse(start: number, end: number): PrefaceResult {
    let at = start;
    if (this.awaitsHeader) {
      const { arena, proxyHeader } = this.context;
      const result = parseProxyHeader(arena, start, end, proxyHeader);
      if (result < 0) return this.fail(proxyFaults[-result]);
      if (result === Parsed.incomplete) return this.wait(start, end, proxyHeader.needed);
      this.awaitsHeader = false;
      at = proxyHeader.end;
      // Another transport's addresses would name another connection: the own ones stay, as in nginx and HAProxy.
      if (proxyHeader.proxied === Proxied.stream) this.proxied = endsOf(proxyHeader);
    }
    return this.readsHello ? this.parseHello(at, end) : this.complete(at, end);
  }

  private parseHello(start: number, end: number): PrefaceResult {
    const { helloParser, clientHello } = this.context;
    const result = helloParser.parse(start, end, clientHello);
    if (result === Parsed.incomplete) return this.wait(start, end, clientHello.needed);
    if (result === Fault.recordMissing) this.fault = tlsFaults[-result];
    else if (result < 0) return this.fail(tlsFaults[-result]);
    else {
      this.speaksTls = true;
      this.serverName = clientHello.serverName;
    }
    return this.complete(start, end);
  }

  private complete(start: number, end: number): PrefaceResult {
    this.restStart = start;
    this.restEnd = end;
    return PrefaceResult.complete;
  }

  private wait(start: number, end: number, needed: number): PrefaceResult {
    this.needed = needed;
    if (end > start) {
      const held = new EarlyBytes(needed);
      held.append(this.context.arena.bytes, start, end);
      this.held = held;
    }
    return PrefaceResult.incomplete;
  }

  private fail(fault: WireFault | undefined): PrefaceResult {
    assert(fault !== undefined, "every fault of a parser is in its table");
    this.fault = fault;
    return PrefaceResult.fault;
  }
}

/** The parser's header is filled again for the next client. */
function endsOf(header: ProxiedEnds): ProxiedEnds {
  const { clientAddress, clientPort, destinationAddress, destinationPort } = header;
  return { clientAddress, clientPort, destinationAddress, destinationPort };
}
