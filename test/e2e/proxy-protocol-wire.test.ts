// The PROXY protocol with HAProxy on the other end: what it sends is read, what we write is believed by it. Both versions,
// both families, health checks and unix clients. The wire layer alone is under test here, no balancer runs.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createArena } from "../../src/wire/arena.ts";
import { Parsed } from "../../src/wire/parsed.ts";
import {
  encodeProxyV1,
  encodeProxyV1Unknown,
  encodeProxyV2,
  encodeProxyV2Local,
  PROXY_HEADER_ROOM,
} from "../../src/wire/proxy-protocol/encode.ts";
import { proxyFaults } from "../../src/wire/proxy-protocol/faults.ts";
import { Proxied, type ProxiedEnds, proxyHeader } from "../../src/wire/proxy-protocol/header.ts";
import { parseProxyHeader } from "../../src/wire/proxy-protocol/parse.ts";
import { lacks } from "./http-kit.ts";
import { atEnd, freePort, rawClient, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";

const program = "/usr/sbin/haproxy";

/** HAProxy with these sections behind `defaults`, once `port` accepts. */
async function startHaproxy(scope: Scope, port: number, sections: string): Promise<void> {
  const file = join(temporaryDirectory(scope), "haproxy.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 200
  no strict-limits
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${sections}`,
  );
  const haproxy = startProgram(scope, program, ["-db", "-f", file]);
  const accepts = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
  await until("HAProxy's port", accepts, { onTimeout: () => haproxy.stdout() + haproxy.stderr() });
}

type Seen = {
  readonly what: string;
  readonly ends: ProxiedEnds;
  readonly header: Buffer;
  readonly rest: string;
};

/** A target that reads headers with the parser; each connection's is kept once it is whole or refused. */
async function startReader(scope: Scope): Promise<{ port: number; seen: Seen[] }> {
  const port = await freePort();
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const chunks: Buffer[] = [];
    let told = false;
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (told) return;
      const one = readHeader(Buffer.concat(chunks));
      if (one === undefined) return;
      told = true;
      seen.push(one);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(scope, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port, seen };
}

/** Undefined until the header is whole and a byte follows it, so that the rest can be looked at. */
function readHeader(bytes: Buffer): Seen | undefined {
  const arena = createArena(16384);
  const header = proxyHeader();
  bytes.copy(arena.bytes);
  const result = parseProxyHeader(arena, 0, bytes.length, header);
  if (result === Parsed.incomplete) return undefined;
  const { clientAddress, clientPort, destinationAddress, destinationPort } = header;
  const ends = { clientAddress, clientPort, destinationAddress, destinationPort };
  if (result < 0) return { what: proxyFaults[-result]?.code ?? "", ends, header: bytes, rest: "" };
  const kind = Object.entries(Proxied).find(([, value]) => value === header.proxied)?.[0];
  const isProbe = header.proxied === Proxied.nothing && header.end === bytes.length;
  if (header.end === bytes.length && !isProbe) return undefined;
  const rest = bytes.toString("latin1", header.end);
  return { what: `v${header.version} ${kind}`, ends, header: bytes.subarray(0, header.end), rest };
}

/** Connects through HAProxy, says one word, and gives what the target saw of it. */
async function through(
  t: TestContext,
  reader: { readonly seen: readonly Seen[] },
  to: number | string,
  host = "127.0.0.1",
): Promise<{ readonly seen: Seen; readonly clientPort: number }> {
  const word = `word-${to}-${host}`;
  const client = await rawClient(t, to, { host });
  const { localPort } = client.socket;
  client.write(word);
  const find = () => reader.seen.find((one) => one.rest === word || (one.rest === "" && typeof to === "string"));
  const seen = await until("the header at the target", find, { onTimeout: () => JSON.stringify(reader.seen) });
  return { seen, clientPort: localPort ?? 0 };
}

const senders: readonly { readonly name: string; readonly version: string; readonly settings: string }[] = [
  { name: "send-proxy", version: "v1", settings: "send-proxy" },
  { name: "send-proxy-v2", version: "v2", settings: "send-proxy-v2" },
  {
    name: "send-proxy-v2 with a checksum and a unique id",
    version: "v2",
    settings: "send-proxy-v2 proxy-v2-options crc32c,unique-id",
  },
];

for (const { name, version, settings } of senders) {
  test(`what HAProxy sends with ${name} is read`, { timeout: 60_000 }, async (t) => {
    if (lacks(t, "haproxy")) return;
    const reader = await startReader(t);
    const [v4, v6, dual] = [await freePort(), await freePort(), await freePort()];
    await startHaproxy(
      t,
      v4,
      `listen relay
  unique-id-format %{+X}o\\ %ci:%cp
  bind 127.0.0.1:${v4}
  bind [::1]:${v6}
  bind :::${dual} v4v6
  server reader 127.0.0.1:${reader.port} ${settings}
`,
    );
    const roads = [
      { port: v4, host: "127.0.0.1", address: "127.0.0.1" },
      { port: v6, host: "::1", address: "::1" },
      { port: dual, host: "::1", address: "::1" },
      // An IPv4 client of a dual-stack socket has an IPv6 address for HAProxy.
      { port: dual, host: "127.0.0.1", address: "127.0.0.1" },
    ];
    for (const { port, host, address } of roads) {
      const { seen, clientPort } = await through(t, reader, port, host);
      assert.equal(seen.what, `${version} stream`);
      // Type 3, 4 bytes: else the checksum was not put to the test.
      assert.equal(seen.header.includes("030004", "hex"), settings.includes("crc32c"), seen.header.toString("hex"));
      assert.deepEqual(seen.ends, {
        clientAddress: address,
        clientPort,
        destinationAddress: address,
        destinationPort: port,
      });
    }
  });
}

test("a unix client of HAProxy is nobody's address, and its probe is LOCAL", { timeout: 60_000 }, async (t) => {
  if (lacks(t, "haproxy")) return;
  const [first, second, probed] = [await startReader(t), await startReader(t), await startReader(t)];
  const directory = temporaryDirectory(t);
  const port = await freePort();
  await startHaproxy(
    t,
    port,
    `listen relay1
  bind ${directory}/one.sock
  server reader 127.0.0.1:${first.port} send-proxy
listen relay2
  bind ${directory}/two.sock
  server reader 127.0.0.1:${second.port} send-proxy-v2
listen probing
  bind 127.0.0.1:${port}
  option tcp-check
  server reader 127.0.0.1:${probed.port} send-proxy-v2 check inter 100ms
`,
  );
  assert.equal((await through(t, first, `${directory}/one.sock`)).seen.what, "v1 nothing");
  assert.equal((await through(t, second, `${directory}/two.sock`)).seen.what, "v2 nothing");
  const probe = await until("a probe", () => probed.seen.find((one) => one.rest === ""));
  assert.equal(probe.what, "v2 nothing");
});

/** Asks HAProxy over a connection that begins with `prefix`, and gives the lines that it adds to the response. */
async function believed(t: TestContext, port: number, prefix: Uint8Array): Promise<string> {
  const client = await rawClient(t, port);
  const local = `127.0.0.1:${client.socket.localPort}`;
  client.write(Buffer.concat([prefix, Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")]));
  const text = await client.closed();
  const line = (field: string) => new RegExp(`^${field}: (.*)\r$`, "im").exec(text)?.[1] ?? "none";
  const ends = `${line("x-src")}:${line("x-src-port")} > ${line("x-dst")}:${line("x-dst-port")}`;
  assert.match(text, /^HTTP\/1.1 200/, text);
  return `${ends.replace(local, "own")} ${line("x-forwarded-for").replace("127.0.0.1", "own")}`;
}

test("HAProxy believes what we write", { timeout: 60_000 }, async (t) => {
  if (lacks(t, "haproxy")) return;
  const [port, behind] = [await freePort(), await freePort()];
  await startHaproxy(
    t,
    behind,
    `frontend accepting
  mode http
  bind 127.0.0.1:${port} accept-proxy
  option forwardfor
  default_backend answering
backend answering
  mode http
  http-request set-header X-Src %[src]
  http-request set-header X-Src-Port %[src_port]
  http-request set-header X-Dst %[dst]
  http-request set-header X-Dst-Port %[dst_port]
  server behind 127.0.0.1:${behind}
frontend showing
  mode http
  bind 127.0.0.1:${behind}
  http-request return status 200 hdr X-Src %[req.hdr(x-src)] hdr X-Src-Port %[req.hdr(x-src-port)] hdr X-Dst %[req.hdr(x-dst)] hdr X-Dst-Port %[req.hdr(x-dst-port)] hdr X-Forwarded-For %[req.hdr(x-forwarded-for)]
`,
  );
  const encoders = {
    "version 1": encodeProxyV1,
    "version 2": (bytes: Uint8Array, at: number, ends: ProxiedEnds) => encodeProxyV2(bytes, at, ends, Proxied.stream),
  };
  // Client and destination, and how HAProxy names them.
  const cases: readonly (readonly [string, string, string, string])[] = [
    ["203.0.113.7", "198.51.100.2", "203.0.113.7", "198.51.100.2"],
    ["2001:db8::7", "2001:db8:1::2", "2001:db8::7", "2001:db8:1::2"],
    ["::ffff:203.0.113.7", "::ffff:198.51.100.2", "203.0.113.7", "198.51.100.2"],
    ["203.0.113.7", "2001:db8:1::2", "::ffff:203.0.113.7", "2001:db8:1::2"],
    ["fe80::1%eth0", "fe80::2", "fe80::1", "fe80::2"],
  ];
  const bytes = Buffer.alloc(PROXY_HEADER_ROOM);
  for (const [name, encode] of Object.entries(encoders)) {
    for (const [clientAddress, destinationAddress, source, destination] of cases) {
      const ends = { clientAddress, clientPort: 56324, destinationAddress, destinationPort: 443 };
      const prefix = Buffer.from(bytes.subarray(0, encode(bytes, 0, ends)));
      const expected = `${source}:56324 > ${destination}:443 ${source}`;
      assert.equal(await believed(t, port, prefix), expected, `${name} ${clientAddress}`);
    }
  }
  for (const encode of [encodeProxyV1Unknown, encodeProxyV2Local]) {
    const prefix = Buffer.from(bytes.subarray(0, encode(bytes, 0)));
    assert.equal(await believed(t, port, prefix), `own > 127.0.0.1:${port} own`);
  }
});
