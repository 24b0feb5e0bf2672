// What clients get when something is wrong behind or before the proxy: timeouts, targets that refuse, break off or talk
// nonsense, and when a request may be sent again. Every test has a balancer of its own with short times.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import {
  type Balancer,
  type ConfigFile,
  decodeResponses,
  headerOf,
  listener,
  pool,
  type RecordedConnection,
  startBalancer,
  startEcho,
  startRecordingTarget,
} from "./http-kit.ts";
import { ask, atEnd, freePort, type RawClient, rawClient, startProgram, until } from "./kit.ts";

const good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

type Started = { readonly port: number; readonly balancer: Balancer };

async function start(
  t: TestContext,
  targets: ConfigFile,
  timeouts: ConfigFile = {},
  route: ConfigFile = {},
): Promise<Started> {
  const port = await freePort();
  const balancer = await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app", ...route }], { timeouts }) },
    pools: { app: targets },
  });
  return { port, balancer };
}

/** A target that answers each whole head with `reply`, or does what it says. */
function scripted(t: TestContext, reply: string | ((connection: RecordedConnection, index: number) => void)) {
  return startRecordingTarget(t, (connection, index) => {
    if (!connection.received.includes("\r\n\r\n")) return;
    if (typeof reply === "string") connection.socket.write(reply);
    else reply(connection, index);
  });
}

/** The one error response that came before the connection's end. */
async function errorOn(client: RawClient): Promise<{ status: number; body: string; connection: string | undefined }> {
  const text = await client.closed();
  const { responses, rest } = decodeResponses(text, ["GET"], true);
  const [only] = responses;
  assert.ok(only !== undefined && responses.length === 1 && rest === "", text);
  return { status: only.status, body: only.body, connection: headerOf(only, "connection") };
}

test("a client that is too slow with its head gets 408", async (t) => {
  const { port } = await start(t, pool([1]), { clientHeader: "300ms" });
  const client = await rawClient(t, port);
  client.write("GET / HTTP/1.1\r\nHo");
  const { status, body, connection } = await errorOn(client);
  assert.deepEqual([status, connection], [408, "close"]);
  assert.match(body, /client\.header\.timeout/);
});

test("a client that falls silent within its body gets 408, and the target's connection is cut", async (t) => {
  const target = await scripted(t, () => {});
  const { port } = await start(t, pool([target.port]), { clientBody: "300ms" });
  const client = await rawClient(t, port);
  client.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  const { status, body } = await errorOn(client);
  assert.equal(status, 408);
  assert.match(body, /client\.body\.timeout/);
  await until("the target's connection to be cut", () => target.connections[0]?.state !== "open");
});

test("an idle client's connection is closed without a word after keepAlive", async (t) => {
  const target = await scripted(t, good);
  const { port } = await start(t, pool([target.port]), { keepAlive: "300ms" });
  const client = await rawClient(t, port);
  client.write(get);
  assert.match(await client.closed(), /\r\n\r\nok$/);
  assert.equal(client.state(), "end");
});

test("a target that does not answer in time gets the client 504, once it may not be tried elsewhere", async (t) => {
  const target = await scripted(t, () => {});
  const { port } = await start(t, pool([target.port]), { firstByte: "300ms" });
  const answer = await ask({ port, path: "/x" });
  assert.equal(answer.status, 504);
  assert.match(answer.body, /target\.firstByte\.timeout/);
  await until("the target's connection to be cut", () => target.connections[0]?.state !== "open");
});

test("a target that falls silent within its response costs the client its connection, not half a body", async (t) => {
  const target = await scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  const { port } = await start(t, pool([target.port]), { idle: "300ms" });
  const client = await rawClient(t, port);
  client.write(get);
  assert.match(await client.closed(), /half$/);
  assert.equal(client.state(), "reset");
});

test("an exchange that takes longer than it may ends with 504", async (t) => {
  const target = await scripted(t, () => {});
  const { port } = await start(t, pool([target.port]), { exchange: "300ms" });
  const answer = await ask({ port, path: "/x" });
  assert.equal(answer.status, 504);
  assert.match(answer.body, /exchange\.timeout/);
});

