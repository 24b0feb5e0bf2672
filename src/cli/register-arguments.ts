// What `evenkeel register` was told, decoded as a whole: every problem at once, each with the option that it is about. Pure but
// for the token files, which admin-client.ts reads. The words, bounds and messages of checks and fields are the configuration's.

import { buildHealthCheck, contradictionsOf } from "../config/build-health-check.ts";
import { type CheckType, checkTypes, healthCheckShapes } from "../config/health-check-schema.ts";
import { complaintsOf } from "../config/issues.ts";
import { nearest } from "../config/nearest.ts";
import type { Complaint } from "../config/problem.ts";
import { endpoint, keyPrefix } from "../config/source-leaf.ts";
import { decodeTarget, type TargetFieldName } from "../config/target-fields.ts";
import { encodeUpsyncValue, upsyncDefaults } from "../config/upsync-entry.ts";
import { adminTtlBounds } from "../control/register/admin-board.ts";
import { consulTtlMax, consulTtlMin } from "../control/register/consul-board.ts";
import type { Rules } from "../control/register/registration.ts";
import { formatSocketAddress, parseSocketAddress, type SocketAddress, socketAddressExpected } from "../core/address.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Result } from "../core/failure.ts";
import { durationExpected, formatDuration, parseDuration } from "../core/units.ts";
import type { HealthCheck } from "../model/health-check.ts";
import { type AdminPlace, adminPlace } from "./admin-client.ts";
import type { CliIo } from "./cli-io.ts";
import { parseTargetName } from "./target-name.ts";

/** Texts as they stand on the command line; lists hold one text for each time the option was given. */
export type RegisterOptions = {
  readonly check?: string;
  readonly checkHost?: string;
  readonly checkAddress?: string;
  readonly interval: string;
  readonly timeout: string;
  readonly rise: string;
  readonly fall: string;
  readonly socket?: readonly string[];
  readonly admin?: readonly string[];
  readonly tokenFile?: readonly string[];
  readonly consul?: readonly string[];
  readonly prefix?: string;
  readonly consulTokenFile?: string;
  readonly consulCaFile?: string;
  readonly ttl: string;
  readonly weight?: string;
  readonly maxFails?: string;
  readonly failTimeout?: string;
  readonly maxConnections?: string;
  readonly backup?: boolean;
  readonly slowStart?: string;
  readonly drainTimeout: string;
  readonly drainFor: string;
  readonly stopTimeout: string;
  readonly restart?: boolean;
};

export type ConsulPlan = {
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly tokenFile: string | undefined;
  readonly caFile: string | undefined;
  readonly value: string;
  readonly ttl: Milliseconds;
};

export type RegisterPlan = {
  readonly pool: string;
  /** Canonical. */
  readonly address: string;
  readonly command: readonly string[];
  readonly check: HealthCheck;
  /** Where the check asks. */
  readonly checkAt: SocketAddress;
  /** As the admin API takes them. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly ttl: Milliseconds;
  readonly rules: Rules;
  readonly drainFor: Milliseconds;
  readonly places: readonly AdminPlace[];
  readonly consul: ConsulPlan | undefined;
};

/** Between the end of a service that is restarted and its next start. */
const restartWaits: NonNullable<Rules["restart"]> = { first: 1_000, most: 60_000 };

/** What reads a part of the options: undefined when there is a problem, which is then among the problems. */
type Problems = Set<string>;

/** The plan, or everything that is wrong. `command` is what stands behind `--`. */
export function decodeRegisterArguments(
  name: string | undefined,
  command: readonly string[],
  options: RegisterOptions,
  io: Pick<CliIo, "environment">,
): { readonly plan: RegisterPlan } | { readonly problems: readonly string[] } {
  const problems: Problems = new Set();
  const target = readTarget(name, problems);
  if (command.length === 0)
    problems.add("the command is missing: it stands behind `--`, such as -- ./server --port 8080");
  const check = readCheck(options, problems);
  const checkAt = readAddress("--check-address", options.checkAddress, problems);
  const fields = readFields(options, problems);
  const ttl = readDuration("--ttl", options.ttl, adminTtlBounds, problems);
  const drainTimeout = readDuration("--drain-timeout", options.drainTimeout, positive, problems);
  const drainFor = readDuration("--drain-for", options.drainFor, { ...positive, least: 0 }, problems);
  const stopTimeout = readDuration("--stop-timeout", options.stopTimeout, positive, problems);
  const places = readPlaces(options, io, problems);
  const consul = readConsul(options, { pool: target?.pool ?? "POOL", value: fields?.value ?? "", ttl }, problems);
  if (problems.size > 0 || target === undefined || check === undefined || fields === undefined) {
    return { problems: [...problems] };
  }
  const rules = { drainTimeout, stopTimeout, restart: options.restart === true ? restartWaits : undefined };
  return {
    plan: {
      pool: target.pool,
      address: formatSocketAddress(target.at),
      command,
      check,
      checkAt: checkAt ?? target.at,
      fields: fields.said,
      ttl,
      rules,
      drainFor,
      places,
      consul,
    },
  };
}

type NamedTarget = { readonly pool: string; readonly at: SocketAddress };

function readTarget(name: string | undefined, problems: Problems): NamedTarget | undefined {
  if (name === undefined) {
    problems.add("the target is missing: POOL/ADDRESS, such as app/10.0.4.20:8080");
    return undefined;
  }
  const parsed = keep(parseTargetName(name), "", problems);
  const at = parsed && readAddress(name, parsed.address, problems);
  return parsed && at && { pool: parsed.pool, at };
}

function readAddress(what: string, text: string | undefined, problems: Problems): SocketAddress | undefined {
  if (text === undefined) return undefined;
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) problems.add(`${what}: ${parsed.failure.detail}; expected ${socketAddressExpected}`);
  return parsed.ok ? parsed.value : undefined;
}

