// What a request head says, read once and in the order in which it is needed: host and path, the route they take, who the
// client is, the values that rules ask for. On the request's way. Afterwards head and arena are free for the next request.

import { randomBytes } from "node:crypto";
import { hashText } from "../balance/hash.ts";
import type { HashKey } from "../model/pool.ts";
import { HeaderId, LINE, LineField, Method, type RequestHead, TargetForm } from "../wire/http1/head.ts";
import { headerNameHash, nameIs } from "../wire/http1/header-names.ts";
import type { CompiledRoute } from "./compile.ts";
import type { Context } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { type ExchangeFault, ExchangeFaults } from "./faults.ts";
import { matchRoute, noRoute, normalizeHost, pathRefused } from "./match.ts";
import { encodePath, normalizePath, rewritePrefix } from "./path.ts";
import { lineText } from "./request-head.ts";
import { VariableBit, type Variables } from "./template.ts";

/** One per exchange, filled for every request. Strings hold one byte a character. */
export type RequestFacts = {
  readonly variables: Variables;
  /** We set the lines about the client; false: they pass as they are. */
  forwarded: boolean;
  /** The peer is a proxy that we believe: its lines are added to, not replaced. */
  trusted: boolean;
  /** Address of the connection. */
  peerAddress: string;
  /** Of the client itself. */
  clientAddress: string;
  scheme: string;
  /** The path with query to send, when it is not the client's. */
  path: string | undefined;
  /** Host for an HTTP/1.0 client that sent none. */
  fallbackHost: string;
  /** The request asks to switch protocols and the route lets it. */
  upgrade: boolean;
  /** What consistent hashing picks by. */
  keyHash: number;
};

export function requestFacts(variables: Variables): RequestFacts {
  return {
    variables,
    forwarded: true,
    trusted: false,
    peerAddress: "",
    clientAddress: "",
    scheme: "http",
    path: undefined,
    fallbackHost: "",
    upgrade: false,
    keyHash: 0,
  };
}

/** Fills `exchange.facts` and `exchange.record`, sets `exchange.route`, or answers why the request is refused. */
export function readRequest(context: Context, exchange: Exchange, head: RequestHead): ExchangeFault | undefined {
  const { bytes } = context.arena;
  const { facts, record } = exchange;
  const client = exchange.client!;
  const { listener } = client;
  const host = normalizeHost(bytes.toString("latin1", head.hostStart, head.hostEnd));
  const rawPath = pathText(bytes, head);
  readClient(bytes, exchange, head);
  record.version = head.version;
  record.host = host;
  if (context.accessLog !== undefined) {
    record.method = methodText(bytes, head);
    // Most targets are a path and nothing else, which stands in a string already.
    const whole = head.queryStart === head.targetEnd && head.pathStart === head.targetStart;
    record.target = whole ? rawPath : bytes.toString("latin1", head.targetStart, head.targetEnd);
    record.userAgent = lineText(bytes, head, HeaderId.userAgent);
    record.referer = lineText(bytes, head, HeaderId.referer);
  }
  facts.path = undefined;
  facts.upgrade = false;
  facts.keyHash = 0;
  const path = head.pathUnclean ? normalizePath(rawPath) : rawPath;
  if (path === undefined) return ExchangeFaults.pathInvalid;
  const index = matchRoute(listener.table, host, path);
  if (index === pathRefused) return ExchangeFaults.pathTooLong;
  if (index === noRoute) return ExchangeFaults.noRoute;
  const route = listener.routes[index]!;
  exchange.route = route;
  record.route = route.config.name;
  if (route.needs !== 0) fillVariables(bytes, exchange, head, route.needs);
  const { action } = route;
  if (action.kind !== "pool") return undefined;
  if (head.method === Method.trace) return ExchangeFaults.traceRefused;
  if (head.method === Method.connect && action.connect === "refuse") return ExchangeFaults.connectRefusedByRule;
  facts.upgrade = head.upgrade && action.upgrade === "tunnel" && !asksForH2c(bytes, head);
  facts.fallbackHost = head.hostEnd > head.hostStart ? "" : localHost(exchange);
  readKey(bytes, exchange, head, route, path);
  // A request without a path (`OPTIONS *`, CONNECT) has no prefix.
  if (route.rewrite === undefined || head.form === TargetForm.asterisk || head.form === TargetForm.authority)
    return undefined;
  return rewrite(bytes, exchange, head, route.rewrite, path);
}

function methodText(bytes: Buffer, head: RequestHead): string {
  switch (head.method) {
    case Method.get:
      return "GET";
    case Method.head:
      return "HEAD";
    case Method.post:
      return "POST";
    default:
      return bytes.toString("latin1", head.methodStart, head.methodEnd);
  }
}

/** HTTP/2 in a tunnel would bring requests that no route has seen; without the Upgrade line the target answers in HTTP/1.1. */
function asksForH2c(bytes: Buffer, head: RequestHead): boolean {
  return /(^|[ ,])h2c?($|[ ,/])/i.test(allValues(bytes, head, HeaderId.upgrade));
}

/** As received, without the query; a request without a path is matched as `/`. */
function pathText(bytes: Buffer, head: RequestHead): string {
  return head.queryStart > head.pathStart ? bytes.toString("latin1", head.pathStart, head.queryStart) : "/";
}

