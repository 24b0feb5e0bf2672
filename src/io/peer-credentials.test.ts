import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { PeerNames, parseUserName } from "./peer-credentials.ts";

/** The server's end of a connection to a place of its own. */
async function accepted(t: TestContext, listenOn: { path: string } | { port: number; host: string }): Promise<Socket> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(listenOn, resolve));
  const socket = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const address = server.address();
  const client = typeof address === "string" ? connect(address) : connect((address as AddressInfo).port, "127.0.0.1");
  t.after(() => client.destroy());
  const server_end = await socket;
  t.after(() => server_end.destroy());
  return server_end;
}

test("a connection of a unix socket tells the user who opened it", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ek-peer-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const socket = await accepted(t, { path: join(directory, "s") });
  const names = new PeerNames();
  const name = await names.nameOf(socket);
  // Whoever runs the tests: by the same file, or by number where it has no name.
  const own = process.getuid?.() ?? -1;
  assert.ok(name === "root" ? own === 0 : own !== 0, `${name} is user ${own}`);
  assert.equal(names.nameOf(socket), names.nameOf(socket));
});

test("a TCP connection and a closed one tell nobody", async (t) => {
  const socket = await accepted(t, { port: 0, host: "127.0.0.1" });
  assert.equal(new PeerNames().nameOf(socket), undefined);
  socket.destroy();
  assert.equal(new PeerNames().nameOf(socket), undefined);
});

test("a user is found by number, and what is no number is nobody", () => {
  const text = "root:x:0:0:root:/root:/bin/sh\n\n:x:7:7::/:/bin/sh\ndeploy:x:1001:1001::/home/deploy:/bin/sh\n";
  assert.equal(parseUserName(text, 0), "root");
  assert.equal(parseUserName(text, 1001), "deploy");
  assert.equal(parseUserName(text, 1), undefined);
  assert.equal(parseUserName(text, 7), undefined);
});
