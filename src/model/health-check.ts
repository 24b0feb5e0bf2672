// A pool's health check as the rest of the program reads it: the policy (how often, how many outcomes decide) and what one
// probe does. Plain JSON data. The shape of the file an operator writes is src/config/health-check-schema.ts.

import type { Milliseconds } from "../core/clock.ts";

/** Both ends belong to it: 200 to 299. */
export type StatusRange = { readonly first: number; readonly last: number };

/** What an answer must hold, anywhere in it. Texts have one byte a character (latin1). */
export type Expectation =
  | { readonly kind: "text"; readonly text: string }
  /** JavaScript, unanchored, tried on one byte a character. */
  | { readonly kind: "regex"; readonly source: string };

export type ProbeTls = {
  /** SNI, and the name that is verified; undefined sends none and verifies the address. */
  readonly serverName: string | undefined;
  /** Refuses a certificate that the system's roots (NODE_EXTRA_CA_CERTS among them) don't vouch for. */
  readonly verify: boolean;
};

/** A connection for each probe, or one that is kept between probes for as long as the target keeps it. */
export type ProbeConnection = "own" | "kept";

export type HttpProbe = {
  readonly kind: "http";
  readonly method: string;
  readonly path: string;
  /** Host header; undefined: the target's address. */
  readonly host: string | undefined;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** Sent byte for byte (latin1) instead of all that. */
  readonly rawRequest: string | undefined;
  readonly statuses: readonly StatusRange[];
  readonly body: Expectation | undefined;
  readonly tls: ProbeTls | undefined;
  readonly connection: ProbeConnection;
};

/** What one probe does. */
export type ProbePlan =
  | { readonly kind: "tcp" }
  | HttpProbe
  | { readonly kind: "tls"; readonly tls: ProbeTls }
  /** Without `expect` any answer passes, and silence up to the timeout too: only ICMP's "refused" fails. */
  | { readonly kind: "udp"; readonly send: string; readonly expect: Expectation | undefined }
  /** Without a shell. Exit status 0 passes. */
  | { readonly kind: "command"; readonly command: readonly string[] }
  /** grpc.health.v1.Health/Check. */
  | {
      readonly kind: "grpc";
      readonly service: string;
      readonly tls: ProbeTls | undefined;
      readonly connection: ProbeConnection;
    };

export type HealthCheck = {
  readonly probe: ProbePlan;
  /** Where to ask, when not at the target's own port. */
  readonly port: number | undefined;
  /** From the start of a probe to the start of the next. A probe that takes longer delays the next: they never overlap. */
  readonly interval: Milliseconds;
  /** The same while the target is unhealthy, undecided, or has just changed its mind. */
  readonly fastInterval: Milliseconds;
  /** By how much of it each interval may be shorter, 0 to 50, so that targets drift apart. Never longer. */
  readonly jitterPercent: number;
  /** Of a whole probe, from its start to its verdict. */
  readonly timeout: Milliseconds;
  /** So many passed probes in a row make a target healthy, so many failed ones unhealthy. */
  readonly rise: number;
  readonly fall: number;
  /** Of a target that is new, until its probes have decided. */
  readonly initial: "healthy" | "unhealthy";
};

/** What came of one probe. `unable` is our own trouble (no descriptors, no memory, we stood still): it judges nobody. */
export type ProbeOutcome = {
  readonly verdict: "passed" | "failed" | "unable";
  /** Stable, dotted: `probe.connect.refused`. */
  readonly code: string;
  /** A short text for people: what the target said, or what was missed. */
  readonly text: string;
};

/** Bytes of an answer (HTTP body, UDP datagram, command output) that an expectation is tried on. */
export const probeAnswerBytesMax = 64 * 1024;
/** Characters of the last output that are kept for people, for each target. */
export const probeTextMax = 256;
