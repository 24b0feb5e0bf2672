import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopbackHost, judgeKnock, type Knock } from "./gate.ts";
import { bodyOf } from "./test-node.ts";
import type { TokenEntry, TokenRights } from "./token-file.ts";

const asked: string[] = [];

/** The token is its own name. */
function find(token: string): TokenEntry | undefined {
  asked.push(token);
  const rights: TokenRights | undefined = token === "deploy" ? "write" : token === "prometheus" ? "read" : undefined;
  return rights && { name: token, digest: new Uint8Array(32), rights };
}

function knock(more: Partial<Knock>) {
  return judgeKnock(
    { method: "GET", host: "127.0.0.1:9911", origin: undefined, authorization: "Bearer deploy", open: false, ...more },
    find,
  );
}

test("a good token is admitted under its name, and its rights are kept to", () => {
  assert.deepEqual(knock({}), { ok: true, who: "token:deploy" });
  assert.deepEqual(knock({ method: "PUT", authorization: "bearer  deploy" }), { ok: true, who: "token:deploy" });
  for (const method of ["GET", "HEAD"]) {
    assert.deepEqual(knock({ method, authorization: "Bearer prometheus" }), { ok: true, who: "token:prometheus" });
  }
  for (const method of ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"]) {
    const told = knock({ method, authorization: "Bearer prometheus" });
    assert.ok(!told.ok);
    assert.deepEqual([told.answer.status, bodyOf(told.answer)["code"]], [403, "admin.token.rights"], method);
    assert.match(String(told.answer.headers["www-authenticate"]), /error="insufficient_scope"/);
  }
});

test("without a token, or with one that is none, it is 401 with a challenge", () => {
  for (const authorization of [undefined, "", "Basic ZGVwbG95", "Bearer", "Bearer a b", "deploy"]) {
    const told = knock({ authorization });
    assert.ok(!told.ok);
    assert.deepEqual([told.answer.status, bodyOf(told.answer)["code"]], [401, "admin.token.missing"], authorization);
    assert.equal(told.answer.headers["www-authenticate"], 'Bearer realm="evenkeel"');
  }
  const told = knock({ authorization: "Bearer other" });
  assert.ok(!told.ok);
  assert.deepEqual([told.answer.status, bodyOf(told.answer)["code"]], [401, "admin.token.invalid"]);
});

test("what is open needs no token, but a loopback name all the same", () => {
  assert.deepEqual(knock({ open: true, authorization: undefined }), { ok: true, who: "anybody" });
  assert.equal(knock({ open: true, host: "evil.example" }).ok, false);
});

test("a browser's page and a foreign name are refused before any token is looked at", () => {
  asked.length = 0;
  for (const origin of ["http://evil.example", "http://127.0.0.1:9911", "null"]) {
    const told = knock({ origin });
    assert.ok(!told.ok);
    assert.deepEqual([told.answer.status, bodyOf(told.answer)["code"]], [403, "admin.origin"]);
  }
  const told = knock({ host: "evil.example:9911" });
  assert.ok(!told.ok);
  assert.deepEqual([told.answer.status, bodyOf(told.answer)["code"]], [421, "admin.host"]);
  assert.deepEqual(asked, []);
});

test("loopback names are these and no others", () => {
  const good = ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:9911", "[0:0::1]:1"];
  const wrong = [
    undefined,
    "",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example",
    "127.1",
    "0.0.0.0",
    "10.0.0.1",
    "[::]",
    "[::ffff:127.0.0.1]",
    "::1",
    "localhost:",
    "localhost:x",
    "user@localhost",
    "localhost/",
  ];
  for (const host of good) assert.equal(isLoopbackHost(host), true, host);
  for (const host of wrong) assert.equal(isLoopbackHost(host), false, host);
});
