import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeStatus } from "../control/node-status.ts";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import { type AdminRequest, answer, type Controlled } from "./routes.ts";

const config: Config = {
  node: "lb-1",
  admin: { socket: "/run/x.sock" },
  workers: 1,
  drainTimeout: 1_000,
  accessLog: undefined,
  kernel: { keepOnStop: false, countTraffic: false },
  ha: haNone,
  listeners: [],
  pools: [],
};

function controlled(more: Partial<Controlled> = {}): Controlled {
  return {
    config,
    generation: 7,
    state: "serving",
    status: () => Promise.reject(new Error("nobody asked")),
    reload: () => Promise.resolve({ ok: true, generation: 8, warnings: [], settled: true }),
    explainTarget: () => undefined,
    vips: () => Promise.resolve(undefined),
    orderVip: () => Promise.reject(new Error("nobody asked")),
    explainClient: () => undefined,
    ...more,
  };
}

function ask(method: string, path: string, more: Partial<AdminRequest> = {}, of = controlled()) {
  return answer(of, { method, path, ifNoneMatch: undefined, ...more });
}

test("an unknown path is 404, whatever the object it is looked up in inherits", async () => {
  for (const path of ["/", "/v1", "/v1/status/", "constructor", "__proto__", "/toString"]) {
    assert.equal((await ask("GET", path)).status, 404, path);
  }
});

test("an unknown method is 405 and says which there are", async () => {
  for (const method of ["DELETE", "constructor", "__proto__", "get"]) {
    const told = await ask(method, "/v1/status");
    assert.deepEqual([told.status, told.headers["allow"]], [405, "GET, HEAD"], method);
  }
  assert.equal((await ask("GET", "/v1/reload")).headers["allow"], "POST");
});

test("the configuration's tag is its generation, and an equal tag is answered without a body", async () => {
  const shown = await ask("GET", "/v1/config");
  assert.deepEqual([shown.status, shown.headers["etag"], shown.body], [200, '"7"', config]);
  for (const ifNoneMatch of ['"7"', 'W/"7"', '"1", "7"', "*"]) {
    assert.equal((await ask("GET", "/v1/config", { ifNoneMatch })).status, 304, ifNoneMatch);
  }
  for (const ifNoneMatch of ['"6"', "7", '"77"']) {
    assert.equal((await ask("GET", "/v1/config", { ifNoneMatch })).status, 200, ifNoneMatch);
  }
});

test("a refused reload carries every problem", async () => {
  const refusing = controlled({ reload: () => Promise.resolve({ ok: false, problems: ["one", "two"] }) });
  const told = await ask("POST", "/v1/reload", {}, refusing);
  assert.equal(told.status, 422);
  assert.equal(told.headers["content-type"], "application/problem+json");
  assert.deepEqual(told.body, {
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
  const answers = await Promise.all(states.map((state) => ask("GET", "/readyz", {}, controlled({ state }))));
  assert.deepEqual(
    answers.map((told) => told.status),
    [503, 200, 503],
  );
  assert.equal((await ask("GET", "/livez", {}, controlled({ state: "draining" }))).status, 200);
});

test("a target is found by its pool and address, percent-encoded or not, and what is missing is named", async () => {
  const pool = {
    name: "app",
    balance: { policy: "random" as const },
    targets: [],
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
  const asked: string[] = [];
  const of = controlled({
    config: { ...config, pools: [pool] },
    explainTarget: (name, address) => {
      asked.push(`${name} ${address}`);
      return undefined;
    },
  });
  const codeOf = async (path: string) => Object((await ask("GET", path, {}, of)).body).code;
  assert.equal(await codeOf("/v1/pools/app/targets/10.0.0.1:80"), "target.unknown");
  assert.equal(await codeOf("/v1/pools/app/targets/%5B%3A%3A1%5D%3A80"), "target.unknown");
  assert.equal(await codeOf("/v1/pools/none/targets/x"), "pool.unknown");
  assert.deepEqual(asked, ["app 10.0.0.1:80", "app [::1]:80", "none x"]);
  assert.equal(await codeOf("/v1/pools/app/targets/%zz"), "admin.path.unknown");
  assert.equal(await codeOf("/v1/pools/app/targets/a/b"), "admin.path.unknown");
});

test("a client is explained by its listener and address, and a listener or an address that is none is named", async () => {
  const told = { listener: "echo", client: "10.0.0.9", pools: [] };
  const of = controlled({
    explainClient: (listener, address) => {
      if (listener !== "echo") return undefined;
      if (address === "10.0.0.9") return { ok: true, value: told };
      return { ok: false, failure: { code: "client.address", origin: "self", retrySafe: false, detail: address } };
    },
  });
  assert.deepEqual((await ask("GET", "/v1/listeners/echo/clients/10.0.0.9", {}, of)).body, told);
  const refused = await ask("GET", "/v1/listeners/echo/clients/nobody", {}, of);
  assert.deepEqual([refused.status, Object(refused.body).code], [400, "client.address"]);
  const unknown = await ask("GET", "/v1/listeners/none/clients/10.0.0.9", {}, of);
  assert.deepEqual([unknown.status, Object(unknown.body).code], [404, "listener.unknown"]);
  assert.equal((await ask("GET", "/v1/listeners/echo/targets/10.0.0.9", {}, of)).status, 404);
});