function keep<T>(result: Result<T>, what: string, problems: Problems): T | undefined {
  if (!result.ok) problems.add(`${what}${result.failure.detail}`);
  return result.ok ? result.value : undefined;
}

type Bounds = { readonly least: Milliseconds; readonly most: Milliseconds };
const positive: Bounds = { least: 1, most: 24 * 3_600_000 };

/** 0 where there is a problem. */
function readDuration(what: string, text: string, { least, most }: Bounds, problems: Problems): Milliseconds {
  const parsed = parseDuration(text);
  if (!parsed.ok) {
    problems.add(`${what}: ${parsed.failure.detail}; expected ${durationExpected}`);
    return 0;
  }
  if (parsed.value >= least && parsed.value <= most) return parsed.value;
  problems.add(`${what}: ${text} is out of range; expected ${formatDuration(least)} to ${formatDuration(most)}`);
  return 0;
}

const checkExpected = "tcp, http:PATH, https:PATH, tls, grpc, grpc:SERVICE or command:PROGRAM";

function readCheck(options: RegisterOptions, problems: Problems): HealthCheck | undefined {
  const { check: text, interval, timeout, rise, fall, checkHost: host } = options;
  const policy = { interval, timeout, rise, fall, initial: "unhealthy" };
  if (text === undefined) {
    problems.add(`--check is missing; expected ${checkExpected}`);
    return undefined;
  }
  const [, type = "", rest] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const own = isCheckType(type) ? readCheckText(type, rest, host) : undefined;
  if (own === undefined || "problem" in own) {
    const meant = own === undefined ? nearest(type, registerTypes) : undefined;
    const why = own?.problem ?? `\`${type}\` is no check${meant === undefined ? "" : `; did you mean \`${meant}\`?`}`;
    problems.add(`--check: ${why}; expected ${checkExpected}`);
    // The rest of a check is the same for all.
    readPolicy("tcp", { type: "tcp", ...policy }, problems);
    return undefined;
  }
  if (host !== undefined && !("host" in own) && !("serverName" in own)) {
    problems.add(`--check-host: a check of type ${type} sends no name`);
  }
  return readPolicy(own.type, { ...own, ...policy }, problems);
}

function readPolicy(
  type: CheckType,
  file: Readonly<Record<string, unknown>>,
  problems: Problems,
): HealthCheck | undefined {
  const shape = healthCheckShapes[type];
  const result = shape.safeParse(file);
  if (!result.success) {
    for (const { path, complaint } of complaintsOf(shape, file, result.error.issues)) {
      problems.add(`${flagOfKey(path[0])}: ${describeComplaint(complaint)}`);
    }
    return undefined;
  }
  for (const { key, complaint } of contradictionsOf(result.data)) {
    problems.add(`${flagOfKey(key)}: ${describeComplaint(complaint)}`);
  }
  return buildHealthCheck(result.data);
}

/** udp has more to say than fits on a command line. */
const registerTypes = checkTypes.filter((type) => type !== "udp");

function isCheckType(type: string): type is CheckType {
  return registerTypes.some((known) => known === type);
}

type CheckText =
  | { readonly problem: string }
  | { readonly type: CheckType; readonly host?: string; readonly serverName?: string; readonly [key: string]: unknown };

function readCheckText(type: CheckType, rest: string | undefined, host: string | undefined): CheckText {
  switch (type) {
    case "http":
    case "https":
      if (rest?.startsWith("//") === true)
        return { problem: "the host of a check is the target's, or --check-address" };
      return {
        type,
        path: rest ?? "/",
        ...(host === undefined ? {} : { host }),
        ...(host === undefined || type === "http" || !isName(host) ? {} : { serverName: bareName(host) }),
      };
    case "tcp":
    case "tls":
      if (rest !== undefined) return { problem: `nothing stands behind \`${type}\`` };
      return { type, ...(host === undefined || type === "tcp" ? {} : { serverName: host }) };
    case "grpc":
      return { type, service: rest ?? "" };
    case "command": {
      const words = (rest ?? "").split(/\s+/).filter((word) => word !== "");
      if (/["'`\\]/.test(rest ?? "")) {
        return { problem: "no shell reads the command, so quotes mean nothing: put it into a script" };
      }
      return { type, command: words };
    }
    case "udp":
      return { problem: "a check of type udp is made by the balancer only" };
    default:
      return type satisfies never;
  }
}

