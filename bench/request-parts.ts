// What the pure parts of the request's way cost: nanoseconds a call, best of several rounds, in this process alone.
// `node bench/request-parts.ts`. Every string is cut anew from bytes for each call, as the arena gives them: a string
// that was used before has its hash ready and flatters look-ups. That cut is measured too, and is within each figure.

import { performance } from "node:perf_hooks";
import type { LineSink } from "../src/core/line-sink.ts";
import { LogFile } from "../src/io/log-file.ts";
import type { HostMatch, PathMatch, Route } from "../src/model/listener.ts";
import { createAccessLog } from "../src/proxy/access-log.ts";
import { exchangeRecord } from "../src/proxy/exchange-record.ts";
import { compileRoutes, matchRoute, normalizeHost } from "../src/proxy/match.ts";
import { encodePath, normalizePath, rewritePrefix } from "../src/proxy/path.ts";
import { compileTemplate, emptyVariables, expand } from "../src/proxy/template.ts";
import { clientFromForwarded, compileTrusted, isTrusted } from "../src/proxy/trusted-proxies.ts";

const rounds = 7;
const roundMs = 60;

/** Keeps results alive, so that no call is optimised away. */
let kept = 0;

function measure(name: string, call: () => number): void {
  let calls = 1000;
  for (let warm = performance.now() + 2 * roundMs; performance.now() < warm; ) kept += call();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) kept += call();
    const spentMs = performance.now() - start;
    best = Math.min(best, (spentMs * 1e6) / calls);
    calls = Math.max(1000, Math.ceil((roundMs * 1e6) / best));
  }
  console.log(`${best.toFixed(0).padStart(6)} ns  ${name}`);
}

/** A string cut from bytes at each call, from one of several. */
function fresh(...texts: readonly string[]): () => string {
  const bytes = texts.map((text) => Buffer.from(text, "latin1"));
  let next = 0;
  return () => {
    next = next + 1 === bytes.length ? 0 : next + 1;
    return bytes[next]!.toString("latin1");
  };
}

const noRules = { set: [], add: [], remove: [] };

function route(host: HostMatch, path: PathMatch): Route {
  const timeouts = {
    clientHeader: 1,
    clientBody: 1,
    keepAlive: 1,
    connect: 1,
    send: 1,
    firstByte: 1,
    idle: 1,
    exchange: 1,
    tunnel: 1,
  };
  const action = { kind: "respond", status: 200, contentType: "text/plain", body: "" } as const;
  return { name: "", host, path, action, requestHeaders: noRules, responseHeaders: noRules, bodyBytesMax: 0, timeouts };
}

const any: HostMatch = { kind: "any" };
const prefix = (path: string): PathMatch => ({ kind: "prefix", path });

console.log("cutting a string of 11 bytes, and one of 110");
const host = fresh("example.com");
const userAgent =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120";
const agent = fresh(userAgent);
measure("host", () => host().length);
measure("user agent", () => agent().length);

console.log("normalizeHost");
const hostAndPort = fresh("Example.com:8080");
measure("example.com", () => normalizeHost(host()).length);
measure("Example.com:8080", () => normalizeHost(hostAndPort()).length);

console.log("matchRoute");
const path = fresh("/api/v1/users/4711");
const one = compileRoutes([route(any, prefix("/"))]);
measure("one route for all", () => matchRoute(one, host(), path()));
const typical = compileRoutes([
  ...Array.from({ length: 20 }, (_, n) => route({ kind: "exact", name: `h${n}.example.com` }, prefix("/"))),
  route({ kind: "exact", name: "example.com" }, { kind: "exact", path: "/healthz" }),
  route({ kind: "exact", name: "example.com" }, prefix("/static/")),
  route({ kind: "exact", name: "example.com" }, prefix("/img/")),
  route({ kind: "exact", name: "example.com" }, prefix("/api/")),
  route({ kind: "suffix", suffix: ".example.com" }, prefix("/api/")),
  route(any, prefix("/")),
]);
measure("fourth of a host's five, 20 other hosts, one host", () => matchRoute(typical, host(), path()));
const hosts = fresh("example.com", "h7.example.com", "h13.example.com");
measure("the same, hosts in turn", () => matchRoute(typical, hosts(), path()));
const wild = fresh("a.b.c.example.com", "x.example.com");
measure("by suffix, two hosts in turn", () => matchRoute(typical, wild(), path()));
const regex = compileRoutes([
  route(any, { kind: "regex", source: "^/api/v\\d+/users/\\d+$" }),
  route(any, prefix("/")),
]);
measure("a regex", () => matchRoute(regex, host(), path()));
const exact = compileRoutes(
  Array.from({ length: 1000 }, (_, n) => route(any, { kind: "exact", path: `/api/v1/users/${4000 + n}` })),
);
measure("one of 1000 exact paths", () => matchRoute(exact, host(), path()));
const prefixes = compileRoutes([
  ...Array.from({ length: 999 }, (_, n) => route(any, prefix(`/app${n}/`))),
  route(any, prefix("/")),
]);
measure("behind 999 prefixes that don't match", () => matchRoute(prefixes, host(), path()));

