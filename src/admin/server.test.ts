import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Log } from "../core/log.ts";
import type { Controlled } from "./controlled.ts";
import { type AdminServer, bodyBytesMax, openAdminServer } from "./server.ts";
import { pool, type TestNode, testNode } from "./test-node.ts";
import { createToken } from "./token-file.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

type Running = {
  readonly node: TestNode;
  readonly socketPath: string;
  readonly port: number;
  readonly tokens: string;
  readonly server: AdminServer;
};

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

async function start(t: TestContext, more: Partial<Controlled> = {}): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), "ek-admin-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const [socketPath, tokens, port] = [join(directory, "admin.sock"), join(directory, "token"), await freePort()];
  const node = testNode([pool("app", [])], more);
  const opened = await openAdminServer({
    admin: { socket: socketPath, http: { bind: { host: "127.0.0.1", port }, tokenFile: tokens } },
    controlled: node,
    log: quiet,
    clock: () => 0,
    // Who it really is, the kernel knows: src/io/peer-credentials.test.ts.
    peerName: () => Promise.resolve("somebody"),
  });
  if (!opened.ok) assert.fail(opened.failure.detail);
  t.after(() => opened.value.close());
  return { node, socketPath, port, tokens, server: opened.value };
}

type Asked = { status: number; headers: IncomingMessage["headers"]; text: string };
type Where = { socketPath: string } | { port: number };

function ask(where: Where, method: string, path: string, headers: Record<string, string> = {}, body?: string) {
  return new Promise<Asked>((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", ...where, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("on the unix socket a change is recorded under the user who asked", async (t) => {
  const { node, socketPath } = await start(t);
  assert.equal(statSync(socketPath).mode & 0o777, 0o660);
  const headers = { "content-type": "application/json" };
  const made = await ask({ socketPath }, "PUT", "/v1/pools/app/targets/10.0.0.1:80", headers, '{"weight":2}');
  assert.equal(made.status, 201);
  assert.equal(JSON.parse(made.text).desired.weight, 2);
  assert.equal(made.headers["cache-control"], "no-store");
  assert.equal(node.ordered[0]?.by, "unix:somebody");
});

test("over TCP nothing but a good token opens, and a token that is taken out is refused at once", async (t) => {
  const { node, port, tokens } = await start(t);
  const [deploy, prometheus] = [createToken("deploy", "write"), createToken("prometheus", "read")];
  const bearer = (token: string) => ({ authorization: `Bearer ${token}`, "content-type": "application/json" });
  assert.equal((await ask({ port }, "GET", "/v1/config", bearer(deploy.token))).status, 401);
  writeFileSync(tokens, `${deploy.line}${prometheus.line}`, { mode: 0o600 });
  assert.equal((await ask({ port }, "GET", "/v1/config", bearer(deploy.token))).status, 200);
  const put = await ask({ port }, "PUT", "/v1/pools/app/targets/10.0.0.1:80", bearer(deploy.token), "{}");
  assert.deepEqual([put.status, node.ordered[0]?.by], [201, "token:deploy"]);
  assert.equal((await ask({ port }, "GET", "/v1/config", bearer(prometheus.token))).status, 200);
  const limited = await ask({ port }, "DELETE", "/v1/pools/app/targets/10.0.0.1:80", bearer(prometheus.token));
  assert.deepEqual([limited.status, JSON.parse(limited.text).code], [403, "admin.token.rights"]);
  writeFileSync(tokens, prometheus.line);
  const revoked = await ask({ port }, "GET", "/v1/config", bearer(deploy.token));
  assert.deepEqual(
    [revoked.status, revoked.headers["www-authenticate"]],
    [401, 'Bearer realm="evenkeel", error="invalid_token"'],
  );
  for (const path of ["/livez", "/readyz"]) assert.equal((await ask({ port }, "GET", path)).status, 200);
  for (const path of ["/metrics", "/v1/openapi.json", "/nothing"])
    assert.equal((await ask({ port }, "GET", path)).status, 401);
});

test("a script's token for Consul opens the entries that it knows, and nothing else", async (t) => {
  const { node, port, tokens } = await start(t);
  const { token, line } = createToken("deploy", "write");
  writeFileSync(tokens, line, { mode: 0o600 });
  const headers = { "x-consul-token": token };
  const key = "/v1/kv/upstreams/app/10.0.0.1:80";
  const put = await ask({ port }, "PUT", key, headers, '{"weight":2}');
  assert.deepEqual([put.status, put.text.trim(), node.ordered[0]?.by], [200, "true", "token:deploy"]);
  assert.equal((await ask({ port }, "PUT", key, { "x-consul-token": "another" }, "{}")).status, 401);
  assert.equal((await ask({ port }, "GET", "/v1/config", headers)).status, 401);
});

test("over TCP a foreign Host and a browser's Origin are refused, with a good token too", async (t) => {
  const { port, tokens } = await start(t);
  const { token, line } = createToken("deploy", "write");
  writeFileSync(tokens, line, { mode: 0o600 });
  const authorization = `Bearer ${token}`;
  assert.equal((await ask({ port }, "GET", "/v1/config", { authorization, host: "evil.example" })).status, 421);
  assert.equal((await ask({ port }, "GET", "/livez", { host: "evil.example" })).status, 421);
  const crossed = await ask({ port }, "GET", "/v1/config", { authorization, origin: "http://evil.example" });
  assert.deepEqual([crossed.status, crossed.headers["access-control-allow-origin"]], [403, undefined]);
});

test("a body that is too large is refused, told or untold, and what came before it is not harmed", async (t) => {
  const { socketPath } = await start(t);
  const headers = { "content-type": "application/json" };
  const path = "/v1/pools/app/targets/10.0.0.1:80";
  const large = `{"weight":${" ".repeat(bodyBytesMax)}1}`;
  const told = await ask({ socketPath }, "PUT", path, headers, large);
  assert.deepEqual([told.status, JSON.parse(told.text).code], [413, "admin.body.tooLarge"]);
  const untold = await ask({ socketPath }, "PUT", path, { ...headers, "transfer-encoding": "chunked" }, large);
  assert.equal(untold.status, 413);
  const most = `{"weight":1${" ".repeat(bodyBytesMax - 12)}}`;
  assert.equal((await ask({ socketPath }, "PUT", path, headers, most)).status, 201);
});

test("HEAD answers as GET does, without the body, also of a stream", async (t) => {
  const { socketPath } = await start(t);
  const [head, get] = [await ask({ socketPath }, "HEAD", "/v1/config"), await ask({ socketPath }, "GET", "/v1/config")];
  assert.deepEqual([head.text, head.headers["content-length"]], ["", get.headers["content-length"]]);
  const stream = await ask({ socketPath }, "HEAD", "/v1/events");
  assert.deepEqual([stream.status, stream.headers["content-type"]], [200, "text/event-stream"]);
});

/** A follower over the wire: what came, and a wait for more. */
async function followEvents(t: TestContext, where: Where, path: string, headers: Record<string, string> = {}) {
  let text = "";
  let ended = false;
  let look = () => {};
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", ...where, path, headers, agent: false }, resolve);
    outgoing.on("error", reject);
    t.after(() => outgoing.destroy());
    outgoing.end();
  });
  response.setEncoding("utf8");
  response.on("data", (chunk: string) => {
    text += chunk;
    look();
  });
  response.on("end", () => {
    ended = true;
    look();
  });
  const until = (what: RegExp | "end") =>
    new Promise<string>((resolve) => {
      look = () => {
        if (what === "end" ? ended : what.test(text.slice(-4_000))) resolve(text);
      };
      look();
    });
  return { response, until };
}

