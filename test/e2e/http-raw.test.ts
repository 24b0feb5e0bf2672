// Bytes on the wire: what a client sends, what it gets, and exactly what a target then sees. Every case goes through the
// proxy three times: to a target that records bytes, one connection a request; then, whole and byte by byte, to Node's own
// parser over kept connections. Behind every case comes a sentinel: a byte too many on a kept connection would spoil it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { before, test } from "node:test";
import {
  decodeRequest,
  decodeResponses,
  fileScope,
  headerOf,
  listener,
  listenOn,
  pool,
  type RecordingTarget,
  startBalancer,
  startRecordingTarget,
} from "./http-kit.ts";
import { freePort, type RawClient, rawClient, type Scope, until } from "./kit.ts";
import type { RawCase } from "./raw/case.ts";
import { chunkCases } from "./raw/chunks.ts";
import { framingCases } from "./raw/framing.ts";
import { headCases } from "./raw/heads.ts";

const cases = [...framingCases, ...chunkCases, ...headCases];
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const next = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n";
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n";
const patienceMs = 5_000;

/** A request as Node's parser reports it. */
type Read = {
  readonly line: string;
  readonly host: string | undefined;
  readonly body: string;
  readonly trailers: string[];
};

const suite = fileScope();
let target: RecordingTarget;
/** The whole requests that the recording target is to see; it answers one that is there, and nothing else. */
let expected: readonly string[] = [];
let rawPort = 0;
let readPort = 0;
const read = { whole: [] as Read[], cut: [] as string[], refused: [] as string[] };

before(async () => {
  target = await startRecordingTarget(suite, ({ socket, received }) => {
    if (expected.includes(received)) socket.end(answer);
  });
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const bytes: Buffer[] = [];
    const line = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
    request.on("data", (chunk: Buffer) => bytes.push(chunk));
    request.on("error", () => read.cut.push(line));
    request.on("end", () => {
      const body = Buffer.concat(bytes).toString("latin1");
      read.whole.push({ line, host: request.headers.host, body, trailers: request.rawTrailers });
      response.end("ok");
    });
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // A connection that we cut on purpose is told here as well.
    if (error.code !== "ECONNRESET" && error.code !== "HPE_INVALID_EOF_STATE") read.refused.push(String(error.code));
    socket.destroy();
  });
  const nodePort = await listenOn(suite, server, () => server.closeAllConnections());
  [rawPort, readPort] = [await freePort(), await freePort()];
  await startBalancer(suite, {
    listeners: {
      raw: listener(rawPort, [{ pool: "recording" }], { forwarded: false }),
      read: listener(readPort, [{ pool: "node" }], { forwarded: false }),
    },
    pools: {
      recording: pool([target.port], {}, { idleConnections: 0 }),
      node: pool([nodePort]),
    },
  });
});

/** Sends the case and waits for what it says; then for the end, or for the answer to one more request. */
async function play(scope: Scope, port: number, how: RawCase, size: number): Promise<void> {
  const client = await rawClient(scope, port, { timeoutMs: patienceMs });
  client.socket.setNoDelay(true);
  await write(client, how, size);
  const methods = how.methods ?? ["GET"];
  const finals = (text: string) => {
    const decoded = decodeResponses(text, methods, client.state() !== "open");
    return { ...decoded, responses: decoded.responses.filter(({ status }) => status >= 200) };
  };
  await client.receives((text) => finals(text).responses.length >= how.statuses.length || client.state() !== "open");
  if (how.closes) {
    await client.closed();
    const tolerated = how.resetWhenPiecemeal === true && size < how.send.length;
    assert.ok(client.state() === "end" || tolerated, "closed in an orderly way, so that the response arrives");
    // A reset may have eaten what had not been read yet; what a target saw is looked at all the same.
    if (client.state() === "reset") return;
  }
  const { responses, rest } = finals(client.received());
  assert.deepEqual(
    responses.map(({ status }) => status),
    how.statuses,
    client.received(),
  );
  assert.equal(rest, "");
  const last = responses.at(-1);
  if (how.code !== undefined) assert.ok(last?.body.includes(`(${how.code})`), `expected ${how.code} in ${last?.body}`);
  if (how.closes && how.ends !== true) assert.equal(last && headerOf(last, "connection"), "close");
  if (!how.closes) {
    assert.equal(client.state(), "open");
    client.write(next);
    await client.receives((text) => finals(text).responses.length > how.statuses.length);
    assert.equal(finals(client.received()).responses.at(-1)?.status, 200);
  }
  client.socket.destroy();
}

async function write(client: RawClient, how: RawCase, size: number): Promise<void> {
  const { send, ends } = how;
  for (let at = 0; at < send.length && client.state() === "open"; at += size) {
    client.write(send.slice(at, at + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (ends === true) client.end();
}

/** One more request, on a connection of its own. */
async function playSentinel(scope: Scope, port: number): Promise<void> {
  const client = await rawClient(scope, port, { timeoutMs: patienceMs });
  client.write(sentinel);
  await client.receives("\r\n\r\nok");
  client.socket.destroy();
}

function seenByTarget(how: RawCase, port: number): string[] {
  const requests = (how.target ?? []).map((text) => text.replace("LISTENER", `127.0.0.1:${port}`));
  return how.closes ? [...requests, sentinel] : [...requests, next, sentinel];
}

async function checkBytes(scope: Scope, how: RawCase): Promise<void> {
  target.connections.length = 0;
  expected = seenByTarget(how, rawPort);
  await play(scope, rawPort, how, how.send.length);
  await playSentinel(scope, rawPort);
  const received = target.connections.map((connection) => connection.received);
  if (how.cut !== undefined) {
    const { cut } = how;
    // Whoever ends early may be gone before the target's connection stood: then nothing, or less, was sent on it.
    const at = received.findIndex((text) => !expected.includes(text));
    const [begun = ""] = at < 0 ? [] : received.splice(at, 1);
    assert.ok(begun.startsWith(cut) || cut.startsWith(begun), begun);
    assert.throws(() => decodeRequest(begun), "a target must not take it for a whole request");
  }
  assert.deepEqual(received, expected);
}

async function checkReading(scope: Scope, how: RawCase, size: number): Promise<void> {
  read.whole.length = 0;
  read.cut.length = 0;
  await play(scope, readPort, how, size);
  await playSentinel(scope, readPort);
  const meant = seenByTarget(how, readPort).map((text): Read => {
    const request = decodeRequest(text);
    const trailers = request.trailers.flat();
    return { line: request.line, host: headerOf(request, "host"), body: request.body, trailers };
  });
  await until("the sentinel", () => read.whole.length >= meant.length, { timeoutMs: patienceMs });
  assert.deepEqual(read.whole, meant);
  assert.deepEqual(read.refused, [], "Node's parser understood all that was forwarded");
  // Whole bytes that are wrong never reach a target; piece by piece one request's beginning may.
  assert.ok(read.cut.length <= (how.cutWhenPiecemeal === true || how.cut !== undefined ? 1 : 0), read.cut.join());
}

for (const how of cases) {
  test(how.name, async (t) => {
    await checkBytes(t, how);
    await checkReading(t, how, how.send.length);
    await checkReading(t, how, how.send.length < 2_000 ? 1 : 997);
  });
}

test("the suite has at least 60 cases, each with a name of its own", () => {
  assert.ok(cases.length >= 60);
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
});
