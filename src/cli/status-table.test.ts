import assert from "node:assert/strict";
import { test } from "node:test";
import type { StatusView } from "../admin/status-view.ts";
import { nodeStatus, summary, target } from "../admin/test-node.ts";
import { formatStatus } from "./status-table.ts";

const counters = {
  connectionsAccepted: 10,
  connectionsOpen: 2,
  tunnelsOpened: 9,
  tunnelsOpen: 1,
  exchanges: 30,
  statusClasses: [0, 0, 28, 0, 1, 1],
  bytesFromClients: 1_000,
  bytesToClients: 2_000,
  datagramsFromClients: 50,
  datagramsToClients: 40,
  flowsOpened: 7,
  flowsOpen: 3,
  drops: { "flow.full": 4, "flow.refused": 1 },
  limits: { "listener.flows": 6 },
};

const listener = { address: "0.0.0.0:1", engine: undefined, engineReason: undefined, counters };

const source = {
  pool: "app",
  type: "consul",
  endpoint: "http://127.0.0.1:8500",
  connected: false,
  answeredAgoMs: 65_000,
  answers: 3,
  failures: 2,
  lastFailure: "connect ECONNREFUSED",
  targets: 1,
  damaged: [{ key: "upstreams/app/x", code: "source.entry.address", detail: "`x` is no address", kept: false }],
  fromDump: false,
  dumpWrittenAt: undefined,
  revision: "17",
  readAt: undefined,
} as const;

function view(more: Partial<StatusView> = {}): StatusView {
  return { ...nodeStatus(), sources: [], ...more };
}

test("a listener is told with what its protocol counts, and what is not counted is no 0", () => {
  const { bytesFromClients: _, bytesToClients: __, ...uncounted } = counters;
  const text = formatStatus(
    view({
      listeners: [
        { ...listener, name: "web", protocol: "http" },
        { ...listener, name: "echo", protocol: "tcp", engine: "kernel", counters: uncounted },
        { ...listener, name: "report", protocol: "udp", engine: "proxy" },
      ],
    }),
  );
  assert.match(
    text,
    /^HTTP LISTENER +ADDRESS +OPEN +ACCEPTED +EXCHANGES +2XX +3XX +4XX +5XX\nweb +0\.0\.0\.0:1 +2 +10 +30 +28 +0 +1 +1\n/m,
  );
  assert.match(text, /^TCP LISTENER .*\necho +0\.0\.0\.0:1 +kernel +2 +10 +- +- +6\n/m);
  assert.match(text, /^UDP LISTENER .*\nreport +0\.0\.0\.0:1 +proxy +3 +7 +50 +40 +5 +6\n/m);
  assert.match(formatStatus(view()), /^no listeners$/m);
});

test("a target is told with its owner, who changed it, who holds it, and the weight that it has by now", () => {
  const targets = [
    { ...summary(target("10.0.0.1:80", { weight: 10 }), { effectiveWeight: 3 }), owner: "consul", patched: ["weight"] },
    { ...summary(target("10.0.0.2:80")), owner: "api", patched: [], leaseHolder: "web-7" },
    summary(target("10.0.0.3:80")),
  ] as const;
  const pools = [
    { name: "app", balance: "roundRobin", targets },
    { name: "empty", balance: "random", targets: [] },
  ];
  const text = formatStatus(view({ pools }));
  assert.match(text, /^app +roundRobin +10\.0\.0\.1:80 +consul\+api +up +healthy +- +3 of 10 /m);
  assert.match(text, /^app +roundRobin +10\.0\.0\.2:80 +api \(web-7\) +up /m);
  assert.match(text, /^app +roundRobin +10\.0\.0\.3:80 +- +up /m);
  assert.match(text, /^without targets: empty$/m);
});

test("sources are told, and below them what they could not do or read", () => {
  const text = formatStatus(
    view({ sources: [source, { ...source, pool: "db", connected: true, damaged: [], fromDump: true }] }),
  );
  assert.match(text, /^app +consul +http:\/\/127\.0\.0\.1:8500 +not connected +1m 5s ago +1 +1 +2$/m);
  assert.match(text, /^db +consul +\S+ +no answer yet, from the dump /m);
  assert.match(
    text,
    /^trouble with sources:\n {2}source of app: connect ECONNREFUSED\n {2}upstreams\/app\/x: `x` is no address \(left out\)\n/m,
  );
  assert.doesNotMatch(formatStatus(view()), /SOURCE|trouble/);
});
