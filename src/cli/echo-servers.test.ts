import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { SocketAddress } from "../core/address.ts";
import type { Result } from "../core/failure.ts";
import { type EchoServer, openDatagramEcho, openHttpEcho, openStreamEcho } from "./echo-servers.ts";

/** An address that was free a moment ago. */
async function somewhere(): Promise<SocketAddress> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.ok(typeof address === "object" && address !== null);
  return { host: "127.0.0.1", port: address.port };
}

function open(t: TestContext, result: Result<EchoServer>): void {
  if (!result.ok) assert.fail(result.failure.detail);
  t.after(() => result.value.close());
}

function ask(at: SocketAddress, path: string, method = "GET", body?: string) {
  return new Promise<{ status: number; name: unknown; length: number; text: string }>((resolve, reject) => {
    const outgoing = request({ ...at, path, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const whole = Buffer.concat(chunks);
        const { statusCode: status = 0, headers } = response;
        resolve({ status, name: headers["x-echo-name"], length: whole.length, text: whole.toString("utf8") });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("HTTP: every path tells the name, and some do more", async (t) => {
  const at = await somewhere();
  open(t, await openHttpEcho(at, "app-1"));
  assert.deepEqual(await ask(at, "/any?x=1"), { status: 200, name: "app-1", length: 6, text: "app-1\n" });
  assert.equal((await ask(at, "/ping")).text, '{"name":"app-1","status":"ok"}\n');
  assert.equal((await ask(at, "/status/503")).status, 503);
  assert.deepEqual(await ask(at, "/status/204"), { status: 204, name: "app-1", length: 0, text: "" });
  assert.equal((await ask(at, "/status/99")).status, 200);
  assert.equal((await ask(at, "/bytes/1000001")).length, 1_000_001);
  assert.equal((await ask(at, "/bytes/0")).length, 0);
  assert.equal((await ask(at, "/bytes/100", "HEAD")).length, 0);
  assert.equal((await ask(at, "/delay/1")).text, "app-1\n");
  assert.equal((await ask(at, "/", "POST", "x".repeat(100_000))).text, "app-1 received 100000 bytes\n");
  assert.match((await ask(at, "/headers")).text, /"Host","127\.0\.0\.1:/);
});

test("TCP: it greets, then answers line by line however the bytes are cut", async (t) => {
  const at = await somewhere();
  open(t, await openStreamEcho(at, "tcp-1"));
  const socket = connect(at.port, at.host);
  t.after(() => {
    socket.destroy();
  });
  let received = "";
  const whole = new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      if (received.split("\n").length === 4) resolve();
    });
  });
  for (const part of ["he", "llo\nwor", "ld\n"]) socket.write(part);
  await whole;
  assert.equal(received, "tcp-1\ntcp-1 hello\ntcp-1 world\n");
});

test("UDP: a datagram comes back behind the name", async (t) => {
  const at = await somewhere();
  open(t, await openDatagramEcho(at, "udp-1"));
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const answer = new Promise<string>((resolve) => socket.once("message", (datagram) => resolve(datagram.toString())));
  socket.send("hello", at.port, at.host);
  assert.equal(await answer, "udp-1 hello");
});

test("an address in use is a failure with the error's name", async (t) => {
  const at = await somewhere();
  open(t, await openStreamEcho(at, "first"));
  const second = await openHttpEcho(at, "second");
  assert.equal(second.ok ? "" : second.failure.code, "echo.EADDRINUSE");
});
