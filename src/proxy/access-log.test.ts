// What a `combined` line of real nginx looks like is in nginx-requests.test.ts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createAccessLog } from "./access-log.ts";
import { type ExchangeRecord, exchangeRecord, resetExchange } from "./exchange-record.ts";
import { sinkTo } from "./test-sink.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

/** The bytes that one record makes, and how often they were cut into lines. */
function lineOf(format: "json" | "combined", fields: Partial<ExchangeRecord>, node = "lb-1"): Buffer {
  const lines: string[] = [];
  const log = createAccessLog({ format, node, sink: sinkTo(lines) });
  log.write({ ...exchangeRecord(), ...fields });
  assert.equal(lines.length, 1);
  return Buffer.from(lines[0] ?? "", "latin1");
}

function jsonOf(fields: Partial<ExchangeRecord>, node?: string): Record<string, unknown> {
  const line = lineOf("json", fields, node);
  assert.equal(line.indexOf("\n"), line.length - 1);
  const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
  assert.ok(typeof parsed === "object" && parsed !== null);
  return { ...parsed };
}

const full: Partial<ExchangeRecord> = {
  method: "GET",
  target: "/a/b?c=d?e",
  host: "example.com",
  userAgent: "curl/8",
  referer: "http://example.com/",
  clientAddress: "192.0.2.1",
  clientPort: 4711,
  peerAddress: "192.0.2.1",
  peerPort: 4711,
  listenerPort: 80,
  listener: "web",
  route: "web[0]",
  pool: "app",
  targetAddress: "10.0.0.1:8080",
  status: 200,
  requestBodyBytes: 3,
  responseBodyBytes: 5000,
  tries: 2,
  startedWallMs: Date.UTC(2026, 10, 21, 5, 16, 18, 40),
  connectMs: 0.0421,
  firstByteMs: 1.5,
  totalMs: 1002.25,
  requestId: "0123456789abcdef0123456789abcdef",
};

describe("a JSON line", () => {
  test("has OpenTelemetry's names, ours below evenkeel, and seconds", () => {
    assert.deepEqual(jsonOf(full), {
      timestamp: "2026-11-21T05:16:19.042Z",
      "http.request.method": "GET",
      "url.scheme": "http",
      "url.path": "/a/b",
      "url.query": "c=d?e",
      "network.protocol.name": "http",
      "network.protocol.version": "1.1",
      "server.address": "example.com",
      "server.port": 80,
      "client.address": "192.0.2.1",
      "client.port": 4711,
      "user_agent.original": "curl/8",
      "http.request.header.referer": ["http://example.com/"],
      "http.request.body.size": 3,
      "http.response.status_code": 200,
      "http.response.body.size": 5000,
      "evenkeel.node": "lb-1",
      "evenkeel.listener": "web",
      "evenkeel.route": "web[0]",
      "evenkeel.pool": "app",
      "evenkeel.target": "10.0.0.1:8080",
      "evenkeel.tries": 2,
      "evenkeel.duration.total": 1.00225,
      "evenkeel.duration.connect": 0.000042,
      "evenkeel.duration.first_byte": 0.0015,
      "evenkeel.request_id": "0123456789abcdef0123456789abcdef",
    });
  });

  test("leaves out what is not known", () => {
    assert.deepEqual(jsonOf({ errorCode: "client.header.timeout", startedWallMs: 0 }), {
      timestamp: "1970-01-01T00:00:00.000Z",
      "http.request.body.size": 0,
      "http.response.body.size": 0,
      "error.type": "client.header.timeout",
      "evenkeel.node": "lb-1",
      "evenkeel.tries": 0,
    });
  });

  test("names a method that OpenTelemetry does not know _OTHER and keeps the original", () => {
    const line = jsonOf({ method: "PROPFIND", target: "/" });
    assert.equal(line["http.request.method"], "_OTHER");
    assert.equal(line["http.request.method_original"], "PROPFIND");
  });

  test("tells the peer beside the client when a proxy is between", () => {
    const line = jsonOf({ clientAddress: "192.0.2.1", peerAddress: "10.0.0.1", peerPort: 9 });
    assert.equal(line["client.address"], "192.0.2.1");
    assert.equal(line["client.port"], undefined);
    assert.equal(line["network.peer.address"], "10.0.0.1");
    assert.equal(line["network.peer.port"], 9);
  });

  const targets: readonly [target: string, path: string, query: string | undefined][] = [
    ["/", "/", undefined],
    ["/?", "/", ""],
    ["http://example.com/a?b", "/a", "b"],
    ["http://example.com?b", "", "b"],
    ["http://example.com", "", undefined],
    ["/a?http://b/c", "/a", "http://b/c"],
    ["*", "*", undefined],
    ["example.com:443", "example.com:443", undefined],
  ];
  for (const [target, path, query] of targets) {
    test(`cuts ${target} into path and query`, () => {
      const line = jsonOf({ method: "GET", target });
      assert.deepEqual([line["url.path"], line["url.query"]], [path, query]);
    });
  }

  test("keeps UTF-8 as it is and shows other bytes by their number", () => {
    assert.equal(jsonOf({ userAgent: Buffer.from("grüße €").toString("latin1") })["user_agent.original"], "grüße €");
    assert.equal(jsonOf({ userAgent: "a\xff\xc3b" })["user_agent.original"], "a\u00ff\u00c3b");
    assert.equal(jsonOf({}, "узел-1")["evenkeel.node"], "узел-1");
  });

  test("is one valid JSON object in valid UTF-8, whatever bytes the client sent", () => {
    const bytes = fc
      .array(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 10, 13, 34, 92, 0x7f, 0xc3, 0xa9, 0xe2)), {
        maxLength: 30,
      })
      .map((codes) => String.fromCharCode(...codes));
    const ms = fc.double({ min: -1, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(
        bytes,
        bytes,
        bytes,
        bytes,
        bytes,
        ms,
        ms,
        (method, target, host, userAgent, referer, totalMs, connectMs) => {
          const line = jsonOf({
            ...full,
            method,
            target,
            host,
            userAgent,
            referer,
            errorCode: host,
            totalMs,
            connectMs,
          });
          const expected = (text: string): string => {
            const buffer = Buffer.from(text, "latin1");
            return buffer.equals(Buffer.from(buffer.toString("utf8"))) ? buffer.toString("utf8") : text;
          };
          assert.equal(line["server.address"], host === "" ? undefined : expected(host));
          assert.equal(line["user_agent.original"], userAgent === "" ? undefined : expected(userAgent));
          if (totalMs >= 0) assert.ok(Math.abs(Number(line["evenkeel.duration.total"]) - totalMs / 1000) <= 0.51e-6);
        },
      ),
      { seed, numRuns: 2000 },
    );
  });

  test("a repeated value is not mistaken for the one before", () => {
    const lines: string[] = [];
    const log = createAccessLog({
      format: "json",
      node: "n",
      sink: sinkTo(lines),
    });
    const record = exchangeRecord();
    for (const host of ["a", "a", 'b"', "a", 'b"']) {
      resetExchange(record);
      record.host = host;
      log.write(record);
    }
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as Record<string, unknown>)["server.address"]),
      ["a", "a", 'b"', "a", 'b"'],
    );
  });
});

