import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeStatus } from "../control/node-status.ts";
import { bad, good } from "../core/failure.ts";
import { describeApi } from "./openapi.ts";
import { createFinder } from "./route-table.ts";
import { isOpen, routes } from "./routes.ts";
import { ask, bodyOf, config, testNode } from "./test-node.ts";

test("an unknown path is 404, whatever the object it is looked up in inherits", async () => {
  const paths = [
    "/",
    "/v1",
    "/v1/status/",
    "constructor",
    "__proto__",
    "/toString",
    "/v1/pools/app/targets/a/b",
    "/v1/pools/%zz",
  ];
  for (const path of paths) {
    const told = await ask(testNode(), "GET", path);
    assert.deepEqual([told.status, bodyOf(told)["code"]], [404, "admin.path.unknown"], path);
  }
});

test("an unknown method is 405 and says which there are", async () => {
  for (const method of ["DELETE", "constructor", "__proto__", "get"]) {
    const told = await ask(testNode(), method, "/v1/status");
    assert.deepEqual([told.status, told.headers["allow"]], [405, "GET, HEAD"], method);
  }
  assert.equal((await ask(testNode(), "GET", "/v1/reload")).headers["allow"], "POST");
  const target = await ask(testNode(), "POST", "/v1/pools/app/targets/10.0.0.1:80");
  assert.equal(target.headers["allow"], "GET, HEAD, PUT, PATCH, DELETE");
  assert.equal((await ask(testNode(), "GET", "/v1/pools/app/targets/10.0.0.1:80:renew")).headers["allow"], "POST");
});

test("a parameter of the query that nobody knows is named, with the nearest that there is", async () => {
  const told = await ask(testNode(), "GET", "/v1/events?sinze=1&since=2&since=3");
  assert.equal(told.status, 400);
  assert.deepEqual(bodyOf(told)["errors"], [
    { field: "sinze", code: "admin.query.unknown", detail: "unknown parameter `sinze`; did you mean `since`?" },
    { field: "since", code: "admin.query.twice", detail: "since is there twice" },
  ]);
  assert.equal((await ask(testNode(), "GET", "/v1/status?x")).status, 400);
  assert.equal((await ask(testNode(), "GET", "/livez?x")).status, 200);
});

test("the configuration's tag is its generation, and an equal tag is answered without a body", async () => {
  const shown = await ask(testNode(), "GET", "/v1/config");
  assert.deepEqual([shown.status, shown.headers["etag"], bodyOf(shown)], [200, '"7"', config]);
  for (const ifNoneMatch of ['"7"', 'W/"7"', '"1", "7"', "*"]) {
    const told = await ask(testNode(), "GET", "/v1/config", { headers: { ifNoneMatch } });
    assert.deepEqual([told.status, told.body], [304, undefined], ifNoneMatch);
  }
  for (const ifNoneMatch of ['"6"', "7", '"77"']) {
    assert.equal((await ask(testNode(), "GET", "/v1/config", { headers: { ifNoneMatch } })).status, 200, ifNoneMatch);
  }
});

test("a refused reload carries every problem", async () => {
  const refusing = testNode([], { reload: () => Promise.resolve({ ok: false, problems: ["one", "two"] }) });
  const told = await ask(refusing, "POST", "/v1/reload");
  assert.equal(told.status, 422);
  assert.equal(told.headers["content-type"], "application/problem+json");
  assert.deepEqual(bodyOf(told), {
    type: "about:blank",
    title: "Unprocessable Entity",
    status: 422,
    code: "reload.refused",
    detail: "the configuration was refused whole; the one that was running goes on",
    problems: ["one", "two"],
  });
});

test("only a serving node is ready, and every node that answers lives", async () => {
  const states: NodeStatus["state"][] = ["starting", "serving", "draining"];
  const answers = await Promise.all(states.map((state) => ask(testNode([], { state }), "GET", "/readyz")));
  assert.deepEqual(
    answers.map((told) => told.status),
    [503, 200, 503],
  );
  assert.equal((await ask(testNode([], { state: "draining" }), "GET", "/livez")).status, 200);
});

