// Paths, `combined` lines and X-Forwarded-For against what real nginx made of them (nginx-requests.json, recorded by
// test/oracles/record-nginx-requests.ts).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { createAccessLog } from "./access-log.ts";
import { exchangeRecord } from "./exchange-record.ts";
import { encodePath, normalizePath } from "./path.ts";
import { sinkTo } from "./test-sink.ts";
import { clientFromForwarded, compileTrusted } from "./trusted-proxies.ts";

type Recording = {
  readonly program: string;
  readonly paths: readonly { readonly path: string; readonly uri?: string; readonly sent?: string }[];
  readonly lines: readonly {
    readonly method: string;
    readonly target: string;
    readonly referer: string;
    readonly userAgent: string;
    readonly line: string;
  }[];
  readonly trusted: readonly string[];
  readonly clients: readonly { readonly forwardedFor: string; readonly client: string }[];
};

const file = new URL("../../test/oracles/nginx-requests.json", import.meta.url);
const recording = JSON.parse(readFileSync(file, "utf8")) as Recording;

describe(`paths are read as ${recording.program} reads them`, () => {
  for (const { path, uri, sent } of recording.paths) {
    test(`${JSON.stringify(path)} is ${uri === undefined ? "refused" : JSON.stringify(uri)}`, () => {
      const normalized = normalizePath(path);
      assert.equal(normalized, uri);
      // nginx escapes again only what had a percent sign.
      if (normalized !== undefined && path.includes("%")) assert.equal(encodePath(normalized), sent);
    });
  }
});

describe(`a combined line is that of ${recording.program}`, () => {
  process.env["TZ"] = "UTC";
  for (const { line, ...request } of recording.lines) {
    test(`${request.method} ${request.target}`, () => {
      const [, day, time, status, bytes] = /\[([^:]+):(\S+) \+0000\] ".*?" (\d+) (\d+) /.exec(line) ?? [];
      const lines: string[] = [];
      const log = createAccessLog({
        format: "combined",
        node: "lb-1",
        sink: sinkTo(lines),
      });
      log.write({
        ...exchangeRecord(),
        ...request,
        clientAddress: "127.0.0.1",
        status: Number(status),
        responseBodyBytes: Number(bytes),
        startedWallMs: Date.parse(`${day?.replaceAll("/", " ")} ${time} UTC`) - 250,
        totalMs: 250.7,
      });
      assert.deepEqual(lines, [`${line}\n`]);
    });
  }
});

// Where we differ on purpose. nginx wants a port behind brackets; many proxies write them without.
const clientsOfOurs: Readonly<Record<string, string>> = { "[2001:db8::1], [2001:db8:1::5]:80": "2001:db8::1" };

describe(`the client is the one that ${recording.program} finds`, () => {
  const trusted = compileTrusted(recording.trusted);
  for (const { forwardedFor, client } of recording.clients) {
    const expected = clientsOfOurs[forwardedFor] ?? client;
    test(`${JSON.stringify(forwardedFor)} names ${expected}`, () => {
      assert.equal(clientFromForwarded(trusted, forwardedFor, "127.0.0.1"), expected);
    });
  }
});
