// The access log's JSON: one object a line. Names and types follow OpenTelemetry's semantic conventions for HTTP servers
// (attribute registry 1.27 and later: http, url, server, client, network, user_agent, error); what they have no name for
// is under `evenkeel.`, spans in seconds. What is unknown is left out. On the request's way: written as bytes, and the
// parts that hold for many exchanges are made once.

import type { ExchangeRecord } from "./exchange-record.ts";
import { LineBytes } from "./line-bytes.ts";
import { dateSecond, endedWallMs, escapeJson } from "./log-text.ts";

/** Methods that OpenTelemetry knows; any other is `_OTHER` with `http.request.method_original` beside it. */
const knownMethods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"] as const;

/** Targets whose part of the line is kept; more, and all are made anew. */
const PLACES_MAX = 4096;

/** Everything in a line, up to the number of tries, that a target's place in the configuration decides. */
type Place = { readonly listener: string; readonly route: string; readonly pool: string; readonly bytes: Uint8Array };
/** The last value of a field that repeats from line to line, and its member. */
type Repeated = { text: string; bytes: Uint8Array };

function latin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

const protocol11 = latin1('","network.protocol.name":"http","network.protocol.version":"1.1"');
const protocol10 = latin1('","network.protocol.name":"http","network.protocol.version":"1.0"');
const query = latin1('","url.query":"');
const serverPort = latin1(',"server.port":');
const clientAddress = latin1(',"client.address":"');
const clientPort = latin1('","client.port":');
const peerAddress = latin1(',"network.peer.address":"');
const peerPort = latin1('","network.peer.port":');
const requestSize = latin1(',"http.request.body.size":');
const statusCode = latin1(',"http.response.status_code":');
/** The usual: no request body, and 200. */
const nothingThen200 = latin1(',"http.request.body.size":0,"http.response.status_code":200,"http.response.body.size":');
const responseSize = latin1(',"http.response.body.size":');
const errorType = latin1(',"error.type":"');
const durationTotal = latin1(',"evenkeel.duration.total":');
const durationConnect = latin1(',"evenkeel.duration.connect":');
/** The usual: on a kept connection. */
const keptThenFirstByte = latin1(',"evenkeel.duration.connect":0.000000,"evenkeel.duration.first_byte":');
const durationFirstByte = latin1(',"evenkeel.duration.first_byte":');
const requestId = latin1(',"evenkeel.request_id":"');
const lineEnd = latin1("}\n");

export class JsonLine {
  readonly line = new LineBytes();
  private readonly node: string;
  private readonly beginnings = new Map<string, Uint8Array>();
  private readonly places = new Map<string, Place>();
  private readonly host: Repeated = { text: "", bytes: new Uint8Array(0) };
  private readonly referer: Repeated = { text: "", bytes: new Uint8Array(0) };
  private readonly userAgent: Repeated = { text: "", bytes: new Uint8Array(0) };
  private second = Number.NaN;
  private secondBytes: Uint8Array = new Uint8Array(0);

  constructor(node: string) {
    this.node = `,"evenkeel.node":"${escapeJson(node)}"`;
    for (const method of knownMethods) {
      this.beginnings.set(method, latin1(`Z","http.request.method":"${method}","url.scheme":"http","url.path":"`));
    }
  }

  /** Puts the line of this record, with its line feed, into `line`. */
  write(record: ExchangeRecord): void {
    const { line } = this;
    line.length = 0;
    this.writeTime(endedWallMs(record));
    if (record.method === "") line.text('Z"');
    else this.writeRequest(record);
    if (record.host !== "") line.copy(member(this.host, ',"server.address":"', record.host));
    if (record.listenerPort > 0) {
      line.copy(serverPort);
      line.integer(record.listenerPort);
    }
    this.writeClient(record);
    if (record.userAgent !== "") line.copy(member(this.userAgent, ',"user_agent.original":"', record.userAgent));
    if (record.referer !== "") {
      line.copy(member(this.referer, ',"http.request.header.referer":["', record.referer));
      line.text("]");
    }
    this.writeResponse(record);
    line.copy(this.placeOf(record));
    this.writeDelivery(record);
    line.copy(lineEnd);
  }

