// `evenkeel release` where the kernel carries the listener: four services on machines of their own (network namespaces), wrk on
// kept and on new connections, and every service replaced without an exchange that fails. A kept connection of TCP stays with
// its target as long as it is open: the drain ends by its time, and the services tell their clients with the last answer.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { consulMissing } from "./consul-kit.ts";
import { fileScope, isInstalled } from "./http-kit.ts";
import { type KernelNode, startKernelNode } from "./kernel-kit.ts";
import { until } from "./kit.ts";
import { type Layer4Topology, layer4Topology, type Machine, noMachines, noProgram } from "./netns-kit.ts";
import {
  type Fleet,
  intentsAt,
  runRelease,
  type Service,
  said,
  startFleet,
  startWrk,
  writeRelease,
} from "./release-kit.ts";

const exchangesMin = 20_000;
const noWrk = isInstalled("wrk") ? false : "wrk is not installed (tools/setup.sh --tests installs it)";

describe("a release under the kernel engine", { skip: noMachines || noProgram("nft", "nftables") || noWrk }, () => {
  const scope = fileScope();
  let top: Layer4Topology;

  before(() => {
    top = layer4Topology(scope);
  });

  /** Two of the four services share a machine. */
  function machineOf({ host }: Service): Machine {
    const index = top.targetAddresses.findIndex(({ v4 }) => v4 === host);
    return top.targets[index] ?? top.targets[0];
  }

  const fleetOf = (port: number): Promise<Fleet> => {
    const hosts = top.targetAddresses.map(({ v4 }) => v4);
    const services = [0, 1, 2, 2].map((index, turn) => ({
      host: hosts[index] ?? "",
      port: port + (turn === 3 ? 1 : 0),
    }));
    return startFleet(scope, services, (service) => ["ip", "netns", "exec", machineOf(service).namespace]);
  };

  const nodeOf = (port: number, pool: Readonly<Record<string, unknown>>): Promise<KernelNode> => {
    const bind = `${top.virtualAddress.v4}:${port}`;
    const web = { bind, protocol: "tcp", pool: "app", engine: "kernel" };
    const body = `listeners: ${JSON.stringify({ web })}\npools: ${JSON.stringify({ app: pool })}`;
    return startKernelNode(scope, top.balancers[0], body);
  };

  async function replaceAll(
    t: { diagnostic(text: string): void },
    {
      fleet,
      node,
      port,
      store,
    }: { readonly fleet: Fleet; readonly node: KernelNode; readonly port: number; readonly store: object },
  ): Promise<void> {
    const inside =
      (at: Machine) =>
      (...[of, command, args]: Parameters<Machine["start"]>) =>
        at.start(of, command, args);
    const load = startWrk(scope, `http://${top.virtualAddress.v4}:${port}/`, inside(top.client));
    const drain = { timeout: "1s" };
    const path = writeRelease(fleet, "release", { balancers: [{ socket: node.socketPath }], drain, ...store });
    const ran = await runRelease(scope, "run", path, [], inside(top.balancers[0]));
    const { requests, failed, text } = await load.stop();
    t.diagnostic(`${requests} exchanges, ${failed} failed`);
    assert.equal(ran.code, 0, said(ran));
    assert.equal(failed, 0, `${text}\n${said(ran)}`);
    assert.ok(requests >= exchangesMin, `only ${requests} exchanges\n${text}`);
    const intents = await intentsAt(node.socketPath);
    assert.deepEqual(intents, Object.fromEntries(fleet.addresses.map((address) => [address, "up"])));
    assert.deepEqual(
      fleet.services.map((service) => fleet.versionOf(service)),
      fleet.services.map(() => "v2"),
    );
    const commands = fleet.addresses.flatMap((address) =>
      ["stop", "deploy", "start"].map((step) => `${step} ${address} v2 1`),
    );
    assert.deepEqual(fleet.ran(), commands);
    node.program.signal("SIGTERM");
    await node.program.exited();
  }

  test("with the pool in the balancer no exchange fails", async (t) => {
    const fleet = await fleetOf(9_000);
    const targets = Object.fromEntries(fleet.addresses.map((address) => [address, {}]));
    const node = await nodeOf(9_900, { targets });
    await replaceAll(t, { fleet, node, port: 9_900, store: {} });
  });

  test("with the pool in Consul no exchange fails", { skip: consulMissing }, async (t) => {
    const [balancer] = top.balancers;
    const fleet = await fleetOf(9_100);
    const agent = balancer.start(scope, "consul", ["agent", "-dev", "-bind", "127.0.0.1", "-log-level", "err"], {
      graceMs: 1_000,
    });
    const consul = (...args: readonly string[]) => balancer.run(scope, "consul", args);
    for (const address of fleet.addresses) {
      const put = async () => (await consul("kv", "put", `upstreams/app/${address}`, '{"weight":1}')).code === 0;
      await until("Consul", put, { everyMs: 200, timeoutMs: 40_000, onTimeout: agent.stderr });
    }
    const store = { type: "consul", endpoints: ["127.0.0.1:8500"], prefix: "upstreams/app/" };
    const node = await nodeOf(9_901, { source: { ...store, wait: "2s" } });
    await replaceAll(t, { fleet, node, port: 9_901, store: { store } });
  });
});