test("a target that does not accept is left after the connect timeout, for the next one", async (t) => {
  const full = await freePort();
  // A backlog of one and nobody who accepts: once it is full, the kernel drops every further SYN.
  const script = `const s=require("net").createServer();s.listen({port:${full},host:"127.0.0.1",backlog:1},()=>console.log("on"))`;
  const program = startProgram(t, process.execPath, ["-e", script]);
  await until("the listening program", () => program.stdout() !== "");
  program.signal("SIGSTOP");
  atEnd(t, () => program.signal("SIGCONT"));
  const held: Socket[] = [];
  await until("a full backlog", async () => {
    const client = await rawClient(t, full, { timeoutMs: 300 }).catch(() => undefined);
    if (client !== undefined) held.push(client.socket);
    return client === undefined;
  });
  const alone = await start(t, pool([full]), { connect: "300ms" });
  const answer = await ask({ port: alone.port });
  assert.equal(answer.status, 504);
  assert.match(answer.body, /target\.connect\.timeout/);
  const target = await scripted(t, good);
  const both = await start(t, pool([full, target.port]), { connect: "300ms" });
  for (let count = 0; count < 3; count++) assert.equal((await ask({ port: both.port, method: "POST" })).status, 200);
  for (const socket of held) socket.destroy();
});

const garbage = {
  "another protocol": "SSH-2.0-OpenSSH_9.2\r\n",
  "a bare LF": "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
  "two framings": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
  "a folded line": "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
  "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
  "NUL in a header": "HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok",
  "a malformed chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nX\r\n",
  "a head beyond the limit": `HTTP/1.1 200 OK\r\nX: ${"a".repeat(40_000)}\r\nContent-Length: 2\r\n\r\nok`,
  "a switch of protocols that nobody asked for":
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
};

test("a target that talks nonsense gets the client 502, is logged, and its connection is never used again", async (t) => {
  const kinds = Object.entries(garbage);
  const targets = await Promise.all(kinds.map(([, reply]) => scripted(t, reply)));
  const port = await freePort();
  const balancer = await startBalancer(t, {
    listeners: {
      web: listener(
        port,
        kinds.map((_, index) => ({ path: { exact: `/${index}` }, pool: `p${index}` })),
      ),
    },
    pools: Object.fromEntries(targets.map((target, index) => [`p${index}`, pool([target.port], { maxFails: 0 })])),
  });
  for (const [index, [what]] of kinds.entries()) {
    await t.test(what, async () => {
      for (let count = 0; count < 2; count++) {
        const answer = await ask({ port, path: `/${index}` });
        assert.equal(answer.status, 502);
        assert.match(answer.body, /target\.response\.(invalid|upgrade)/);
      }
      const connections = targets[index]?.connections ?? [];
      assert.deepEqual(
        connections.map(({ received }) => received.split(`GET /${index}`).length - 1),
        [1, 1],
      );
      await until("both connections to be cut", () => connections.every(({ state }) => state !== "open"));
      if (what.startsWith("a switch")) return;
      const line = await until("its log lines", () => {
        const found = balancer.lines().filter((one) => one["pool"] === `p${index}`);
        return found.length === 2 ? found[1] : undefined;
      });
      assert.equal(line["message"], "a target sent what is not HTTP/1.x, its connection is closed");
      assert.equal(line["code"], "target.response.invalid");
      assert.match(String(line["because"]), /^http1\./);
      assert.equal(line["target"], `127.0.0.1:${targets[index]?.port}`);
    });
  }
});

