// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like templates.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { same } from "../core/same.ts";
import { haNone } from "../model/ha.ts";
import { type Decoded, type DecodeOptions, decodeConfig, decodeConfigBytes } from "./decode.ts";
import { fileBytesMax, problemsMax, targetsPerPoolMax } from "./limits.ts";
import { describeProblems, formatPath } from "./problem.ts";

const options: DecodeOptions = { file: "lb.yaml", environment: {}, machine: { hostname: "host-1", cores: 2 } };
const timeouts = {
  clientHeader: 60_000,
  clientBody: 60_000,
  keepAlive: 75_000,
  connect: 5000,
  send: 60_000,
  firstByte: 60_000,
  idle: 60_000,
  exchange: 0,
  tunnel: 3_600_000,
};

function codes(decoded: Decoded): string[] {
  return decoded.ok ? [] : decoded.problems.map((problem) => problem.code);
}

test("a minimal configuration decodes to every documented default", () => {
  const decoded = decodeConfig(
    `
listeners: { web: { bind: "0.0.0.0:80", routes: [{ pool: app }] } }
pools: { app: { targets: { 10.0.4.20:8080: } } }`,
    options,
  );
  assert(decoded.ok);
  assert.deepEqual(decoded.warnings, []);
  assert.deepEqual(decoded.config, {
    node: "host-1",
    admin: { socket: "/run/evenkeel/admin.sock", http: undefined },
    stateDirectory: "/var/lib/evenkeel",
    workers: 2,
    drainTimeout: 30_000,
    accessLog: undefined,
    kernel: { keepOnStop: false, countTraffic: false },
    listeners: [
      {
        name: "web",
        protocol: "http",
        bind: { host: "0.0.0.0", port: 80 },
        routes: [
          {
            name: "web[0]",
            host: { kind: "any" },
            path: { kind: "prefix", path: "/" },
            action: {
              kind: "pool",
              pool: "app",
              rewritePrefix: undefined,
              upgrade: "refuse",
              connect: "refuse",
              retry: { triesMax: 3, timeMax: 10_000, statuses: [] },
            },
            requestHeaders: { set: [], add: [], remove: [] },
            responseHeaders: { set: [], add: [], remove: [] },
            bodyBytesMax: 1_048_576,
            timeouts,
          },
        ],
        trustedProxies: [],
        forwarded: true,
        timeouts,
        limits: {
          headerBytesMax: 32_768,
          headerCountMax: 100,
          connectionsMax: 10_000,
          exchangesPerConnectionMax: 0,
        },
        backlog: 4096,
      },
    ],
    pools: [
      {
        name: "app",
        balance: { policy: "roundRobin" },
        targets: [
          {
            address: "10.0.4.20:8080",
            host: "10.0.4.20",
            port: 8080,
            weight: 1,
            maxFails: 1,
            failTimeout: 10_000,
            connectionsMax: 0,
            backup: false,
            intent: "up",
            slowStart: 0,
          },
        ],
        source: undefined,
        slowStart: 0,
        healthCheck: undefined,
        idleConnectionsMax: 128,
        idleTimeout: 4000,
      },
    ],
    ha: haNone,
  });
});

test("a decoded configuration is plain data that survives the way to a worker", () => {
  const decoded = decodeConfig("listeners: { web: { bind: 127.0.0.1:80, routes: [{ respond: {} }] } }", options);
  assert(decoded.ok);
  const { listeners } = decoded.config;
  assert.deepEqual(JSON.parse(JSON.stringify(listeners)), listeners);
});

test("floating addresses are plain data that survives the way to the process that speaks VRRP", () => {
  const text = readFileSync(new URL("./cases/good-ha.case", import.meta.url), "utf8").split("\n----------\n")[0] ?? "";
  const decoded = decodeConfig(text, options);
  assert(decoded.ok);
  const { ha } = decoded.config;
  assert(ha.virtualRouters.length > 2);
  assert(same(JSON.parse(JSON.stringify(ha)), ha));
});

