// HTTP probes against servers that answer what the test says, byte for byte.

import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type HttpProbe, probeAnswerBytesMax } from "../model/health-check.ts";
import { certificate, listen, probe, probeOnce, prober, serve, type TestServer, until } from "./probe-test-kit.ts";

const plain: HttpProbe = {
  kind: "http",
  method: "GET",
  path: "/health?deep=1",
  host: undefined,
  headers: [],
  rawRequest: undefined,
  statuses: [{ first: 200, last: 399 }],
  body: undefined,
  tls: undefined,
  connection: "own",
};

/** Answers each whole request with these bytes; undefined keeps silent. */
function answering(t: TestContext, answer: string | undefined, then?: (socket: Socket) => void): Promise<TestServer> {
  return serve(t, (socket) => {
    socket.on("data", (bytes) => {
      if (!bytes.toString("latin1").endsWith("\r\n\r\n")) return;
      if (answer !== undefined) socket.write(answer, "latin1");
      then?.(socket);
    });
  });
}

async function codeOf(t: TestContext, answer: string, changes: Partial<HttpProbe> = {}): Promise<string> {
  const server = await answering(t, answer);
  return (await probe(t, { ...plain, ...changes }, server.port, 2_000)).code;
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

test("the request is the plan's, and a raw one is sent as it stands", async (t) => {
  const heard: string[] = [];
  const server = await serve(t, (socket) =>
    socket.once("data", (bytes) => {
      heard.push(bytes.toString("latin1"));
      socket.write(ok);
    }),
  );
  const headers = [{ name: "X-Check", value: "1" }];
  await probe(t, { ...plain, headers }, server.port);
  await probe(t, { ...plain, method: "HEAD", path: "/", host: "iam.example.com", connection: "kept" }, server.port);
  await probe(t, { ...plain, rawRequest: "GET / HTTP/1.0\r\n\r\n" }, server.port);
  assert.deepEqual(heard, [
    `GET /health?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nX-Check: 1\r\nUser-Agent: evenkeel\r\nConnection: close\r\n\r\n`,
    "HEAD / HTTP/1.1\r\nHost: iam.example.com\r\nUser-Agent: evenkeel\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
  ]);
});

test("the status decides, interim responses are passed over, and the head is enough", async (t) => {
  assert.equal(await codeOf(t, ok), "probe.passed");
  assert.equal(await codeOf(t, "HTTP/1.1 302 Found\r\nContent-Length: 99\r\n\r\n"), "probe.passed");
  assert.equal(await codeOf(t, `HTTP/1.1 103 Early\r\nLink: x\r\n\r\n${ok}`), "probe.passed");
  assert.equal(await codeOf(t, "HTTP/1.1 503 No\r\n\r\n"), "probe.http.status");
  const only204 = { statuses: [{ first: 204, last: 204 }] };
  assert.equal(await codeOf(t, ok, only204), "probe.http.status");
  assert.equal(await codeOf(t, "HTTP/1.1 204 No Content\r\n\r\n", only204), "probe.passed");
});

test("a body must hold the text or match the expression, however it is framed and cut", async (t) => {
  const bodies: Record<string, string> = {
    length: ok,
    chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n",
    untilClose: "HTTP/1.0 200 OK\r\n\r\nhello",
  };
  for (const [name, answer] of Object.entries(bodies)) {
    for (const cut of [1, 7, 1_000]) {
      const server = await serve(t, (socket) =>
        socket.once("data", async () => {
          for (let at = 0; at < answer.length; at += cut) {
            socket.write(answer.slice(at, at + cut));
            await new Promise((resolve) => setImmediate(resolve));
          }
          if (name === "untilClose") socket.end();
        }),
      );
      const found = await probe(t, { ...plain, body: { kind: "text", text: "hello" } }, server.port);
      assert.equal(found.code, "probe.passed", `${name}, ${cut}: ${found.text}`);
      const matched = await probe(t, { ...plain, body: { kind: "regex", source: "^h.*o$" } }, server.port);
      assert.equal(matched.code, "probe.passed", `${name}, ${cut}: ${matched.text}`);
      const missing = await probe(t, { ...plain, body: { kind: "text", text: "hullo" } }, server.port);
      assert.equal(missing.code, "probe.expect.missing");
      assert.match(missing.text, /hello/, "what was there instead is told");
    }
  }
});

test("an expression that would take for ever is stopped, and the check fails for it", async (t) => {
  const body = "a".repeat(40);
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n${body}`;
  assert.equal(await codeOf(t, answer, { body: { kind: "regex", source: "^(a+)+$b" } }), "probe.expect.tooSlow");
});

test("an answer without end is looked at as far as the limit and cut", async (t) => {
  const server = await serve(t, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const more = () => {
        while (!socket.destroyed && socket.write("x".repeat(16_384)));
      };
      socket.on("drain", more);
      more();
    });
  });
  const outcome = await probe(t, { ...plain, body: { kind: "text", text: "needle" } }, server.port);
  assert.equal(outcome.code, "probe.expect.missing");
  await until("the connection's end", () => server.ends.length === 1);
  const late = `HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${"x".repeat(probeAnswerBytesMax)}needle`;
  assert.equal(await codeOf(t, late, { body: { kind: "text", text: "needle" } }), "probe.expect.missing");
});

test("what is no answer fails with the parser's own words", async (t) => {
  assert.equal(await codeOf(t, "SSH-2.0-OpenSSH_9.2\r\n"), "http1.status.invalid");
  assert.equal(await codeOf(t, "\0\0\0\0"), "http1.status.invalid");
  assert.equal(await codeOf(t, "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"), "http1.header.name.invalid");
  assert.equal(await codeOf(t, `HTTP/1.1 200 OK\r\nX: ${"y".repeat(40_000)}`), "http1.header.tooLarge");
  const twice = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
  assert.equal(await codeOf(t, twice), "http1.contentLength.differs");
});

test("silence, a reset, a close before and within the answer each have their code", async (t) => {
  const silent = await answering(t, undefined);
  assert.equal((await probe(t, plain, silent.port, 100)).code, "probe.timeout");
  const dripping = await answering(t, "HTTP/1.1 200 OK\r\nX: y");
  assert.equal((await probe(t, plain, dripping.port, 100)).code, "probe.timeout");
  const resetting = await answering(t, undefined, (socket) => socket.resetAndDestroy());
  assert.equal((await probe(t, plain, resetting.port)).code, "probe.connection.reset");
  const closing = await answering(t, undefined, (socket) => socket.end());
  assert.equal((await probe(t, plain, closing.port)).code, "probe.http.closed");
  const cutHead = await answering(t, "HTTP/1.1 200 OK\r\n", (socket) => socket.end());
  assert.equal((await probe(t, plain, cutHead.port)).code, "probe.http.closed");
  const cutBody = await answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", (socket) => socket.end());
  assert.equal(
    (await probe(t, { ...plain, body: { kind: "text", text: "he" } }, cutBody.port)).code,
    "probe.http.closed",
  );
});

test("what a target says reaches people without control characters", async (t) => {
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n\u001b[31mred\r\nx\0";
  const server = await answering(t, answer);
  const { text } = await probe(t, { ...plain, body: { kind: "text", text: "needle" } }, server.port);
  assert.doesNotMatch(text, /[\u0000-\u001f]/);
});

test("a kept connection serves many probes, and is opened anew when the target has closed it", async (t) => {
  let requests = 0;
  const server = createHttpServer((_, response) => {
    requests++;
    response.end("hello");
  });
  let connections = 0;
  server.on("connection", () => connections++);
  const port = await listen(t, server);
  const made = prober(t, { ...plain, connection: "kept" }, port);
  for (let n = 0; n < 5; n++) assert.equal((await probeOnce(made)).verdict, "passed");
  assert.deepEqual([requests, connections], [5, 1]);
  server.closeAllConnections();
  assert.equal((await probeOnce(made)).verdict, "passed", "even when its end has not been read yet");
  assert.deepEqual([requests, connections], [6, 2]);
});

test("a connection whose answer says more than was asked, or says close, is not kept", async (t) => {
  for (const answer of [`${ok}${ok}`, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]) {
    const server = await answering(t, answer);
    const made = prober(t, { ...plain, connection: "kept" }, server.port);
    for (let n = 0; n < 3; n++) assert.equal((await probeOnce(made)).verdict, "passed");
    assert.equal(server.sockets.length, 3);
  }
});

test("https asks over TLS, own or kept, and closes so that the target sees no error", async (t) => {
  const { key, cert } = certificate(t);
  const errors: string[] = [];
  let requests = 0;
  const server = createHttpsServer({ key, cert }, (_, response) => {
    requests++;
    response.end("hello");
  });
  server.on("tlsClientError", (error) => errors.push(error.message));
  let connections = 0;
  server.on("secureConnection", () => connections++);
  const port = await listen(t, server);
  const tls = { serverName: "lb.test", verify: false };
  const body = { kind: "text", text: "hello" } as const;
  const own = prober(t, { ...plain, tls, body }, port);
  for (let n = 0; n < 3; n++) assert.equal((await probeOnce(own)).code, "probe.passed");
  const kept = prober(t, { ...plain, tls, body, connection: "kept" }, port);
  for (let n = 0; n < 3; n++) assert.equal((await probeOnce(kept)).code, "probe.passed");
  assert.deepEqual([requests, connections, errors], [6, 4, []]);
  const verified = await probe(t, { ...plain, tls: { ...tls, verify: true } }, port);
  assert.equal(verified.code, "probe.tls.certificate");
  kept.close();
});
