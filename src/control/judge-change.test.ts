import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import { refuseChange } from "./judge-change.ts";

const running: Config = {
  node: "lb-1",
  admin: { socket: "/run/a.sock" },
  workers: 2,
  drainTimeout: 1_000,
  accessLog: undefined,
  kernel: { keepOnStop: false, countTraffic: false },
  ha: haNone,
  listeners: [],
  pools: [],
};

test("a change of names, timeouts, logs and more workers is taken up", () => {
  assert.deepEqual(refuseChange(running, { ...running, node: "lb-2", workers: 4, drainTimeout: 5 }), []);
});

test("fewer workers and another admin socket need a restart, and both are told", () => {
  const refusals = refuseChange(running, { ...running, workers: 1, admin: { socket: "/run/b.sock" } });
  assert.equal(refusals.length, 2);
  assert.match(refusals[0] ?? "", /admin\.socket.*\/run\/a\.sock.*\/run\/b\.sock.*restart/);
  assert.match(refusals[1] ?? "", /workers.*from 2 to 1.*restart/);
});