  private writeTime(wallMs: number): void {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.second) {
      this.second = second;
      this.secondBytes = latin1(`{"timestamp":"${dateSecond(second).toISOString().slice(0, -4)}`);
    }
    this.line.copy(this.secondBytes);
    this.line.digits(Math.max(0, Math.floor(wallMs - second * 1000)) || 0, 3);
  }

  private writeRequest(record: ExchangeRecord): void {
    const { line } = this;
    const { method, target } = record;
    const beginning = record.scheme === "http" ? this.beginnings.get(method) : undefined;
    if (beginning !== undefined) line.copy(beginning);
    else this.writeUncommon(method, record.scheme);
    const start = target.charCodeAt(0) === 0x2f ? 0 : pathStart(target);
    const question = target.indexOf("?", start);
    if (question < 0) line.text(escapeJson(start === 0 ? target : target.slice(start)));
    else {
      line.text(escapeJson(target.slice(start, question)));
      line.copy(query);
      line.text(escapeJson(target.slice(question + 1)));
    }
    line.copy(record.version === 10 ? protocol10 : protocol11);
  }

  private writeUncommon(method: string, scheme: string): void {
    const { line } = this;
    line.text('Z","http.request.method":"');
    if (this.beginnings.has(method)) line.text(method);
    else {
      line.text('_OTHER","http.request.method_original":"');
      line.text(escapeJson(method));
    }
    line.text('","url.scheme":"');
    line.text(escapeJson(scheme));
    line.text('","url.path":"');
  }

  private writeClient(record: ExchangeRecord): void {
    const { line } = this;
    if (record.clientAddress !== "") {
      line.copy(clientAddress);
      line.text(escapeJson(record.clientAddress));
      if (record.clientPort > 0) {
        line.copy(clientPort);
        line.integer(record.clientPort);
      } else line.quote();
    }
    if (record.peerAddress === "" || record.peerAddress === record.clientAddress) return;
    line.copy(peerAddress);
    line.text(escapeJson(record.peerAddress));
    if (record.peerPort > 0) {
      line.copy(peerPort);
      line.integer(record.peerPort);
    } else line.quote();
  }

  private writeResponse(record: ExchangeRecord): void {
    const { line } = this;
    if (record.requestBodyBytes === 0 && record.status === 200) line.copy(nothingThen200);
    else {
      line.copy(requestSize);
      line.integer(record.requestBodyBytes);
      if (record.status > 0) {
        line.copy(statusCode);
        line.integer(record.status);
      }
      line.copy(responseSize);
    }
    line.integer(record.responseBodyBytes);
    if (record.errorCode === "") return;
    line.copy(errorType);
    line.text(escapeJson(record.errorCode));
    line.quote();
  }

  private writeDelivery(record: ExchangeRecord): void {
    const { line } = this;
    line.integer(record.tries);
    if (record.totalMs >= 0) {
      line.copy(durationTotal);
      line.seconds(record.totalMs);
    }
    if (record.connectMs === 0 && record.firstByteMs >= 0) {
      line.copy(keptThenFirstByte);
      line.seconds(record.firstByteMs);
    } else this.writeWaits(record);
    if (record.requestId === "") return;
    line.copy(requestId);
    line.text(escapeJson(record.requestId));
    line.quote();
  }

  private writeWaits(record: ExchangeRecord): void {
    const { line } = this;
    if (record.connectMs >= 0) {
      line.copy(durationConnect);
      line.seconds(record.connectMs);
    }
    if (record.firstByteMs >= 0) {
      line.copy(durationFirstByte);
      line.seconds(record.firstByteMs);
    }
  }

  private placeOf(record: ExchangeRecord): Uint8Array {
    const known = this.places.get(record.targetAddress);
    const { listener, route, pool } = record;
    if (known !== undefined && known.route === route && known.pool === pool && known.listener === listener) {
      return known.bytes;
    }
    let text = this.node;
    if (listener !== "") text += `,"evenkeel.listener":"${escapeJson(listener)}"`;
    if (route !== "") text += `,"evenkeel.route":"${escapeJson(route)}"`;
    if (pool !== "") text += `,"evenkeel.pool":"${escapeJson(pool)}"`;
    if (record.targetAddress !== "") text += `,"evenkeel.target":"${escapeJson(record.targetAddress)}"`;
    const bytes = latin1(`${text},"evenkeel.tries":`);
    if (this.places.size >= PLACES_MAX) this.places.clear();
    this.places.set(record.targetAddress, { listener, route, pool, bytes });
    return bytes;
  }
}

function member(last: Repeated, name: string, text: string): Uint8Array {
  if (text !== last.text) {
    last.text = text;
    last.bytes = latin1(`${name}${escapeJson(text)}"`);
  }
  return last.bytes;
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
