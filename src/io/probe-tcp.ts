// Probes that look no further than the connection: TCP, which passes when the target accepts, and TLS, which passes when
// the handshake is done. An edge, on the change's way. Nothing is sent over the connection.

import type { Socket } from "node:net";
import type { ProbeTls } from "../model/health-check.ts";
import { Attempt, type Prober, type ProbeShared, type ProbeTarget } from "./probe.ts";
import { cut, openTcp, openTls } from "./probe-connection.ts";

/** Codes: probe.connect.refused, .unreachable, .timeout, probe.timeout. */
export function createTcpProber(target: ProbeTarget, shared: ProbeShared): Prober {
  return createConnectionProber(shared, (attempt) =>
    openTcp(target, attempt, () => attempt.pass(`connected in ${attempt.tookMs.toFixed(1)} ms`)),
  );
}

/** Codes of TCP, and probe.tls.handshake, probe.tls.certificate. */
export function createTlsProber(target: ProbeTarget, tls: ProbeTls, shared: ProbeShared): Prober {
  return createConnectionProber(shared, (attempt) => {
    const socket = openTls(
      target,
      tls,
      attempt,
      () => attempt.pass(`${socket.getProtocol() ?? "TLS"} handshake in ${attempt.tookMs.toFixed(1)} ms`),
      [],
    );
    // A target that hangs up within the handshake without an alert ends the stream only.
    socket.once("close", () => attempt.fail("probe.connection.reset", "closed by the target within the TLS handshake"));
    return socket;
  });
}

function createConnectionProber(shared: ProbeShared, open: (attempt: Attempt) => Socket): Prober {
  let current: Attempt | undefined;
  return {
    start(timeoutMs, end) {
      const attempt = new Attempt(shared.clock, timeoutMs, end);
      current = attempt;
      const socket = open(attempt);
      attempt.release = () => cut(socket);
    },
    close() {
      current?.giveUp();
    },
  };
}
