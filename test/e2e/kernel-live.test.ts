// Targets that change while the kernel carries the listener, by orders of the API: at once also while a reload waits for a
// store, left out where no packet can be led to them, and told when the machine stands in the way. In network namespaces.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { fileScope } from "./http-kit.ts";
import { type KernelNode, poolText, startKernelNode } from "./kernel-kit.ts";
import { type Answer, ask, temporaryDirectory, until } from "./kit.ts";
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

describe("kernel engine, live targets", { skip }, () => {
  const scope = fileScope();
  let top: Layer4Topology;
  let client: Agent;

  before(async () => {
    top = layer4Topology(scope);
    for (const target of top.targets) await echoTarget(scope, target, 9_000);
    client = await startAgent(scope, top.client, "net-client.ts");
  });

  const body = (engine = "kernel", more = "") => `
listeners: { echo: { bind: "${top.virtualAddress.v4}:9900", protocol: tcp, pool: four, engine: ${engine} } }
pools: { four: ${poolText(top, "v4", { target: () => "{}" })} ${more} }
`;
  const targetOf = (index: number) => `/v1/pools/four/targets/${top.targetAddresses[index]?.v4}:9000`;

  function order(node: KernelNode, method: string, path: string, fields: unknown): Promise<Answer> {
    const headers = { "content-type": "application/json" };
    return ask({ socketPath: node.socketPath, method, path, headers, body: JSON.stringify(fields) });
  }

  /** Who answers twelve new connections. */
  async function answering(): Promise<string[]> {
    const names = new Set<string>();
    for (let count = 0; count < 12; count++) {
      names.add(await client.ask<string>("open", { id: "new", host: top.virtualAddress.v4, port: 9_900 }));
      await client.ask("close", { id: "new" });
    }
    return [...names].sort();
  }

  test("a target that is drained while a reload waits for a store gets no new client from then on", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body());
    assert.deepEqual(await answering(), ["target1", "target2", "target3"]);
    const away = "{ type: consul, endpoints: [127.0.0.1:1], prefix: x/, required: true, startTimeout: 2m }";
    const reloading = node.reload(body("kernel", `, away: { source: ${away} }`)).catch((error: unknown) => error);
    await until("the reload's watch", () => node.logged("source fails and has not answered yet").length > 0);
    const drained = await order(node, "PATCH", targetOf(0), { intent: "drain" });
    assert.deepEqual([drained.status, JSON.parse(drained.body).settled], [200, true]);
    assert.deepEqual(await answering(), ["target2", "target3"]);
    node.program.signal("SIGTERM");
    assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
    assert.ok((await reloading) instanceof Error, "the end of the program refuses the reload");
  });

  test("a target that no packet can be led to is left out and told, also at the start; the others are served", async (t) => {
    const directory = temporaryDirectory(t);
    const first = await startKernelNode(t, top.balancers[0], body("proxy"), { directory });
    const elsewhere = "/v1/pools/four/targets/[2001:db8:ffff::1]:9000";
    assert.equal((await order(first, "PUT", elsewhere, {})).status, 201);
    await first.reload(body());
    const left = /listener echo leads no client to target \[2001:db8:ffff::1\]:9000/;
    assert.match((await first.status()).degraded.join("\n"), left);
    assert.deepEqual(await answering(), ["target1", "target2", "target3"]);
    first.program.signal("SIGTERM");
    await first.program.exited();
    const second = await startKernelNode(t, top.balancers[0], body(), { directory });
    assert.match((await second.status()).degraded.join("\n"), left);
    assert.deepEqual(await answering(), ["target1", "target2", "target3"]);
    const more = await order(second, "PUT", "/v1/pools/four/targets/[2001:db8:ffff::2]:9000", {});
    assert.deepEqual([more.status, JSON.parse(more.body).code], [400, "target.field"]);
    second.program.signal("SIGTERM");
    await second.program.exited();
  });

  test("what the machine forbids is told until it is allowed again; then the change is in force by itself", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body());
    const allow = (value: number) => top.balancers[0].run(t, "sysctl", ["-qw", `net.ipv4.ip_forward=${value}`]);
    await allow(0);
    const down = await order(node, "PATCH", targetOf(1), { intent: "down" });
    assert.deepEqual([down.status, JSON.parse(down.body).settled], [200, false]);
    assert.match((await node.status()).degraded.join("\n"), /keep the targets of before: .*net\.ipv4\.ip_forward=1/);
    await allow(1);
    await until("the change", () => node.logged("targets taken up by the kernel engine again").length > 0);
    assert.deepEqual(await answering(), ["target1", "target3"]);
    assert.doesNotMatch((await node.status()).degraded.join("\n"), /keep the targets/);
  });
});
