// The tree read part by part against the schema: the root, each listener, each route, each pool, each target by itself,
// so that what is wrong in one hides nothing in another and later checks still see every part that is right. On the
// change's way, second stage of decoding. Must not compare parts with each other.

import * as z from "zod";
import type { Environment } from "./environment.ts";
import {
  type CheckType,
  checkTypes,
  type HealthCheckFile,
  healthCheckShapes,
  unknownHealthCheck,
} from "./health-check-schema.ts";
import { targetKey } from "./http-leaf.ts";
import { type Choice, complaintsOf, withSubject } from "./issues.ts";
import {
  nearestProtocol,
  type Protocol,
  type TcpListenerShell,
  type TcpRouteFile,
  tcpListenerShell,
  tcpRouteFile,
  type UdpListenerShell,
  udpListenerShell,
} from "./layer4-schema.ts";
import { nameKey } from "./leaf.ts";
import { listenersMax, poolsMax, targetsPerPoolMax } from "./limits.ts";
import { addProblem, type Complaint, type Path, type Problem, type Report } from "./problem.ts";
import {
  type HttpListenerShell,
  httpListenerShell,
  type PoolShell,
  poolShell,
  type RootShell,
  type RouteFile,
  rootShell,
  routeFile,
  type TargetFile,
  targetFile,
  type UnknownListenerShell,
  unknownListenerShell,
} from "./schema.ts";
import { offsetAt, parseTree, plainOf, positionAt, type Source, type Tree, treeAt } from "./tree.ts";

/** A part, its place, and which of its keys had problems (now in the report) and are left out of the value. */
export type Part<T> = { readonly path: Path; readonly value: T | undefined; readonly broken: ReadonlySet<string> };

export type HttpListenerPart = Part<HttpListenerShell> & {
  readonly name: string;
  readonly protocol: "http";
  readonly routes: readonly Part<RouteFile>[];
};
export type TcpListenerPart = Part<TcpListenerShell> & {
  readonly name: string;
  readonly protocol: "tcp";
  readonly routes: readonly Part<TcpRouteFile>[];
};
export type UdpListenerPart = Part<UdpListenerShell> & { readonly name: string; readonly protocol: "udp" };
/** Its `protocol` is none, which the report says. */
export type UnknownListenerPart = Part<UnknownListenerShell> & { readonly name: string; readonly protocol: undefined };
export type ListenerPart = HttpListenerPart | TcpListenerPart | UdpListenerPart | UnknownListenerPart;
export type TargetPart = Part<TargetFile> & { readonly address: string };
export type PoolPart = Part<PoolShell> & {
  readonly name: string;
  readonly targets: readonly TargetPart[];
  /** undefined: there is none, or none whose type is known. */
  readonly healthCheck: Part<HealthCheckFile> | undefined;
};

export type Draft = {
  readonly root: Part<RootShell>;
  readonly listeners: readonly ListenerPart[];
  readonly pools: readonly PoolPart[];
  /** True when something stands at the path, right or wrong. */
  readonly has: (path: Path) => boolean;
  /** Adds to the problems or the warnings, with the position of the path. */
  readonly complain: (path: Path, complaint: Complaint) => void;
  readonly warn: (path: Path, complaint: Complaint) => void;
};

/** Undefined when the text is no YAML or its root no mapping; then the report says why. */
export function readDraft(text: string, environment: Environment, report: Report): Draft | undefined {
  const source = parseTree(text, environment, report);
  if (source === undefined) return undefined;
  const to = (list: Problem[]) => (path: Path, complaint: Complaint) => {
    const at = offsetAt(source.root, path, complaint.atKey ?? false);
    // Its reference or alias led nowhere, and that has been told.
    if (source.unresolved.has(at)) return;
    const position = positionAt(source.lines, at);
    addProblem(list, complaint, { ...position, file: report.file, path });
  };
  const reader: Reader = { source, plain: new Map(), complain: to(report.problems) };
  const root = readPart(reader, rootShell, []);
  if (source.root.kind !== "map") return undefined;
  return {
    root,
    listeners: namesAt(reader, ["listeners"], listenersMax).map((name) => readListener(reader, name)),
    pools: namesAt(reader, ["pools"], poolsMax).map((name) => readPool(reader, name)),
    has: (path) => treeAt(source.root, path) !== undefined,
    complain: reader.complain,
    warn: to(report.warnings),
  };
}

type Reader = {
  readonly source: Source;
  readonly plain: Map<Tree, unknown>;
  readonly complain: (path: Path, complaint: Complaint) => void;
};

/**
 * One part against its schema; its complaints go to the report under its path. What remains without the keys that they
 * are about is read again, so that later checks see it. An address alone is a target with nothing set, as people write
 * it in block style.
 */
function readPart<T>(reader: Reader, schema: z.ZodType<T>, path: Path, choice?: Choice): Part<T> {
  const tree = treeAt(reader.source.root, path);
  const found = tree === undefined ? undefined : plainOf(tree, reader.plain);
  const input = found === null && path.at(-2) === "targets" ? {} : found;
  const result = schema.safeParse(input);
  if (result.success) return { path, value: result.data, broken: none };
  const broken = new Set<string>();
  for (const one of complaintsOf(schema, input, result.error.issues, choice)) {
    const place = [...path, ...one.path];
    reader.complain(place, withSubject(place, one.complaint));
    broken.add(String(one.path[0] ?? ""));
  }
  if (tree?.kind !== "map") return { path, value: undefined, broken };
  const rest: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of tree.entries) if (!broken.has(key)) rest[key] = plainOf(entry.value, reader.plain);
  return { path, value: schema.safeParse(rest).data, broken };
}