describe("the time of a line", () => {
  const lines: string[] = [];
  const sink = sinkTo(lines);

  test("is right at every border of a millisecond and second, forwards and backwards", () => {
    const log = createAccessLog({ format: "json", node: "n", sink });
    const base = Date.UTC(2024, 1, 29, 23, 59, 59, 998);
    for (const wallMs of [
      base,
      base + 1,
      base + 1.9,
      base + 2,
      base + 3,
      base - 1,
      base + 100_000_000,
      -1,
      Number.NaN,
    ]) {
      lines.length = 0;
      log.write({ ...exchangeRecord(), startedWallMs: wallMs });
      const expected = new Date(Number.isNaN(wallMs) ? 0 : Math.floor(wallMs)).toISOString();
      assert.ok(lines[0]?.startsWith(`{"timestamp":"${expected}"`), `${wallMs}: ${lines[0]}`);
    }
  });

  test("is local in the combined format, with its offset", () => {
    const zone = process.env["TZ"];
    try {
      for (const [name, expected] of [
        ["Asia/Kolkata", "01/Jan/2026:05:29:59 +0530"],
        ["America/St_Johns", "31/Dec/2025:20:29:59 -0330"],
        ["UTC", "31/Dec/2025:23:59:59 +0000"],
      ] as const) {
        process.env["TZ"] = name;
        const line = lineOf("combined", { startedWallMs: Date.UTC(2025, 11, 31, 23, 59, 59) }).toString();
        assert.ok(line.includes(`[${expected}]`), line);
      }
    } finally {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    }
  });
});

describe("a combined line", () => {
  test("of a request that could not be read has dashes and three digits", () => {
    const line = lineOf("combined", { clientAddress: "192.0.2.1", startedWallMs: 0 }).toString();
    assert.match(line, /^192\.0\.2\.1 - - \[[^\]]+\] "-" 000 0 "-" "-"\n$/);
  });

  test("of any bytes is printable ASCII and has its six quotes", () => {
    const bytes = fc
      .array(fc.integer({ min: 0, max: 255 }), { maxLength: 30 })
      .map((codes) => String.fromCharCode(...codes));
    fc.assert(
      fc.property(bytes, bytes, bytes, (target, referer, userAgent) => {
        const line = lineOf("combined", { ...full, target, referer, userAgent }).toString("latin1");
        assert.match(line, /^[\x20-\x7e]*\n$/);
        assert.equal(line.split('"').length, 7);
      }),
      { seed, numRuns: 1000 },
    );
  });
});

test("a record that was reset is as new but for what belongs to the connection", () => {
  const kept = { peerAddress: "192.0.2.1", peerPort: 4711, listenerPort: 80, listener: "web" };
  const record: ExchangeRecord = {
    ...exchangeRecord(),
    ...full,
    errorCode: "x",
    startedAtMs: 5,
    version: 10,
    scheme: "https",
  };
  resetExchange(record);
  assert.deepEqual(record, { ...exchangeRecord(), ...kept });
});
