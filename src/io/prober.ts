// From a health check's plan to what carries it out: the one place that knows all kinds of probes. An edge, on the change's
// way.

import type { Clock } from "../core/clock.ts";
import type { ProbePlan } from "../model/health-check.ts";
import type { Prober, ProbeShared, ProbeTarget } from "./probe.ts";
import { createCommandProber } from "./probe-command.ts";
import { createGrpcProber } from "./probe-grpc.ts";
import { createHttpProber } from "./probe-http.ts";
import { createAnswerReader } from "./probe-http-answer.ts";
import { createTcpProber, createTlsProber } from "./probe-tcp.ts";
import { createUdpProber } from "./probe-udp.ts";

/** Makes probers that share what they can. `clock` is monotonic. */
export function createProbers(clock: Clock): (plan: ProbePlan, target: ProbeTarget) => Prober {
  const shared: ProbeShared = { clock, answers: createAnswerReader() };
  return (plan, target) => createProber(plan, target, shared);
}

function createProber(plan: ProbePlan, target: ProbeTarget, shared: ProbeShared): Prober {
  switch (plan.kind) {
    case "tcp":
      return createTcpProber(target, shared);
    case "http":
      return createHttpProber(target, plan, shared);
    case "tls":
      return createTlsProber(target, plan.tls, shared);
    case "udp":
      return createUdpProber(target, plan, shared);
    case "command":
      return createCommandProber(target, plan.command, shared);
    case "grpc":
      return createGrpcProber(target, plan, shared);
    default:
      return plan satisfies never;
  }
}
