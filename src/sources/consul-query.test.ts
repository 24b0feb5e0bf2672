// The plan for Consul with answers that the test makes: what is asked, and what becomes of what is said.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ConsulAccess } from "../model/source.ts";
import { kvEntries } from "./consul-kv.ts";
import { consulPlan } from "./consul-query.ts";
import { EntryBook } from "./entry-book.ts";
import type { SourceReading } from "./source.ts";
import type { StoreAnswer } from "./store-client.ts";
import type { StorePlan } from "./store-watch.ts";
import { addresses } from "./test-kit.ts";

const endpoint = "http://127.0.0.1:8500";

function plan(access: Partial<ConsulAccess> = {}, emptyIs404 = true): StorePlan {
  return consulPlan({
    access: {
      endpoints: [endpoint],
      tokenFile: undefined,
      datacenter: undefined,
      tls: undefined,
      wait: 16_000,
      ...access,
    },
    path: "/v1/kv/up/app/",
    parameters: [["recurse", ""]],
    emptyIs404,
    entries: (tree) => kvEntries(tree, "up/app/"),
    book: new EntryBook({ name: "app", slowStart: 0 }, []),
    rule: 'key_prefix "up/app/" { policy = "read" }',
  });
}

function asked(of: StorePlan) {
  const result = of.ask();
  assert.ok(result.ok, result.ok ? "" : result.failure.detail);
  const url = new URL(result.value.path, endpoint);
  return { ...result.value, query: Object.fromEntries(url.searchParams), pathname: url.pathname };
}

function list(...addresses: readonly string[]): string {
  return JSON.stringify(addresses.map((address) => ({ Key: `up/app/${address}`, Value: null })));
}

function answer(index: number | string | undefined, body: string, changes: Partial<StoreAnswer> = {}): StoreAnswer {
  const headers = index === undefined ? {} : { "x-consul-index": String(index) };
  return { status: 200, headers, body, ...changes };
}

/** The reading that an answer gave, and whether it is new; undefined when it gave none. */
function heard(
  of: StorePlan,
  what: StoreAnswer,
): { readonly reading: SourceReading; readonly isNew: boolean } | undefined {
  const verdict = of.judge(what, endpoint);
  assert.ok(verdict.ok, verdict.ok ? "" : verdict.failure.detail);
  return verdict.value.type === "reading" ? verdict.value : undefined;
}

function refusal(of: StorePlan, what: StoreAnswer): string {
  const verdict = of.judge(what, endpoint);
  assert.ok(!verdict.ok, `answered: ${JSON.stringify(what)}`);
  return `${verdict.failure.code}: ${verdict.failure.detail}`;
}

test("the list is read whole and from the leader first, then queries block on its index", () => {
  const consul = plan({ datacenter: "es8-dc" });
  const first = asked(consul);
  assert.equal(first.pathname, "/v1/kv/up/app/");
  assert.deepEqual(first.query, { recurse: "", consistent: "", dc: "es8-dc" });
  assert.equal(first.hold, 0);
  const told = heard(consul, answer(40, list("10.0.0.1:80")));
  assert.deepEqual([addresses(told?.reading), told?.reading.revision, told?.isNew], [["10.0.0.1:80"], "40", true]);
  const second = asked(consul);
  assert.deepEqual(second.query, { recurse: "", dc: "es8-dc", index: "40", wait: "16000ms" });
  // Consul may hold it a sixteenth longer than it was asked to.
  assert.equal(second.hold, 17_000);
});

test("an answer with the index that was asked for tells the same reading again", () => {
  const consul = plan();
  const before = heard(consul, answer(40, list("10.0.0.1:80")));
  const after = heard(consul, answer(40, list("10.0.0.1:80")));
  assert.equal(after?.reading, before?.reading);
  assert.equal(after?.isNew, false);
});

test("an index that goes backwards is believed only after the list was read anew from the leader", () => {
  const consul = plan();
  heard(consul, answer(40, list("10.0.0.1:80")));
  assert.equal(heard(consul, answer(39, list("10.0.0.9:80"))), undefined);
  assert.deepEqual(asked(consul).query, { recurse: "", consistent: "" });
  assert.deepEqual(addresses(heard(consul, answer(12, list("10.0.0.2:80")))?.reading), ["10.0.0.2:80"]);
  assert.equal(asked(consul).query["index"], "12");
});

