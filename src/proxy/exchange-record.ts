// What is known of one exchange once it is over: plain fields that the exchange fills while it goes on and that the access
// log and the counters read at its end. On the request's way: one record lives with a client connection and is filled
// again for each of its exchanges. Must hold no reference to arena memory: strings are copies, one byte a character.

import type { Milliseconds } from "../core/clock.ts";

/** Empty strings and -1 mean unknown, or that it did not come to that. */
export type ExchangeRecord = {
  /** As received; empty when the request could not be read. */
  method: string;
  /** The request-target as received, with its query. */
  target: string;
  /** 10 or 11. */
  version: number;
  /** From normalizeHost: lower case, no port. */
  host: string;
  /** `http` or `https`, as $scheme. */
  scheme: string;
  userAgent: string;
  referer: string;
  /** Who asks: the peer, or whom a trusted proxy names. */
  clientAddress: string;
  /** 0 when the client is known through a proxy only. */
  clientPort: number;
  /** The other end of the connection; may be left empty when it is the client. */
  peerAddress: string;
  peerPort: number;
  listenerPort: number;
  listener: string;
  route: string;
  pool: string;
  /** `host:port` of the last target tried. */
  targetAddress: string;
  /** Sent to the client; 0: none was. */
  status: number;
  /** Bytes of body, without heads and chunk framing. */
  requestBodyBytes: number;
  responseBodyBytes: number;
  /** Targets tried. */
  tries: number;
  /** On the monotonic clock. */
  startedAtMs: Milliseconds;
  /** Since 1970. */
  startedWallMs: number;
  /** How long the connect to the target took that answered; 0 on a kept connection. */
  connectMs: Milliseconds;
  /** From the start of the exchange to the first byte of the target's response head. */
  firstByteMs: Milliseconds;
  /** From the start of the exchange to its end. */
  totalMs: Milliseconds;
  /** Code of the failure that ended it (src/core/failure.ts). */
  errorCode: string;
  requestId: string;
};

export function exchangeRecord(): ExchangeRecord {
  return {
    method: "",
    target: "",
    version: 11,
    host: "",
    scheme: "http",
    userAgent: "",
    referer: "",
    clientAddress: "",
    clientPort: 0,
    peerAddress: "",
    peerPort: 0,
    listenerPort: 0,
    listener: "",
    route: "",
    pool: "",
    targetAddress: "",
    status: 0,
    requestBodyBytes: 0,
    responseBodyBytes: 0,
    tries: 0,
    startedAtMs: 0,
    startedWallMs: 0,
    connectMs: -1,
    firstByteMs: -1,
    totalMs: -1,
    errorCode: "",
    requestId: "",
  };
}

/** Ready for the next exchange of the same connection: clears all but what belongs to the connection (peer and listener). */
export function resetExchange(record: ExchangeRecord): void {
  record.method = "";
  record.target = "";
  record.version = 11;
  record.host = "";
  record.scheme = "http";
  record.userAgent = "";
  record.referer = "";
  record.clientAddress = "";
  record.clientPort = 0;
  record.route = "";
  record.pool = "";
  record.targetAddress = "";
  record.status = 0;
  record.requestBodyBytes = 0;
  record.responseBodyBytes = 0;
  record.tries = 0;
  record.startedAtMs = 0;
  record.startedWallMs = 0;
  record.connectMs = -1;
  record.firstByteMs = -1;
  record.totalMs = -1;
  record.errorCode = "";
  record.requestId = "";
}
