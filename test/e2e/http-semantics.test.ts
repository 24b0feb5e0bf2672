// What HTTP means, through the proxy, with real peers: curl and raw clients before it; demo servers, nginx and a server
// on node:http behind it. One balancer for the whole file; each test has a path or a host of its own.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import {
  type Balancer,
  decodeResponses,
  type Echo,
  fileScope,
  headerOf,
  lacks,
  listener,
  listenOn,
  type Nginx,
  pool,
  type Response,
  startBalancer,
  startEcho,
  startNginx,
} from "./http-kit.ts";
import {
  ask,
  freePort,
  pause,
  type Ran,
  type RawClient,
  rawClient,
  runProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

const suite = fileScope();
const MIB = 1024 * 1024;
const large = randomBytes(10 * MIB);
const largeSum = createHash("sha256").update(large).digest("hex");

let balancer: Balancer;
let echo: Echo;
let nginx: Nginx | undefined;
let web = 0;
let trusting = 0;
let directory = "";

before(async () => {
  directory = temporaryDirectory(suite);
  writeFileSync(join(directory, "large"), large);
  [web, trusting] = [await freePort(), await freePort()];
  echo = await startEcho(suite, "echo");
  const lab = await startLab();
  balancer = await startBalancer(suite, {
    listeners: {
      web: listener(web, [
        { host: "exact.test", respond: { body: "exact" } },
        { host: "*.suffix.test", respond: { body: "suffix" } },
        { host: "tunnel.test", pool: "lab", connect: "tunnel" },
        { path: "/echo/", pool: "echo", rewritePrefix: "/" },
        { path: "/lab/large", pool: "lab", bodyLimit: "20MiB" },
        { path: "/lab/", pool: "lab" },
        { path: "/ws", pool: "lab", upgrade: "tunnel" },
        { path: "/small/", pool: "lab", bodyLimit: "1KiB" },
        { path: { exact: "/exactly" }, respond: { body: "exact path" } },
        { path: { regex: "^/item/[0-9]+$" }, respond: { status: 203, contentType: "text/x", body: "regex" } },
        { path: "/item/", respond: { body: "prefix" } },
        { path: "/old/", redirect: { status: 308, location: "$scheme://new.test$path" } },
        {
          path: "/ruled/",
          pool: "echo",
          rewritePrefix: "/headers/",
          requestHeaders: {
            set: { "X-Who": "$clientAddress", Host: "set.test" },
            add: { "X-Many": ["1", "2"] },
            remove: ["X-Gone"],
          },
          responseHeaders: {
            set: { "X-Set": "$host", "X-Served-By": "$targetAddress" },
            add: { Vary: "A" },
            remove: ["Date"],
          },
        },
        { path: "/nginx/", pool: "nginx", rewritePrefix: "/" },
      ]),
      trusting: listener(trusting, [{ pool: "echo" }], { trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"] }),
    },
    pools: { echo: pool([echo.port]), lab: pool([lab]), nginx: pool([await nginxPort()]) },
  });
});

/** nginx may be missing on a machine; then nothing is behind its pool and its tests say so. */
async function nginxPort(): Promise<number> {
  try {
    nginx = await startNginx(suite, "etag on;");
  } catch (error) {
    process.stderr.write(`nginx did not start: ${String(error)}\n`);
    return freePort();
  }
  writeFileSync(join(nginx.directory, "html", "file.txt"), "a file\n");
  writeFileSync(join(nginx.directory, "html", "large"), large);
  return nginx.port;
}

/** A server that tells what it got, and switches protocols. */
function startLab(): Promise<number> {
  const server = createServer(answerLab);
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers["x-refuse"] === undefined) {
      response.writeContinue();
      answerLab(request, response);
    } else response.writeHead(401, { "content-length": 0 }).end();
  });
  server.on("upgrade", (request, socket, head) => {
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\nX-Path: " +
        `${request.url}\r\n\r\n`,
    );
    socket.write(head.toString("latin1").toUpperCase());
    socket.on("data", (bytes: Buffer) => socket.write(bytes.toString("latin1").toUpperCase()));
    socket.on("end", () => socket.end("BYE"));
  });
  server.on("connect", (request, socket, head) => {
    socket.write(`HTTP/1.1 200 Connected\r\n\r\nto ${request.url} ${head.toString("latin1")}`);
    socket.on("data", (bytes: Buffer) => socket.write(bytes));
    socket.on("end", () => socket.end());
  });
  return listenOn(suite, server, () => server.closeAllConnections());
}

