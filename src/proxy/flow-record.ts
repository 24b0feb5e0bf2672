// What is known of a flow once it is over: filled at its end from what the flow kept, and written to the access log at
// once. On the request's way; there is one record a worker, so an idle flow pays nothing for it. Must hold no reference
// to arena memory.

import type { Milliseconds } from "../core/clock.ts";

/** Empty strings, -1 and port 0 mean unknown, or that it did not come to that. */
export type FlowRecord = {
  clientAddress: string;
  clientPort: number;
  listenerPort: number;
  listener: string;
  pool: string;
  /** `host:port` of the target that had it last. */
  targetAddress: string;
  /** What the client sent, resent datagrams once, and what it got. */
  datagramsToTarget: number;
  bytesToTarget: number;
  datagramsToClient: number;
  bytesToClient: number;
  /** Targets that it was given to. */
  tries: number;
  /** Since 1970. */
  startedWallMs: Milliseconds;
  /** From the client's first datagram to the target's first. */
  firstResponseMs: Milliseconds;
  /** From its first datagram to its end, the silence before it included. */
  totalMs: Milliseconds;
  /** Code of the failure that ended it. */
  errorCode: string;
  /** Who caused the failure, as a status of nginx's stream module: 200 none, 502 target, 500 ourselves. */
  status: number;
};

export function flowRecord(): FlowRecord {
  return {
    clientAddress: "",
    clientPort: 0,
    listenerPort: 0,
    listener: "",
    pool: "",
    targetAddress: "",
    datagramsToTarget: 0,
    bytesToTarget: 0,
    datagramsToClient: 0,
    bytesToClient: 0,
    tries: 0,
    startedWallMs: 0,
    firstResponseMs: -1,
    totalMs: -1,
    errorCode: "",
    status: 200,
  };
}
