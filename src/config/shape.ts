// The tree read part by part against the schema: the root, each listener, each route, each pool, each target by itself,
// so that what is wrong in one hides nothing in another and later checks still see every part that is right. On the
// change's way, second stage of decoding. Must not compare parts with each other.

import * as z from "zod";
import type { Environment } from "./environment.ts";
import { type HaDraft, readHaDraft } from "./ha-shape.ts";
import { readHealthCheck } from "./health-check-part.ts";
import type { HealthCheckFile } from "./health-check-schema.ts";
import { targetKey } from "./http-leaf.ts";
import type { Choice } from "./issues.ts";
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
import { listenersMax, poolsMax, targetsPerPoolMax } from "./limits.ts";
import { checkKey, nameSchema, namesAt, type Part, type Reader, readPart } from "./part.ts";
import { type PoolShell, poolShell, type TargetFile, targetFile } from "./pool-schema.ts";
import { addProblem, type Complaint, type Locate, type Path, type Problem, type Report } from "./problem.ts";
import {
  type HttpListenerShell,
  httpListenerShell,
  type RootShell,
  type RouteFile,
  rootShell,
  routeFile,
  type UnknownListenerShell,
  unknownListenerShell,
} from "./schema.ts";
import { readSource } from "./source-part.ts";
import type { SourceFile } from "./source-schema.ts";
import { offsetAt, parseTree, positionAt, treeAt } from "./tree.ts";

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
  readonly source: Part<SourceFile> | undefined;
  /** undefined: there is none, or none whose type is known. */
  readonly healthCheck: Part<HealthCheckFile> | undefined;
};

export type Draft = {
  readonly root: Part<RootShell>;
  readonly listeners: readonly ListenerPart[];
  readonly pools: readonly PoolPart[];
  /** undefined: the file has no `ha`. */
  readonly ha: HaDraft | undefined;
  /** True when something stands at the path, right or wrong. */
  readonly has: (path: Path) => boolean;
  /** Adds to the problems or the warnings, with the position of the path. */
  readonly complain: (path: Path, complaint: Complaint) => void;
  readonly warn: (path: Path, complaint: Complaint) => void;
  /** Where a path stands. */
  readonly locate: Locate;
};

/**
 * Undefined when the text is no YAML or its root no mapping; then the report says why. `elsewhere`: where paths were said,
 * when that is not in this text.
 */
export function readDraft(
  text: string,
  environment: Environment,
  report: Report,
  elsewhere?: Locate,
): Draft | undefined {
  const source = parseTree(text, environment, report);
  if (source === undefined) return undefined;
  const here: Locate = (path, atKey = false) => {
    const position = positionAt(source.lines, offsetAt(source.root, path, atKey));
    return { ...position, file: report.file, path };
  };
  const locate = elsewhere ?? here;
  const to = (list: Problem[]) => (path: Path, complaint: Complaint) => {
    // Its reference or alias led nowhere, and that has been told.
    if (source.unresolved.has(offsetAt(source.root, path, complaint.atKey ?? false))) return;
    addProblem(list, complaint, locate(path, complaint.atKey));
  };
  const reader: Reader = { source, plain: new Map(), complain: to(report.problems) };
  const root = readPart(reader, rootShell, []);
  if (source.root.kind !== "map") return undefined;
  return {
    root,
    listeners: namesAt(reader, ["listeners"], listenersMax).map((name) => readListener(reader, name)),
    pools: namesAt(reader, ["pools"], poolsMax).map((name) => readPool(reader, name)),
    ha: readHaDraft(reader),
    has: (path) => treeAt(source.root, path) !== undefined,
    complain: reader.complain,
    warn: to(report.warnings),
    locate,
  };
}

const targetSchema = z.record(targetKey(), z.unknown());

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
  const source = readSource(reader, [...path, "source"]);
  return { ...shell, name, targets, source, healthCheck: readHealthCheck(reader, [...path, "healthCheck"]) };
}