function answerLab(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    if (request.url?.endsWith("/slow") !== true) return;
    request.pause();
    setTimeout(() => request.resume(), 2);
  });
  request.on("end", () => {
    if (request.url?.startsWith("/lab/stream") === true) {
      response.setHeader("trailer", "X-Sum");
      for (let at = 0; at < large.length; at += MIB) response.write(large.subarray(at, at + MIB));
      response.addTrailers({ "X-Sum": largeSum });
      response.end();
      return;
    }
    const { method, url, rawHeaders, rawTrailers } = request;
    const { remotePort } = request.socket;
    response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, bytes, sum: hash.digest("hex"), remotePort }));
  });
}

const url = (path: string) => `http://127.0.0.1:${web}${path}`;

function curl(t: TestContext, ...args: string[]): Promise<Ran> {
  return runProgram(t, "curl", ["-sS", "--max-time", "20", ...args]);
}

/** Writes, and gives the final responses once there are as many as methods. */
async function exchange(client: RawClient, text: string, methods: readonly string[]): Promise<readonly Response[]> {
  client.write(text);
  const decode = () =>
    decodeResponses(client.received(), methods, client.state() !== "open").responses.filter(
      ({ status }) => status >= 200,
    );
  await client.receives(() => decode().length >= methods.length);
  return decode();
}

function get(path: string, lines = "", method = "GET"): string {
  return `${method} ${path} HTTP/1.1\r\nHost: h\r\n${lines}\r\n`;
}

test("curl keeps its connection over several requests, and so do we with the target", async (t) => {
  if (lacks(t, "curl")) return;
  const ran = await curl(t, "-v", url("/lab/1"), url("/lab/2"), "-o", join(directory, "1"), "-o", join(directory, "2"));
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stderr, /Re-using existing connection/);
  const ports = await Promise.all([ask({ port: web, path: "/lab/" })]);
  const again = await ask({ port: web, path: "/lab/" });
  assert.equal(JSON.parse(again.body).remotePort, JSON.parse(ports[0].body).remotePort);
});

test("pipelined requests are answered in their order, a slow one first", async (t) => {
  const client = await rawClient(t, web);
  const text =
    get("/echo/delay/150") + get("/echo/bytes/3") + get("/echo/x", "", "HEAD") + get("/exactly") + get("/nowhere");
  const responses = await exchange(client, text, ["GET", "GET", "HEAD", "GET", "GET"]);
  assert.deepEqual(
    responses.map(({ status, body }) => [status, body.split("\n")[0]]),
    [
      [200, "echo"],
      [200, "012"],
      [200, ""],
      [200, "exact path"],
      [404, "404 Not Found"],
    ],
  );
  assert.equal(client.state(), "open");
});

test("HEAD has the length of GET and no body, from a target and from ourselves", async (t) => {
  const client = await rawClient(t, web);
  const [target, own] = await exchange(client, get("/echo/bytes/777", "", "HEAD") + get("/exactly", "", "HEAD"), [
    "HEAD",
    "HEAD",
  ]);
  assert.equal(target && headerOf(target, "content-length"), "777");
  assert.equal(own && headerOf(own, "content-length"), "10");
});

