import assert from "node:assert/strict";
import { test } from "node:test";
import { bad } from "../core/failure.ts";
import { targetTag } from "./entity-tag.ts";
import { ask, bodyOf, nodeStatus, pool, summary, target, testNode } from "./test-node.ts";

const one = "/v1/pools/app/targets/10.0.0.1:80";
const two = "/v1/pools/app/targets/10.0.0.2:80";

function node() {
  return testNode([pool("app", [target("10.0.0.1:80", { weight: 3 })])]);
}

test("a target is found by its pool and address, however that is written, and what is missing is named", async () => {
  const of = testNode([pool("app", [target("[2001:db8::1]:80")])]);
  for (const path of ["%5B2001%3Adb8%3A%3A1%5D%3A80", "[2001:db8::1]:80", "[2001:0DB8:0::1]:80"]) {
    assert.equal(bodyOf(await ask(of, "GET", `/v1/pools/app/targets/${path}`))["address"], "[2001:db8::1]:80", path);
  }
  const codeOf = async (path: string) => {
    const told = await ask(of, "GET", path);
    return [told.status, bodyOf(told)["code"]];
  };
  assert.deepEqual(await codeOf("/v1/pools/app/targets/10.0.0.1:80"), [404, "target.unknown"]);
  assert.deepEqual(await codeOf("/v1/pools/app/targets/nonsense"), [404, "target.unknown"]);
  assert.deepEqual(await codeOf("/v1/pools/none/targets/x"), [404, "pool.unknown"]);
});

test("a target shows why it is as it is, whose it is, and what is desired in the words that a PUT takes", async () => {
  const of = node();
  const shown = await ask(of, "GET", one);
  const { sentence, owner, patched, desired, eligible, lease } = bodyOf(shown);
  assert.deepEqual(
    [sentence, owner, patched, eligible, lease],
    ["target 10.0.0.1:80 of pool app is in", "file", [], true, undefined],
  );
  assert.deepEqual(desired, {
    weight: 3,
    maxFails: 1,
    failTimeout: "10s",
    maxConnections: 0,
    backup: false,
    intent: "up",
    slowStart: "0",
  });
  assert.equal((await ask(of, "PUT", one, { body: JSON.stringify(desired) })).status, 200);
});

test("work under way is told when it is asked for, and a silent worker is no worker without work", async () => {
  const worker = { worker: 0, pid: 9, state: "serving", restarts: 0, generation: 1, answered: true } as const;
  const of = testNode([pool("app", [target("10.0.0.1:80")])], {
    status: () =>
      Promise.resolve(
        nodeStatus({
          workers: [
            worker,
            { ...worker, answered: false },
            { ...worker, answered: false, pid: undefined, state: "waiting" },
          ],
          pools: [
            {
              name: "app",
              balance: "roundRobin",
              targets: [summary(target("10.0.0.1:80"), { active: 6, activeTunnels: 2, activeFlows: 1 })],
            },
          ],
        }),
      ),
  });
  assert.deepEqual(bodyOf(await ask(of, "GET", `${one}?work`))["work"], {
    exchanges: 3,
    tunnels: 2,
    flows: 1,
    silentWorkers: 1,
  });
  assert.equal(bodyOf(await ask(of, "GET", one))["work"], undefined);
});

test("PUT makes a target, 201 with its place, and says it anew, 200", async () => {
  const of = node();
  const made = await ask(of, "PUT", two, { body: '{"weight":2,"failTimeout":"5s"}', who: "token:deploy" });
  assert.equal(made.status, 201);
  assert.equal(made.headers["location"], "/v1/pools/app/targets/10.0.0.2%3A80");
  const { owner, generation, settled, desired } = bodyOf(made);
  assert.deepEqual([owner, generation, settled], ["api", 8, true]);
  assert.deepEqual([Object(desired).weight, Object(desired).failTimeout], [2, "5s"]);
  assert.equal(of.ordered[0]?.by, "token:deploy");
  const again = await ask(of, "PUT", two, { body: '{"weight":"4"}' });
  assert.deepEqual([again.status, again.headers["location"]], [200, undefined]);
  assert.deepEqual([Object(bodyOf(again)["desired"]).weight, Object(bodyOf(again)["desired"]).failTimeout], [4, "10s"]);
});

test("PATCH changes what it names, null takes it back, by either media type", async () => {
  const of = node();
  const headers = { contentType: "application/merge-patch+json; charset=utf-8" };
  const drained = bodyOf(await ask(of, "PATCH", one, { headers, body: '{"intent":"drain","maxConnections":5}' }));
  assert.deepEqual([Object(drained["desired"]).intent, Object(drained["desired"]).weight], ["drain", 3]);
  assert.deepEqual([drained["owner"], drained["patched"]], ["file", ["maxConnections", "intent"]]);
  const back = bodyOf(await ask(of, "PATCH", one, { body: '{"intent":null}' }));
  assert.deepEqual([Object(back["desired"]).intent, back["patched"]], ["up", ["maxConnections"]]);
  const missing = await ask(of, "PATCH", two, { body: "{}" });
  assert.deepEqual([missing.status, bodyOf(missing)["code"]], [404, "target.unknown"]);
});

