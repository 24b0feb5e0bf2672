// The connections that probes open: TCP, or TLS over it, with every event bound to one attempt. An edge, on the change's
// way. A plain connection is ended by a reset once we know enough, since a check a second would otherwise leave a minute's
// worth of TIME_WAIT for each target; one with TLS by its alert and FIN.

import { isIP, Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";
import type { ProbeTls } from "../model/health-check.ts";
import type { Attempt, ProbeTarget } from "./probe.ts";

/** Connects; `connected` once the target has accepted. The socket is the caller's from the start: `cut` it at the end. */
export function openTcp(target: ProbeTarget, attempt: Attempt, connected: (socket: Socket) => void): Socket {
  const socket = new Socket();
  socket.once("error", (error) => attempt.failBy(error));
  socket.once("connect", () => {
    // On this machine, to a port that nobody listens on, the kernel may give us that very port: we meet ourselves.
    if (socket.localPort === target.port && socket.localAddress === socket.remoteAddress) {
      attempt.fail("probe.connect.refused", "connection refused (it would have been to ourselves)");
    } else if (!attempt.over) connected(socket);
  });
  socket.connect({ host: target.host, port: target.port });
  return socket;
}

/** Connects and shakes hands; `secured` when that is done. A certificate is judged when `verify` says so. */
export function openTls(
  target: ProbeTarget,
  tls: ProbeTls,
  attempt: Attempt,
  secured: (socket: TLSSocket) => void,
  protocols: readonly string[],
): TLSSocket {
  const { serverName } = tls;
  const socket = connectTls({
    host: target.host,
    port: target.port,
    rejectUnauthorized: tls.verify,
    ALPNProtocols: [...protocols],
    // RFC 6066 section 3: no address as a server name. Without one the address itself is what is verified.
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
  socket.once("connect", () => {
    attempt.doing = "TLS handshake";
  });
  socket.once("error", (error: NodeJS.ErrnoException) => {
    const { code = "" } = error;
    if (attempt.doing === "TLS handshake" && !code.startsWith("ECONN")) {
      attempt.fail(codeOfTls(code), `TLS handshake: ${error.message}`);
    } else attempt.failBy(error);
  });
  socket.once("secureConnect", () => {
    if (!attempt.over) secured(socket);
  });
  return socket;
}

/** Node's and OpenSSL's names of what is wrong with a certificate have no E and no ERR_SSL in front. */
function codeOfTls(code: string): string {
  const certificate = /CERT|SIGNATURE|^ERR_TLS_CERT_ALTNAME/.test(code) && !code.startsWith("ERR_SSL");
  return certificate ? "probe.tls.certificate" : "probe.tls.handshake";
}

/** How long a target may take to close its side of a TLS connection after we have closed ours. */
const closeGraceMs = 500;

/** Ends a connection, whatever its state; errors that come of it are nobody's. */
export function cut(socket: Socket): void {
  socket.removeAllListeners();
  socket.on("error", () => {});
  if (socket.connecting || socket.destroyed) socket.destroy();
  else if (!(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else if (socket.getFinished() === undefined) socket.destroy();
  else closeTls(socket);
}

// A target whose handshake is torn down before it has read the last of it would log an error for every check.
function closeTls(socket: TLSSocket): void {
  const timer = setTimeout(() => socket.destroy(), closeGraceMs).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.resume();
  socket.end();
}

/** `10.0.0.1:80`, `[::1]:80`, without a port that is the scheme's own (RFC 9110 section 7.2). */
export function authorityOf(target: ProbeTarget, portDefault: number): string {
  const host = isIP(target.host) === 6 ? `[${target.host}]` : target.host;
  return target.port === portDefault ? host : `${host}:${target.port}`;
}
