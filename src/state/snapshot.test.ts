import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import { toSnapshot } from "./snapshot.ts";

test("a snapshot shares what workers need of a configuration and leaves out what only control needs", () => {
  const config: Config = {
    node: "lb-1",
    admin: { socket: "/run/evenkeel/admin.sock", http: undefined },
    stateDirectory: "/var/lib/evenkeel",
    workers: 3,
    drainTimeout: 30_000,
    accessLog: undefined,
    kernel: { keepOnStop: false, countTraffic: false },
    ha: haNone,
    listeners: [],
    pools: [
      {
        name: "app",
        balance: { policy: "random" },
        targets: [],
        source: undefined,
        slowStart: 0,
        healthCheck: undefined,
        idleConnectionsMax: 1,
        idleTimeout: 1000,
      },
    ],
  };
  const snapshot = toSnapshot(config, 7);
  const { node, accessLog, listeners, pools } = config;
  assert.deepEqual(snapshot, { generation: 7, node, workerCount: 3, accessLog, listeners, pools, virtualRouters: [] });
  assert.equal(snapshot.pools, config.pools);
});