console.log("paths");
const unclean = fresh("/api/v1/../v2/%41bc//users/a%20b");
measure("normalizePath, 32 bytes", () => normalizePath(unclean())?.length ?? 0);
measure("encodePath, nothing to do", () => encodePath(path()).length);
measure("rewritePrefix and encodePath", () => encodePath(rewritePrefix(path(), "/api/", "/") ?? "").length);

console.log("templates");
const variables = { ...emptyVariables(), host: "example.com", clientAddress: "192.0.2.1", path: "/a?b" };
const constant = compileTemplate("nosniff");
const location = compileTemplate("https://$host$path");
measure("a constant", () => expand(constant, variables).length);
measure("two variables", () => expand(location, variables).length);

console.log("trusted proxies, 22 IPv4 and 7 IPv6 ranges");
const trusted = compileTrusted([
  ...Array.from({ length: 22 }, (_, n) => `10.${n * 8}.0.0/13`),
  ...Array.from({ length: 7 }, (_, n) => `2001:db8:${n}::/48`),
]);
const peer = fresh("10.20.30.40");
const peer6 = fresh("2001:db8:3::1234:5678");
const forwardedFor = fresh("198.51.100.7, 203.0.113.9, 10.1.2.3");
measure("isTrusted, IPv4", () => (isTrusted(trusted, peer()) ? 1 : 0));
measure("isTrusted, IPv6", () => (isTrusted(trusted, peer6()) ? 1 : 0));
measure("clientFromForwarded, two entries read", () => clientFromForwarded(trusted, forwardedFor(), "10.0.0.1").length);

console.log("access log, one line into the buffer, writes to a file that takes them at once");
let wallMs = Date.UTC(2026, 0, 1);
const referer = fresh("https://example.com/start?from=mail");
const client = fresh("198.51.100.7", "198.51.100.8");
const target = fresh("/api/v1/users/4711?fields=name,mail");
const record = {
  ...exchangeRecord(),
  ...{
    method: "GET",
    listener: "web",
    route: "web[3]",
    pool: "apiserver",
    targetAddress: "10.0.4.20:8080",
    status: 200,
  },
  ...{ clientPort: 50000, listenerPort: 80, responseBodyBytes: 1234, tries: 1, connectMs: 0 },
};

function fill(): void {
  wallMs += 0.03;
  record.startedWallMs = wallMs;
  record.totalMs = 1 + (wallMs % 7) / 3;
  record.firstByteMs = record.totalMs - 0.1;
  record.target = target();
  record.host = host();
  record.userAgent = agent();
  record.referer = referer();
  record.clientAddress = client();
}

function count(line: string): void {
  kept += line.length;
}

function countBytes(_line: Uint8Array, length: number): void {
  kept += length;
}

const swallow: LineSink = { append: count, appendBytes: countBytes, flush: () => {} };
const file = new LogFile(
  {
    path: "memory",
    bufferBytesMax: 65_536,
    flushInterval: 1000,
    onProblem: () => {},
    later: () => () => {},
    calls: {
      openSync: () => 3,
      open: (_path, done) => done(null, 3),
      write: (_fd, _bytes, _start, length, done) => done(null, length),
      close: (_fd, done) => done(),
    },
  },
  3,
);
measure("filling the record (five strings cut)", () => {
  fill();
  return 1;
});
for (const format of ["json", "combined"] as const) {
  for (const [name, sink] of [
    ["joined only, not made flat", swallow],
    ["into the buffer", file],
  ] as const) {
    const log = createAccessLog({ format, sink, node: "lb-1" });
    measure(`${format}, ${name}, filling included`, () => {
      fill();
      log.write(record);
      return 1;
    });
  }
}
console.log(`(${kept % 10} ${file.linesDropped === 0 ? "no line dropped" : "lines dropped"})`);
