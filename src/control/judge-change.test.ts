import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import { refuseChange } from "./judge-change.ts";

const running: Config = {
  node: "lb-1",
  admin: { socket: "/run/a.sock", http: undefined },
  stateDirectory: "/var/lib/a",
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
  const refusals = refuseChange(running, { ...running, workers: 1, admin: { socket: "/run/b.sock", http: undefined } });
  assert.equal(refusals.length, 2);
  assert.match(refusals[0] ?? "", /admin\.socket.*\/run\/a\.sock.*\/run\/b\.sock.*restart/);
  assert.match(refusals[1] ?? "", /workers.*from 2 to 1.*restart/);
});

test("the API over TCP and the directory of the state need a restart", () => {
  const http = { bind: { host: "127.0.0.1", port: 9911 }, tokenFile: "/etc/token" };
  const admin = { ...running.admin, http };
  assert.deepEqual(refuseChange(running, { ...running, admin, stateDirectory: "/var/lib/b" }), [
    "admin.http cannot change from none to 127.0.0.1:9911 (/etc/token) while running: it needs a restart",
    "stateDirectory cannot change from /var/lib/a to /var/lib/b while running: it needs a restart",
  ]);
  const other = { ...running.admin, http: { ...http, tokenFile: "/etc/other" } };
  assert.match(refuseChange({ ...running, admin }, { ...running, admin: other })[0] ?? "", /\/etc\/other/);
  assert.deepEqual(refuseChange({ ...running, admin }, { ...running, admin: structuredClone(admin) }), []);
});
