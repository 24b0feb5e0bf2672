import assert from "node:assert/strict";
import { test } from "node:test";
import type { HaStatus } from "../control/ha/high-availability.ts";
import { bad, good } from "../core/failure.ts";
import type { Controlled } from "./controlled.ts";
import { ask, bodyOf, testNode } from "./test-node.ts";

const ha: HaStatus = {
  vrrp: undefined,
  virtualRouters: ["VI_1", "in side"],
  tracks: [],
  services: [],
  restarts: 0,
  transitions: [],
  degraded: [],
};

function node(orderVip: Controlled["orderVip"]): Controlled {
  return testNode([], { vips: () => Promise.resolve(ha), orderVip });
}

test("an order answers 200 when it was taken, and says why not with a status of its own", async () => {
  const asked: string[] = [];
  const taking = node((name, order) => {
    asked.push(`${name} ${order}`);
    return Promise.resolve(good(true));
  });
  for (const path of ["/v1/vips/VI_1:takeover", "/v1/vips/in%20side:resume", "/v1/vips/a:b:release"]) {
    assert.equal((await ask(taking, "POST", path)).status, 200);
  }
  assert.deepEqual(asked, ["VI_1 takeover", "in side resume", "a:b release"]);
  const codes: Readonly<Record<string, number>> = {
    "vip.unknown": 404,
    "vip.unavailable": 503,
    "vip.draining": 503,
    "vrrp.denied.fault": 409,
  };
  for (const [code, status] of Object.entries(codes)) {
    const refusing = node(() => Promise.resolve(bad({ code, origin: "self", retrySafe: false, detail: "no" })));
    const told = await ask(refusing, "POST", "/v1/vips/VI_1:takeover");
    assert.deepEqual([told.status, bodyOf(told)["code"]], [status, code]);
  }
});

test("a virtual router is shown with its reason, an unknown one is 404, and orders are posted", async () => {
  const of = node(() => Promise.reject(new Error("nobody asked")));
  assert.equal(bodyOf(await ask(of, "GET", "/v1/vips"))["length"], 2);
  assert.match(String(bodyOf(await ask(of, "GET", "/v1/vips/in%20side"))["sentence"]), /does not answer/);
  for (const path of ["/v1/vips/VI_2", "/v1/vips/VI_1:stop"]) {
    assert.equal(bodyOf(await ask(of, "GET", path))["code"], "vip.unknown", path);
  }
  assert.equal((await ask(of, "GET", "/v1/vips/VI_1:takeover")).headers["allow"], "POST");
  for (const path of ["/v1/vips/", "/v1/vips/a/b", "/v1/vips/%zz"]) {
    assert.equal(bodyOf(await ask(of, "GET", path))["code"], "admin.path.unknown", path);
  }
});
