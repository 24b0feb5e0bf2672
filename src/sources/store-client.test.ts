import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Result } from "../core/failure.ts";
import { type SourceTls, sourceAnswerBytesMax } from "../model/source.ts";
import { type StoreAnswer, StoreClient, type StoreRequest } from "./store-client.ts";
import { fakeStore, until } from "./test-kit.ts";

function client(t: TestContext, tls?: SourceTls): StoreClient {
  const made = new StoreClient(tls);
  t.after(() => made.close());
  return made;
}

function request(endpoint: string, changes: Partial<StoreRequest> = {}): StoreRequest {
  return {
    endpoint,
    method: "GET",
    path: "/v1/x?y=1",
    headers: {},
    body: undefined,
    timeout: 5_000,
    hold: 0,
    ...changes,
  };
}

function ask(of: StoreClient, what: StoreRequest): Promise<Result<StoreAnswer>> {
  return new Promise((resolve) => of.ask(what, resolve));
}

function told(result: Result<unknown>): string {
  return result.ok ? "good" : `${result.failure.code}: ${result.failure.detail}`;
}

/** A server that speaks bytes, not HTTP. */
async function rawServer(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

test("a request is answered with status, headers and body", async (t) => {
  const store = await fakeStore(t);
  const answering = store.answer(200, { "x-index": "5" }, "gr\u00fc\u00df dich");
  const answer = await ask(
    client(t),
    request(store.endpoint, { method: "PUT", body: "\u00fc", headers: { "x-a": "b" } }),
  );
  await answering;
  assert.ok(answer.ok);
  assert.deepEqual(
    [answer.value.status, answer.value.headers["x-index"], answer.value.body],
    [200, "5", "gr\u00fc\u00df dich"],
  );
  const [asked] = store.asked;
  assert.deepEqual(
    [asked?.method, asked?.url, asked?.headers["content-length"], asked?.headers["x-a"]],
    ["PUT", "/v1/x?y=1", "2", "b"],
  );
});

test("an answer that is cut is a failure, however much of it came", async (t) => {
  for (const bytes of [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "HTTP/1.1 200 OK\r\nContent-",
    "",
  ]) {
    const endpoint = await rawServer(t, (socket) => socket.once("data", () => socket.end(bytes)));
    assert.match(told(await ask(client(t), request(endpoint))), /^source\.answer\.cut: /, bytes);
  }
});

test("what speaks no HTTP is a failure", async (t) => {
  const endpoint = await rawServer(t, (socket) => socket.once("data", () => socket.end("-ERR unknown command\r\n")));
  assert.match(told(await ask(client(t), request(endpoint))), /^source\.answer\.invalid: /);
});

test("a port where nobody listens is refused", async (t) => {
  const store = await fakeStore(t);
  await new Promise((resolve) => store.server.close(resolve));
  assert.match(told(await ask(client(t), request(store.endpoint))), /^source\.connect\.refused: .*nobody listens/);
});

test("a name that does not exist is a failure with its own code", async (t) => {
  assert.match(told(await ask(client(t), request("http://store.invalid:8500"))), /^source\.connect\.name: /);
});

test("a server that says nothing is given up after the timeout, and after hold where it may hold", async (t) => {
  const store = await fakeStore(t);
  const first = await ask(client(t), request(store.endpoint, { timeout: 20 }));
  assert.match(told(first), /^source\.timeout: .*waiting for the answer took more than 20 ms/);
  const second = await ask(client(t), request(store.endpoint, { timeout: 20, hold: 30 }));
  assert.match(told(second), /more than 50 ms/);
});

test("a server that trickles its answer is given up as well", async (t) => {
  const endpoint = await rawServer(t, (socket) =>
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")),
  );
  assert.match(
    told(await ask(client(t), request(endpoint, { timeout: 30 }))),
    /^source\.timeout: .*reading the answer/,
  );
});

test("an answer beyond the limit is cut off", async (t) => {
  const piece = Buffer.alloc(1024 * 1024, "x");
  const endpoint = await rawServer(t, (socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const more = () => {
        while (!socket.destroyed && socket.write(piece));
      };
      socket.on("drain", more);
      more();
    });
  });
  const answer = await ask(client(t), request(endpoint, { timeout: 20_000 }));
  assert.match(told(answer), new RegExp(`^source\\.answer\\.tooLarge: .* more than ${sourceAnswerBytesMax} bytes`));
});

