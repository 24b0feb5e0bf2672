// Every way in which an exchange can fail after its request was understood: what the client is answered, what the log
// says, and whether the target is to blame. On the request's way; the codes are stable, operators alert on them.

import type { Origin } from "../core/failure.ts";

export type ExchangeFault = {
  readonly code: string;
  readonly status: number;
  readonly origin: Origin;
  readonly detail: string;
  /** Counts against the target (maxFails), and another one may be tried. */
  readonly report: boolean;
};

function fault(code: string, status: number, origin: Origin, detail: string, report = false): ExchangeFault {
  return { code, status, origin, detail, report };
}

export const ExchangeFaults = {
  connectRefused: fault("target.connect.refused", 502, "target", "the target refused the connection", true),
  connectFailed: fault("target.connect.failed", 502, "target", "the target could not be connected to", true),
  connectTimeout: fault(
    "target.connect.timeout",
    504,
    "target",
    "the target did not accept the connection in time",
    true,
  ),
  sendTimeout: fault("target.send.timeout", 504, "target", "the target does not take the request", true),
  firstByteTimeout: fault("target.firstByte.timeout", 504, "target", "the target did not answer in time", true),
  idleTimeout: fault("target.idle.timeout", 504, "target", "the target fell silent within its response", true),
  closed: fault("target.closed", 502, "target", "the target closed the connection before it answered", true),
  truncated: fault(
    "target.response.truncated",
    502,
    "target",
    "the target closed the connection within its response",
    true,
  ),
  garbage: fault("target.response.invalid", 502, "target", "the target sent what is not HTTP/1.x", true),
  unexpectedUpgrade: fault("target.response.upgrade", 502, "target", "the target switched protocols unasked", true),
  interimTooMany: fault("target.response.interim", 502, "target", "the target sent too many 1xx responses", true),
  responseTooLarge: fault(
    "target.response.tooLarge",
    502,
    "target",
    "the response head does not fit with the route's rules",
    false,
  ),
  statusRetried: fault(
    "target.status",
    502,
    "target",
    "the target answered with a status that counts as a failure",
    true,
  ),
  exchangeTimeout: fault("exchange.timeout", 504, "self", "the exchange took longer than it may"),
  requestTooLarge: fault("request.tooLarge", 431, "client", "the request head does not fit with the route's rules"),
  localTooLarge: fault("response.tooLarge", 500, "self", "the route's response does not fit with its rules"),
  pathInvalid: fault(
    "request.path.invalid",
    400,
    "client",
    "the path climbs above the root or has a bad percent sequence",
  ),
  pathTooLong: fault("request.path.tooLong", 414, "client", "the path is longer than a regex route may be asked about"),
  rewriteFailed: fault("request.path.rewrite", 400, "client", "the rewritten path is no path"),
  noRoute: fault("route.none", 404, "client", "no route of the listener matches"),
  connectRefusedByRule: fault("route.connect.refused", 405, "client", "the route does not tunnel CONNECT"),
  traceRefused: fault("route.trace.refused", 405, "client", "TRACE is not forwarded"),
  bodyTooLarge: fault("request.body.tooLarge", 413, "client", "the request body is larger than the route allows"),
  bodyTimeout: fault("client.body.timeout", 408, "client", "the client fell silent within its request body"),
  clientGone: fault("client.gone", 0, "client", "the client closed the connection before it had its response"),
  clientTruncated: fault(
    "client.body.truncated",
    0,
    "client",
    "the client closed the connection within its request body",
  ),
  clientSendTimeout: fault("client.send.timeout", 0, "client", "the client does not take its response"),
  tunnelIdle: fault("tunnel.idle.timeout", 0, "self", "nothing came through the tunnel for too long"),
} as const satisfies Record<string, ExchangeFault>;

/** What a failed connect means, by the system's error code. */
export function connectFault(errorCode: string): ExchangeFault {
  if (errorCode === "ECONNREFUSED") return ExchangeFaults.connectRefused;
  if (errorCode === "ETIMEDOUT") return ExchangeFaults.connectTimeout;
  return ExchangeFaults.connectFailed;
}
