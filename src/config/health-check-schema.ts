// The shape of a pool's health check as an operator writes it: one mapping for each type, with the keys of that type alone,
// and what all types share. On the change's way, part of schema.ts; what it becomes is build-health-check.ts.

import * as z from "zod";
import {
  authority,
  bytesText,
  commandWord,
  expectedRegex,
  grpcService,
  hexText,
  method,
  requestPath,
  serverName,
  statusRange,
} from "./health-check-leaf.ts";
import { headerNameKey, plainHeaderValue } from "./http-leaf.ts";
import { duration, fixedWord, flag, integer, oneOf } from "./leaf.ts";
import { commandWordsMax, headerRulesPerRouteMax, statusRangesMax } from "./limits.ts";

const positive = duration({ off: false });

export const checkTypes = ["tcp", "http", "https", "tls", "udp", "command", "grpc"] as const;
export type CheckType = (typeof checkTypes)[number];

const policyFields = {
  interval: positive
    .prefault("2s")
    .describe("From one probe's start to the next's; a probe that lasts longer delays it."),
  fastInterval: positive
    .optional()
    .describe(
      "The interval while the target is unhealthy or undecided, or a probe was unlike the last; by default the same.",
    ),
  jitterPercent: integer(0, 50)
    .prefault(10)
    .describe("By how much each interval may be shorter, so that probes don't fall together."),
  timeout: positive.prefault("1s").describe("Of a whole probe: connect, handshake, request, answer."),
  rise: integer(1, 1000).prefault(2).describe("Passed probes in a row that make a target healthy."),
  fall: integer(1, 1000).prefault(3).describe("Failed probes in a row that make it unhealthy."),
  initial: oneOf(["healthy", "unhealthy"])
    .prefault("healthy")
    .describe("Of a new target until its probes have decided: takes work, or none yet."),
};

const portField = {
  port: integer(1, 65_535).optional().describe("Where to ask, when not at the target's own port."),
};

const tlsFields = {
  serverName: serverName().optional().describe("The name asked for in the handshake (SNI), and verified."),
  verify: flag()
    .prefault(false)
    .describe(
      "Also fail when the certificate is not vouched for by the system's roots, is outdated or has another name.",
    ),
};

const connectionField = {
  connection: oneOf(["own", "kept"])
    .prefault("own")
    .describe("`own` opens a connection for each probe; `kept` uses one until the target closes it."),
};

const oneKey = { minProperties: 1, maxProperties: 1 };

const expectation = z.union([
  bytesText(),
  z
    .strictObject({
      regex: expectedRegex().optional().describe("A JavaScript regular expression, unanchored, over bytes."),
      hex: hexText().optional().describe("Bytes as pairs of hexadecimal digits."),
    })
    .meta(oneKey),
]);

const httpFields = {
  method: method().optional().describe("Method of the request; by default GET."),
  path: requestPath().optional().describe("Path and query of the request; by default `/`."),
  host: authority().optional().describe("The Host line; by default the target's address and port."),
  headers: z
    .record(headerNameKey({ mayBeHost: false }), plainHeaderValue())
    .meta({ maxProperties: headerRulesPerRouteMax })
    .optional()
    .describe("Further header lines of the request."),
  request: bytesText()
    .optional()
    .describe("The whole request, byte for byte, instead of method, path, host and headers."),
  expect: z
    .array(statusRange())
    .max(statusRangesMax)
    .optional()
    .describe("Statuses that pass: `2xx`, `200-399`, 204; by default [2xx, 3xx]."),
  expectBody: expectation.optional().describe("What the first 64KiB of the body must hold: a text, or a regex."),
};

const shapes = {
  tcp: z.strictObject({
    type: fixedWord("tcp").describe("Passes when the target accepts a connection."),
    ...policyFields,
    ...portField,
  }),
  http: z.strictObject({
    type: fixedWord("http").describe("Passes when the answer to an HTTP request is as expected."),
    ...policyFields,
    ...portField,
    ...httpFields,
    ...connectionField,
  }),
  https: z.strictObject({
    type: fixedWord("https").describe("As `http`, over TLS."),
    ...policyFields,
    ...portField,
    ...httpFields,
    ...connectionField,
    ...tlsFields,
  }),
  tls: z.strictObject({
    type: fixedWord("tls").describe("Passes when a TLS handshake succeeds."),
    ...policyFields,
    ...portField,
    ...tlsFields,
  }),
  udp: z.strictObject({
    type: fixedWord("udp").describe(
      "Sends a datagram; fails when its port is closed or the answer is not as expected.",
    ),
    ...policyFields,
    ...portField,
    send: z
      .union([bytesText(), z.strictObject({ hex: hexText().describe("Bytes as pairs of hexadecimal digits.") })])
      .describe("The datagram: a text, or bytes as `hex`."),
    expect: expectation
      .optional()
      .describe("What the answer must hold. Without it any answer passes, and silence until the timeout as well."),
  }),
  command: z.strictObject({
    type: fixedWord("command").describe("Runs a program, without a shell; exit status 0 passes."),
    ...policyFields,
    command: z
      .array(commandWord())
      .max(commandWordsMax)
      .describe("Program and arguments. EVENKEEL_POOL, _TARGET, _HOST and _PORT are in its environment."),
  }),
  grpc: z.strictObject({
    type: fixedWord("grpc").describe("Passes when grpc.health.v1 answers SERVING."),
    ...policyFields,
    ...portField,
    ...connectionField,
    ...tlsFields,
    service: grpcService().prefault("").describe("Name of the service; empty asks for the server as a whole."),
    tls: flag().prefault(false).describe("Speak TLS with the target."),
  }),
} satisfies Record<CheckType, z.ZodType>;

/** By type, to read one check by itself. */
export const healthCheckShapes: Readonly<Record<CheckType, z.ZodType<HealthCheckFile>>> = shapes;

/** Of a check whose type nobody knows no more is read. */
export const unknownHealthCheck = z.looseObject({ type: oneOf(checkTypes) });

/** Any of them, for the schema of the whole file. */
export const healthCheckFile = z.xor([
  shapes.tcp,
  shapes.http,
  shapes.https,
  shapes.tls,
  shapes.udp,
  shapes.command,
  shapes.grpc,
]);

export type HealthCheckFile = { [Type in CheckType]: z.output<(typeof shapes)[Type]> }[CheckType];
export type HttpCheckFile = z.output<typeof shapes.http> | z.output<typeof shapes.https>;