test("DELETE removes what the API made, takes back what it said, and leaves another owner's alone", async () => {
  const of = node();
  await ask(of, "PUT", two, { body: "{}" });
  const gone = await ask(of, "DELETE", two);
  assert.deepEqual([gone.status, gone.body], [204, undefined]);
  await ask(of, "PATCH", one, { body: '{"weight":9}' });
  const back = await ask(of, "DELETE", one);
  assert.deepEqual([back.status, Object(bodyOf(back)["desired"]).weight], [200, 3]);
  const owned = await ask(of, "DELETE", one);
  assert.deepEqual([owned.status, bodyOf(owned)["code"]], [409, "target.owned"]);
});

test("a lease is taken with PUT, renewed by its holder, and guards the target against others", async () => {
  const of = node();
  const body = '{"lease":{"holder":"web-7","ttl":"30s"}}';
  const leased = bodyOf(await ask(of, "PUT", two, { body }));
  assert.deepEqual(leased["lease"], { holder: "web-7", ttl: "30s", leftMs: 30_000 });
  assert.equal((await ask(of, "POST", `${two}:renew`, { body: '{"holder":"web-7"}' })).status, 200);
  for (const refused of [
    await ask(of, "POST", `${two}:renew`, { body: '{"holder":"web-8"}' }),
    await ask(of, "PUT", two, { body: body.replace("web-7", "web-8") }),
    await ask(of, "DELETE", `${two}?holder=web-8`),
  ]) {
    assert.deepEqual([refused.status, bodyOf(refused)["code"]], [409, "target.lease.held"]);
  }
  assert.equal((await ask(of, "DELETE", `${two}?holder=web-7`)).status, 204);
  const short = await ask(of, "PUT", two, { body: '{"lease":{"holder":"a","ttl":"1ms"}}' });
  assert.deepEqual(bodyOf(short)["errors"], [
    { field: "lease.ttl", code: "config.value.range", detail: "`1ms` is out of range; expected 1s to 1d" },
  ]);
});

test("the tag is of what is desired: it stays over restarts, and changes with every field", async () => {
  const tag = String((await ask(node(), "GET", one)).headers["etag"]);
  assert.match(tag, /^"[A-Za-z0-9_-]{22}"$/);
  assert.equal((await ask(node(), "GET", one)).headers["etag"], tag);
  const fields = {
    weight: 1,
    maxFails: 2,
    failTimeout: 5,
    connectionsMax: 6,
    backup: true,
    intent: "down",
    slowStart: 7,
  } as const;
  const tags = Object.entries(fields).map(([name, value]) =>
    targetTag(target("10.0.0.1:80", { weight: 3, [name]: value })),
  );
  assert.equal(new Set([tag, ...tags]).size, 8);
});

test("If-Match and If-None-Match guard a write, and whoever lost is told the tag there is", async () => {
  const of = node();
  const tag = String((await ask(of, "GET", one)).headers["etag"]);
  const put = async (path: string, headers: object) =>
    await ask(of, "PUT", path, { headers: { contentType: "application/json", ...headers }, body: '{"weight":3}' });
  for (const headers of [
    { ifMatch: tag },
    { ifMatch: `"x", ${tag}` },
    { ifMatch: "*" },
    { ifNoneMatch: '"a,b"' },
    { ifMatch: tag, ifNoneMatch: '"x"' },
  ]) {
    assert.equal((await put(one, headers)).status, 200, JSON.stringify(headers));
  }
  for (const headers of [
    { ifMatch: '"x"' },
    { ifMatch: `W/${tag}` },
    { ifNoneMatch: "*" },
    { ifNoneMatch: tag },
    { ifNoneMatch: `W/${tag}` },
  ]) {
    const lost = await put(one, headers);
    assert.deepEqual(
      [lost.status, bodyOf(lost)["code"], lost.headers["etag"]],
      [412, "target.precondition", tag],
      JSON.stringify(headers),
    );
  }
  assert.deepEqual(
    [(await put(two, { ifMatch: "*" })).status, (await put(two, { ifNoneMatch: "*" })).status],
    [412, 201],
  );
  for (const headers of [{ ifMatch: "x" }, { ifNoneMatch: '"a" b' }, { ifMatch: "" }]) {
    const wrong = await put(one, headers);
    assert.deepEqual([wrong.status, bodyOf(wrong)["code"]], [400, "admin.header"], JSON.stringify(headers));
  }
  assert.equal((await ask(of, "DELETE", two, { headers: { ifMatch: '"x"' } })).status, 412);
});