test("a kept connection that the server has closed costs no failure", async (t) => {
  let connections = 0;
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const endpoint = await rawServer(t, (socket) => {
    // The first connection answers once and is reset by the second request.
    const isFirst = connections++ === 0;
    let requests = 0;
    socket.on("data", () => {
      if (isFirst && requests++ > 0) socket.resetAndDestroy();
      else socket.write(answer);
    });
  });
  const asking = client(t);
  assert.equal(told(await ask(asking, request(endpoint))), "good");
  assert.equal(told(await ask(asking, request(endpoint))), "good");
  assert.equal(connections, 2);
});

test("a request that was given up tells nothing and ends its connection", async (t) => {
  const store = await fakeStore(t);
  let calls = 0;
  const giveUp = client(t).ask(request(store.endpoint), () => calls++);
  const response = await store.next();
  const gone = new Promise((resolve) => response.once("close", resolve));
  giveUp();
  await gone;
  assert.equal(calls, 0);
});

test("a stream is told piece by piece, and with an endless hold nothing ends it but its server", async (t) => {
  const store = await fakeStore(t);
  const said: string[] = [];
  client(t).stream(request(store.endpoint, { hold: Number.POSITIVE_INFINITY, timeout: 20 }), {
    head: ({ status }) => said.push(`head ${status}`),
    bytes: (bytes) => said.push(bytes.toString()),
    end: (result) => said.push(told(result)),
  });
  const response = await store.next();
  await new Promise((resolve) => setTimeout(resolve, 40));
  response.writeHead(200).write("one");
  await until("the first piece", () => said.length === 2);
  response.write("two");
  await until("the second piece", () => said.length === 3);
  response.end();
  await until("the end", () => said.length === 4);
  assert.deepEqual(said, ["head 200", "one", "two", "good"]);
});

function certificate(t: TestContext): { readonly key: string; readonly cert: string } {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-store-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=consul.test";
  const names = ["-addext", "subjectAltName=DNS:consul.test"];
  execFileSync("openssl", [...words.split(" "), ...names, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key, cert };
}

const plain: SourceTls = {
  caFile: undefined,
  certificateFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  verify: true,
};

test("TLS is verified by the given certificates and name, and shows our own certificate", async (t) => {
  const { key, cert } = certificate(t);
  const options = { key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(cert), requestCert: true };
  const store = await fakeStore(t, (listener) => createHttpsServer(options, listener));
  const endpoint = store.endpoint.replace("http:", "https:");
  const tls = { ...plain, caFile: cert, certificateFile: cert, keyFile: key, serverName: "consul.test" };
  const answering = store.answer(200, {}, "ok");
  assert.equal(told(await ask(client(t, tls), request(endpoint))), "good");
  await answering;
  for (const [wrong, expected] of [
    [{ ...tls, caFile: undefined }, /^source\.connect\.certificate: /],
    [{ ...tls, serverName: undefined }, /^source\.connect\.certificate: /],
    [{ ...tls, certificateFile: undefined, keyFile: undefined }, /^source\.connect\.certificate: .* wants one/],
    [{ ...tls, caFile: "/nowhere.pem" }, /^source\.tls\.file: \/nowhere\.pem cannot be read/],
  ] as const) {
    assert.match(told(await ask(client(t, wrong), request(endpoint))), expected);
  }
  const again = store.answer(200, {}, "ok");
  assert.equal(told(await ask(client(t, { ...tls, caFile: undefined, verify: false }), request(endpoint))), "good");
  await again;
});

test("TLS towards a server that speaks none is a failure", async (t) => {
  const endpoint = await rawServer(t, (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad\r\n\r\n")));
  const answer = await ask(client(t, plain), request(endpoint.replace("http:", "https:")));
  assert.match(told(answer), /^source\.connect\.tls: /);
});

test("closing a client ends its requests without a word", async (t) => {
  const store = await fakeStore(t);
  let calls = 0;
  const asking = client(t, { ...plain, caFile: "/nowhere.pem" });
  asking.ask(request(store.endpoint), () => calls++);
  const response = await store.next();
  const gone = new Promise((resolve) => response.once("close", resolve));
  asking.ask(request("https://127.0.0.1:1"), () => calls++);
  asking.close();
  await gone;
  assert.equal(calls, 0);
});
