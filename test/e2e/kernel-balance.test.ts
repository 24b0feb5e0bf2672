// The kernel engine with the real program and real packets: who gets how much, over both families and transports, for clients
// elsewhere and on the balancer itself; the client's address kept or hidden; what others' rules find.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { FlowsResult } from "./fixtures/flow-client.ts";
import { fileScope } from "./http-kit.ts";
import { type KernelNode, poolText, rulesOf, startKernelNode } from "./kernel-kit.ts";
import { until } from "./kit.ts";
import {
  type Agent,
  echoTarget,
  type Layer4Topology,
  layer4Topology,
  noMachines,
  noProgram,
  startAgent,
} from "./netns-kit.ts";

const skip = noMachines || noProgram("nft", "nftables");

/** Rules of somebody else: a filter, a map, address translation on the same hooks. */
const foreignRules = `
table inet house {
  map colours { type inet_service : mark; elements = { 9900 : 0x7, 22 : 0x8 }; }
  chain input { type filter hook input priority filter; policy accept; tcp dport 2222 drop; }
  chain before { type nat hook prerouting priority dstnat; policy accept; tcp dport 8 dnat ip to 192.0.2.1:8; }
  chain behind { type nat hook postrouting priority srcnat; policy accept; oifname "eth9" masquerade; }
}
`;

function body(top: Layer4Topology): string {
  const { v4, v6 } = top.virtualAddress;
  return `
kernel: { countTraffic: true }
listeners:
  echo: { bind: "${v4}:9900", protocol: tcp, pool: four, engine: kernel }
  echo6: { bind: "[${v6}]:9900", protocol: tcp, pool: six, engine: kernel }
  every: { bind: "0.0.0.0:9901", protocol: tcp, pool: four, engine: kernel }
  every6: { bind: "[::]:9901", protocol: tcp, pool: six, engine: kernel }
  datagrams: { bind: "${v4}:9902", protocol: udp, pool: four, engine: kernel }
  datagrams6: { bind: "[::]:9902", protocol: udp, pool: six, engine: kernel }
  lots: { bind: "${v4}:9903", protocol: tcp, pool: lots, engine: kernel }
  plain: { bind: "${v4}:9904", protocol: tcp, pool: four, engine: kernel, preserveClientAddress: true }
  small: { bind: "${v4}:9905", protocol: tcp, pool: four, engine: kernel, limits: { connections: 3 } }
pools:
  four: ${poolText(top, "v4")}
  six: ${poolText(top, "v6")}
  lots: ${poolText(top, "v4", { more: "balance: random," })}
`;
}

