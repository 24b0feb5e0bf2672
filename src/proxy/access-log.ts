// The access log: one line an exchange, TCP client or flow, as JSON with OpenTelemetry's attribute names or in nginx's formats. On
// the request's way: lines are handed to a sink that buffers and writes elsewhere. Must not throw, block, or let a
// client's bytes break out of their field.

import type { LineSink } from "../core/line-sink.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { basicFlowFormat, FlowLine } from "./flow-line.ts";
import type { FlowRecord } from "./flow-record.ts";
import { JsonLine } from "./json-line.ts";
import { endedWallMs, escapeNginx, formatCommonLog, timeWriter } from "./log-text.ts";
import { basicFormat, TunnelLine } from "./tunnel-line.ts";
import type { TunnelRecord } from "./tunnel-record.ts";

export type AccessLog = {
  /** Call once, when the exchange is over; the record may be filled again at once. */
  write(record: ExchangeRecord): void;
  /** Call once, when the client's connection is over; the record may be filled again at once. */
  writeTunnel(record: TunnelRecord): void;
  /** Call once, when the flow is over; the record may be filled again at once. */
  writeFlow(record: FlowRecord): void;
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
  return {
    write: options.format === "json" ? jsonWriter(sink, options.node) : combinedWriter(sink),
    writeTunnel: options.format === "json" ? tunnelWriter(sink, options.node) : basicWriter(sink),
    writeFlow: options.format === "json" ? flowWriter(sink, options.node) : basicFlowWriter(sink),
    flush() {
      sink.flush();
    },
  };
}

function jsonWriter(sink: LineSink, node: string): AccessLog["write"] {
  const json = new JsonLine(node);
  return (record) => {
    json.write(record);
    sink.appendBytes(json.line.bytes, json.line.length);
  };
}

function tunnelWriter(sink: LineSink, node: string): AccessLog["writeTunnel"] {
  const tunnel = new TunnelLine(node);
  return (record) => {
    tunnel.write(record);
    sink.appendBytes(tunnel.line.bytes, tunnel.line.length);
  };
}

function basicWriter(sink: LineSink): AccessLog["writeTunnel"] {
  const format = basicFormat();
  return (record) => sink.append(format(record));
}

function flowWriter(sink: LineSink, node: string): AccessLog["writeFlow"] {
  const flow = new FlowLine(node);
  return (record) => {
    flow.write(record);
    sink.appendBytes(flow.line.bytes, flow.line.length);
  };
}

function basicFlowWriter(sink: LineSink): AccessLog["writeFlow"] {
  const format = basicFlowFormat();
  return (record) => sink.append(format(record));
}

function combinedWriter(sink: LineSink): AccessLog["write"] {
  const format = combinedFormat();
  return (record) => sink.append(format(record));
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