test("bytes behind a response are nobody's: the connection is closed and they answer no other request", async (t) => {
  const target = await scripted(t, `${good}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
  const { port } = await start(t, pool([target.port]));
  for (let count = 0; count < 3; count++) assert.equal((await ask({ port, path: "/x" })).body, "ok");
  assert.equal(target.connections.length, 3);
});

test("bytes on an idle connection close it", async (t) => {
  const target = await scripted(t, good);
  const { port } = await start(t, pool([target.port]));
  assert.equal((await ask({ port })).body, "ok");
  target.connections[0]?.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  await until("the connection to be cut", () => target.connections[0]?.state !== "open");
  assert.equal((await ask({ port })).body, "ok");
});

test("a malformed chunk in the midst of a response costs the client its connection, so that it takes nothing for the whole", async (t) => {
  const target = await scripted(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
  const { port } = await start(t, pool([target.port], { maxFails: 0 }));
  const client = await rawClient(t, port);
  client.write(get);
  await client.receives("2\r\nok\r\n");
  target.connections[0]?.socket.write("X\r\n0\r\n\r\n");
  assert.match(await client.closed(), /2\r\nok\r\n$/);
  assert.equal(client.state(), "reset");
});

test("a response that ends before its end costs the client its connection", async (t) => {
  const target = await scripted(t, ({ socket }) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
  const { port } = await start(t, pool([target.port], { maxFails: 0 }));
  const client = await rawClient(t, port);
  client.write(get);
  await client.closed();
  assert.equal(client.state(), "reset");
});

test("a target that refuses is left for the next one, with a body too, and no client sees it", async (t) => {
  const echo = await startEcho(t, "alive");
  const { port, balancer } = await start(t, pool([await freePort(), echo.port], { maxFails: 3, failTimeout: "10s" }));
  for (let count = 0; count < 10; count++) {
    const answer = await ask({ port, path: "/x", method: "POST", body: "hello" });
    assert.deepEqual([answer.status, answer.body], [200, "alive received 5 bytes\n"]);
  }
  const [refusing] = (await balancer.status()).pools[0]?.targets ?? [];
  assert.equal(refusing?.counters["failures"], 3, "then it was out");
  assert.equal(refusing?.health, "unhealthy");
});

test("when all targets are out the client gets 503 at once, with the reason", async (t) => {
  const { port } = await start(t, pool([await freePort(), await freePort()], { maxFails: 1, failTimeout: "60s" }));
  const first = await ask({ port });
  assert.equal(first.status, 502);
  assert.match(first.body, /target\.connect\.refused/);
  const second = await ask({ port });
  assert.equal(second.status, 503);
  assert.match(second.body, /pool\.allOut/);
});

test("a GET whose target breaks off is tried on the next one, a POST that a target may have acted on is not", async (t) => {
  const breaking = await scripted(t, ({ socket }) => socket.resetAndDestroy());
  const answering = await scripted(t, good);
  const { port } = await start(t, pool([breaking.port, answering.port], { maxFails: 0 }));
  for (let count = 0; count < 4; count++) assert.equal((await ask({ port })).status, 200);
  const posts = [await ask({ port, method: "POST" }), await ask({ port, method: "POST" })];
  assert.deepEqual(posts.map(({ status }) => status).sort(), [200, 502]);
  assert.match(posts.find(({ status }) => status === 502)?.body ?? "", /target\.closed/);
  const seen = [...breaking.connections, ...answering.connections].map(({ received }) => received).join("");
  assert.equal(seen.split("POST ").length - 1, 2, "each POST was sent once");
});

test("a target that has closed an idle connection costs no idempotent request, and is no failure of its", async (t) => {
  const target = await scripted(t, ({ socket, received }, index) => {
    // The first connection answers once, and breaks off as the second request comes.
    if (index > 0 || received.split("GET ").length === 2) socket.write(good);
    else socket.resetAndDestroy();
  });
  const { port, balancer } = await start(t, pool([target.port]));
  for (let count = 0; count < 3; count++) assert.equal((await ask({ port })).status, 200);
  assert.equal(target.connections.length, 2);
  assert.equal((await balancer.status()).pools[0]?.targets[0]?.counters["failures"], 0);
});

test("a status that counts as a failure is tried on the next target", async (t) => {
  const bad = await scripted(t, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad");
  const better = await scripted(t, good);
  const targets = pool([bad.port, better.port], { maxFails: 0 });
  const { port } = await start(t, targets, {}, { retry: { statuses: [503] } });
  for (let count = 0; count < 4; count++) assert.equal((await ask({ port })).body, "ok");
  assert.ok(bad.connections.length >= 2);
});

test("a target that answers before the request's body is finished is heard, and its connection is not kept", async (t) => {
  const target = await scripted(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  const { port } = await start(t, pool([target.port]));
  const client = await rawClient(t, port);
  client.write("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc");
  const { status, body, connection } = await errorOn(client);
  assert.deepEqual([status, body, connection], [403, "no", "close"]);
  await until("the target's connection to be cut", () => target.connections[0]?.state !== "open");
});

test("a connection carries as many exchanges as it may, and its last response says so", async (t) => {
  const target = await scripted(t, good);
  const port = await freePort();
  await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app" }], { limits: { exchangesPerConnection: 2 } }) },
    pools: { app: pool([target.port]) },
  });
  const client = await rawClient(t, port);
  client.write(get + get + get);
  const { responses } = decodeResponses(await client.closed(), ["GET"], true);
  assert.deepEqual(
    responses.map((response) => headerOf(response, "connection")),
    [undefined, "close"],
  );
});

test("a full listener lets the next clients wait in the backlog until there is room", async (t) => {
  const target = await scripted(t, good);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app" }], { limits: { connections: 2 } }) },
    pools: { app: pool([target.port]) },
  });
  const [first, second] = [await rawClient(t, port), await rawClient(t, port)];
  for (const client of [first, second]) {
    client.write(get);
    await client.receives("ok");
  }
  const waiting = await rawClient(t, port);
  waiting.write(get);
  const open = async () => (await balancer.status()).listeners[0]?.counters["connectionsOpen"];
  assert.equal(await open(), 2);
  assert.equal(waiting.received(), "");
  first.end();
  await waiting.receives("ok");
  second.write(get);
  await second.receives((text) => text.split("ok").length === 3);
});
