// Every way in which a TCP client's connection can fail besides the faults of its PROXY header, its ClientHello
// (src/wire) and the pool: code, who caused it, and whether the target is to blame. On the request's way. There is nobody to
// answer in words, so a fault is a reset and a line of the access log; codes that HTTP has too mean the same.

import type { Origin } from "../core/failure.ts";

export type TcpFault = {
  readonly code: string;
  readonly origin: Origin;
  /** Counts against the target (maxFails). */
  readonly report: boolean;
};

function fault(code: string, origin: Origin, report = false): TcpFault {
  return { code, origin, report };
}

export const TcpFaults = {
  /** No whole PROXY header or ClientHello in time. */
  headerTimeout: fault("client.header.timeout", "client"),
  /** The client ended within its PROXY header or ClientHello. */
  headerTruncated: fault("client.header.truncated", "client"),
  noRoute: fault("route.none", "client"),
  poolUnknown: fault("pool.unknown", "self"),
  connectRefused: fault("target.connect.refused", "target", true),
  connectTimeout: fault("target.connect.timeout", "target", true),
  connectFailed: fault("target.connect.failed", "target", true),
  /** This machine has no port, descriptor or memory left for it: no target is the better for being taken out. */
  connectNoRoom: fault("self.connect.failed", "self"),
  clientSendTimeout: fault("client.send.timeout", "client"),
  targetSendTimeout: fault("target.send.timeout", "target"),
  tunnelIdle: fault("tunnel.idle.timeout", "self"),
  clientGone: fault("client.gone", "client"),
  targetGone: fault("target.gone", "target"),
  /** The worker stops and its drain's deadline has passed. */
  drainDeadline: fault("drain.deadline", "self"),
} as const satisfies Record<string, TcpFault>;

/** What a failed connect means, by the system's error code. */
export function connectFault(errorCode: string): TcpFault {
  switch (errorCode) {
    case "ECONNREFUSED":
      return TcpFaults.connectRefused;
    case "ETIMEDOUT":
      return TcpFaults.connectTimeout;
    case "EADDRNOTAVAIL":
    case "EMFILE":
    case "ENFILE":
    case "ENOBUFS":
    case "ENOMEM":
      return TcpFaults.connectNoRoom;
    default:
      return TcpFaults.connectFailed;
  }
}