function bareName(host: string): string {
  return host.replace(/:\d+$/, "");
}

/** SNI names no address (RFC 6066 section 3). */
function isName(host: string): boolean {
  return !host.startsWith("[") && !/^[\d.]+$/.test(bareName(host));
}

function flagOfKey(key: string | number | undefined): string {
  switch (key) {
    case "interval":
    case "timeout":
    case "rise":
    case "fall":
      return `--${key}`;
    case "host":
    case "serverName":
      return "--check-host";
    default:
      return "--check";
  }
}

function describeComplaint({ message, expected = "", suggestion }: Complaint): string {
  const right = expected === "" ? "" : `; expected ${expected}`;
  return `${message}${right}${suggestion === undefined ? "" : `; did you mean \`${suggestion}\`?`}`;
}

const fieldFlags = {
  weight: "--weight",
  maxFails: "--max-fails",
  failTimeout: "--fail-timeout",
  maxConnections: "--max-connections",
  backup: "--backup",
  slowStart: "--slow-start",
} as const satisfies Partial<Record<TargetFieldName, string>>;

type Fields = { readonly said: Readonly<Record<string, unknown>>; readonly value: string };

function readFields(options: RegisterOptions, problems: Problems): Fields | undefined {
  const { weight, maxFails, failTimeout, maxConnections, backup, slowStart } = options;
  const all = { weight, maxFails, failTimeout, maxConnections, backup, slowStart };
  const said = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const read = decodeTarget(said);
  if (!read.ok) {
    const flags: Readonly<Record<string, string>> = fieldFlags;
    for (const { field, detail } of read.errors) problems.add(`${flags[field] ?? field}: ${detail}`);
    return undefined;
  }
  if (options.consul !== undefined) {
    const unsayable = [
      ["--max-connections", maxConnections],
      ["--slow-start", slowStart],
    ].filter(([, value]) => value !== undefined);
    for (const [flag] of unsayable)
      problems.add(`${flag}: an entry in Consul cannot say it; say it in the balancer's pool`);
    if (read.value.fields.weight === 0)
      problems.add("--weight: 0 cannot be said in Consul, whose entries weigh 1 or more");
  }
  const entry = { ...upsyncDefaults, ...read.value.fields };
  return { said, value: encodeUpsyncValue(entry) };
}

function readPlaces(
  options: RegisterOptions,
  io: Pick<CliIo, "environment">,
  problems: Problems,
): readonly AdminPlace[] {
  const { socket = [], admin = [], tokenFile = [], consul = [] } = options;
  if (tokenFile.length > 1 && tokenFile.length !== admin.length) {
    problems.add(
      `--token-file: there are ${tokenFile.length} for ${admin.length} --admin; expected one for all, or one for each`,
    );
  }
  const asked = [
    ...socket.map((path) => adminPlace({ socket: path }, io)),
    ...admin.map((url, index) => {
      const file = tokenFile.length === 1 ? tokenFile[0] : tokenFile[index];
      return adminPlace({ admin: url, ...(file === undefined ? {} : { tokenFile: file }) }, io);
    }),
  ];
  if (asked.length === 0 && consul.length === 0) asked.push(adminPlace({}, io));
  const places = asked.map((place) => keep(place, "", problems)).filter((place) => place !== undefined);
  for (const [index, { name }] of places.entries()) {
    if (places.findIndex((place) => place.name === name) !== index) problems.add(`${name} is given twice`);
  }
  return places;
}

type OfConsul = { readonly pool: string; readonly value: string; readonly ttl: Milliseconds };

function readConsul(options: RegisterOptions, of: OfConsul, problems: Problems): ConsulPlan | undefined {
  const { consul = [], prefix, consulTokenFile: tokenFile, consulCaFile: caFile } = options;
  if (consul.length === 0) {
    const stray = [
      ["--prefix", prefix],
      ["--consul-token-file", tokenFile],
      ["--consul-ca-file", caFile],
    ];
    for (const [flag, value] of stray)
      if (value !== undefined) problems.add(`${flag} says something of --consul, which is missing`);
    return undefined;
  }
  const servers = endpoint({ usualPort: 8500, secrets: "--consul-token-file" });
  const endpoints = consul.map((text) => readLeaf("--consul", text, servers, problems));
  const keys = readLeaf("--prefix", prefix ?? `upstreams/${of.pool}/`, keyPrefix("consul"), problems);
  return {
    endpoints: endpoints.filter((one) => one !== undefined),
    prefix: keys ?? "",
    tokenFile,
    caFile,
    value: of.value,
    // Whole seconds, upwards.
    ttl: Math.min(consulTtlMax, Math.max(consulTtlMin, Math.ceil(of.ttl / 1000) * 1000)),
  };
}

function readLeaf(
  what: string,
  text: string,
  schema: ReturnType<typeof endpoint>,
  problems: Problems,
): string | undefined {
  const result = schema.safeParse(text);
  if (result.success) return result.data;
  for (const { complaint } of complaintsOf(schema, text, result.error.issues)) {
    problems.add(`${what}: ${describeComplaint(complaint)}`);
  }
  return undefined;
}
