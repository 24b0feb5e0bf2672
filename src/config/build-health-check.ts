// A health check of the file into the model's: defaults that depend on other keys, texts into bytes, types into plans. On the
// change's way, part of build.ts; and what must hold between a check's keys. Must not find any other problem.

import type { HealthCheck, ProbePlan, ProbeTls, StatusRange } from "../model/health-check.ts";
import { readExpectation } from "./health-check-leaf.ts";
import type { HealthCheckFile, HttpCheckFile } from "./health-check-schema.ts";
import type { Complaint } from "./problem.ts";

const statusesDefault: readonly StatusRange[] = [{ first: 200, last: 399 }];

export function buildHealthCheck(file: HealthCheckFile): HealthCheck {
  const { interval, fastInterval = interval, jitterPercent, timeout, rise, fall, initial } = file;
  return {
    probe: buildPlan(file),
    port: file.type === "command" ? undefined : file.port,
    interval,
    fastInterval,
    jitterPercent,
    timeout,
    rise,
    fall,
    initial,
  };
}

function buildPlan(file: HealthCheckFile): ProbePlan {
  switch (file.type) {
    case "tcp":
      return { kind: "tcp" };
    case "http":
      return buildHttp(file, undefined);
    case "https":
      return buildHttp(file, tlsOf(file));
    case "tls":
      return { kind: "tls", tls: tlsOf(file) };
    case "udp": {
      const send = typeof file.send === "string" ? file.send : file.send.hex;
      return { kind: "udp", send, expect: readExpectation(file.expect) };
    }
    case "command":
      return { kind: "command", command: file.command };
    case "grpc": {
      const { service, connection } = file;
      return { kind: "grpc", service, connection, tls: file.tls ? tlsOf(file) : undefined };
    }
    default:
      return file satisfies never;
  }
}

function buildHttp(file: HttpCheckFile, tls: ProbeTls | undefined): ProbePlan {
  return {
    kind: "http",
    method: file.method ?? "GET",
    path: file.path ?? "/",
    host: file.host,
    headers: Object.entries(file.headers ?? {}).map(([name, value]) => ({ name, value })),
    rawRequest: file.request,
    statuses: file.expect ?? statusesDefault,
    body: readExpectation(file.expectBody),
    tls,
    connection: file.connection,
  };
}

function tlsOf(file: { readonly serverName?: string | undefined; readonly verify: boolean }): ProbeTls {
  return { serverName: file.serverName, verify: file.verify };
}

type ExpectationFile = string | { readonly regex?: string | undefined; readonly hex?: string | undefined };

function expectationsOf(file: HealthCheckFile): readonly (readonly [key: string, expected: ExpectationFile])[] {
  if (file.type === "udp") return file.expect === undefined ? [] : [["expect", file.expect]];
  if (file.type !== "http" && file.type !== "https") return [];
  return file.expectBody === undefined ? [] : [["expectBody", file.expectBody]];
}

type Finding = { readonly key: string; readonly complaint: Complaint };

/** What the keys of one check contradict each other in, by the key to point at. */
export function contradictionsOf(file: HealthCheckFile): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (key: string, message: string, expected: string) =>
    findings.push({ key, complaint: { code: "config.healthCheck", message: `${key}: ${message}`, expected } });
  if (file.type === "http" || file.type === "https") {
    const parts = (["method", "path", "host", "headers"] as const).filter((key) => file[key] !== undefined);
    if (file.request !== undefined) {
      for (const key of parts) add(key, "stands beside `request`, which is the whole request", "one of the two");
    }
    const head = file.request === undefined ? file.method === "HEAD" : file.request.startsWith("HEAD ");
    if (head && file.expectBody !== undefined) add("expectBody", "the answer to HEAD has no body", "GET");
    if (file.expect?.length === 0) add("expect", "no status would pass", "at least one, or no `expect` at all");
  }
  for (const [key, expected] of expectationsOf(file)) {
    if (typeof expected !== "string" && Object.values(expected).filter((one) => one !== undefined).length !== 1) {
      add(key, "has not exactly one of `regex` and `hex`", "one of the two, or a text");
    }
  }
  if (file.type === "command" && (file.command[0] ?? "") === "")
    add("command", "names no program", "at least one word");
  if (file.fastInterval !== undefined && file.fastInterval > file.interval) {
    add("fastInterval", "is longer than `interval`", "at most `interval`");
  }
  return findings;
}