const none: ReadonlySet<string> = new Set();

/** The keys of the mapping at a path, in the order of the file; none when it is no mapping, which its parent reports. */
function namesAt(reader: Reader, path: Path, max: number): string[] {
  const tree = treeAt(reader.source.root, path);
  if (tree?.kind !== "map") return [];
  if (tree.entries.size > max) {
    const message = `${path.at(-1)}: has ${tree.entries.size} entries`;
    reader.complain(path, { code: "config.count", message, expected: `at most ${max}`, atKey: true });
  }
  return [...tree.entries.keys()];
}

const nameSchema = z.record(nameKey(), z.unknown());
const targetSchema = z.record(targetKey(), z.unknown());

/** A key against the schema of its mapping's keys. */
function checkKey(reader: Reader, schema: typeof nameSchema | typeof targetSchema, path: Path): void {
  const key = String(path.at(-1));
  const input: Record<string, unknown> = Object.create(null);
  input[key] = true;
  const result = schema.safeParse(input);
  if (result.success) return;
  for (const { complaint } of complaintsOf(schema, input, result.error.issues)) reader.complain(path, complaint);
}

function readListener(reader: Reader, name: string): ListenerPart {
  const path = ["listeners", name];
  checkKey(reader, nameSchema, path);
  const protocol = protocolAt(reader, path);
  switch (protocol) {
    case "http": {
      const routes = readRoutes(reader, routeFile, path);
      return { ...readPart(reader, httpListenerShell, path, choices.http), name, protocol, routes };
    }
    case "tcp": {
      const routes = readRoutes(reader, tcpRouteFile, path, tcpRouteChoice);
      return { ...readPart(reader, tcpListenerShell, path, choices.tcp), name, protocol, routes };
    }
    case "udp":
      return { ...readPart(reader, udpListenerShell, path, choices.udp), name, protocol };
    case undefined:
      return { ...readPart(reader, unknownListenerShell, path), name, protocol };
    default:
      return protocol satisfies never;
  }
}

/** The protocol of a listener, or the one nearest to what it says; undefined when it resembles none. */
function protocolAt(reader: Reader, path: Path): Protocol | undefined {
  const tree = treeAt(reader.source.root, [...path, "protocol"]);
  if (tree === undefined) return "http";
  return tree.kind === "scalar" && typeof tree.value === "string" ? nearestProtocol(tree.value) : undefined;
}

const shells = { http: httpListenerShell, tcp: tcpListenerShell, udp: udpListenerShell };

function choiceOf(protocol: Protocol): Choice {
  const others = Object.entries(shells).filter(([other]) => other !== protocol);
  return {
    chosen: `a listener with \`protocol: ${protocol}\``,
    others: new Map(others.map(([other, shell]) => [`\`protocol: ${other}\``, shell])),
  };
}

const choices = { http: choiceOf("http"), tcp: choiceOf("tcp"), udp: choiceOf("udp") };

const tcpRouteChoice: Choice = {
  chosen: "a route of a listener with `protocol: tcp`",
  others: new Map([["`protocol: http`", routeFile]]),
};

function readRoutes<T>(reader: Reader, schema: z.ZodType<T>, path: Path, choice?: Choice): Part<T>[] {
  const list = treeAt(reader.source.root, [...path, "routes"]);
  const routes = list?.kind === "list" ? list.items : [];
  return routes.map((_, index) => readPart(reader, schema, [...path, "routes", index], choice));
}

function readPool(reader: Reader, name: string): PoolPart {
  const path = ["pools", name];
  checkKey(reader, nameSchema, path);
  const shell = readPart(reader, poolShell, path);
  const addresses = namesAt(reader, [...path, "targets"], targetsPerPoolMax);
  const targets = addresses.map((address) => {
    const place = [...path, "targets", address];
    checkKey(reader, targetSchema, place);
    return { ...readPart(reader, targetFile, place), address };
  });
  return { ...shell, name, targets, healthCheck: readHealthCheck(reader, [...path, "healthCheck"]) };
}

function readHealthCheck(reader: Reader, path: Path): Part<HealthCheckFile> | undefined {
  if (treeAt(reader.source.root, path) === undefined) return undefined;
  const tree = treeAt(reader.source.root, [...path, "type"]);
  const given = tree?.kind === "scalar" ? tree.value : undefined;
  const known = checkTypes.find((one) => one === given);
  if (known !== undefined) return readPart(reader, healthCheckShapes[known], path, checkChoice(known));
  readPart(reader, unknownHealthCheck, path);
  return undefined;
}

function checkChoice(type: CheckType): Choice {
  const others = checkTypes.filter((other) => other !== type);
  return {
    chosen: `a health check with \`type: ${type}\``,
    others: new Map(others.map((other) => [`\`type: ${other}\``, healthCheckShapes[other]])),
  };
}
