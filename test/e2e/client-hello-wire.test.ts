// ClientHellos of programs that people have, curl and openssl, read by the wire layer. No balancer runs.

import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createArena } from "../../src/wire/arena.ts";
import { Parsed } from "../../src/wire/parsed.ts";
import { clientHello, createClientHelloParser } from "../../src/wire/tls/client-hello.ts";
import { tlsFaults } from "../../src/wire/tls/faults.ts";
import { lacks } from "./http-kit.ts";
import { atEnd, freePort, startProgram } from "./kit.ts";

/** Runs the program against a port that reads its hello, hangs up, and gives `name protocols` or the fault, and the records that came. */
async function helloOf(
  t: TestContext,
  command: string,
  args: (port: number) => readonly string[],
): Promise<{ readonly said: string; readonly records: number }> {
  const port = await freePort();
  const arena = createArena(32768);
  const parser = createClientHelloParser(arena);
  const hello = clientHello();
  const sockets = new Set<Socket>();
  let said: string | undefined;
  let records = 0;
  const server = createServer((socket) => {
    let end = 0;
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      end += chunk.copy(arena.bytes, end);
      const result = parser.parse(0, end, hello);
      if (result === Parsed.incomplete) return;
      if (result === Parsed.complete) records = countRecords(arena.bytes.subarray(0, end));
      said = result < 0 ? tlsFaults[-result]?.code : `${hello.serverName || "-"} ${hello.protocols.join(",")}`.trim();
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(t, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const program = startProgram(t, command, args(port));
  await program.exited();
  assert.ok(said !== undefined, `${command} sent a hello: ${program.stderr()}`);
  return { said, records };
}

function countRecords(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) count++;
  return count;
}

test("curl's hello is read", { timeout: 60_000 }, async (t) => {
  if (lacks(t, "curl")) return;
  const to = (port: number) => [
    "-ksS",
    "--resolve",
    `Shop.example.com:${port}:127.0.0.1`,
    `https://Shop.example.com:${port}/`,
  ];
  assert.equal((await helloOf(t, "curl", to)).said, "shop.example.com h2,http/1.1");
  const plain = (port: number) => ["-ksS", "--http1.1", "--tlsv1.2", "--tls-max", "1.2", `https://127.0.0.1:${port}/`];
  assert.equal((await helloOf(t, "curl", plain)).said, "- http/1.1");
  const http = (port: number) => ["-sS", `http://127.0.0.1:${port}/`];
  assert.equal((await helloOf(t, "curl", http)).said, "tls.record.missing");
});

test("the hello of openssl s_client is read, in small records and with every version", {
  timeout: 60_000,
}, async (t) => {
  if (lacks(t, "openssl")) return;
  const args =
    (...more: string[]) =>
    (port: number) => ["s_client", "-connect", `127.0.0.1:${port}`, ...more];
  for (const version of ["-tls1_2", "-tls1_3"]) {
    assert.equal((await helloOf(t, "openssl", args(version, "-servername", "a.example"))).said, "a.example");
    assert.equal((await helloOf(t, "openssl", args(version, "-noservername"))).said, "-");
  }
  const many = args("-servername", "b.example", "-alpn", "h2,imap", "-max_send_frag", "512", "-split_send_frag", "512");
  const padded = Array.from({ length: 60 }, (_, index) => `protocol-number-${index}`).join(",");
  assert.equal((await helloOf(t, "openssl", many)).said, "b.example h2,imap");
  const long = await helloOf(
    t,
    "openssl",
    args("-servername", "c.example", "-alpn", padded, "-max_send_frag", "512", "-split_send_frag", "512"),
  );
  assert.ok(long.records >= 3, `${long.records} records`);
  assert.match(long.said, /^c\.example protocol-number-0,/);
});
