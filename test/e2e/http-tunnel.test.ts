// Tunnels, through the real program and the kernel: what passes is counted while it passes and logged at the end, and each
// side learns how the other one ended: in order by FIN, or broken by RST. Both Upgrade and CONNECT.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import {
  type Balancer,
  decodeLines,
  fileScope,
  type LogLine,
  listener,
  pool,
  type RecordedConnection,
  type RecordingTarget,
  startBalancer,
  startRecordingTarget,
} from "./http-kit.ts";
import { evenkeel, freePort, type RawClient, rawClient, runProgram, temporaryDirectory, until } from "./kit.ts";

const suite = fileScope();
const ways = [
  {
    name: "Upgrade",
    request: "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",
    response: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",
  },
  {
    name: "CONNECT",
    request: "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n",
    response: "HTTP/1.1 200 Connected\r\n\r\n",
  },
];
type Way = (typeof ways)[number];

let balancer: Balancer;
let target: RecordingTarget;
let web = 0;
let log = "";

before(async () => {
  const directory = temporaryDirectory(suite);
  log = join(directory, "access.log");
  web = await freePort();
  target = await startRecordingTarget(suite, ({ socket, received }) => {
    const way = ways.find(({ request }) => request.startsWith(received.slice(0, 4)));
    // Only the head itself is answered; what follows it is up to the test.
    if (way !== undefined && received.endsWith("\r\n\r\n")) socket.write(way.response);
  });
  balancer = await startBalancer(
    suite,
    {
      accessLog: { path: log, flush: "20ms" },
      listeners: { web: listener(web, [{ pool: "app", upgrade: "tunnel", connect: "tunnel" }]) },
      pools: { app: pool([target.port]) },
    },
    directory,
  );
});

type Sides = {
  readonly client: RawClient;
  readonly far: RecordedConnection;
  /** The access log's line of this tunnel, once it is over. */
  line(): Promise<LogLine>;
};

/** A tunnel with nothing in it yet. */
async function tunnel(t: Parameters<typeof rawClient>[0], way: Way): Promise<Sides> {
  const known = target.connections.length;
  const logged = logLines().length;
  const client = await rawClient(t, web);
  client.write(way.request);
  await client.receives((text) => text.endsWith("\r\n\r\n"));
  const far = target.connections[known];
  assert.ok(far !== undefined, "the target has a connection of its own for it");
  return { client, far, line: () => until("the line of the tunnel", () => logLines()[logged]) };
}

function logLines(): LogLine[] {
  return existsSync(log) ? decodeLines(readFileSync(log, "utf8")) : [];
}

/** What `evenkeel status` says has passed so far, each way and on each side of us. */
async function counted(t: Parameters<typeof rawClient>[0]) {
  const ran = await runProgram(t, evenkeel, ["status", "-o", "json", "--socket", balancer.socket]);
  assert.equal(ran.code, 0, ran.stderr);
  const { listeners, pools } = JSON.parse(ran.stdout);
  const { bytesFromClients, bytesToClients } = listeners[0].counters;
  const { bytesToTarget, bytesFromTarget } = pools[0].targets[0].counters;
  return { bytesFromClients, bytesToTarget, bytesFromTarget, bytesToClients };
}

for (const way of ways) {
  describe(`a tunnel by ${way.name}`, () => {
    test("is counted while it lasts, and logged with its bytes at its end", async (t) => {
      const { client, far, line } = await tunnel(t, way);
      const first = await counted(t);
      const moved = async () => {
        const now = await counted(t);
        return {
          up: [now.bytesFromClients - first.bytesFromClients, now.bytesToTarget - first.bytesToTarget],
          down: [now.bytesFromTarget - first.bytesFromTarget, now.bytesToClients - first.bytesToClients],
        };
      };
      const before = far.received.length;
      client.write("u".repeat(3_000));
      await until("3000 bytes at the target", () => far.received.length === before + 3_000);
      assert.deepEqual(await moved(), { up: [3_000, 3_000], down: [0, 0] });
      far.socket.write("d".repeat(1_000_000));
      await client.receives((text) => text.endsWith("d") && text.length > 1_000_000);
      assert.deepEqual(await moved(), { up: [3_000, 3_000], down: [1_000_000, 1_000_000] });
      client.write("last");
      client.end();
      await client.closed();
      assert.deepEqual(await moved(), { up: [3_004, 3_004], down: [1_000_000, 1_000_000] });
      const { "http.request.body.size": up, "http.response.body.size": down, "error.type": error } = await line();
      assert.deepEqual([up, down, error], [3_004, 1_000_000, undefined]);
    });

    test("that both sides end in order is ended in order on both", async (t) => {
      const { client, far, line } = await tunnel(t, way);
      client.write("bye");
      client.end();
      await until("the client's end at the target", () => far.state === "end");
      await client.closed();
      assert.equal(client.state(), "end");
      assert.ok(far.received.endsWith("bye"));
      assert.equal((await line())["error.type"], undefined);
    });

    test("whose target is reset resets the client, which must not take that for the end", async (t) => {
      const { client, far, line } = await tunnel(t, way);
      far.socket.write("half a mess");
      await client.receives("half a mess");
      far.socket.resetAndDestroy();
      await client.closed();
      assert.equal(client.state(), "reset");
      const logged = await line();
      assert.equal(logged["error.type"], "target.response.truncated");
      assert.equal(logged["http.response.body.size"], 11);
    });

    test("whose client is reset resets the target", async (t) => {
      const { client, far, line } = await tunnel(t, way);
      client.write("half a mess");
      await until("its bytes at the target", () => far.received.endsWith("half a mess"));
      client.socket.resetAndDestroy();
      await until("the target's connection to end", () => far.state !== "open");
      assert.equal(far.state, "reset");
      const logged = await line();
      assert.equal(logged["error.type"], "client.gone");
      assert.equal(logged["http.request.body.size"], 11);
    });

    test("whose target is reset after its half-close resets the client that still sends", async (t) => {
      const { client, far, line } = await tunnel(t, way);
      far.socket.end("all I have to say");
      await client.receives("all I have to say");
      await until("the target's end at the client", () => client.state() === "end");
      far.socket.resetAndDestroy();
      await until("a reset", () => {
        if (client.state() === "end") client.write("are you there? ");
        return client.state() === "reset";
      });
      assert.equal((await line())["error.type"], "target.response.truncated");
    });
  });
}

test("at the end of a drain, what is still open is reset on both sides", async (t) => {
  const [way] = ways;
  assert.ok(way !== undefined);
  const port = await freePort();
  const short = await startBalancer(t, {
    drainTimeout: "1s",
    listeners: { web: listener(port, [{ pool: "app", upgrade: "tunnel" }]) },
    pools: { app: pool([target.port]) },
  });
  const known = target.connections.length;
  const client = await rawClient(t, port);
  client.write(way.request);
  await client.receives((text) => text.endsWith("\r\n\r\n"));
  short.program.signal("SIGTERM");
  await client.closed();
  assert.equal(client.state(), "reset");
  await until("the target to know", () => target.connections[known]?.state === "reset");
  assert.equal((await short.program.exited()).code, 0);
});
