import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, bodyOf, explanation, pool, target, testNode, textOf } from "./test-node.ts";

const check = {
  type: "tcp",
  standing: "healthy",
  passedInRow: 7,
  failedInRow: 0,
  rise: 2,
  fall: 2,
  intervalMs: 1,
  timeoutMs: 1,
  probes: 7,
  probesFailed: 0,
  probesUnable: 0,
  last: undefined,
  lastFailed: undefined,
} as const;

function node() {
  const targets = [
    target("10.0.0.1:80", { maxFails: 2 }),
    target("10.0.0.2:80", { weight: 5, backup: true }),
    target("10.0.0.3:80", { intent: "drain" }),
    target("10.0.0.4:80", { intent: "down" }),
  ];
  return testNode([pool("app", targets), pool("db", [target("[::1]:5432")]), pool("none", [])], {
    explainTarget: (name, address) => ({
      ...explanation(name, target(address)),
      check: name === "app" ? check : undefined,
      health: address === "10.0.0.2:80" ? "unhealthy" : "healthy",
    }),
  });
}

const app = `Upstream name: app; Backend server count: 4
        server 10.0.0.1:80 weight=1 max_fails=2 fail_timeout=10s;
        server 10.0.0.2:80 weight=5 max_fails=1 fail_timeout=10s backup;
        server 10.0.0.3:80 weight=1 max_fails=1 fail_timeout=10s down;
        server 10.0.0.4:80 weight=1 max_fails=1 fail_timeout=10s down;
`;

test("the list reads as upsync's, all pools or the one that is named, as that module has it or as others would", async () => {
  const db =
    "Upstream name: db; Backend server count: 1\n        server [::1]:5432 weight=1 max_fails=1 fail_timeout=10s;\n";
  const none = "Upstream name: none; Backend server count: 0\n";
  assert.equal(textOf(await ask(node(), "GET", "/upstream_list")), `${app}\n${db}\n${none}`);
  for (const query of ["app", "pool=app"])
    assert.equal(textOf(await ask(node(), "GET", `/upstream_list?${query}`)), app);
  assert.equal((await ask(node(), "GET", "/upstream_list?nothing")).status, 404);
  assert.equal(textOf(await ask(testNode(), "GET", "/upstream_list")), "No upstreams defined\n");
});

test("the status has the check module's fields, and an index that stays when only some are asked for", async () => {
  const csv = (query: string) => ask(node(), "GET", `/upstream_status?format=csv${query}`).then(textOf);
  const lines = [
    "0,app,10.0.0.1:80,up,7,0,tcp,0\n",
    "1,app,10.0.0.2:80,down,7,0,tcp,0\n",
    "2,app,10.0.0.3:80,up,7,0,tcp,0\n",
    "3,app,10.0.0.4:80,down,7,0,tcp,0\n",
    "4,db,[::1]:5432,up,0,0,passive,0\n",
  ];
  assert.equal(await csv(""), lines.join(""));
  assert.equal(await csv("&status=down"), `${lines[1]}${lines[3]}`);
  assert.equal(await csv("&status=UP"), `${lines[0]}${lines[2]}${lines[4]}`);
  const { servers } = bodyOf(await ask(node(), "GET", "/upstream_status?format=json&status=down"));
  assert.deepEqual([Object(servers).total, Object(servers).generation], [2, 7]);
  assert.deepEqual(Object(servers).server[0], {
    index: 1,
    upstream: "app",
    name: "10.0.0.2:80",
    status: "down",
    rise: 7,
    fall: 0,
    type: "tcp",
    port: 0,
  });
});

test("the page is HTML in which a name is text", async () => {
  const of = testNode([pool(`<script>"&'`, [target("10.0.0.1:80")])]);
  const told = await ask(of, "GET", "/upstream_status");
  assert.match(String(told.headers["content-type"]), /^text\/html/);
  assert.match(textOf(told), /<td>0<\/td><td>&lt;script&gt;&quot;&amp;&#39;<\/td><td>10\.0\.0\.1:80<\/td><td>up<\/td>/);
  assert.doesNotMatch(textOf(told), /<script/);
  assert.match(textOf(await ask(node(), "GET", "/upstream_status?status=down")), /2 servers, 2 down, generation 7/);
});

test("a format or a status that is none is 400 with those there are", async () => {
  for (const [query, pattern] of [
    ["format=xml", /format: `xml` is unknown; expected one of html, json, csv/],
    ["format=jsno", /did you mean `json`/],
    ["status=donw", /did you mean `down`/],
  ] as const) {
    const told = await ask(node(), "GET", `/upstream_status?${query}`);
    assert.equal(told.status, 400);
    assert.match(String(bodyOf(told)["detail"]), pattern);
  }
});