/** Who asks, and what a proxy that we believe says of it. */
function readClient(bytes: Buffer, exchange: Exchange, head: RequestHead): void {
  const { facts, record } = exchange;
  const client = exchange.client!;
  const { address, listener } = client;
  facts.forwarded = listener.config.forwarded;
  facts.trusted = client.trusted;
  facts.peerAddress = address;
  facts.clientAddress = address;
  facts.scheme = "http";
  record.clientPort = client.wire.remotePort;
  if (client.trusted) {
    const forwardedFor = allValues(bytes, head, HeaderId.xForwardedFor);
    if (forwardedFor !== "") {
      facts.clientAddress = listener.clientBehind(forwardedFor, address);
      record.peerAddress = address;
      record.peerPort = record.clientPort;
      record.clientPort = facts.clientAddress === address ? record.clientPort : 0;
    }
    if (lineText(bytes, head, HeaderId.xForwardedProto).toLowerCase() === "https") facts.scheme = "https";
  }
  record.clientAddress = facts.clientAddress;
  record.scheme = facts.scheme;
}

/** The values of all lines of that name, in order, as one list. */
function allValues(bytes: Buffer, head: RequestHead, id: HeaderId): string {
  let all = "";
  for (let index = 0; index < head.lineCount; index++) {
    const at = index * LINE;
    if (head.lines[at + LineField.id] !== id) continue;
    const value = bytes.toString(
      "latin1",
      head.lines[at + LineField.valueStart]!,
      head.lines[at + LineField.valueEnd]!,
    );
    all = all === "" ? value : `${all}, ${value}`;
  }
  return all;
}

function localHost(exchange: Exchange): string {
  const { localAddress, localPort } = exchange.client!.wire;
  return localAddress.includes(":") ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
}

function readKey(bytes: Buffer, exchange: Exchange, head: RequestHead, route: CompiledRoute, path: string): void {
  const balance = route.pool?.config.balance;
  if (balance?.policy !== "consistentHash") return;
  exchange.facts.keyHash = hashText(keyText(bytes, exchange, head, balance.key, path));
}

function keyText(bytes: Buffer, exchange: Exchange, head: RequestHead, key: HashKey, path: string): string {
  switch (key.kind) {
    case "clientAddress":
      return exchange.facts.clientAddress;
    case "path":
      return path;
    case "host":
      return exchange.record.host;
    case "header":
      return headerText(bytes, head, key.name);
    default:
      return key satisfies never;
  }
}

function headerText(bytes: Buffer, head: RequestHead, name: string): string {
  const hash = headerNameHash(name);
  const lower = Buffer.from(name, "latin1");
  const { lines } = head;
  for (let index = 0; index < head.lineCount; index++) {
    const at = index * LINE;
    if (lines[at + LineField.hash] !== hash) continue;
    if (!nameIs(bytes, lines[at + LineField.nameStart]!, lines[at + LineField.nameEnd]!, lower)) continue;
    return bytes.toString("latin1", lines[at + LineField.valueStart]!, lines[at + LineField.valueEnd]!);
  }
  return "";
}

/** Only what the route's templates ask for. */
function fillVariables(bytes: Buffer, exchange: Exchange, head: RequestHead, needs: number): void {
  const { variables, facts, record } = exchange;
  const { wire } = exchange.client!;
  if (needs & VariableBit.clientAddress) variables.clientAddress = facts.clientAddress;
  if (needs & VariableBit.clientPort) variables.clientPort = wire.remotePort;
  if (needs & VariableBit.host) variables.host = bytes.toString("latin1", head.hostStart, head.hostEnd);
  if (needs & VariableBit.hostName) variables.hostName = record.host;
  if (needs & VariableBit.scheme) variables.scheme = facts.scheme;
  if (needs & VariableBit.method) variables.method = methodText(bytes, head);
  if (needs & VariableBit.path)
    variables.path = pathText(bytes, head) + bytes.toString("latin1", head.queryStart, head.pathEnd);
  if (needs & VariableBit.query) variables.query = queryText(bytes, head);
  if (needs & VariableBit.search) {
    const query = queryText(bytes, head);
    variables.search = query === "" ? "" : `?${query}`;
  }
  if (needs & VariableBit.forwardedFor) {
    const before = allValues(bytes, head, HeaderId.xForwardedFor);
    variables.forwardedFor = before === "" ? facts.clientAddress : `${before}, ${facts.clientAddress}`;
  }
  if (needs & VariableBit.listenerAddress) variables.listenerAddress = wire.localAddress;
  if (needs & VariableBit.listenerPort) variables.listenerPort = wire.localPort;
  if (needs & VariableBit.requestId) {
    variables.requestId = randomBytes(16).toString("hex");
    record.requestId = variables.requestId;
  }
}

function queryText(bytes: Buffer, head: RequestHead): string {
  return head.queryStart < head.pathEnd ? bytes.toString("latin1", head.queryStart + 1, head.pathEnd) : "";
}

/** As nginx with a URI in proxy_pass: the normalized path with its prefix replaced, escaped anew, and the query as it came. */
function rewrite(
  bytes: Buffer,
  exchange: Exchange,
  head: RequestHead,
  rule: NonNullable<CompiledRoute["rewrite"]>,
  path: string,
): ExchangeFault | undefined {
  const rewritten = rewritePrefix(path, rule.from, rule.to);
  if (rewritten === undefined) return ExchangeFaults.rewriteFailed;
  exchange.facts.path = encodePath(rewritten) + bytes.toString("latin1", head.queryStart, head.pathEnd);
  return undefined;
}
