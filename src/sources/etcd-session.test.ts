import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { EtcdSession } from "./etcd-session.ts";
import { StoreClient } from "./store-client.ts";
import { refuse, say, startGateway } from "./test-etcd.ts";

function passwordFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "password");
  writeFileSync(path, text);
  return path;
}

function open(t: TestContext, endpoint: string, user?: string, path?: string) {
  const client = new StoreClient(undefined);
  t.after(() => client.close());
  const session = new EtcdSession(client, { user, passwordFile: path, requestTimeout: 5_000 });
  return () =>
    new Promise<string>((resolve) => {
      session.ask({ endpoint, path: "/kv/range", body: "{}" }, (result) => {
        resolve(result.ok ? result.value : `${result.failure.code}: ${result.failure.detail}`);
      });
    });
}

const authenticate = "/auth/authenticate";

test("without a user no token is asked for, and a leader is", async (t) => {
  const { endpoint, asked } = await startGateway(t, (_asked, answer) => say(answer, 200, { well: true }));
  assert.equal(await open(t, endpoint)(), '{"well":true}');
  assert.deepEqual(
    asked.map(({ path, headers }) => [path, headers.authorization, headers["grpc-metadata-hasleader"]]),
    [["/kv/range", undefined, "true"]],
  );
});

test("a token is asked for once, and sent with every question", async (t) => {
  const { endpoint, asked } = await startGateway(t, ({ path }, answer) => {
    say(answer, 200, path === authenticate ? { token: "one.1" } : {});
  });
  const ask = open(t, endpoint, "evenkeel", passwordFile(t, " pass word \r\n"));
  for (let turn = 0; turn < 3; turn++) assert.equal(await ask(), "{}");
  assert.deepEqual(
    asked.map(({ path, headers }) => [path, headers.authorization]),
    [[authenticate, undefined], ...new Array(3).fill(["/kv/range", "one.1"])],
  );
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), { name: "evenkeel", password: " pass word " });
});

test("a token that is no longer taken is renewed within the question, once", async (t) => {
  for (const [status, code, message] of [
    [401, 16, "etcdserver: invalid auth token"],
    [400, 3, "etcdserver: revision of auth store is old"],
    [400, 3, "etcdserver: user name is empty"],
  ] as const) {
    let tokens = 0;
    const { endpoint, asked } = await startGateway(t, ({ path, headers }, answer) => {
      if (path === authenticate) say(answer, 200, { token: `token.${++tokens}` });
      else if (headers.authorization === "token.2") say(answer, 200, {});
      else refuse(answer, status, code, message);
    });
    assert.equal(await open(t, endpoint, "evenkeel", passwordFile(t, "x"))(), "{}", message);
    assert.equal(asked.length, 4);
  }
  const { endpoint, asked } = await startGateway(t, ({ path }, answer) => {
    if (path === authenticate) say(answer, 200, { token: "token.1" });
    else refuse(answer, 401, 16, "etcdserver: invalid auth token");
  });
  assert.match(await open(t, endpoint, "evenkeel", passwordFile(t, "x"))(), /^etcd\.denied: .*invalid auth token/);
  assert.equal(asked.length, 4);
});

test("a cluster without users takes a user as well, and later a token when it has users", async (t) => {
  let hasUsers = false;
  const { endpoint, asked } = await startGateway(t, ({ path, headers }, answer) => {
    if (path === authenticate && !hasUsers) refuse(answer, 412, 9, "etcdserver: authentication is not enabled");
    else if (path === authenticate) say(answer, 200, { token: "token.1" });
    else if (hasUsers && headers.authorization === undefined) refuse(answer, 400, 3, "etcdserver: user name is empty");
    else say(answer, 200, {});
  });
  const ask = open(t, endpoint, "evenkeel", passwordFile(t, "x"));
  assert.equal(await ask(), "{}");
  assert.equal(await ask(), "{}");
  assert.equal(asked.length, 3);
  hasUsers = true;
  assert.equal(await ask(), "{}");
});

test("what is refused says what to do, and never the password", async (t) => {
  const { endpoint } = await startGateway(t, ({ path }, answer) => {
    if (path === authenticate) {
      refuse(answer, 400, 3, "etcdserver: authentication failed, invalid user ID or password");
    } else refuse(answer, 403, 7, "etcdserver: permission denied");
  });
  const wrong = await open(t, endpoint, "evenkeel", passwordFile(t, "very secret"))();
  assert.match(wrong, /^etcd\.denied: .*authentication failed.*: set user and passwordFile/);
  assert.doesNotMatch(wrong, /secret/);
  assert.match(await open(t, endpoint)(), /^etcd\.denied: .*answered 403.*permission denied/);
  assert.match(
    await open(t, endpoint, "evenkeel", "/nonexistent/password")(),
    /^source\.password\.file: .*\/nonexistent/,
  );
});

test("refusals that are not about users keep their kind", async (t) => {
  const said: readonly (readonly [number, unknown, RegExp])[] = [
    [503, { message: "etcdserver: no leader", code: 14 }, /^etcd\.leader/],
    [503, { message: "etcdserver: leader changed", code: 14 }, /^etcd\.leader/],
    [
      503,
      { message: "etcdserver: request timed out", code: 14 },
      /^etcd\.failed: .*answered 503: "etcdserver: request timed out"$/,
    ],
    [404, "Not Found", /^etcd\.foreign: .*404.*3\.4/],
    [502, "<html>", /^etcd\.foreign: .*502/],
    [301, {}, /^etcd\.foreign/],
  ];
  let count = 0;
  const { endpoint } = await startGateway(t, (_asked, answer) => {
    const [status, body] = said[count++] ?? [500, {}];
    if (typeof body === "string") answer.writeHead(status).end(body);
    else say(answer, status, body);
  });
  const ask = open(t, endpoint);
  for (const [, , expected] of said) assert.match(await ask(), expected);
});