const examples = new URL("../../examples/", import.meta.url);
for (const name of readdirSync(examples).filter((file) => file.endsWith(".yaml"))) {
  test(`examples/${name} decodes without a warning`, () => {
    const decoded = decodeConfigBytes(readFileSync(new URL(name, examples)), { ...options, file: name });
    assert.equal(describeProblems(decoded.ok ? [] : decoded.problems), "");
    assert.equal(describeProblems(decoded.warnings), "");
  });
}

test("a problem carries its place, its path and a stable code", () => {
  const decoded = decodeConfig('pools:\n  app:\n    targets:\n      "10.0.4.20:8080": { weigth: 3 }\n', options);
  assert(!decoded.ok);
  assert.deepEqual(decoded.problems, [
    {
      file: "lb.yaml",
      line: 4,
      column: 27,
      path: 'pools.app.targets["10.0.4.20:8080"].weigth',
      code: "config.key.unknown",
      message: "unknown key `weigth`",
      expected: "",
      suggestion: "weight",
    },
  ]);
  assert.equal(formatPath([]), "");
  assert.equal(formatPath(["listeners", "web", "routes", 0, "a b"]), 'listeners.web.routes[0]["a b"]');
});

test("positions hold in files with CRLF line ends and with a byte order mark", () => {
  const decoded = decodeConfig("node: a\r\nworkers: 1\r\nnod: b\r\n", options);
  assert(!decoded.ok);
  assert.deepEqual([decoded.problems[0]?.line, decoded.problems[0]?.column], [3, 1]);
  const marked = decodeConfigBytes(new TextEncoder().encode("\ufeffnod: b\n"), options);
  assert.deepEqual(codes(marked), ["config.key.unknown"]);
});

test("bytes that are no UTF-8 are refused with their line", () => {
  const bytes = new Uint8Array([...new TextEncoder().encode("node: a\nnode2: "), 0xff, 0x0a]);
  const decoded = decodeConfigBytes(bytes, options);
  assert(!decoded.ok);
  assert.deepEqual([decoded.problems[0]?.code, decoded.problems[0]?.line], ["config.file.encoding", 2]);
  assert.deepEqual(codes(decodeConfigBytes(new Uint8Array([0xef, 0xbb]), options)), ["config.file.encoding"]);
  // The replacement character itself is a character like others.
  assert.deepEqual(codes(decodeConfigBytes(new TextEncoder().encode("\ufffd: 1"), options)), ["config.key.unknown"]);
});

