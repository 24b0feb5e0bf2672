// The UDP probe: one datagram from a connected socket, so that ICMP's "port unreachable" comes back as a refusal. An edge,
// on the change's way. Where no answer is expected silence passes, as nobody can tell it from a target that only listens.

import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import { type Expectation, type ProbeOutcome, probeAnswerBytesMax } from "../model/health-check.ts";
import { Attempt, failed, type Prober, type ProbeShared, type ProbeTarget, passed } from "./probe.ts";
import { createMatcher, describeMismatch } from "./probe-match.ts";

/** Codes: probe.connect.refused, .unreachable, probe.timeout, probe.expect.missing, probe.expect.tooSlow. */
export function createUdpProber(
  target: ProbeTarget,
  plan: { readonly send: string; readonly expect: Expectation | undefined },
  shared: ProbeShared,
): Prober {
  const datagram = Buffer.from(plan.send, "latin1");
  const matcher = plan.expect === undefined ? undefined : createMatcher(plan.expect);
  let current: Attempt | undefined;

  function judge(attempt: Attempt, answer: Buffer): ProbeOutcome {
    const told = `${answer.length} bytes in ${attempt.tookMs.toFixed(1)} ms`;
    if (matcher === undefined) return passed(`answered, ${told}`);
    const text = answer.toString("latin1", 0, probeAnswerBytesMax);
    const match = matcher(text);
    if (match === "found") return passed(`answered as expected, ${told}`);
    const [code, why] = describeMismatch(match, "the datagram", text);
    return failed(code, why);
  }

  return {
    start(timeoutMs, end) {
      const attempt = new Attempt(shared.clock, timeoutMs, end);
      current = attempt;
      const socket = createSocket(isIP(target.host) === 6 ? "udp6" : "udp4");
      attempt.release = () => {
        socket.removeAllListeners();
        socket.on("error", () => {});
        socket.close();
      };
      if (matcher === undefined)
        attempt.onDeadline = () => attempt.pass(`no answer within ${timeoutMs} ms, nor a refusal`);
      attempt.doing = "waiting for an answer to the datagram";
      socket.once("error", (error) => attempt.failBy(error));
      socket.once("message", (answer) => attempt.finish(judge(attempt, answer)));
      socket.connect(target.port, target.host, () => {
        if (attempt.over) return;
        socket.send(datagram, (error) => {
          if (error !== null) attempt.failBy(error);
        });
      });
    },
    close() {
      current?.giveUp();
    },
  };
}
