import assert from "node:assert/strict";
import { test } from "node:test";
import type { HaStatus } from "../control/ha/high-availability.ts";
import { bad, good } from "../core/failure.ts";
import type { VrrpOrder } from "../state/vrrp-protocol.ts";
import { answer, type Controlled } from "./routes.ts";
import { parseVipPath } from "./vip-routes.ts";

const ha: HaStatus = {
  vrrp: undefined,
  virtualRouters: ["VI_1", "in side"],
  tracks: [],
  services: [],
  restarts: 0,
  degraded: [],
};

function controlled(orderVip: (name: string, order: VrrpOrder) => ReturnType<Controlled["orderVip"]>): Controlled {
  const nobody = () => {
    throw new Error("nobody asked");
  };
  return {
    get config() {
      return nobody();
    },
    generation: 1,
    state: "serving",
    status: nobody,
    reload: nobody,
    explainTarget: nobody,
    explainClient: nobody,
    vips: () => Promise.resolve(ha),
    orderVip,
  };
}

test("paths name a virtual router and an order, and nothing else", () => {
  assert.deepEqual(parseVipPath("/v1/vips/VI_1"), { name: "VI_1", order: undefined });
  assert.deepEqual(parseVipPath("/v1/vips/in%20side:resume"), { name: "in side", order: "resume" });
  for (const path of ["/v1/vips/", "/v1/vips/a/b", "/v1/vips/VI_1:stop", "/v1/vips/%zz", "/v1/vips/a:b:takeover"]) {
    assert.equal(parseVipPath(path), undefined, path);
  }
});

test("an order answers 200 when it was taken, and says why not with a status of its own", async () => {
  const asked: string[] = [];
  const codes: Readonly<Record<string, number>> = {
    "vip.unknown": 404,
    "vip.unavailable": 503,
    "vip.draining": 503,
    "vrrp.denied.fault": 409,
  };
  const request = { method: "POST", path: "/v1/vips/VI_1:takeover", ifNoneMatch: undefined };
  const taking = controlled((name, order) => {
    asked.push(`${name} ${order}`);
    return Promise.resolve(good(true));
  });
  assert.equal((await answer(taking, request)).status, 200);
  assert.deepEqual(asked, ["VI_1 takeover"]);
  for (const [code, status] of Object.entries(codes)) {
    const failure = { code, origin: "self", retrySafe: false, detail: "no" } as const;
    const told = await answer(
      controlled(() => Promise.resolve(bad(failure))),
      request,
    );
    assert.deepEqual([told.status, Object(told.body).code], [status, code]);
  }
});

test("a virtual router is shown with its reason, an unknown one is 404, and orders are posted", async () => {
  const of = controlled(() => Promise.reject(new Error("nobody asked")));
  const ask = (method: string, path: string) => answer(of, { method, path, ifNoneMatch: undefined });
  assert.equal(Object((await ask("GET", "/v1/vips")).body).length, 2);
  assert.match(Object((await ask("GET", "/v1/vips/in%20side")).body).sentence, /does not answer/);
  assert.equal(Object((await ask("GET", "/v1/vips/VI_2")).body).code, "vip.unknown");
  assert.equal((await ask("GET", "/v1/vips/VI_1:takeover")).headers["allow"], "POST");
});
