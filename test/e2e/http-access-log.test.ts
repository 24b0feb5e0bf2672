// The access log as an operator's tools read it: JSON lines with the right fields for what went well and for every way to
// fail, and `combined` lines that are nginx's own for the same requests.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  type Balancer,
  type ConfigFile,
  decodeLines,
  type LogLine,
  lacks,
  listener,
  pool,
  type RecordingTarget,
  startBalancer,
  startEcho,
  startNginx,
  startRecordingTarget,
} from "./http-kit.ts";
import { ask, freePort, rawClient, temporaryDirectory, until } from "./kit.ts";

type Logged = { readonly balancer: Balancer; readonly port: number; readonly path: string; lines(): LogLine[] };

async function start(
  t: TestContext,
  routes: readonly unknown[],
  pools: ConfigFile,
  more: ConfigFile = {},
): Promise<Logged> {
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const path = join(directory, "access.log");
  const balancer = await startBalancer(
    t,
    {
      node: "n1",
      accessLog: { path, flush: "20ms" },
      listeners: { web: listener(port, routes, more) },
      pools,
    },
    directory,
  );
  const lines = () => (existsSync(path) ? decodeLines(readFileSync(path, "utf8")) : []);
  return { balancer, port, path, lines };
}

/** Waits for the line whose path is this one. */
function lineOf(logged: Logged, path: string): Promise<LogLine> {
  return until(`the line of ${path}`, () => logged.lines().find((line) => line["url.path"] === path));
}

test("a JSON line tells who asked what, who answered, and how long it took", async (t) => {
  const echo = await startEcho(t, "app");
  const logged = await start(t, [{ name: "all", pool: "app" }], { app: pool([echo.port]) });
  const headers = { host: "Api.Example.COM:81", "user-agent": 'agent "1"', referer: "http://from/\u00e9" };
  const sentAt = Date.now();
  const answer = await ask({ port: logged.port, path: "/delay/50?a=b&c", headers });
  assert.equal(answer.status, 200);
  const line = await lineOf(logged, "/delay/50");
  const { timestamp, "client.port": clientPort, ...rest } = line;
  const {
    "evenkeel.duration.total": total,
    "evenkeel.duration.connect": connect,
    "evenkeel.duration.first_byte": first,
    ...plain
  } = rest;
  assert.deepEqual(plain, {
    "http.request.method": "GET",
    "url.scheme": "http",
    "url.path": "/delay/50",
    "url.query": "a=b&c",
    "network.protocol.name": "http",
    "network.protocol.version": "1.1",
    "server.address": "api.example.com",
    "server.port": logged.port,
    "client.address": "127.0.0.1",
    "user_agent.original": 'agent "1"',
    "http.request.header.referer": ["http://from/\u00e9"],
    "http.request.body.size": 0,
    "http.response.status_code": 200,
    "http.response.body.size": 4,
    "evenkeel.node": "n1",
    "evenkeel.listener": "web",
    "evenkeel.route": "all",
    "evenkeel.pool": "app",
    "evenkeel.target": `127.0.0.1:${echo.port}`,
    "evenkeel.tries": 1,
  });
  assert.ok(typeof clientPort === "number" && clientPort > 0);
  const at = Date.parse(String(timestamp));
  assert.ok(at >= sentAt + 49 && at <= Date.now(), String(timestamp));
  assert.ok(Number(connect) >= 0 && Number(connect) < Number(first));
  assert.ok(Number(first) >= 0.049 && Number(first) <= Number(total) && Number(total) < 5);
});

test("bodies are counted without their framing, in both directions", async (t) => {
  const echo = await startEcho(t, "app");
  const logged = await start(t, [{ pool: "app" }], { app: pool([echo.port]) });
  const client = await rawClient(t, logged.port);
  client.write(
    "POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
  );
  await client.receives("app received 6 bytes\n");
  const up = await lineOf(logged, "/up");
  assert.deepEqual([up["http.request.body.size"], up["http.response.body.size"]], [6, 21]);
  await ask({ port: logged.port, path: "/bytes/300000" });
  assert.equal((await lineOf(logged, "/bytes/300000"))["http.response.body.size"], 300_000);
  await ask({ port: logged.port, path: "/bytes/9", method: "HEAD" });
  assert.equal((await lineOf(logged, "/bytes/9"))["http.response.body.size"], 0);
});

