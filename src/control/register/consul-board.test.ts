// The board against a small stand-in for Consul: sessions, locked keys, and its answers as Consul 1.8.7 gives them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { type ConsulBoardOptions, createConsulBoard } from "./consul-board.ts";

type Key = { value: string; session: string | undefined; index: number };

async function startConsul(t: TestContext) {
  const sessions = new Map<string, Readonly<Record<string, unknown>>>();
  const keys = new Map<string, Key>();
  const world = { sessions, keys, refuses: 0, token: undefined as string | undefined, endpoint: "", endSession };
  let index = 0;
  function endSession(id: string): void {
    sessions.delete(id);
    for (const [name, key] of keys) if (key.session === id) keys.delete(name);
  }
  const write = (name: string, body: string, query: URLSearchParams): readonly [number, string] => {
    const before = keys.get(name);
    const acquire = query.get("acquire");
    if (acquire !== null) {
      if (!sessions.has(acquire)) return [500, `invalid session "${acquire}"`];
      if (before?.session !== undefined && before.session !== acquire) return [200, "false"];
      keys.set(name, { value: body, session: acquire, index: ++index });
      return [200, "true"];
    }
    if (query.has("cas") && Number(query.get("cas")) !== before?.index) return [200, "false"];
    keys.set(name, { value: body, session: before?.session, index: ++index });
    return [200, "true"];
  };
  const answer = (request: IncomingMessage, body: string): readonly [number, string] => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://consul");
    if (world.refuses > 0) return [world.refuses, "No cluster leader"];
    if (world.token !== undefined && request.headers["x-consul-token"] !== world.token)
      return [403, "Permission denied"];
    const [, , room = "", action = "", id = ""] = pathname.split("/");
    if (room === "session" && action === "create") {
      const session = randomUUID();
      sessions.set(session, JSON.parse(body));
      return [200, JSON.stringify({ ID: session })];
    }
    if (room === "session" && action === "renew") {
      return sessions.has(id) ? [200, "[{}]"] : [404, `Session id '${id}' not found`];
    }
    if (room === "session") {
      endSession(id);
      return [200, "true"];
    }
    const name = decodeURIComponent(pathname.slice("/v1/kv/".length));
    if (request.method === "PUT") return write(name, body, searchParams);
    const key = keys.get(name);
    if (key === undefined) return [404, ""];
    const Value = Buffer.from(key.value).toString("base64");
    return [200, JSON.stringify([{ Key: name, Value, Session: key.session, ModifyIndex: key.index }])];
  };
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      const [status, text] = answer(request, body);
      response.writeHead(status).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  world.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return world;
}

const value = '{"weight":1,"max_fails":2,"fail_timeout":10,"down":0,"backup":0}';
const name = "upstreams/app/[::1]:80";

function open(t: TestContext, endpoints: readonly string[], more: Partial<ConsulBoardOptions> = {}) {
  const board = createConsulBoard({
    endpoints,
    prefix: "upstreams/app/",
    address: "[::1]:80",
    value,
    tokenFile: undefined,
    caFile: undefined,
    holder: "me",
    ttl: 10_000,
    random: seededRandom(1),
    ...more,
  });
  t.after(() => board.close());
  return board;
}

test("the key is locked by a session that ends with nobody's check, and goes with it", async (t) => {
  const consul = await startConsul(t);
  const board = open(t, [consul.endpoint]);
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
  const [session] = consul.sessions.values();
  assert.deepEqual(session, {
    Name: "evenkeel register me",
    TTL: "10s",
    Behavior: "delete",
    LockDelay: "0s",
    Checks: [],
    NodeChecks: [],
  });
  assert.equal(consul.keys.get(name)?.value, value);
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "done" });
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" });
  assert.deepEqual([consul.keys.size, consul.sessions.size], [0, 0]);
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" });
});

test("a session that has run out is lost, and the next put has a new one", async (t) => {
  const consul = await startConsul(t);
  const board = open(t, [consul.endpoint]);
  await board.ask({ type: "put" });
  consul.endSession([...consul.sessions.keys()][0] ?? "");
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "lost", detail: "the session has run out" });
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
  // Also when the put is what meets it.
  consul.endSession([...consul.sessions.keys()][0] ?? "");
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
  assert.equal(consul.keys.get(name)?.session, [...consul.sessions.keys()][0]);
});

test("a key that somebody deleted or took is lost though the session lives; another's lock is held", async (t) => {
  const consul = await startConsul(t);
  const board = open(t, [consul.endpoint]);
  const other = open(t, [consul.endpoint], { holder: "other" });
  await board.ask({ type: "put" });
  const held = await other.ask({ type: "put" });
  assert.equal(held.type, "held");
  consul.keys.delete(name);
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "lost", detail: "somebody has deleted the key" });
  assert.deepEqual(await other.ask({ type: "put" }), { type: "done" });
  assert.equal((await board.ask({ type: "renew" })).type, "lost");
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" });
  assert.equal(consul.keys.size, 1, "the other's stays");
});

test("down is written into what stands there, and an operator's down stays", async (t) => {
  const consul = await startConsul(t);
  const board = open(t, [consul.endpoint]);
  const shown = () => JSON.parse(consul.keys.get(name)?.value ?? "null");
  const key = () => consul.keys.get(name) ?? assert.fail("the key is there");
  await board.ask({ type: "put" });
  key().value = '{"weight":7,"note":"mine"}';
  assert.deepEqual(await board.ask({ type: "intent", intent: "down" }), { type: "done" });
  assert.deepEqual(shown(), { weight: 7, note: "mine", down: 1 });
  assert.deepEqual(await board.ask({ type: "intent", intent: "up" }), { type: "done" });
  assert.deepEqual(shown(), { weight: 7, note: "mine", down: 0 });
  assert.deepEqual(await board.ask({ type: "intent", intent: "drain" }), { type: "done" });
  assert.equal(shown().down, 1);
  await board.ask({ type: "intent", intent: "up" });
  key().value = '{"down":1}';
  await board.ask({ type: "intent", intent: "down" });
  const answer = await board.ask({ type: "intent", intent: "up" });
  assert.deepEqual(answer, { type: "done", note: "leaves it down, as somebody has set it" });
  assert.ok(key().session !== undefined, "the lock is kept");
});

test("the next server is asked when one is gone or has no leader", async (t) => {
  const gone = await startConsul(t);
  const leaderless = await startConsul(t);
  leaderless.refuses = 500;
  const consul = await startConsul(t);
  const board = open(t, ["http://127.0.0.1:1", leaderless.endpoint, consul.endpoint]);
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "done" });
  consul.refuses = 500;
  const answer = await board.ask({ type: "renew" });
  assert.equal(answer.type, "failed");
  consul.refuses = 0;
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "done" }, "the session lives as long as it lives");
  assert.equal(gone.keys.size, 0);
});

test("a token that is missing is refused with the rule that it takes; it is read anew each time", async (t) => {
  const consul = await startConsul(t);
  consul.token = "secret";
  const directory = mkdtempSync(join(tmpdir(), "ek-register-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, "wrong\n");
  const board = open(t, [consul.endpoint], { tokenFile });
  const answer = await board.ask({ type: "put" });
  assert.equal(answer.type, "refused");
  assert.match("detail" in answer ? answer.detail : "", /403 "Permission denied".*session write/);
  writeFileSync(tokenFile, "secret\n");
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
});
