import assert from "node:assert/strict";
import { test } from "node:test";
import type { TargetOrder } from "../../state/desired.ts";
import { configOf, poolOf, targetOf, tcpOf } from "../kernel/test-kit.ts";
import { refuseOrder } from "./refuse-order.ts";

const pools = [poolOf("app", [targetOf("10.1.0.1:80")]), poolOf("web", [targetOf("10.1.0.1:80")])];
const carried = configOf([tcpOf("echo", "10.0.0.9", 80, { engine: "kernel" })], pools);

function put(patch: Extract<TargetOrder, { type: "put" }>["patch"] = {}): TargetOrder {
  return { type: "put", patch, lease: undefined };
}

function detailOf(order: TargetOrder, { address = "10.1.0.2:80", pool = "app", config = carried } = {}) {
  return refuseOrder(config, { pool, address, order })?.detail;
}

test("what the kernel cannot do is refused for a pool that it carries, and said why", () => {
  assert.match(detailOf(put({ connectionsMax: 5 })) ?? "", /^listener echo is carried by the kernel engine: .*maxConn/);
  assert.match(detailOf(put({ slowStart: 1_000 })) ?? "", /slowStart/);
  assert.match(detailOf({ type: "patch", patch: { connectionsMax: 5 } }) ?? "", /maxConnections/);
  assert.match(detailOf(put(), { address: "[2001:db8::7]:80" }) ?? "", /another address family/);
});

test("what it can do is not: weights, intents, taking back, a target of a source that is elsewhere", () => {
  assert.equal(detailOf(put({ weight: 3, intent: "drain", connectionsMax: 0 })), undefined);
  assert.equal(detailOf({ type: "patch", patch: { connectionsMax: undefined } }), undefined);
  assert.equal(detailOf({ type: "patch", patch: { intent: "down" } }, { address: "[2001:db8::7]:80" }), undefined);
  assert.equal(detailOf({ type: "remove", holder: undefined }, { address: "[2001:db8::7]:80" }), undefined);
});

test("other pools, engines that may choose, and what the registry refuses anyway are passed over", () => {
  const six = { address: "[2001:db8::7]:80" };
  assert.equal(detailOf(put(), { ...six, pool: "web" }), undefined);
  assert.equal(detailOf(put(), { ...six, pool: "nobody" }), undefined);
  assert.equal(detailOf(put(), { address: "no address" }), undefined);
  for (const engine of ["auto", "proxy"] as const) {
    const config = configOf([tcpOf("echo", "10.0.0.9", 80, { engine })], pools);
    assert.equal(detailOf(put(), { ...six, config }), undefined);
  }
});