test("a client is explained by its listener and address, and a listener or an address that is none is named", async () => {
  const told = { listener: "echo", client: "10.0.0.9", pools: [] };
  const of = testNode([], {
    explainClient: (listener, address) => {
      if (listener !== "echo") return undefined;
      if (address === "10.0.0.9") return good(told);
      return bad({ code: "client.address", origin: "self", retrySafe: false, detail: address });
    },
  });
  assert.deepEqual(bodyOf(await ask(of, "GET", "/v1/listeners/echo/clients/10.0.0.9")), told);
  const refused = await ask(of, "GET", "/v1/listeners/echo/clients/nobody");
  assert.deepEqual([refused.status, bodyOf(refused)["code"]], [400, "client.address"]);
  const unknown = await ask(of, "GET", "/v1/listeners/none/clients/10.0.0.9");
  assert.deepEqual([unknown.status, bodyOf(unknown)["code"]], [404, "listener.unknown"]);
});

test("only the probes of liveness and readiness are open to whoever asks", () => {
  const open = routes.flatMap(({ path }) => (isOpen("GET", path) ? [path] : []));
  assert.deepEqual(open, ["/livez", "/readyz"]);
  assert.deepEqual(
    [isOpen("HEAD", "/livez"), isOpen("POST", "/livez"), isOpen("GET", "/nothing")],
    [true, false, false],
  );
});

test("the first template that fits is taken, and parameters are decoded after they are cut", () => {
  const find = createFinder(["/a/{x}:go", "/a/{x}", "/kv/{key*}"].map((path) => ({ path, operations: {} })));
  const found = (path: string) => {
    const { route, params } = find(path) ?? {};
    return route && [route.path, { ...params }];
  };
  assert.deepEqual(found("/a/b:80:go"), ["/a/{x}:go", { x: "b:80" }]);
  assert.deepEqual(found("/a/b%3Ago"), ["/a/{x}", { x: "b:go" }]);
  assert.deepEqual(found("/a/b%2Fc"), ["/a/{x}", { x: "b/c" }]);
  assert.deepEqual(found("/kv/b/c%20d/"), ["/kv/{key*}", { key: "b/c d/" }]);
  assert.deepEqual(found("/kv/"), ["/kv/{key*}", { key: "" }]);
  for (const path of ["/a/", "/a/b/c", "/a/%", "/kv"]) assert.equal(found(path), undefined, path);
});

test("the OpenAPI document has every route with its parameters and answers, and no other", async () => {
  const told = await ask(testNode(), "GET", "/v1/openapi.json");
  assert.deepEqual(bodyOf(told), JSON.parse(JSON.stringify(describeApi(routes))));
  const { paths } = describeApi(routes);
  assert.deepEqual(Object.keys(paths).sort(), routes.map(({ path }) => path.replace("*", "")).sort());
  const ids = new Set<unknown>();
  for (const { path, operations } of routes) {
    const described = paths[path.replace("*", "")] ?? {};
    assert.deepEqual(
      Object.keys(described),
      Object.keys(operations).map((method) => method.toLowerCase()),
    );
    for (const operation of Object.values(described)) {
      const named = [...path.matchAll(/\{([a-z]+)/g)].map(([, name]) => name);
      const parameters: readonly { name: string; in: string }[] = Object(operation["parameters"] ?? []);
      const inPath = parameters.filter((one) => one.in === "path").map(({ name }) => name);
      assert.deepEqual(inPath, named, path);
      assert.ok(Object.keys(Object(operation["responses"])).length > 0, path);
      ids.add(operation["operationId"]);
    }
  }
  assert.equal(ids.size, routes.flatMap(({ operations }) => Object.keys(operations)).length);
});
