// The access log: one line an exchange, as JSON with OpenTelemetry's attribute names or in nginx's `combined` format. On
// the request's way: a line is one joined string, handed to a sink that buffers and writes elsewhere. Must not throw,
// block, or let a client's bytes break out of their field.

import type { LineSink } from "../core/line-sink.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { escapeJson, escapeNginx, formatCommonLog, formatRfc3339, formatSeconds, timeWriter } from "./log-text.ts";

export type AccessLog = {
  /** Call once, when the exchange is over; the record may be filled again at once. */
  write(record: ExchangeRecord): void;
  flush(): void;
};

export type AccessLogOptions = {
  readonly format: "json" | "combined";
  /** src/io/log-file.ts. It owns the buffer and its limits. */
  readonly sink: LineSink;
  /** This machine's name in the configuration. */
  readonly node: string;
};

export function createAccessLog(options: AccessLogOptions): AccessLog {
  const { sink } = options;
  const format = options.format === "json" ? jsonFormat(options.node) : combinedFormat();
  return {
    write(record) {
      sink.append(format(record));
    },
    flush() {
      sink.flush();
    },
  };
}

/** When an exchange ended, on the wall clock: lines of one worker are then in the order of their times, as nginx's are. */
function endedWallMs(record: ExchangeRecord): number {
  return record.totalMs > 0 ? record.startedWallMs + record.totalMs : record.startedWallMs;
}

/**
 * nginx's predefined format, `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent
 * "$http_referer" "$http_user_agent"`, with its escapes. $remote_user is always `-`: we don't read credentials. A Referer
 * or User-Agent that is there but empty is `-` as well (nginx: nothing between the quotes).
 */
function combinedFormat(): (record: ExchangeRecord) => string {
  const time = timeWriter();
  return (record) => {
    const version = record.version === 10 ? " HTTP/1.0" : " HTTP/1.1";
    const request = record.method === "" ? "-" : escapeNginx(`${record.method} ${record.target}`) + version;
    return (
      `${record.clientAddress} - - [${formatCommonLog(time, endedWallMs(record))}] "${request}" ` +
      `${record.status < 100 ? String(record.status).padStart(3, "0") : record.status} ${record.responseBodyBytes} ` +
      `"${record.referer === "" ? "-" : escapeNginx(record.referer)}" ` +
      `"${record.userAgent === "" ? "-" : escapeNginx(record.userAgent)}"\n`
    );
  };
}

/** Methods that OpenTelemetry knows; any other is `_OTHER` with `http.request.method_original` beside it. */
const knownMethods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "CONNECT",
]);

/** The last escaped value of a field whose values repeat from line to line: comparing is cheaper than testing again. */
type Repeated = { text: string; json: string };

function repeated(last: Repeated, text: string): string {
  if (text !== last.text) {
    last.text = text;
    last.json = escapeJson(text);
  }
  return last.json;
}

/**
 * One JSON object a line. Names and types follow OpenTelemetry's semantic conventions for HTTP servers (attribute
 * registry 1.27 and later: http, url, server, client, network, user_agent, error); what they have no name for is under
 * `evenkeel.`, spans in seconds. What is unknown is left out. `timestamp` is the end of the exchange.
 */
function jsonFormat(node: string): (record: ExchangeRecord) => string {
  const time = timeWriter();
  const nodeMember = `,"evenkeel.node":"${escapeJson(node)}"`;
  const host: Repeated = { text: "", json: "" };
  const userAgent: Repeated = { text: "", json: "" };
  const listener: Repeated = { text: "", json: "" };
  const route: Repeated = { text: "", json: "" };
  const pool: Repeated = { text: "", json: "" };
  const target: Repeated = { text: "", json: "" };
  return (record) => {
    let line = `{"timestamp":"${formatRfc3339(time, endedWallMs(record))}"`;
    if (record.method !== "") line += requestMembers(record);
    if (record.host !== "") line += `,"server.address":"${repeated(host, record.host)}"`;
    if (record.listenerPort > 0) line += `,"server.port":${record.listenerPort}`;
    line += clientMembers(record);
    if (record.userAgent !== "") line += `,"user_agent.original":"${repeated(userAgent, record.userAgent)}"`;
    if (record.referer !== "") line += `,"http.request.header.referer":["${escapeJson(record.referer)}"]`;
    line += `,"http.request.body.size":${record.requestBodyBytes}`;
    if (record.status > 0) line += `,"http.response.status_code":${record.status}`;
    line += `,"http.response.body.size":${record.responseBodyBytes}`;
    if (record.errorCode !== "") line += `,"error.type":"${escapeJson(record.errorCode)}"`;
    line += nodeMember;
    if (record.listener !== "") line += `,"evenkeel.listener":"${repeated(listener, record.listener)}"`;
    if (record.route !== "") line += `,"evenkeel.route":"${repeated(route, record.route)}"`;
    if (record.pool !== "") line += `,"evenkeel.pool":"${repeated(pool, record.pool)}"`;
    if (record.targetAddress !== "") line += `,"evenkeel.target":"${repeated(target, record.targetAddress)}"`;
    line += `,"evenkeel.tries":${record.tries}`;
    if (record.totalMs >= 0) line += `,"evenkeel.duration.total":${formatSeconds(record.totalMs)}`;
    if (record.connectMs >= 0) line += `,"evenkeel.duration.connect":${formatSeconds(record.connectMs)}`;
    if (record.firstByteMs >= 0) line += `,"evenkeel.duration.first_byte":${formatSeconds(record.firstByteMs)}`;
    if (record.requestId !== "") line += `,"evenkeel.request_id":"${escapeJson(record.requestId)}"`;
    return `${line}}\n`;
  };
}

function requestMembers(record: ExchangeRecord): string {
  const { method, target } = record;
  const known = knownMethods.has(method);
  const methods = known ? `"${method}"` : `"_OTHER","http.request.method_original":"${escapeJson(method)}"`;
  const start = target.charCodeAt(0) === 0x2f ? 0 : pathStart(target);
  const question = target.indexOf("?", start);
  const path = question < 0 ? (start === 0 ? target : target.slice(start)) : target.slice(start, question);
  const query = question < 0 ? "" : `","url.query":"${escapeJson(target.slice(question + 1))}`;
  const version = record.version === 10 ? "1.0" : "1.1";
  return (
    `,"http.request.method":${methods},"url.scheme":"${escapeJson(record.scheme)}"` +
    `,"url.path":"${escapeJson(path)}${query}","network.protocol.name":"http","network.protocol.version":"${version}"`
  );
}

/** Where the path begins in a target that is no path: behind the authority of the absolute form, else at its start. */
function pathStart(target: string): number {
  const scheme = target.indexOf("://");
  if (scheme < 0) return 0;
  for (let at = scheme + 3; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code === 0x2f || code === 0x3f) return at;
  }
  return target.length;
}

function clientMembers(record: ExchangeRecord): string {
  const { clientAddress, peerAddress } = record;
  let members = clientAddress === "" ? "" : `,"client.address":"${escapeJson(clientAddress)}"`;
  if (record.clientPort > 0) members += `,"client.port":${record.clientPort}`;
  if (peerAddress === "" || peerAddress === clientAddress) return members;
  members += `,"network.peer.address":"${escapeJson(peerAddress)}"`;
  return record.peerPort > 0 ? `${members},"network.peer.port":${record.peerPort}` : members;
}