describe("kernel engine", { skip }, () => {
  const scope = fileScope();
  let top: Layer4Topology;
  let node: KernelNode;
  let client: Agent;
  let local: Agent;
  let rulesBefore = "";

  before(async () => {
    top = layer4Topology(scope);
    const [balancer] = top.balancers;
    for (const target of top.targets) await echoTarget(scope, target, 9_000);
    const loaded = await balancer.run(scope, "nft", [foreignRules]);
    assert.equal(loaded.code, 0, loaded.stderr);
    rulesBefore = await rulesOf(scope, balancer);
    node = await startKernelNode(scope, balancer, body(top));
    client = await startAgent(scope, top.client, "net-client.ts");
    local = await startAgent(scope, balancer, "net-client.ts");
  });

  async function greetings(from: Agent, host: string, port: number, count: number): Promise<Record<string, number>> {
    const names: Record<string, number> = {};
    for (let number = 0; number < count; number++) {
      const id = `${host} ${port} ${number}`;
      const name = await from.ask<string>("open", { id, host, port });
      names[name] = (names[name] ?? 0) + 1;
      await from.ask("close", { id });
    }
    return names;
  }

  const exact = { target1: 80, target2: 60, target3: 60 };

  test("weights 40, 30, 30 are held to the connection, in both families", async () => {
    const { v4, v6 } = top.virtualAddress;
    assert.deepEqual(await greetings(client, v4, 9_900, 200), exact);
    assert.deepEqual(await greetings(client, v6, 9_900, 200), exact);
  });

  test("a listener on every address carries each of this machine's, and nothing that only passes through", async () => {
    const { v4, v6 } = top.virtualAddress;
    assert.deepEqual(await greetings(client, v4, 9_901, 100), { target1: 40, target2: 30, target3: 30 });
    assert.deepEqual(await greetings(client, v6, 9_901, 100), { target1: 40, target2: 30, target3: 30 });
    const front = top.balancerAddresses[0]?.front;
    assert.ok(front);
    assert.deepEqual(await greetings(client, front.v4, 9_901, 100), { target1: 40, target2: 30, target3: 30 });
    assert.deepEqual(await greetings(client, top.targetAddresses[0].v4, 9_901, 1), { "ended: ECONNREFUSED": 1 });
  });

  test("clients on the balancer itself are carried too; 127.0.0.1 and ::1 are refused at once", async () => {
    const { v4, v6 } = top.virtualAddress;
    assert.deepEqual(await greetings(local, v4, 9_900, 200), exact);
    assert.deepEqual(await greetings(local, v6, 9_900, 200), exact);
    for (const host of ["127.0.0.1", "::1"]) {
      assert.deepEqual(await greetings(local, host, 9_901, 1), { "ended: ECONNREFUSED": 1 });
    }
  });

  test("10,000 UDP flows are shared out exactly, each stays with its target, no datagram is lost or doubled", async () => {
    const flows = await startAgent(scope, top.client, "flow-client.ts");
    const order = { host: top.virtualAddress.v4, port: 9_902, firstPort: 20_000, flows: 10_000, datagrams: 3 };
    const { byName, odd } = await flows.ask<FlowsResult>("run", order, 60_000);
    assert.deepEqual(odd, []);
    assert.deepEqual(byName, { target1: 4_000, target2: 3_000, target3: 3_000 });
    const six = { ...order, host: top.virtualAddress.v6, flows: 200 };
    const { byName: bySix, odd: oddSix } = await flows.ask<FlowsResult>("run", six, 60_000);
    assert.deepEqual(oddSix, []);
    assert.deepEqual(bySix, exact);
  });

  test("lots are drawn by weight", async () => {
    const names = await greetings(client, top.virtualAddress.v4, 9_903, 300);
    // Six standard deviations of 300 draws.
    assert.ok(Math.abs((names["target1"] ?? 0) - 120) < 51, JSON.stringify(names));
  });

  test("a target sees the client's address where it is preserved, else the balancer's", async () => {
    const { v4 } = top.virtualAddress;
    const seen = async (port: number): Promise<string> => {
      const name = await client.ask<string>("open", { id: "who", host: v4, port });
      const target = top.targets.find((one) => one.name === name);
      assert.ok(target, name);
      const listed = await target.run(scope, "ss", ["-Htn", "state", "established", "sport", "=", ":9000"]);
      await client.ask("close", { id: "who" });
      return listed.stdout;
    };
    assert.match(await seen(9_904), new RegExp(`${top.clientAddress.v4}]?:`));
    const hidden = await seen(9_900);
    assert.match(hidden, new RegExp(`${top.gateway.v4}]?:|${top.balancerAddresses[0]?.back.v4}]?:`));
  });

  test("a full listener lets a client wait until there is room, and counts it", async () => {
    const { v4 } = top.virtualAddress;
    for (const id of ["a", "b", "c"]) assert.match(await client.ask("open", { id, host: v4, port: 9_905 }), /^target/);
    const waiting = client.ask<string>("open", { id: "d", host: v4, port: 9_905 });
    await until(
      "the limit to bite",
      async () => (await listenerStatus("small"))?.counters.limits["listener.connections"],
    );
    await client.ask("close", { id: "a" });
    assert.match(await waiting, /^target/);
    for (const id of ["b", "c", "d"]) await client.ask("close", { id });
  });

  async function listenerStatus(name: string) {
    return (await node.status()).listeners.find((listener) => listener.name === name);
  }

  test("status tells the engine, and the kernel's own counts", async () => {
    const status = await node.status();
    const echo = await listenerStatus("echo");
    assert.deepEqual([echo?.engine, echo?.engineReason], ["kernel", "asked for"]);
    // 200 each from elsewhere and from here, and one that was looked at.
    assert.equal(echo?.counters.connectionsAccepted, 401);
    const datagrams = await listenerStatus("datagrams");
    assert.deepEqual(
      [
        datagrams?.counters.flowsOpened,
        datagrams?.counters.datagramsFromClients,
        datagrams?.counters.datagramsToClients,
      ],
      [10_000, 30_000, 30_000],
    );
    const six = status.pools.find((pool) => pool.name === "six");
    // echo6 400, every6 100, datagrams6 200.
    assert.deepEqual(
      six?.targets.map((target) => target.counters.exchanges),
      [280, 210, 210],
    );
    assert.ok(
      six?.targets.every(({ counters }) => (counters.bytesToTarget ?? 0) > 0 && (counters.bytesFromTarget ?? 0) > 0),
    );
  });

  test("on SIGTERM the table goes, and what others had is as it was", async () => {
    node.program.signal("SIGTERM");
    assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
    assert.equal(await rulesOf(scope, top.balancers[0]), rulesBefore);
    assert.deepEqual(await greetings(client, top.virtualAddress.v4, 9_900, 1), { "ended: ECONNREFUSED": 1 });
  });
});