const outcomes: Readonly<Record<string, readonly [status: number, code: string]>> = {
  "/none": [404, "route.none"],
  "/app/../../x": [400, "request.path.invalid"],
  "/app": [405, "route.trace.refused"],
  "/large": [413, "request.body.tooLarge"],
  "/late": [504, "target.firstByte.timeout"],
  "/whole": [504, "exchange.timeout"],
  "/body": [408, "client.body.timeout"],
  "/breaking": [502, "target.closed"],
  "/garbage": [502, "target.response.invalid"],
  "/refusing": [502, "target.connect.refused"],
  "/empty": [503, "pool.allOut"],
  "/half": [200, "target.response.truncated"],
  "/silent": [499, "client.gone"],
};

/** A route by name for everything that can go wrong behind it. */
async function startFailing(t: TestContext): Promise<{ readonly logged: Logged; readonly silent: RecordingTarget }> {
  const echo = await startEcho(t, "app");
  const silent = await startRecordingTarget(t, () => {});
  const breaking = await startRecordingTarget(t, ({ socket }) => socket.resetAndDestroy());
  const garbage = await startRecordingTarget(t, ({ socket }) => socket.write("what?\r\n\r\n"));
  const half = await startRecordingTarget(t, ({ socket }) =>
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
  );
  const never = { maxFails: 0 };
  const route = (path: string, name: string) => ({ path: { exact: path }, pool: name });
  const logged = await start(
    t,
    [
      { ...route("/large", "app"), bodyLimit: 5 },
      { ...route("/late", "silent"), timeouts: { firstByte: "200ms" } },
      { ...route("/whole", "silent"), timeouts: { exchange: "200ms" } },
      { ...route("/body", "silent"), timeouts: { clientBody: "200ms" } },
      ...["silent", "breaking", "garbage", "half", "refusing", "empty", "app"].map((name) => route(`/${name}`, name)),
    ],
    {
      app: pool([echo.port]),
      silent: pool([silent.port], never),
      breaking: pool([breaking.port], never),
      garbage: pool([garbage.port], never),
      half: pool([half.port], never),
      refusing: pool([await freePort()], never),
      empty: pool([echo.port], { intent: "down" }),
    },
    { timeouts: { clientHeader: "300ms" } },
  );
  return { logged, silent };
}

test("every way to fail has its line with status and code", async (t) => {
  const { logged, silent } = await startFailing(t);
  const { port } = logged;
  const raw = async (text: string) => {
    const client = await rawClient(t, port);
    client.write(text);
    return client;
  };
  for (const path of ["/none", "/app/../../x", "/late", "/whole", "/breaking", "/garbage", "/refusing", "/empty"]) {
    await ask({ port, path });
  }
  await ask({ port, path: "/app", method: "TRACE" });
  await ask({ port, path: "/large", method: "POST", body: "123456" });
  await assert.rejects(ask({ port, path: "/half" }));
  await (await raw("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")).closed();
  const gone = await raw("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n");
  await until("the request at its target", () =>
    silent.connections.some(({ received }) => received.includes("/silent ")),
  );
  // A mere end would be a half-close, whose client still wants its answer.
  gone.socket.resetAndDestroy();
  for (const [path, [status, code]] of Object.entries(outcomes)) {
    const line = await lineOf(logged, path);
    assert.deepEqual([line["http.response.status_code"], line["error.type"]], [status, code], path);
  }

  await (await raw("GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n")).closed();
  await (await raw("GET / HT")).closed();
  const unread = () => logged.lines().filter((line) => line["http.request.method"] === undefined);
  await until("the lines of what could not be read", () => unread().length === 2);
  assert.deepEqual(
    unread().map((line) => [line["http.response.status_code"], line["error.type"], line["client.address"]]),
    [
      [400, "http1.host.double", "127.0.0.1"],
      [408, "client.header.timeout", "127.0.0.1"],
    ],
  );
  assert.equal(logged.lines().length, 15);
});