test("every wrong field is named, with what was expected and the nearest name", async () => {
  const told = await ask(node(), "PUT", one, { body: '{"wieght":1,"maxFails":-1,"lease":{"holder":""}}' });
  assert.equal(told.status, 400);
  assert.deepEqual(bodyOf(told)["errors"], [
    {
      field: "maxFails",
      code: "config.value.range",
      detail: "-1 is out of range; expected a whole number from 0 to 1000000",
    },
    {
      field: "lease.holder",
      code: "config.holder",
      detail: "`` is no holder; expected 1 to 128 printable ASCII characters without blanks",
    },
    {
      field: "lease.ttl",
      code: "config.key.missing",
      detail: "is missing; expected a duration such as 500ms, 2s, 6m, 1h or 1d",
    },
    { field: "wieght", code: "config.key.unknown", detail: "unknown key `wieght`; did you mean `weight`?" },
  ]);
  assert.match(String(bodyOf(told)["detail"]), /^maxFails: -1 is out of range; .* \(and 3 more\)$/);
  for (const address of ["example.org:80", "10.0.0.1", "10.0.0.1:0", "%5B::ffff:10.0.0.1%5D:80"]) {
    const wrong = await ask(node(), "PUT", `/v1/pools/app/targets/${address}`, { body: "{}" });
    assert.deepEqual([wrong.status, bodyOf(wrong)["code"]], [400, "target.address"], address);
  }
});

test("a body that is no JSON object of the right type is refused with the place of what is wrong", async () => {
  const cases: [object, string | Uint8Array, number, string, RegExp?][] = [
    [{ contentType: undefined }, "{}", 415, "admin.body.type", /curl: -H/],
    [{ contentType: "application/x-www-form-urlencoded" }, "{}", 415, "admin.body.type"],
    [{ contentType: "application/json; charset=latin1" }, "{}", 415, "admin.body.type"],
    [{ contentType: "application/merge-patch+json" }, "{}", 415, "admin.body.type"],
    [{ contentEncoding: "gzip" }, "{}", 415, "admin.body.coding"],
    [{}, "", 400, "admin.body.empty"],
    [{}, new Uint8Array([0x22, 0xff, 0x22]), 400, "admin.body.encoding"],
    [{}, '{"weight":1,}', 400, "json.syntax", /line 1, column 13: found `}`, expected a key in quotes/],
    [{}, '{"weight":1,\n "weight":2}', 400, "json.key.twice", /line 2, column 2/],
    [{}, "[]", 400, "admin.body.field", /found a list; expected a mapping/],
    [{}, "null", 400, "admin.body.field"],
  ];
  for (const [headers, body, status, code, detail] of cases) {
    const told = await ask(node(), "PUT", one, { headers, body });
    assert.deepEqual([told.status, bodyOf(told)["code"]], [status, code], `${JSON.stringify(headers)} ${body}`);
    if (detail !== undefined) assert.match(String(bodyOf(told)["detail"]), detail);
  }
  const patch = await ask(node(), "PATCH", one, { headers: { contentType: "text/plain" }, body: "{}" });
  assert.equal(patch.headers["accept-patch"], "application/merge-patch+json, application/json");
});

test("what the supervisor refuses has a status of its own, and its code", async () => {
  const codes: Readonly<Record<string, number>> = {
    "pool.unknown": 404,
    "target.unknown": 404,
    "target.address": 400,
    "target.owned": 409,
    "target.lease.held": 409,
    "target.limit": 409,
    "target.precondition": 412,
    "node.draining": 503,
    "state.unwritable": 507,
    "what.nobody.knows": 500,
  };
  for (const [code, status] of Object.entries(codes)) {
    const of = testNode([], {
      orderTarget: () => Promise.resolve(bad({ code, origin: "self", retrySafe: false, detail: "no" })),
    });
    const told = await ask(of, "PUT", one, { body: "{}" });
    assert.deepEqual([told.status, bodyOf(told)["code"]], [status, code]);
  }
});

test("pools are shown with their targets, one or all, and so are the sources", async () => {
  const of = node();
  const all: readonly unknown[] = Object(bodyOf(await ask(of, "GET", "/v1/pools")));
  assert.deepEqual(all[0], bodyOf(await ask(of, "GET", "/v1/pools/app")));
  assert.equal(Object(all[0]).targets[0].address, "10.0.0.1:80");
  assert.equal((await ask(of, "GET", "/v1/pools/none")).status, 404);
  assert.deepEqual((await ask(of, "GET", "/v1/sources")).body, { kind: "json", value: [] });
});

test("the status tells whose each target is", async () => {
  const known = target("10.0.0.1:80");
  const pools = [{ name: "app", balance: "roundRobin", targets: [summary(known), summary(target("10.0.0.9:80"))] }];
  const of = testNode([pool("app", [known])], { status: () => Promise.resolve(nodeStatus({ pools })) });
  await ask(of, "PATCH", one, { body: '{"maxConnections":1}' });
  const shown = Object(bodyOf(await ask(of, "GET", "/v1/status")));
  assert.deepEqual([shown.pools[0].targets[0].owner, shown.pools[0].targets[0].patched], ["file", ["maxConnections"]]);
  assert.deepEqual([shown.pools[0].targets[1].owner, shown.sources], [undefined, []]);
});
