// TLS that passes through by its server name: the program has no key, the client and the target shake hands.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { before, test } from "node:test";
import { type ConnectionOptions, connect, createServer, type TLSSocket } from "node:tls";
import { fileScope, isInstalled, lacks, listenOn, pool, startBalancer } from "./http-kit.ts";
import { atEnd, freePort, patienceMs, rawClient, runProgram, type Scope, temporaryDirectory, until } from "./kit.ts";
import { linesOf, startStreamEcho, tcpListener } from "./tcp-kit.ts";

const suite = fileScope();
let port = 0;
let strictPort = 0;
let log = "";

async function startTlsServer(scope: Scope, directory: string, name: string): Promise<number> {
  const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)];
  const made = await runProgram(scope, "openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", `/CN=${name}`, "-keyout", key, "-out", cert],
  ]);
  assert.equal(made.code, 0, made.stderr);
  const sockets = new Set<TLSSocket>();
  const options = { key: readFileSync(key), cert: readFileSync(cert), ALPNProtocols: ["h2", "http/1.1"] };
  const server = createServer(options, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => socket.write(`${name} ${bytes}`));
  });
  server.on("tlsClientError", () => {});
  return listenOn(scope, server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

before(async () => {
  if (!isInstalled("openssl")) return;
  const directory = temporaryDirectory(suite);
  log = join(directory, "access.log");
  [port, strictPort] = [await freePort(), await freePort()];
  const [a, b] = [await startTlsServer(suite, directory, "a.test"), await startTlsServer(suite, directory, "b.test")];
  const plain = await startStreamEcho(suite, "plain");
  const routes = [
    { host: "a.test", pool: "a" },
    { host: "*.b.test", pool: "b" },
  ];
  await startBalancer(
    suite,
    {
      accessLog: { path: log, flush: "20ms" },
      listeners: {
        any: tcpListener(port, { routes: [...routes, { pool: "plain" }] }),
        strict: tcpListener(strictPort, { routes }),
      },
      pools: { a: pool([a]), b: pool([b]), plain: pool([plain.port]) },
    },
    directory,
  );
});

type Handshake = { readonly socket: TLSSocket; readonly name: string; readonly error: string };

/** Shakes hands and tells whose certificate came, or what went wrong. */
async function shake(scope: Scope, to: number, options: ConnectionOptions): Promise<Handshake> {
  const socket = connect({ port: to, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  atEnd(scope, () => {
    socket.destroy();
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no handshake")), patienceMs);
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      resolve({ socket, name: String(socket.getPeerCertificate().subject.CN), error: "" });
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve({ socket, name: "", error: error.code ?? error.message });
    });
  });
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a client of ${version} gets the target of its server name, whatever the case`, async (t) => {
    if (lacks(t, "openssl")) return;
    for (const [servername, name] of [
      ["a.test", "a.test"],
      ["A.TEST", "a.test"],
      ["x.y.b.test", "b.test"],
    ]) {
      const options = { servername: servername ?? "", minVersion: version, maxVersion: version, ALPNProtocols: ["h2"] };
      const { socket, name: seen, error } = await shake(t, strictPort, options);
      assert.deepEqual([seen, error, socket.alpnProtocol], [name, "", "h2"]);
      let answer = "";
      socket.on("data", (bytes) => {
        answer += bytes;
      });
      socket.write("hello");
      await until("an answer", () => answer === `${name} hello`);
      socket.destroy();
    }
    const line = await until("a line", () => linesOf(log).find((one) => one["evenkeel.server_name"] === "x.y.b.test"));
    assert.equal(line["evenkeel.route"], "strict[1]");
  });

  test(`a client of ${version} is told in TLS's words that nobody has its name`, async (t) => {
    if (lacks(t, "openssl")) return;
    const options = { minVersion: version, maxVersion: version };
    const unknown = await shake(t, strictPort, { ...options, servername: "c.test" });
    assert.equal(unknown.error, "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    const unnamed = await shake(t, strictPort, options);
    assert.match(unnamed.error, /^ERR_SSL_/);
    await until("the line", () =>
      linesOf(log).some((one) => one["evenkeel.server_name"] === "c.test" && one["error.type"] === "route.none"),
    );
  });
}

test("a hello that comes byte by byte arrives whole", async (t) => {
  if (lacks(t, "openssl")) return;
  // The bytes of a real hello, sent slowly by hand; the server's answer begins with a handshake record.
  const chunks: Buffer[] = [];
  const sink = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const writer = connect({ socket: sink, servername: "a.test", rejectUnauthorized: false });
  writer.on("error", () => writer.destroy());
  const hello = await until("a hello", () => (chunks.length > 0 ? Buffer.concat(chunks) : undefined));
  writer.destroy();
  const client = await rawClient(t, strictPort);
  for (const byte of hello) {
    const flushed = new Promise<void>((resolve) => client.socket.write(Buffer.from([byte]), () => resolve()));
    await flushed;
  }
  await client.receives((text) => text.charCodeAt(0) === 22);
});

test("a route for all takes clients of other names, without a name, and without TLS", async (t) => {
  if (lacks(t, "openssl")) return;
  assert.equal((await shake(t, port, { servername: "a.test" })).name, "a.test");
  const plain = await rawClient(t, port);
  plain.write("hello\n");
  await plain.receives("plain hello\n");
  const strict = await rawClient(t, strictPort);
  strict.write("hello\n");
  await strict.closed();
  assert.equal(strict.state(), "reset");
});
