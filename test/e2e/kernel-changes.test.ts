// Changes under the kernel engine's clients: targets that go down, drain, come back or are removed, by reload and by health;
// reloads that rebuild what clients run through. The real program, clients and targets in network namespaces.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { LoadResult } from "./fixtures/net-client.ts";
import { fileScope } from "./http-kit.ts";
import { type KernelNode, poolText, startKernelNode, type TargetText } from "./kernel-kit.ts";
import { until } from "./kit.ts";
import {
  type Agent,
  type EchoTarget,
  echoTarget,
  type Layer4Topology,
  layer4Topology,
  noMachines,
  noProgram,
  startAgent,
} from "./netns-kit.ts";

const skip = noMachines || noProgram("nft", "nftables");

/** As `poolText` wants it; undefined intents are up. */
function intents(...all: readonly (string | undefined)[]): TargetText {
  return (index) => `{ intent: ${all[index] ?? "up"} }`;
}

describe("kernel engine, changes", { skip }, () => {
  const scope = fileScope();
  let top: Layer4Topology;
  let node: KernelNode;
  let client: Agent;
  const echoes: EchoTarget[] = [];
  let flows = 0;

  const body = (target: TargetText = intents(), more = "", names = [0, 1, 2]): string => `
listeners:
  echo: { bind: "${top.virtualAddress.v4}:9900", protocol: tcp, pool: four, engine: kernel }
  datagrams: { bind: "${top.virtualAddress.v4}:9902", protocol: udp, pool: four, engine: kernel }
  every: { bind: "0.0.0.0:9903", protocol: udp, pool: four, engine: kernel }
  beside: { bind: "${top.virtualAddress.v4}:9904", protocol: tcp, pool: other, engine: kernel }
pools:
  four: ${poolText(top, "v4", { target, more, names })}
  other: ${poolText(top, "v4")}
`;

  before(async () => {
    top = layer4Topology(scope);
    for (const target of top.targets) echoes.push(await echoTarget(scope, target, 9_000));
    node = await startKernelNode(scope, top.balancers[0], body());
    client = await startAgent(scope, top.client, "net-client.ts");
  });

  const place = (port: number) => ({ host: top.virtualAddress.v4, port });
  const open = (id: string, port = 9_900) => client.ask<string>("open", { id, ...place(port) });
  const say = (id: string, line: string) => client.ask<string>("say", { id, line });
  const rules = () =>
    top.balancers[0].run(scope, "nft", ["--stateless", "--terse", "list", "table", "inet", "evenkeel"]);
  const passed = async (count: number) => {
    const from = await client.ask<number>("loadCount");
    await until("load", async () => (await client.ask<number>("loadCount")) > from + count);
  };
  const close = (id: string) => client.ask("close", { id });
  const send = (id: string, text: string, port = 9_902, waitMs = 5_000) =>
    client.ask<string>("datagram", { id, ...place(port), text, waitMs });

  /** A flow that is with this target. */
  async function flowWith(name: string, port = 9_902): Promise<string> {
    for (;;) {
      const id = `flow ${++flows}`;
      if ((await send(id, "first", port)) === `${name} first`) return id;
    }
  }

  async function connectionWith(name: string, port = 9_900): Promise<string> {
    for (;;) {
      const id = `connection ${++flows}`;
      if ((await open(id, port)) === name) return id;
      await close(id);
    }
  }

  test("draining keeps what is established and gives it nothing new", async () => {
    const connection = await connectionWith("target1");
    const flow = await flowWith("target1");
    await node.reload(body(intents("drain")));
    assert.equal(await say(connection, "still"), "target1 still");
    assert.equal(await send(flow, "still"), "target1 still");
    const names = new Set<string>();
    for (let count = 0; count < 12; count++) {
      names.add(await open(`new ${count}`));
      await close(`new ${count}`);
    }
    assert.deepEqual([...names].sort(), ["target2", "target3"]);
    await node.reload(body());
    assert.equal(await say(connection, "back"), "target1 back");
    await close(connection);
  });

  test("a target that goes down loses its flows and connections at once; those of another pool to it stay", async () => {
    const connection = await connectionWith("target2");
    const beside = await connectionWith("target2", 9_904);
    const flow = await flowWith("target2");
    const every = await flowWith("target2", 9_903);
    // Silent, not gone: no ICMP, no reset. Only we can tell the clients.
    const silent = await top.targets[1].run(scope, "nft", [
      "table inet s { chain c { type filter hook input priority 0; udp dport 9000 drop; tcp dport 9000 ct state established tcp sport != 1 drop; }; }",
    ]);
    assert.equal(silent.code, 0, silent.stderr);
    await node.reload(body(intents("up", "down")));
    await until("the flow's next target", async () => /^target[13] /.test(await send(flow, "next", 9_902, 200)));
    await until("the other's", async () => /^target[13] /.test(await send(every, "next", 9_903, 200)));
    assert.equal(await say(connection, "stuck"), "ended: ECONNRESET");
    const removed = await top.targets[1].run(scope, "nft", ["delete table inet s"]);
    assert.equal(removed.code, 0, removed.stderr);
    assert.equal(await say(beside, "beside"), "target2 beside");
    await close(beside);
    assert.ok(node.logged("connections of lost targets ended").length > 0);
    await node.reload(body());
  });

  test("a removed target is a lost one, and its counters go with it", async () => {
    const flow = await flowWith("target3");
    await node.reload(body(intents(), "", [0, 1]));
    await until("the flow's next target", async () => /^target[12] /.test(await send(flow, "next", 9_902, 200)));
    const listed = await top.balancers[0].run(scope, "nft", ["list counters"]);
    assert.doesNotMatch(listed.stdout, /begun-datagrams-10\.45\.2\.23_9000/);
    assert.match(listed.stdout, /begun-beside-10\.45\.2\.23_9000/);
    await node.reload(body());
  });

  test("with no target left clients are refused; flows that asked meanwhile are served when one is back", async () => {
    await node.reload(body(intents("drain", "drain", "drain")));
    assert.equal(await open("refused"), "ended: ECONNREFUSED");
    const flow = `flow ${++flows}`;
    const every = `flow ${++flows}`;
    assert.equal(await send(flow, "unheard", 9_902, 200), "");
    assert.equal(await send(every, "unheard", 9_903, 200), "");
    await node.reload(body());
    await until("an answer", async () => /^target\d heard$/.test(await send(flow, "heard", 9_902, 200)));
    await until("an answer", async () => /^target\d heard$/.test(await send(every, "heard", 9_903, 200)));
  });

  test("backups take clients only while no primary does", async () => {
    const backups: TargetText = (index) => (index === 0 ? "{}" : "{ backup: true, weight: 2 }");
    await node.reload(body(backups));
    const served = async () => {
      const names: string[] = [];
      for (let count = 0; count < 4; count++) {
        names.push(await open(`one ${count}`));
        await close(`one ${count}`);
      }
      return names.sort();
    };
    assert.deepEqual(await served(), ["target1", "target1", "target1", "target1"]);
    await node.reload(body((index) => (index === 0 ? "{ intent: drain }" : "{ backup: true, weight: 2 }")));
    assert.deepEqual(await served(), ["target2", "target2", "target3", "target3"]);
    await node.reload(body());
  });

  test("no client fails while targets drain, weights change and rules are rebuilt", async () => {
    await client.ask("startLoad", { ...place(9_900), parallel: 8 });
    await passed(50);
    for (let round = 0; round < 6; round++) {
      await node.reload(body(intents("drain")));
      // Another number of slots: another map, another chain.
      await node.reload(body((index) => `{ weight: ${index + 1 + round} }`));
      await node.reload(body(intents(), "balance: { consistentHash: { key: clientAddress } },"));
      await passed(20);
    }
    await node.reload(body());
    const { connections, errors } = await client.ask<LoadResult>("stopLoad");
    assert.deepEqual(errors, []);
    assert.ok(connections > 100);
    const listed = await rules();
    assert.equal(listed.stdout.match(/^\tchain go-echo-/gm)?.length, 1);
    assert.equal(listed.stdout.match(/^\tmap slots-echo-/gm)?.length, 1);
  });

  test("no client fails while traffic is counted and no more, and while a limit comes and goes", async () => {
    const { stdout: quiet } = await rules();
    assert.doesNotMatch(quiet, /type filter hook|ct count/);
    const echo = async () => (await node.status()).listeners.find(({ name }) => name === "echo")?.counters;
    assert.equal((await echo())?.bytesToClients, undefined);
    assert.ok(((await echo())?.connectionsAccepted ?? 0) > 100);
    await client.ask("startLoad", { ...place(9_900), parallel: 8 });
    await passed(20);
    for (let round = 0; round < 4; round++) {
      await node.reload(`kernel: { countTraffic: true }${body()}`);
      await until("traffic", async () => ((await echo())?.bytesToClients ?? 0) > 0);
      await passed(20);
      await node.reload(`defaults: { limits: { connections: 5000, flows: 5000 } }${body()}`);
      assert.match((await rules()).stdout, /ct count over 5000 counter name "?full-echo"? drop/);
      await passed(20);
      await node.reload(body());
    }
    assert.deepEqual((await client.ask<LoadResult>("stopLoad")).errors, []);
    // What was made anew stands elsewhere in the list.
    const sorted = (text: string) => text.split("\n").toSorted();
    assert.deepEqual(sorted((await rules()).stdout), sorted(quiet));
  });

  test("a target that its health check finds dead is left at once", async () => {
    const check = "healthCheck: { type: tcp, interval: 50ms, timeout: 1s, rise: 1, fall: 1 },";
    await node.reload(body(intents(), check));
    const flow = await flowWith("target1");
    await until("healthy targets", async () => {
      const { pools } = await node.status();
      return pools[0]?.targets.every((target) => target.health === "healthy");
    });
    echoes[0]?.program.signal("SIGKILL");
    await until("the flow's next target", async () => /^target[23] /.test(await send(flow, "next", 9_902, 200)));
    assert.match(await open("other"), /^target[23]$/);
    echoes[0] = await echoTarget(scope, top.targets[0], 9_000);
    await until("target1 again", async () => {
      const name = await open(`again ${++flows}`);
      return name === "target1";
    });
  });
});
