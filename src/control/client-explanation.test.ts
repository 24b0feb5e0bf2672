import assert from "node:assert/strict";
import { test } from "node:test";
import { sourceSlot, sourceTable } from "../balance/source-table.ts";
import type { TcpListener, UdpListener } from "../model/listener.ts";
import type { Balance, Pool, Target } from "../model/pool.ts";
import { explainClient } from "./client-explanation.ts";

const listener: UdpListener = {
  name: "report",
  protocol: "udp",
  bind: { host: "0.0.0.0", port: 1231 },
  engine: "auto",
  pool: "flows",
  responsesMax: 0,
  preserveClientAddress: false,
  timeouts: { flow: 60_000 },
  limits: { flowsMax: 1_000 },
  limitStated: false,
};

function target(number: number, changes: Partial<Target> = {}): Target {
  const host = `10.0.0.${number}`;
  const plain = {
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    slowStart: 0,
  } as const;
  return { address: `${host}:80`, host, port: 80, ...plain, intent: "up", ...changes };
}

function pool(balance: Balance, targets: readonly Target[], name = "flows"): Pool {
  return {
    name,
    balance,
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

const byClient: Balance = { policy: "consistentHash", key: { kind: "clientAddress" } };
const everybody = () => true;

function explained(...parts: Parameters<typeof explainClient>) {
  const told = explainClient(...parts);
  assert(told.ok);
  return told.value;
}

test("a client of a layer-4 listener meets the owner of its slot in the table that the kernel has too", () => {
  const targets = [target(1), target(2), target(3)];
  const { owners } = sourceTable(targets);
  for (const client of ["192.0.2.1", "192.0.2.77", "2001:db8::9"]) {
    const { pools } = explained(listener, [pool(byClient, targets)], client, everybody);
    assert.equal(pools[0]?.target, targets[owners[sourceSlot(client)] ?? -1]?.address);
  }
});

test("while its own target takes no work another stands in, and with none there is none", () => {
  const targets = [target(1), target(2), target(3)];
  const home = explained(listener, [pool(byClient, targets)], "192.0.2.1", everybody).pools[0]?.home;
  const out = explained(listener, [pool(byClient, targets)], "192.0.2.1", (_, address) => address !== home).pools[0];
  assert.equal(out?.home, home);
  assert.notEqual(out?.target, home);
  assert.match(out?.sentence ?? "", /in place of 10\.0\.0\.\d:80, which takes no work now/);
  const none = explained(listener, [pool(byClient, targets)], "192.0.2.1", () => false).pools[0];
  assert.deepEqual([none?.target, none?.sentence], [undefined, "pool flows (consistentHash): no target takes work"]);
  const drained = targets.map((one) => ({ ...one, intent: one.address === home ? ("drain" as const) : one.intent }));
  assert.equal(explained(listener, [pool(byClient, drained)], "192.0.2.1", everybody).pools[0]?.target, out?.target);
});

test("where the address decides nothing, no target is named", () => {
  const told = explained(listener, [pool({ policy: "roundRobin" }, [target(1)])], "192.0.2.1", everybody);
  const sentence = "pool flows: roundRobin does not go by the client's address";
  assert.deepEqual(told.pools, [
    { pool: "flows", balance: "roundRobin", byAddress: false, target: undefined, home: undefined, sentence },
  ]);
});

test("every pool that the routes lead to is told, no other", () => {
  const tcp: TcpListener = {
    name: "tls",
    protocol: "tcp",
    bind: listener.bind,
    engine: "proxy",
    routes: [
      { name: "tls[0]", host: { kind: "exact", name: "a.example.com" }, pool: "a" },
      { name: "tls[1]", host: { kind: "any" }, pool: "b" },
    ],
    proxyProtocol: { receive: false, trustedProxies: [], send: "off" },
    preserveClientAddress: false,
    timeouts: { clientHeader: 1, connect: 1, send: 1, tunnel: 1 },
    retry: { triesMax: 1, timeMax: 0 },
    limits: { connectionsMax: 1 },
    limitStated: false,
    backlog: 1,
  };
  const pools = ["a", "b", "c"].map((name) => pool({ policy: "ipHash" }, [target(1)], name));
  const told = explained(tcp, pools, "192.0.2.1", everybody);
  assert.deepEqual(
    told.pools.map((choice) => [choice.pool, choice.target]),
    [
      ["a", "10.0.0.1:80"],
      ["b", "10.0.0.1:80"],
    ],
  );
});

test("text that is no address is refused, and one that is comes back canonical", () => {
  const refused = explainClient(listener, [], "192.0.2.300", everybody);
  assert(!refused.ok);
  assert.equal(refused.failure.code, "client.address");
  assert.equal(explained(listener, [], "2001:DB8:0::1", everybody).client, "2001:db8::1");
});
