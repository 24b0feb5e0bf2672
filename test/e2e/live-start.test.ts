// What may be asked of a program that is still starting, since a required source keeps silent: a reload, an order, its
// status, its end. The store is a few lines that answer as Consul does, so that it is away for as long as the test says.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { decodeLines, listener } from "./http-kit.ts";
import { ask, atEnd, evenkeel, freePort, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";

/** Starts a program whose only source is required and away, and waits until it has asked it in vain. */
async function startWaiting(scope: Scope) {
  const directory = temporaryDirectory(scope);
  const socketPath = join(directory, "admin.sock");
  const file = join(directory, "evenkeel.json");
  const store = await freePort();
  const port = await freePort();
  const write = (drainTimeout: string) =>
    writeFileSync(
      file,
      JSON.stringify({
        admin: { socket: socketPath },
        stateDirectory: join(directory, "state"),
        workers: 1,
        drainTimeout,
        listeners: { web: listener(port, [{ pool: "app" }]) },
        pools: {
          app: {
            source: {
              type: "consul",
              endpoints: [`127.0.0.1:${store}`],
              prefix: "upstreams/app/",
              required: true,
              startTimeout: "5m",
              retry: { first: "20ms", most: "50ms" },
            },
          },
        },
      }),
    );
  write("10s");
  const program = startProgram(scope, evenkeel, ["run", "-c", file]);
  const logged = (message: string) =>
    until(
      message,
      () => {
        if (program.exit() !== undefined) throw new Error(`the program has ended: ${program.stderr()}`);
        return decodeLines(program.stderr()).find((line) => line["message"] === message);
      },
      { onTimeout: program.stderr },
    );
  await logged("source fails and has not answered yet");
  return { program, socketPath, store, write, logged };
}

/** Says that the prefix is empty, at every index. */
function openStore(scope: Scope, port: number): Promise<void> {
  const server = createServer((_request, response) => {
    response.writeHead(404, { "x-consul-index": "7", "x-consul-knownleader": "true" });
    response.end();
  });
  atEnd(scope, () => void server.close());
  atEnd(scope, () => server.closeAllConnections());
  return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

test("a reload while the start waits for a source has its turn when the program has started", async (t) => {
  const { program, socketPath, store, write, logged } = await startWaiting(t);
  write("11s");
  program.signal("SIGHUP");
  await logged("reload asked for");
  const reloading = ask({ socketPath, method: "POST", path: "/v1/reload" });
  const status = JSON.parse((await ask({ socketPath, path: "/v1/status" })).body);
  assert.equal(status.state, "starting");
  assert.match(
    String(status.degraded),
    /source of pool app does not answer, it has not answered yet: .*nobody listens/,
  );
  const ordered = await ask({
    socketPath,
    method: "PUT",
    path: "/v1/pools/app/targets/10.0.0.1:80",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assert.deepEqual([ordered.status, JSON.parse(ordered.body).code], [503, "node.starting"]);
  await openStore(t, store);
  await logged("ready");
  const reloaded = await reloading;
  assert.equal(reloaded.status, 200, reloaded.body);
  const config = JSON.parse((await ask({ socketPath, path: "/v1/config" })).body);
  assert.equal(config.drainTimeout, 11_000, "what the file said when it was asked for is in force");
});

test("SIGTERM ends a start that waits for a source, and refuses the reload that waits behind it", async (t) => {
  const { program, logged } = await startWaiting(t);
  program.signal("SIGHUP");
  await logged("reload asked for");
  program.signal("SIGTERM");
  await program.exited();
  assert.deepEqual(program.exit(), { code: 0, signal: null }, program.stderr());
  const messages = decodeLines(program.stderr()).map((line) => line["message"]);
  assert.ok(!messages.includes("configuration taken up"));
});
