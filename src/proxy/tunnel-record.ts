// What is known of a TCP client once its connection is over: filled at its end from what the connection kept, and written
// to the access log at once. On the request's way; there is one record a worker, so an idle tunnel pays nothing for it.
// Must hold no reference to arena memory.

import type { Milliseconds } from "../core/clock.ts";

/** Empty strings, -1 and port 0 mean unknown, or that it did not come to that. */
export type TunnelRecord = {
  /** Who asks: the peer, or whom its PROXY header names. */
  clientAddress: string;
  clientPort: number;
  /** The other end of the connection. */
  peerAddress: string;
  peerPort: number;
  listenerPort: number;
  listener: string;
  route: string;
  pool: string;
  /** `host:port` of the last target tried. */
  targetAddress: string;
  /** From the TLS ClientHello: lower case; empty when none was read or given. */
  serverName: string;
  /** What passed, without PROXY headers. */
  bytesToTarget: number;
  bytesToClient: number;
  /** Targets tried. */
  tries: number;
  /** Since 1970. */
  startedWallMs: Milliseconds;
  /** How long the connect took that succeeded. */
  connectMs: Milliseconds;
  /** From accept to the end of the connection. */
  totalMs: Milliseconds;
  /** Code of the failure that ended it. */
  errorCode: string;
  /** Who caused the failure, as a status of nginx's stream module: 200 none, 400 client, 502 target, 500 ourselves. */
  status: number;
};

export function tunnelRecord(): TunnelRecord {
  return {
    clientAddress: "",
    clientPort: 0,
    peerAddress: "",
    peerPort: 0,
    listenerPort: 0,
    listener: "",
    route: "",
    pool: "",
    targetAddress: "",
    serverName: "",
    bytesToTarget: 0,
    bytesToClient: 0,
    tries: 0,
    startedWallMs: 0,
    connectMs: -1,
    totalMs: -1,
    errorCode: "",
    status: 200,
  };
}