test("204 and 304 have no body, and the connection goes on", async (t) => {
  if (lacks(t, "nginx")) return;
  const client = await rawClient(t, web);
  const [first, none] = await exchange(client, get("/nginx/file.txt") + get("/echo/status/204"), ["GET", "GET"]);
  assert.equal(first?.body, "a file\n");
  assert.equal(none?.status, 204);
  assert.equal(none && headerOf(none, "content-length"), undefined);
  const etag = (first && headerOf(first, "etag")) ?? "";
  assert.match(etag, /^"/);
  const all = await exchange(client, get("/nginx/file.txt", `If-None-Match: ${etag}\r\n`) + get("/exactly"), [
    "GET",
    "GET",
    "GET",
    "GET",
  ]);
  assert.deepEqual(
    all.slice(2).map(({ status, body }) => [status, body]),
    [
      [304, ""],
      [200, "exact path"],
    ],
  );
  assert.equal(all[2] && headerOf(all[2], "etag"), etag);
});

test("Expect: 100-continue reaches the target, whose 100 reaches curl before the body is sent", async (t) => {
  if (lacks(t, "curl")) return;
  const ran = await curl(
    t,
    "-v",
    "-H",
    "Expect: 100-continue",
    "--expect100-timeout",
    "15",
    "--data-binary",
    `@${directory}/large`,
    url("/lab/large"),
  );
  assert.match(ran.stderr, /< HTTP\/1.1 100 Continue/);
  assert.equal(JSON.parse(ran.stdout).sum, largeSum);
});

test("a target that refuses an expectation answers without the body, and the client's connection closes", async (t) => {
  const client = await rawClient(t, web);
  const [response] = await exchange(
    client,
    get("/lab/x", "X-Refuse: 1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "POST"),
    ["POST"],
  );
  assert.equal(response?.status, 401);
  assert.equal(response && headerOf(response, "connection"), "close");
  await client.closed();
});

test("10 MiB go up intact, with a length and chunked", async (t) => {
  if (lacks(t, "curl")) return;
  for (const header of ["X: 1", "Transfer-Encoding: chunked"]) {
    const ran = await curl(t, "-H", header, "-H", "Expect:", "--data-binary", `@${directory}/large`, url("/lab/large"));
    const { bytes, sum } = JSON.parse(ran.stdout);
    assert.deepEqual([bytes, sum], [large.length, largeSum], ran.stderr);
  }
});

test("10 MiB come down intact, with a length from nginx and chunked with a trailer from Node", async (t) => {
  if (lacks(t, "curl", "nginx")) return;
  for (const path of ["/nginx/large", "/lab/stream"]) {
    const answer = await ask({ port: web, path });
    assert.equal(createHash("sha256").update(Buffer.from(answer.body, "latin1")).digest("hex"), largeSum, path);
  }
  const client = await rawClient(t, web);
  const [response] = await exchange(client, get("/lab/stream"), ["GET"]);
  assert.deepEqual(response?.trailers, [["X-Sum", largeSum]]);
});

test("trailers of a request reach the target", async (t) => {
  const client = await rawClient(t, web);
  const [response] = await exchange(
    client,
    `${get("/lab/x", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "POST")}3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n`,
    ["POST"],
  );
  assert.deepEqual(JSON.parse(response?.body ?? "").rawTrailers, ["X-Sum", "9"]);
});

test("a client that does not read holds the target back instead of filling our memory", async (t) => {
  const client = await rawClient(t, web);
  const size = 256 * MIB;
  client.socket.pause();
  const before = await bytesFromEcho();
  client.write(get(`/echo/bytes/${size}`));
  let last = -1;
  await until(
    "a standstill",
    async () => {
      const now = (await bytesFromEcho()) - before;
      const still = now > 0 && now === last;
      last = now;
      return still;
    },
    { everyMs: 300 },
  );
  // What the kernel's buffers on both sides and one read of ours hold; far less than the whole.
  assert.ok(last < 64 * MIB, `${last} bytes were read from the target`);
  client.socket.destroy();
  await until("the exchange's end", async () => (await echoTarget())?.active === 0);
});

test("a client that reads by fits and starts gets the whole, and a target that does gets the whole upload", async (t) => {
  const client = await rawClient(t, web);
  client.write(get("/lab/stream", "Connection: close\r\n"));
  while (client.state() === "open") {
    client.socket.pause();
    await pause(5);
    client.socket.resume();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [response] = decodeResponses(client.received(), ["GET"], true).responses;
  assert.equal(
    createHash("sha256")
      .update(Buffer.from(response?.body ?? "", "latin1"))
      .digest("hex"),
    largeSum,
  );
  const answer = await ask({ port: web, path: "/lab/large/slow", method: "PUT", body: large });
  assert.equal(JSON.parse(answer.body).sum, largeSum);
});

async function echoTarget() {
  return (await balancer.status()).pools.find(({ name }) => name === "echo")?.targets[0];
}

async function bytesFromEcho(): Promise<number> {
  return (await echoTarget())?.counters["bytesFromTarget"] ?? 0;
}

test("an HTTP/1.0 client gets a body without chunks, ended by the connection's end", async (t) => {
  if (lacks(t, "curl")) return;
  const ran = await curl(
    t,
    "--http1.0",
    "-D",
    join(directory, "head"),
    "-o",
    join(directory, "body"),
    "-w",
    "%{size_download}",
    url("/lab/stream"),
  );
  assert.equal(ran.stdout, String(large.length), ran.stderr);
  const client = await rawClient(t, web);
  client.write("GET /lab/stream HTTP/1.0\r\n\r\n");
  const text = await client.closed();
  assert.match(text, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(text.slice(0, text.indexOf("\r\n\r\n")), /\r\nConnection: close/i);
  assert.doesNotMatch(text.slice(0, text.indexOf("\r\n\r\n")), /transfer-encoding/i);
});

test("Upgrade becomes a tunnel where the route lets it, with half-closes, and is dropped elsewhere", async (t) => {
  const lines = "Connection: Upgrade\r\nUpgrade: shout\r\n";
  const client = await rawClient(t, web);
  client.write(`${get("/ws", lines)}early`);
  await client.receives("EARLY");
  assert.match(client.received(), /^HTTP\/1.1 101 Switching Protocols\r\n/);
  assert.match(client.received(), /\r\nUpgrade: shout\r\n/i);
  client.write("hello");
  await client.receives("HELLO");
  client.end();
  assert.match(await client.closed(), /HELLOBYE$/);
  const plain = await rawClient(t, web);
  const [response] = await exchange(plain, get("/lab/x", lines), ["GET"]);
  assert.equal(response?.status, 200);
  assert.doesNotMatch(response?.body ?? "", /upgrade/i);
});

test("CONNECT becomes a tunnel where the route lets it", async (t) => {
  const client = await rawClient(t, web);
  client.write("CONNECT tunnel.test:443 HTTP/1.1\r\nHost: tunnel.test:443\r\n\r\n");
  await client.receives("\r\n\r\nto tunnel.test:443 ");
  assert.match(client.received(), /^HTTP\/1.1 200 /);
  client.write("\x00\x01anything");
  await client.receives("\x00\x01anything");
  client.end();
  await client.closed();
});

test("routes match by host and path, the first that fits", async () => {
  const bodyOf = async (path: string, host: string) => (await ask({ port: web, path, headers: { host } })).body;
  assert.equal(await bodyOf("/x", "EXACT.test:80"), "exact");
  assert.equal(await bodyOf("/x", "a.b.suffix.test"), "suffix");
  assert.match(await bodyOf("/x", "suffix.test"), /route\.none/);
  assert.equal(await bodyOf("/exactly?q", "h"), "exact path");
  assert.match(await bodyOf("/exactly/", "h"), /route\.none/);
  assert.equal(await bodyOf("/item/%34%32", "h"), "regex");
  assert.equal(await bodyOf("/item/x", "h"), "prefix");
  // A path is matched as it is after decoding and climbing.
  assert.equal(await bodyOf("/item/../exactly", "h"), "exact path");
  const regex = await ask({ port: web, path: "/item/7" });
  assert.deepEqual([regex.status, regex.headers["content-type"]], [203, "text/x"]);
});

test("header rules, rewritten paths and redirects say what the file says", async () => {
  const answer = await ask({
    port: web,
    path: "/ruled/?a=%2f",
    headers: { host: "h.test", "X-Gone": "1", "x-who": "me" },
  });
  const sent: string[] = JSON.parse(answer.body).headers;
  const pairs = sent.flatMap((name, index) => (index % 2 === 0 ? [`${name.toLowerCase()}: ${sent[index + 1]}`] : []));
  for (const line of ["x-who: 127.0.0.1", "host: set.test", "x-many: 1", "x-many: 2"])
    assert.ok(pairs.includes(line), line);
  assert.ok(!pairs.some((line) => line.startsWith("x-gone") || line === "x-who: me"), pairs.join());
  assert.deepEqual([answer.headers["x-set"], answer.headers.vary, answer.headers.date], ["h.test", "A", undefined]);
  assert.equal(answer.headers["x-served-by"], `127.0.0.1:${echo.port}`);
  const rewritten = await ask({ port: web, path: "/echo/bytes/5?x" });
  assert.equal(rewritten.body, "01234");
  const redirect = await ask({ port: web, path: "/old/a%20b?q=1" });
  assert.deepEqual([redirect.status, redirect.headers.location], [308, "http://new.test/old/a%20b?q=1"]);
});

test("what a client says of itself is replaced, what a trusted proxy says is added to", async () => {
  const headers = {
    host: "h.test",
    "x-forwarded-for": "203.0.113.9, 10.0.0.7",
    "x-forwarded-proto": "https",
    "x-real-ip": "1.2.3.4",
    x_forwarded_for: "6.6.6.6",
  };
  const linesFrom = async (port: number, path: string): Promise<Record<string, string>> => {
    const sent: string[] = JSON.parse((await ask({ port, path, headers })).body).headers;
    return Object.fromEntries(
      sent.flatMap((name, index) => (index % 2 === 0 ? [[name.toLowerCase(), sent[index + 1] ?? ""]] : [])),
    );
  };
  const replaced = await linesFrom(web, "/echo/headers");
  assert.equal(replaced["x-forwarded-for"], "127.0.0.1");
  assert.equal(replaced["x-forwarded-proto"], "http");
  assert.equal(replaced["x-forwarded-host"], "h.test");
  assert.equal(replaced["x-real-ip"], "127.0.0.1");
  // To a CGI target it would be the same name.
  assert.equal(replaced["x_forwarded_for"], undefined);
  const added = await linesFrom(trusting, "/headers");
  assert.equal(added["x-forwarded-for"], "203.0.113.9, 10.0.0.7, 127.0.0.1");
  assert.equal(added["x-forwarded-proto"], "https");
  assert.equal(added["x-real-ip"], "203.0.113.9");
});

test("a body beyond the limit gets 413: at once when its length says so, else when it is too long", async (t) => {
  const known = await rawClient(t, web);
  const [first] = await exchange(known, get("/small/x", "Content-Length: 1025\r\n", "POST"), ["POST"]);
  assert.equal(first?.status, 413);
  assert.match(first?.body ?? "", /request\.body\.tooLarge/);
  assert.equal((await known.closed()).length > 0 && known.state(), "end");
  const grown = await rawClient(t, web);
  const [second] = await exchange(
    grown,
    `${get("/small/x", "Transfer-Encoding: chunked\r\n", "POST")}401\r\n${"a".repeat(1025)}`,
    ["POST"],
  );
  assert.equal(second?.status, 413);
  const fits = await ask({ port: web, path: "/small/x", method: "POST", body: "a".repeat(1024) });
  assert.equal(JSON.parse(fits.body).bytes, 1024);
});
