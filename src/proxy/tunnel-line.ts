// The access log's line of a TCP client: one JSON object, with the names of json-line.ts where both have the same thing, or
// the form of nginx's stream module. On the request's way, once per connection: a connection costs fifty times what its line
// does, so the line is put together plainly.

import { LineBytes } from "./line-bytes.ts";
import { dateSecond, endedWallMs, escapeJson, escapeNginx, formatCommonLog, timeWriter } from "./log-text.ts";
import type { TunnelRecord } from "./tunnel-record.ts";

export class TunnelLine {
  readonly line = new LineBytes();
  private readonly node: string;
  private second = Number.NaN;
  private secondText = "";

  constructor(node: string) {
    this.node = node;
  }

  /** Puts the line of this record, with its line feed, into `line`. Spans are in seconds; what is unknown is left out. */
  write(record: TunnelRecord): void {
    const { line } = this;
    line.length = 0;
    this.writeTime(endedWallMs(record));
    line.text('Z","network.transport":"tcp"');
    this.writeClient(record);
    this.number("evenkeel.bytes.to_target", record.bytesToTarget);
    this.number("evenkeel.bytes.to_client", record.bytesToClient);
    this.words("error.type", record.errorCode);
    this.words("evenkeel.node", this.node);
    this.words("evenkeel.listener", record.listener);
    this.words("evenkeel.route", record.route);
    this.words("evenkeel.pool", record.pool);
    this.words("evenkeel.target", record.targetAddress);
    this.words("evenkeel.server_name", record.serverName);
    this.number("evenkeel.tries", record.tries);
    this.seconds("evenkeel.duration.total", record.totalMs);
    this.seconds("evenkeel.duration.connect", record.connectMs);
    line.text("}\n");
  }

  private writeTime(wallMs: number): void {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.second) {
      this.second = second;
      this.secondText = `{"timestamp":"${dateSecond(second).toISOString().slice(0, -4)}`;
    }
    this.line.text(this.secondText);
    this.line.digits(Math.max(0, Math.floor(wallMs - second * 1000)) || 0, 3);
  }

  private writeClient(record: TunnelRecord): void {
    if (record.listenerPort > 0) this.number("server.port", record.listenerPort);
    this.words("client.address", record.clientAddress);
    if (record.clientPort > 0) this.number("client.port", record.clientPort);
    if (record.peerAddress === record.clientAddress && record.peerPort === record.clientPort) return;
    this.words("network.peer.address", record.peerAddress);
    if (record.peerPort > 0) this.number("network.peer.port", record.peerPort);
  }

  private words(name: string, value: string): void {
    if (value !== "") this.line.text(`,"${name}":"${escapeJson(value)}"`);
  }

  private number(name: string, value: number): void {
    this.line.text(`,"${name}":`);
    this.line.integer(value);
  }

  private seconds(name: string, spanMs: number): void {
    if (spanMs < 0) return;
    this.line.text(`,"${name}":`);
    this.line.seconds(spanMs);
  }
}

/**
 * The form that nginx's documentation of its stream module gives: `$remote_addr [$time_local] $protocol $status $bytes_sent
 * $bytes_received $session_time "$upstream_addr" "$upstream_bytes_sent" "$upstream_bytes_received"
 * "$upstream_connect_time"`. The target is the last one tried, `-` when none was.
 */
export function basicFormat(): (record: TunnelRecord) => string {
  const time = timeWriter();
  return (record) => {
    const { bytesToClient, bytesToTarget } = record;
    const target =
      record.tries === 0
        ? '"-" "-" "-" "-"'
        : `"${escapeNginx(record.targetAddress)}" "${bytesToTarget}" "${bytesToClient}" "${secondsText(record.connectMs)}"`;
    return (
      `${record.clientAddress === "" ? "-" : record.clientAddress} [${formatCommonLog(time, endedWallMs(record))}] TCP ` +
      `${record.status} ${bytesToClient} ${bytesToTarget} ${secondsText(record.totalMs)} ${target}\n`
    );
  };
}

function secondsText(spanMs: number): string {
  return spanMs < 0 ? "-" : (spanMs / 1000).toFixed(3);
}
