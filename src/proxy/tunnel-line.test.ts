// The access log's lines of TCP clients, in both forms.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAccessLog } from "./access-log.ts";
import { sinkTo } from "./test-sink.ts";
import { type TunnelRecord, tunnelRecord } from "./tunnel-record.ts";

const ended = Date.UTC(2026, 10, 21, 5, 16, 18, 250);

function written(format: "json" | "combined", changes: Partial<TunnelRecord>): string {
  const lines: string[] = [];
  const log = createAccessLog({ format, sink: sinkTo(lines), node: "lb-1" });
  const record: TunnelRecord = {
    ...tunnelRecord(),
    clientAddress: "203.0.113.9",
    clientPort: 5000,
    peerAddress: "203.0.113.9",
    peerPort: 5000,
    listenerPort: 9900,
    listener: "echo",
    route: "echo[0]",
    pool: "echo",
    targetAddress: "10.0.0.1:8080",
    bytesToTarget: 12,
    bytesToClient: 3_456_789_012,
    tries: 1,
    startedWallMs: ended - 1_500,
    connectMs: 0.25,
    totalMs: 1_500,
    ...changes,
  };
  log.writeTunnel(record);
  log.writeTunnel({ ...record, tries: record.tries });
  assert.equal(lines.length, 2);
  assert.equal(lines[0], lines[1], "what is kept from line to line changes nothing");
  const [line = ""] = lines;
  assert.ok(line.endsWith("\n") && line.indexOf("\n") === line.length - 1);
  return line;
}

test("a JSON line says who, where to, how much, how long and why", () => {
  const line = written("json", {
    peerAddress: "10.1.0.1",
    peerPort: 40_000,
    serverName: "a.test",
    errorCode: "target.gone",
    status: 502,
  });
  assert.deepEqual(JSON.parse(line), {
    timestamp: "2026-11-21T05:16:18.250Z",
    "network.transport": "tcp",
    "server.port": 9900,
    "client.address": "203.0.113.9",
    "client.port": 5000,
    "network.peer.address": "10.1.0.1",
    "network.peer.port": 40_000,
    "evenkeel.bytes.to_target": 12,
    "evenkeel.bytes.to_client": 3_456_789_012,
    "error.type": "target.gone",
    "evenkeel.node": "lb-1",
    "evenkeel.listener": "echo",
    "evenkeel.route": "echo[0]",
    "evenkeel.pool": "echo",
    "evenkeel.target": "10.0.0.1:8080",
    "evenkeel.server_name": "a.test",
    "evenkeel.tries": 1,
    "evenkeel.duration.total": 1.5,
    "evenkeel.duration.connect": 0.00025,
  });
});

test("a JSON line leaves out what is unknown", () => {
  const line = written("json", { ...tunnelRecord(), listener: "echo", startedWallMs: ended, totalMs: 0 });
  assert.deepEqual(JSON.parse(line), {
    timestamp: "2026-11-21T05:16:18.250Z",
    "network.transport": "tcp",
    "evenkeel.bytes.to_target": 0,
    "evenkeel.bytes.to_client": 0,
    "evenkeel.node": "lb-1",
    "evenkeel.listener": "echo",
    "evenkeel.tries": 0,
    "evenkeel.duration.total": 0,
  });
});

test("names of the configuration that need it are escaped", () => {
  const line = written("json", { route: 'a"b\\ü', pool: "\u4e2d" });
  assert.equal(JSON.parse(line)["evenkeel.route"], 'a"b\\ü');
  assert.equal(JSON.parse(line)["evenkeel.pool"], "\u4e2d");
});

test("the other form is that of nginx's stream module", () => {
  const time = "\\[\\d\\d/[A-Z][a-z]{2}/2026:\\d\\d:16:18 [+-]\\d{4}\\]";
  assert.match(
    written("combined", {}),
    new RegExp(
      `^203\\.0\\.113\\.9 ${time} TCP 200 3456789012 12 1\\.500 "10\\.0\\.0\\.1:8080" "12" "3456789012" "0\\.000"\n$`,
    ),
  );
  assert.match(
    written("combined", {
      tries: 0,
      targetAddress: "",
      connectMs: -1,
      status: 502,
      bytesToClient: 0,
      clientAddress: "",
    }),
    new RegExp(`^- ${time} TCP 502 0 12 1\\.500 "-" "-" "-" "-"\n$`),
  );
});