test("an index below 1 is never blocked on", () => {
  const consul = plan();
  assert.deepEqual(addresses(heard(consul, answer(0, list("10.0.0.1:80")))?.reading), ["10.0.0.1:80"]);
  assert.equal(asked(consul).query["index"], undefined);
  assert.deepEqual(addresses(heard(consul, answer(0, list("10.0.0.2:80")))?.reading), ["10.0.0.2:80"]);
});

test("after a failure the list is read whole, so that a recovery is known at once", () => {
  const consul = plan();
  heard(consul, answer(40, list("10.0.0.1:80")));
  consul.failed();
  assert.deepEqual(asked(consul).query, { recurse: "", consistent: "" });
});

test("404 with an index is an empty list, and is obeyed", () => {
  const consul = plan();
  heard(consul, answer(40, list("10.0.0.1:80")));
  const told = heard(consul, answer(41, "", { status: 404 }));
  assert.deepEqual([told?.reading.targets, told?.reading.revision, told?.isNew], [[], "41", true]);
  assert.equal(asked(consul).query["index"], "41");
});

test("what is not Consul's answer to the question is a failure", () => {
  const index = { "x-consul-index": "41" };
  for (const [what, expected] of [
    [answer(undefined, "", { status: 404 }), /^consul\.foreign: .* without X-Consul-Index: that is not Consul/],
    [answer(undefined, "<html>It works!</html>"), /^consul\.foreign: .* without X-Consul-Index/],
    [answer("x", list()), /^consul\.foreign/],
    [answer("-1", list()), /^consul\.foreign/],
    [answer(41, "<html>It works!</html>"), /^consul\.foreign: .* no JSON "<html>It works!<\/html>"/],
    [answer(41, '{"Key":"up/app/10.0.0.1:80"}'), /^consul\.foreign: .* something else/],
    [answer(41, '[{"Key":"elsewhere/10.0.0.1:80","Value":null}]'), /^consul\.foreign/],
    [answer(41, '[{"Key":"up/app/10.0.0.1:80","Value":5}]'), /^consul\.foreign/],
    [answer(undefined, "", { status: 301 }), /^consul\.foreign: .* 301/],
    [answer(undefined, "No cluster leader", { status: 500 }), /^consul\.leader: .* 500 "No cluster leader"/],
    [answer(undefined, "rpc error", { status: 500 }), /^consul\.failed: .* 500 "rpc error"/],
    [answer(undefined, "", { status: 429 }), /^consul\.busy/],
    [answer(41, list(), { headers: { ...index, "x-consul-knownleader": "false" } }), /^consul\.leader/],
    [
      answer(41, "[]", { headers: { ...index, "x-consul-results-filtered-by-acls": "true" } }),
      /^consul\.denied: .* hides every entry/,
    ],
  ] as const) {
    const consul = plan();
    heard(consul, answer(40, list("10.0.0.1:80")));
    assert.match(refusal(consul, what), expected);
  }
  assert.match(refusal(plan({}, false), answer(41, "", { status: 404 })), /^consul\.foreign/);
});

test("what a foreign server says is told in part and without control characters", () => {
  const told = refusal(plan(), answer(undefined, `\u001b[2J${"x".repeat(10_000)}`, { status: 502 }));
  assert.ok(told.length < 250);
  assert.doesNotMatch(told, /\u001b/);
});

test("a refused token says what to do", () => {
  const told = refusal(plan(), answer(undefined, "Permission denied\n", { status: 403 }));
  assert.match(
    told,
    /^consul\.denied: .* 403 "Permission denied": write a token to tokenFile whose policy has key_prefix/,
  );
});

function tokenFile(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-token-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "token");
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
}

test("the token is read anew for each request", (t) => {
  const path = tokenFile(t, "first\n");
  const consul = plan({ tokenFile: path });
  assert.equal(asked(consul).headers["x-consul-token"], "first");
  writeFileSync(path, "second");
  assert.equal(asked(consul).headers["x-consul-token"], "second");
  assert.equal(asked(plan()).headers["x-consul-token"], undefined);
});

test("a token file that is missing or holds no token is a failure that does not tell what is in it", (t) => {
  for (const text of ["", "two words", "line\nline", "s\u00e9cret"]) {
    const result = plan({ tokenFile: tokenFile(t, text) }).ask();
    assert.equal(result.ok, false);
    const told = result.ok ? "" : `${result.failure.code} ${result.failure.detail}`;
    assert.match(told, /^source\.token\.file .* must hold one token and nothing else$/);
  }
  const missing = plan({ tokenFile: "/nowhere/token" }).ask();
  assert.match(missing.ok ? "" : missing.failure.detail, /ENOENT/);
});
