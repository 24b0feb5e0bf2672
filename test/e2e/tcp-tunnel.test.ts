// What passes through a TCP listener of the real program: a lot of it, slowly, and how each side learns of the other's end.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import {
  type Balancer,
  fileScope,
  listenOn,
  pool,
  type RecordedConnection,
  type RecordingTarget,
  startBalancer,
  startRecordingTarget,
} from "./http-kit.ts";
import { atEnd, freePort, type RawClient, rawClient, temporaryDirectory, until } from "./kit.ts";
import { linesOf, tcpListener } from "./tcp-kit.ts";

const suite = fileScope();
const MIB = 1024 * 1024;
const BULK = 100 * MIB;

let balancer: Balancer;
let target: RecordingTarget;
let port = 0;
let mirrorPort = 0;
let shortPort = 0;
let log = "";

before(async () => {
  const directory = temporaryDirectory(suite);
  log = join(directory, "access.log");
  [port, mirrorPort, shortPort] = [await freePort(), await freePort(), await freePort()];
  target = await startRecordingTarget(suite, () => {});
  const mirrored = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    mirrored.add(socket);
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  const mirror = await listenOn(suite, server, () => {
    for (const socket of mirrored) socket.destroy();
  });
  balancer = await startBalancer(
    suite,
    {
      accessLog: { path: log, flush: "20ms" },
      listeners: {
        echo: tcpListener(port),
        mirror: tcpListener(mirrorPort, { pool: "mirror" }),
        short: tcpListener(shortPort, { timeouts: { tunnel: "500ms" } }),
      },
      pools: { echo: pool([target.port]), mirror: pool([mirror]) },
    },
    directory,
  );
});

function memoryOf(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  assert.ok(kib !== undefined);
  return Number(kib) * 1024;
}

/** Bytes that repeat at no length that anything here reads or writes in. */
function pattern(): Buffer {
  const bytes = Buffer.alloc(1_000_003);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + (at >> 7)) & 0xff;
  return bytes;
}

test("100 MiB go both ways whole, and while nobody takes them the worker holds next to nothing", async (t) => {
  const [worker] = (await balancer.status()).workers;
  assert.ok(worker !== undefined);
  const socket = connect({ port: mirrorPort, host: "127.0.0.1", allowHalfOpen: true });
  atEnd(t, () => {
    socket.destroy();
  });
  let failure: Error | undefined;
  socket.on("error", (error) => {
    failure = error;
  });
  socket.pause();
  const calm = memoryOf(worker.pid);
  const sent = createHash("sha256");
  const block = pattern();
  let left = BULK;
  const send = () => {
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length));
      left -= part.length;
      sent.update(part);
      if (!socket.write(part)) return;
    }
    socket.off("drain", send);
    socket.end();
  };
  socket.on("drain", send);
  send();
  let seen = -1;
  let still = 0;
  await until("a stop, because nobody takes anything", async () => {
    const { listeners } = await balancer.status();
    const now = listeners.find(({ name }) => name === "mirror")?.counters["bytesFromClients"] ?? 0;
    still = now === seen && now > 0 ? still + 1 : 0;
    seen = now;
    return still === 20;
  });
  assert.ok(left > 0, "not all of it fits into the buffers on the way");
  const grown = memoryOf(worker.pid) - calm;
  t.diagnostic(`${(grown / MIB).toFixed(1)} MiB more while nobody takes anything`);
  assert.ok(grown < 16 * MIB, `${(grown / MIB).toFixed(1)} MiB more while ${seen} bytes had come`);
  const got = createHash("sha256");
  let received = 0;
  let ended = false;
  socket.on("data", (bytes: Buffer) => {
    received += bytes.length;
    got.update(bytes);
  });
  socket.on("end", () => {
    ended = true;
  });
  socket.resume();
  await until("the end", () => ended || failure !== undefined, { timeoutMs: 60_000 });
  assert.equal(failure, undefined);
  assert.equal(received, BULK);
  assert.equal(got.digest("hex"), sent.digest("hex"));
  const most = memoryOf(worker.pid) - calm;
  t.diagnostic(`${(most / MIB).toFixed(1)} MiB more at the end`);
  assert.ok(most < 32 * MIB, `${(most / MIB).toFixed(1)} MiB more after ${2 * BULK} bytes`);
  const line = await until("its line", () => linesOf(log).find((one) => one["evenkeel.listener"] === "mirror"));
  assert.deepEqual([line["evenkeel.bytes.to_target"], line["evenkeel.bytes.to_client"]], [BULK, BULK]);
  assert.equal(line["error.type"], undefined);
});

type Sides = {
  readonly client: RawClient;
  readonly far: RecordedConnection;
  line(): Promise<Readonly<Record<string, unknown>>>;
};

async function joined(t: Parameters<typeof rawClient>[0], at = port): Promise<Sides> {
  const known = target.connections.length;
  const client = await rawClient(t, at);
  const { localPort } = client.socket;
  const far = await until("the connection at the target", () => target.connections[known]);
  return {
    client,
    far,
    line: () => until("the line of the tunnel", () => linesOf(log).find((one) => one["client.port"] === localPort)),
  };
}

describe("an end", () => {
  test("of the client's sending is told the target, whose answer still comes", async (t) => {
    const { client, far, line } = await joined(t);
    far.socket.removeAllListeners("end");
    client.write("query");
    client.end();
    await until("the query and its end", () => far.received === "query" && far.socket.readableEnded);
    far.socket.write("ans");
    await client.receives("ans");
    far.socket.end("wer");
    assert.equal(await client.closed(), "answer");
    assert.equal(client.state(), "end");
    const logged = await line();
    assert.equal(logged["error.type"], undefined);
    assert.equal(logged["network.transport"], "tcp");
    assert.equal(logged["client.address"], "127.0.0.1");
    assert.deepEqual([logged["evenkeel.bytes.to_target"], logged["evenkeel.bytes.to_client"]], [5, 6]);
    assert.deepEqual([logged["evenkeel.target"], logged["evenkeel.tries"]], [`127.0.0.1:${target.port}`, 1]);
    assert.ok(Number(logged["evenkeel.duration.total"]) >= Number(logged["evenkeel.duration.connect"]));
  });

  test("of the target's sending is told the client, which may still send", async (t) => {
    const { client, far } = await joined(t);
    far.socket.end("bye");
    assert.equal(await client.closed(), "bye");
    client.write("more");
    await until("more", () => far.received === "more");
    client.end();
    await until("the end", () => far.state === "end");
  });

  test("of silence is an end in order for both", async (t) => {
    const { client, far, line } = await joined(t, shortPort);
    await client.closed();
    assert.equal(client.state(), "end");
    await until("the target's end", () => far.state === "end");
    assert.equal((await line())["error.type"], "tunnel.idle.timeout");
  });

  test("by the target's reset resets the client", async (t) => {
    const { client, far, line } = await joined(t);
    far.socket.write("half a mess");
    await client.receives("half a mess");
    far.socket.resetAndDestroy();
    await client.closed();
    assert.equal(client.state(), "reset");
    assert.equal((await line())["error.type"], "target.gone");
  });

  test("by the client's reset resets the target", async (t) => {
    const { client, far, line } = await joined(t);
    client.write("half a mess");
    await until("its bytes at the target", () => far.received === "half a mess");
    client.socket.resetAndDestroy();
    await until("the target's connection to end", () => far.state !== "open");
    assert.equal(far.state, "reset");
    assert.equal((await line())["error.type"], "client.gone");
  });
});