test("events are followed over the wire as they happen, and the end of the program ends the stream in order", async (t) => {
  const { node, socketPath, server } = await start(t);
  const happening = { type: "config.reloaded", who: "file", subject: {}, before: 1, after: 2 };
  node.events.tell(happening);
  const follower = await followEvents(t, { socketPath }, "/v1/events?since=0");
  await follower.until(/^id: [0-9a-f]{8}-1\n/m);
  node.events.tell(happening);
  const text = await follower.until(/^id: [0-9a-f]{8}-2\n/m);
  const id = /^id: ([0-9a-f]{8}-1)$/m.exec(text)?.[1] ?? "";
  const again = await followEvents(t, { socketPath }, "/v1/events", { "last-event-id": id });
  assert.doesNotMatch(await again.until(/-2\n/), /-1\n|missed/);
  const closed = server.close();
  await Promise.all([follower.until("end"), again.until("end"), closed]);
});

test("a follower that reads nothing holds back nobody, and reads all of it later", async (t) => {
  const { node, socketPath } = await start(t);
  const slow = await followEvents(t, { socketPath }, "/v1/events");
  slow.response.pause();
  const quick = await followEvents(t, { socketPath }, "/v1/events");
  const count = 2_000;
  for (let index = 1; index <= count; index++) {
    node.events.tell({ type: "x", who: "y", subject: {}, before: undefined, after: "z".repeat(1_000) });
  }
  await quick.until(new RegExp(`-${count}\\n`));
  slow.response.resume();
  const text = await slow.until(new RegExp(`-${count}\\n`));
  assert.equal(text.match(/^id: /gm)?.length, count);
});

test("a place that is taken is a failure that names it, and nothing stays open", async (t) => {
  const { port } = await start(t);
  const directory = mkdtempSync(join(tmpdir(), "ek-admin-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, "admin.sock");
  const opened = await openAdminServer({
    admin: { socket: socketPath, http: { bind: { host: "127.0.0.1", port }, tokenFile: "/nowhere" } },
    controlled: testNode(),
    log: quiet,
    clock: () => 0,
    peerName: () => undefined,
  });
  assert.ok(!opened.ok);
  assert.deepEqual(
    [opened.failure.code, opened.failure.detail.includes(`127.0.0.1:${port}`)],
    ["admin.http.failed", true],
  );
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => connect(socketPath).once("error", resolve));
  assert.match(String(error.code), /ENOENT|ECONNREFUSED/);
});

test("the metrics leave in pieces, whole, and none is made for a reader that takes none or is gone", async (t) => {
  let made = 0;
  const labels: readonly string[] = ["x".repeat(1_000)];
  const samples = Array.from({ length: 20_000 }, () => ({
    labels,
    get value() {
      made++;
      return 1;
    },
  }));
  const metric = { name: "evenkeel_test", type: "gauge", help: "A test.", labels: ["one"] } as const;
  const families = [{ metric, samples, histograms: [] }];
  const { socketPath } = await start(t, { metrics: () => Promise.resolve({ families }) });
  const slow = connect(socketPath).on("error", () => {});
  slow.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
  await new Promise((resolve) => slow.once("readable", resolve));
  // Others have their turn meanwhile, and what the slow one does not take is not made.
  for (let turn = 0; turn < 20; turn++) {
    assert.equal((await ask({ socketPath }, "GET", "/livez")).status, 200);
  }
  assert.ok(made < samples.length / 2, `${made} lines`);
  slow.destroy();
  const whole = await ask({ socketPath }, "GET", "/metrics");
  assert.deepEqual([whole.status, whole.headers["content-length"]], [200, undefined]);
  assert.equal(whole.text.split("\n").length, samples.length + 3);
  assert.equal((await ask({ socketPath }, "HEAD", "/metrics")).text, "");
});
