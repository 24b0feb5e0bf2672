// The access log's line of a flow: one JSON object, with the names of tunnel-line.ts where both have the same thing, or the
// form of nginx's stream module. On the request's way, once per flow, whose socket costs fifty times what its line does:
// so the line is put together plainly.

import type { FlowRecord } from "./flow-record.ts";
import { LineBytes } from "./line-bytes.ts";
import { dateSecond, endedWallMs, escapeJson, escapeNginx, formatCommonLog, timeWriter } from "./log-text.ts";

export class FlowLine {
  readonly line = new LineBytes();
  private readonly node: string;
  private second = Number.NaN;
  private secondText = "";

  constructor(node: string) {
    this.node = node;
  }

  /** Puts the line of this record, with its line feed, into `line`. Spans are in seconds; what is unknown is left out. */
  write(record: FlowRecord): void {
    const { line } = this;
    line.length = 0;
    this.writeTime(endedWallMs(record));
    line.text('Z","network.transport":"udp"');
    if (record.listenerPort > 0) this.number("server.port", record.listenerPort);
    this.words("client.address", record.clientAddress);
    if (record.clientPort > 0) this.number("client.port", record.clientPort);
    this.number("evenkeel.datagrams.to_target", record.datagramsToTarget);
    this.number("evenkeel.datagrams.to_client", record.datagramsToClient);
    this.number("evenkeel.bytes.to_target", record.bytesToTarget);
    this.number("evenkeel.bytes.to_client", record.bytesToClient);
    this.words("error.type", record.errorCode);
    this.words("evenkeel.node", this.node);
    this.words("evenkeel.listener", record.listener);
    this.words("evenkeel.pool", record.pool);
    this.words("evenkeel.target", record.targetAddress);
    this.number("evenkeel.tries", record.tries);
    this.seconds("evenkeel.duration.total", record.totalMs);
    this.seconds("evenkeel.duration.first_response", record.firstResponseMs);
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

/** As basicFormat of tunnel-line.ts, with UDP for `$protocol`; a datagram socket is connected in no time. */
export function basicFlowFormat(): (record: FlowRecord) => string {
  const time = timeWriter();
  return (record) => {
    const { bytesToClient, bytesToTarget } = record;
    const target = `"${escapeNginx(record.targetAddress)}" "${bytesToTarget}" "${bytesToClient}" "0.000"`;
    return (
      `${record.clientAddress} [${formatCommonLog(time, endedWallMs(record))}] UDP ` +
      `${record.status} ${bytesToClient} ${bytesToTarget} ${(record.totalMs / 1000).toFixed(3)} ${target}\n`
    );
  };
}