test("behind a trusted proxy the line names the client that it names, and the proxy beside it", async (t) => {
  const echo = await startEcho(t, "app");
  const logged = await start(t, [{ pool: "app" }], { app: pool([echo.port]) }, { trustedProxies: ["127.0.0.1"] });
  await ask({
    port: logged.port,
    path: "/t",
    headers: { "x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https" },
  });
  const line = await lineOf(logged, "/t");
  assert.equal(line["client.address"], "203.0.113.5");
  assert.equal(line["network.peer.address"], "127.0.0.1");
  assert.equal(line["url.scheme"], "https");
});

test("a retried request's line counts its tries and names the target that answered", async (t) => {
  const echo = await startEcho(t, "app");
  const logged = await start(t, [{ pool: "app" }], { app: pool([await freePort(), echo.port], { maxFails: 0 }) });
  for (const path of ["/1", "/2"]) await ask({ port: logged.port, path });
  const lines = [await lineOf(logged, "/1"), await lineOf(logged, "/2")];
  assert.deepEqual(lines.map((line) => line["evenkeel.tries"]).sort(), [1, 2]);
  for (const line of lines) assert.equal(line["evenkeel.target"], `127.0.0.1:${echo.port}`);
});

const requests: readonly string[] = [
  "GET /file.txt HTTP/1.1\r\nHost: h\r\nUser-Agent: agent/1.0\r\nReferer: http://from/x\r\n\r\n",
  "GET /file.txt?a=b&c=%20 HTTP/1.1\r\nHost: h\r\n\r\n",
  "HEAD /file.txt HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\n\r\n",
  "GET /missing HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\n\r\n",
  "GET /file.txt HTTP/1.1\r\nHost: h\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n",
  "GET /file.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=0-2\r\n\r\n",
  'GET /file.txt HTTP/1.1\r\nHost: h\r\nUser-Agent: quote " back \\ tab \t high \xe9\xff\r\nReferer: <>\r\n\r\n',
  "POST /file.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
  "GET /file.txt HTTP/1.0\r\n\r\n",
  "GET /moved HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET //file.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
];

test("combined lines are those that nginx writes for the same requests", async (t) => {
  if (lacks(t, "nginx")) return;
  const server =
    "if_modified_since before; location /moved { return 302 /file.txt; } location /empty { return 204; } access_log access.log combined;";
  const nginx = await startNginx(t, server);
  const behind = await startNginx(t, server.replace("access.log combined", "off"));
  for (const { directory } of [nginx, behind]) writeFileSync(join(directory, "html", "file.txt"), "a file of nginx\n");
  const directory = temporaryDirectory(t);
  const port = await freePort();
  const path = join(directory, "access.log");
  await startBalancer(
    t,
    {
      accessLog: { path, format: "combined", flush: "20ms" },
      listeners: { web: listener(port, [{ pool: "nginx" }]) },
      pools: { nginx: pool([behind.port]) },
    },
    directory,
  );
  const theirs = join(nginx.directory, "access.log");
  const linesIn = (file: string) => (existsSync(file) ? readFileSync(file, "latin1").split("\n").slice(0, -1) : []);
  const readiness = linesIn(theirs).length;
  for (const [at, text] of requests.entries()) {
    for (const one of [port, nginx.port]) {
      const client = await rawClient(t, one);
      client.write(text);
      await client.receives("\r\n\r\n");
      client.socket.destroy();
    }
    await until(
      `both lines of ${JSON.stringify(text)}`,
      () => linesIn(path).length > at && linesIn(theirs).length > at + readiness,
    );
  }
  const time = /\[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]/;
  const comparable = (lines: readonly string[]) =>
    lines.map((line) => {
      assert.match(line, time);
      return line.replace(time, "[TIME]");
    });
  assert.deepEqual(comparable(linesIn(path)), comparable(linesIn(theirs).slice(readiness)));
});