test("a file, a pool and a listener hold at most so much", () => {
  assert.deepEqual(codes(decodeConfig(" ".repeat(fileBytesMax + 1), options)), ["config.file.size"]);
  assert.deepEqual(codes(decodeConfigBytes(new Uint8Array(fileBytesMax + 1), options)), ["config.file.size"]);
  const many = Array.from({ length: targetsPerPoolMax + 1 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80:`);
  const pool = (lines: readonly string[]) =>
    `pools:\n  app:\n    targets:\n${lines.map((line) => `      ${line}\n`).join("")}`;
  assert.deepEqual(codes(decodeConfig(pool(many), options)), ["config.count"]);
  assert.equal(decodeConfig(pool(many.slice(1)), options).ok, true);
  const routes = Array.from({ length: 1001 }, (_, index) => `{ path: { exact: /${index} }, respond: {} }`);
  const listener = `listeners: { web: { bind: 0.0.0.0:80, routes: [${routes.join(", ")}] } }`;
  assert.deepEqual(codes(decodeConfig(listener, options)), ["config.count"]);
  const regexes = Array.from({ length: 101 }, (_, index) => `{ path: { regex: r${index} }, respond: {} }`);
  const slow = `listeners: { web: { bind: 0.0.0.0:80, routes: [${regexes.join(", ")}] } }`;
  assert.deepEqual(codes(decodeConfig(slow, options)), ["config.count"]);
});

test("no more problems than the limit are kept, and that is said", () => {
  const lines = Array.from({ length: problemsMax + 5 }, (_, index) => `unknown-${index}: 1\n`).join("");
  const decoded = decodeConfig(lines, options);
  assert(!decoded.ok);
  assert.equal(decoded.problems.length, problemsMax);
  assert.match(describeProblems(decoded.problems), /the first 1000 problems; there may be more\n$/);
});

test("collections nested a hundred thousand deep are a problem, not a crash", () => {
  for (const opening of ["[", "{a: ", "- ", "? "]) {
    const decoded = decodeConfig(opening.repeat(100_000), options);
    assert.deepEqual(codes(decoded), ["config.yaml.nesting"], opening);
  }
});

test("aliases do not hide nesting", () => {
  const lines = Array.from(
    { length: 40 },
    (_, index) => `a${index}: &a${index} [${index === 0 ? "x" : `*a${index - 1}`}]\n`,
  );
  assert.deepEqual(codes(decodeConfig(lines.join(""), options)), ["config.yaml.nesting"]);
});

function checkOutcome(decoded: Decoded): void {
  const all = [...(decoded.ok ? [] : decoded.problems), ...decoded.warnings];
  if (!decoded.ok) assert(decoded.problems.length > 0, "a refused configuration says why");
  for (const problem of all) {
    assert(problem.line >= 1 && problem.column >= 1 && problem.message !== "", JSON.stringify(problem));
    assert.match(problem.code, /^config(\.[a-z][A-Za-z0-9]*)+$/);
  }
  assert.doesNotMatch(describeProblems(all).replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f]/);
}

const words = [
  "listeners",
  "pools",
  "web",
  "app",
  "bind",
  "0.0.0.0:80",
  "routes",
  "targets",
  "10.0.0.1:80",
  "weight",
  "path",
  "pool",
  "respond",
  "redirect",
  "location",
  "$host",
  "$x",
  "${A}",
  "${A:-b}",
  "regex",
  "(",
  "5s",
  "1MiB",
  "0",
  "-1",
  "true",
  "*",
  "&a",
  "*a",
  "<<",
  "__proto__",
  "constructor",
  "toString",
  "balance",
  "consistentHash",
  "key",
  "header",
  "retry",
  "timeouts",
  "requestHeaders",
  "set",
  "add",
  "remove",
  "protocol",
  "tcp",
  "udp",
  "engine",
  "kernel",
  "auto",
  "proxyProtocol",
  "send",
  "v2",
  "responses",
  "limits",
  "flows",
  "preserveClientAddress",
  "source",
  "type",
  "consul",
  "etcd",
  "dns",
  "endpoints",
  "127.0.0.1:8500",
  "https://a",
  "prefix",
  "service",
  "tls",
  "dump",
  "Host",
  "a\u0000b",
  "\ud800",
  "",
]; // prettier-ignore

test("any text is decoded or refused with reasons, never thrown at", () => {
  const marks = [
    ...words,
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "#",
    "'",
    '"',
    "|",
    ">",
    "!",
    "%",
    "\t",
    "---",
    "...",
  ];
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.array(fc.constantFrom(...marks), { maxLength: 40 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (given) => checkOutcome(decodeConfig(given, options))),
    { numRuns: 1500 },
  );
});

test("any YAML document is decoded or refused with reasons", () => {
  const scalar = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(null, true, false, 0, 1, -1, 1.5, 1e21, Number.NaN, Number.POSITIVE_INFINITY),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      scalar,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...words), tie("value"), { maxKeys: 5 }),
    ),
  }));
  const part = fc.record({
    listeners: fc.dictionary(fc.constantFrom("web", "app"), value),
    pools: fc.dictionary(fc.constantFrom("app", "web"), value),
  });
  fc.assert(
    fc.property(fc.oneof(value, part), (document) => checkOutcome(decodeConfig(stringify(document), options))),
    { numRuns: 1000 },
  );
});

test("arbitrary bytes are decoded or refused with reasons", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => checkOutcome(decodeConfigBytes(bytes, options))));
});
