// The kernel engine's life: who carries what on a machine that can and on one that cannot, what is left behind and taken over,
// rules lost and restored, listeners that change their engine, and whether the kernel hashes as we say it does.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { createSourceHash } from "../../src/balance/source-hash.ts";
import { changeStructure, contentsOf, type SlotsOf } from "../../src/control/kernel/change.ts";
import { type KernelPlan, nothingPlanned, planKernel } from "../../src/control/kernel/plan.ts";
import { baseText } from "../../src/control/kernel/table-text.ts";
import { poolOf, targetOf, tcpOf, udpOf } from "../../src/control/kernel/test-kit.ts";
import type { Balance } from "../../src/model/pool.ts";
import type { LoadResult } from "./fixtures/net-client.ts";
import { fileScope } from "./http-kit.ts";
import { type KernelNode, poolText, rulesOf, startKernelNode } from "./kernel-kit.ts";
import { temporaryDirectory, until } from "./kit.ts";
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
const withoutNetAdmin = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];

describe("kernel engine, its life", { skip }, () => {
  const scope = fileScope();
  let top: Layer4Topology;
  let client: Agent;

  before(async () => {
    top = layer4Topology(scope);
    for (const target of top.targets) await echoTarget(scope, target, 9_000);
    client = await startAgent(scope, top.client, "net-client.ts");
  });

  const place = (port: number) => ({ host: top.virtualAddress.v4, port });
  const body = (engine: string, more = "", pool = ""): string => `
${more}
listeners:
  echo: { bind: "${top.virtualAddress.v4}:9900", protocol: tcp, pool: four, engine: ${engine} }
pools: { four: ${poolText(top, "v4", { more: pool })} }
`;

  async function ended(node: KernelNode): Promise<void> {
    node.program.signal("SIGTERM");
    assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
  }

  async function load(during: () => Promise<void>): Promise<LoadResult> {
    await client.ask("startLoad", { ...place(9_900), parallel: 6 });
    await moreLoad();
    await during();
    await moreLoad();
    return client.ask<LoadResult>("stopLoad");
  }

  async function moreLoad(): Promise<void> {
    const from = await client.ask<number>("loadCount");
    await until("load", async () => (await client.ask<number>("loadCount")) > from + 30);
  }

  const rules = () => rulesOf(scope, top.balancers[0]);

  test("auto without CAP_NET_ADMIN falls back to the proxy, which serves, and says so loudly", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body("auto"), { under: withoutNetAdmin });
    assert.match(await client.ask("open", { id: "proxied", ...place(9_900) }), /^target/);
    await client.ask("close", { id: "proxied" });
    const [chosen] = node.logged("engine chosen");
    assert.deepEqual([chosen?.["level"], chosen?.["engine"]], ["warn", "proxy"]);
    const [echo] = (await node.status()).listeners;
    assert.equal(echo?.engine, "proxy");
    assert.match(echo?.engineReason ?? "", /CAP_NET_ADMIN/);
    assert.equal(await rules(), "");
    await ended(node);
  });

  test("kernel asked for and impossible: refused at start with the remedy, and at reload with the old going on", async (t) => {
    const options = { under: withoutNetAdmin, ready: false };
    const refused = await startKernelNode(t, top.balancers[0], body("kernel"), options);
    assert.equal((await refused.program.exited()).code, 1);
    assert.match(refused.program.stderr(), /listener echo: `engine: kernel` is impossible here: .*CAP_NET_ADMIN/);

    const node = await startKernelNode(t, top.balancers[0], body("proxy"), { under: withoutNetAdmin });
    await assert.rejects(node.reload(body("kernel")), /reload refused.*CAP_NET_ADMIN/s);
    assert.match(await client.ask("open", { id: "still", ...place(9_900) }), /^target/);
    await client.ask("close", { id: "still" });
    await ended(node);

    top.balancers[0].sysctl({ "net.ipv4.ip_forward": 0 });
    const still = await startKernelNode(t, top.balancers[0], body("kernel"), { ready: false });
    assert.equal((await still.program.exited()).code, 1);
    assert.match(still.program.stderr(), /sysctl -w net\.ipv4\.ip_forward=1/);
    top.balancers[0].sysctl({ "net.ipv4.ip_forward": 1 });
  });

  test("an address that another program listens on is refused, not taken from it", async (t) => {
    await echoTarget(t, top.balancers[0], 9_900);
    const node = await startKernelNode(t, top.balancers[0], body("kernel"), { ready: false });
    assert.equal((await node.program.exited()).code, 1);
    assert.match(node.program.stderr(), /listener echo: 10\.45\.1\.100:9900 is in use by process \d+/);
    assert.equal(await rules(), "");
  });

  test("a listener changes its engine under load, and no client fails", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body("proxy"));
    const { errors } = await load(async () => {
      for (const engine of ["kernel", "proxy", "auto", "proxy"]) {
        await node.reload(body(engine));
        await moreLoad();
      }
    });
    assert.deepEqual(errors, []);
    const engines = node.logged("engine chosen").map((line) => line["engine"]);
    assert.deepEqual(engines, ["proxy", "kernel", "proxy", "kernel", "proxy"]);
    await ended(node);
  });

  test("keepOnStop leaves the rules, which go on balancing; the next start takes them over", async (t) => {
    const keeping = body("kernel", "kernel: { keepOnStop: true }");
    const node = await startKernelNode(t, top.balancers[0], keeping);
    await client.ask("open", { id: "kept", ...place(9_900) });
    await ended(node);
    assert.equal(node.logged("rules kept").length, 1);
    assert.match(await client.ask("say", { id: "kept", line: "on" }), /^target\d on$/);
    assert.match(await client.ask("open", { id: "new", ...place(9_900) }), /^target/);

    const next = await startKernelNode(t, top.balancers[0], body("kernel"));
    assert.equal(next.logged("rules of a predecessor taken over").length, 1);
    assert.match(await client.ask("say", { id: "kept", line: "over" }), /^target\d over$/);
    assert.ok(((await next.status()).listeners[0]?.counters.connectionsAccepted ?? 0) >= 2);
    for (const id of ["kept", "new"]) await client.ask("close", { id });
    await ended(next);
    assert.equal(await rules(), "");
  });

  test("killed and started again under load, with another configuration, it costs no connection", async (t) => {
    const directory = temporaryDirectory(t);
    const node = await startKernelNode(t, top.balancers[0], body("kernel"), { directory });
    const held = await client.ask<string>("open", { id: "held", ...place(9_900) });
    const { errors } = await load(async () => {
      node.program.signal("SIGKILL");
      await node.program.exited();
      await moreLoad();
      const next = await startKernelNode(t, top.balancers[0], body("kernel", "", "balance: random,"), { directory });
      await moreLoad();
      assert.equal((await next.status()).pools[0]?.balance, "random");
    });
    assert.deepEqual(errors, []);
    assert.equal(await client.ask("say", { id: "held", line: "on" }), `${held} on`);
    await client.ask("close", { id: "held" });
    const listed = await top.balancers[0].run(t, "nft", ["--terse", "list", "table", "inet", "evenkeel"]);
    assert.match(listed.stdout, /numgen random mod/);
    assert.doesNotMatch(listed.stdout, /numgen inc mod \d+ map/);
  });

  test("what a node left that carries nothing any more is emptied by the next one", async (t) => {
    const directory = temporaryDirectory(t);
    const node = await startKernelNode(t, top.balancers[0], body("kernel"), { directory });
    node.program.signal("SIGKILL");
    await node.program.exited();
    assert.match(await rules(), /slots-echo/);
    const next = await startKernelNode(t, top.balancers[0], body("proxy"), { directory });
    assert.doesNotMatch(await rules(), /slots-echo/);
    assert.match(await client.ask("open", { id: "proxied", ...place(9_900) }), /^target/);
    assert.equal((await next.status()).listeners[0]?.counters.connectionsAccepted, 1);
    await client.ask("close", { id: "proxied" });
    await ended(next);
    assert.equal(await rules(), "");
  });

  test("rules that another program flushed are back soon, and their loss is told", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body("kernel"));
    const whole = await rules();
    await top.balancers[0].run(t, "nft", ["flush", "ruleset"]);
    await until("the rules", async () => (await rules()) === whole);
    assert.equal(node.logged("kernel rules restored").length, 1);
    assert.equal(node.logged("kernel rules are not as they should be")[0]?.["code"], "kernel.tableLost");
    assert.match(await client.ask("open", { id: "again", ...place(9_900) }), /^target/);
    await client.ask("close", { id: "again" });
    assert.deepEqual((await node.status()).degraded, []);
    await ended(node);
  });

  test("SIGTERM refuses new clients, and lets a connection finish", async (t) => {
    const node = await startKernelNode(t, top.balancers[0], body("kernel"));
    await client.ask("open", { id: "last", ...place(9_900) });
    node.program.signal("SIGTERM");
    await until("a refusal", async () => {
      const answer = await client.ask("open", { id: "late", ...place(9_900) });
      await client.ask("close", { id: "late" });
      return answer === "ended: ECONNREFUSED";
    });
    assert.match(await client.ask("say", { id: "last", line: "bye" }), /^target\d bye$/);
    assert.equal(node.program.exit(), undefined);
    await client.ask("close", { id: "last" });
    assert.deepEqual(await node.program.exited(), { code: 0, signal: null });
    assert.equal(await rules(), "");
  });

  test("clients of 127.0.0.1 are carried where the machine lets them out", async (t) => {
    const [balancer] = top.balancers;
    const at = (host: string) => body("kernel").replace(top.virtualAddress.v4, host);
    const refused = await startKernelNode(t, balancer, at("127.0.0.1"), { ready: false });
    assert.equal((await refused.program.exited()).code, 1);
    assert.match(refused.program.stderr(), /sysctl -w net\.ipv4\.conf\.all\.route_localnet=1/);
    balancer.sysctl({ "net.ipv4.conf.all.route_localnet": 1 });
    const local = await startAgent(t, balancer, "net-client.ts");
    for (const host of ["127.0.0.1", "0.0.0.0"]) {
      const node = await startKernelNode(t, balancer, at(host));
      const name = await local.ask<string>("open", { id: host, host: "127.0.0.1", port: 9_900 });
      assert.match(name, /^target/, host);
      assert.equal(await local.ask("say", { id: host, line: "here" }), `${name} here`);
      await local.ask("close", { id: host });
      await ended(node);
    }
    balancer.sysctl({ "net.ipv4.conf.all.route_localnet": 0 });
  });

  test("nft takes the rules of every kind of listener, and the steps from any to any other", async (t) => {
    const file = join(temporaryDirectory(t), "rules.nft");
    const plans = (["roundRobin", "random", "consistentHash"] as const).flatMap((policy) =>
      [true, false].map((preserveClientAddress) => planOf(policy, preserveClientAddress)),
    );
    const owners: SlotsOf = ({ targets, slotCount }) =>
      Array.from({ length: slotCount }, (_, slot) => targets[slot % (targets.length + 1)]);
    for (const [index, plan] of plans.entries()) {
      const before = contentsOf(plans.at(index - 1) ?? nothingPlanned);
      const whole = changeStructure(contentsOf(nothingPlanned), plans.at(index - 1) ?? nothingPlanned, owners);
      const steps = changeStructure(before, plan, owners);
      const over = changeStructure({ ...contentsOf(plan), elements: undefined }, plan, owners);
      const texts = [baseText(), ...[whole, steps, over].flatMap((step) => [step.prepare, step.switch, step.clean])];
      // One transaction each in the end; the file is one, so that each finds what the ones before it left.
      writeFileSync(file, texts.join(""));
      const checked = await top.balancers[0].run(t, "nft", ["-c", "-f", file]);
      assert.equal(checked.code, 0, checked.stderr.slice(0, 2_000));
    }
  });

  function planOf(policy: "roundRobin" | "random" | "consistentHash", preserveClientAddress: boolean): KernelPlan {
    const balance: Balance = policy === "consistentHash" ? { policy, key: { kind: "clientAddress" } } : { policy };
    const four = poolOf(
      "app",
      [targetOf("10.1.0.1:80"), targetOf("10.1.0.2:80", { weight: 3, backup: true })],
      balance,
    );
    const six = { ...four, name: "six", targets: [targetOf("[2001:db8::1]:80"), targetOf("[2001:db8::2]:80")] };
    const more = { preserveClientAddress, limitStated: preserveClientAddress };
    const routes = [{ name: "r", host: { kind: "any" } as const, pool: "six" }];
    const listeners = [
      tcpOf("ip", "10.0.0.9", 80, more),
      tcpOf("tcp.any_4-", "0.0.0.0", 80, more),
      udpOf("udp-four", "10.0.0.9", 80, more),
      udpOf("0udp", "0.0.0.0", 80, more),
      tcpOf("six", "2001:db8::9", 80, { ...more, routes }),
      tcpOf("six-any", "::", 81, { ...more, routes }),
      udpOf("usix", "2001:db8::9", 81, { ...more, pool: "six" }),
      udpOf("usix-any", "::", 80, { ...more, pool: "six" }),
    ];
    return planKernel(listeners, [four, six], {
      routeLocalnet: preserveClientAddress,
      countTraffic: preserveClientAddress,
    });
  }

  test("the kernel gives every client the target that our own hash says, whichever engine carries it", async (t) => {
    const hosts = [...Array.from({ length: 24 }, (_, index) => index + 30)];
    const addresses = hosts.flatMap((host) => [`10.45.1.${host}`, `fd45:1::${host.toString(16)}`]);
    for (const address of addresses) {
      const width = address.includes(":") ? "64 dev eth0 nodad" : "24 dev eth0";
      top.client.ip(`addr add ${address}/${width}`);
    }
    const { v4, v6 } = top.virtualAddress;
    const pool = "balance: { consistentHash: { key: clientAddress } },";
    const text = (engine: string) => `
listeners:
  four: { bind: "${v4}:9900", protocol: tcp, pool: four, engine: ${engine} }
  six: { bind: "[${v6}]:9900", protocol: tcp, pool: six, engine: ${engine} }
pools:
  four: ${poolText(top, "v4", { more: pool })}
  six: ${poolText(top, "v6", { more: pool })}
`;
    const node = await startKernelNode(t, top.balancers[0], text("kernel"));
    const expected = (family: "v4" | "v6", clientAddress: string) => {
      const members = top.targetAddresses.map((target, index) => ({
        address: family === "v4" ? `${target.v4}:9000` : `[${target.v6}]:9000`,
        weight: [40, 30, 30][index] ?? 0,
        share: [40, 30, 30][index] ?? 0,
        backup: false,
        eligible: true,
        active: 0,
        activeMax: Number.POSITIVE_INFINITY,
        latencyMs: 0,
        latencyAtMs: 0,
      }));
      const index = createSourceHash(members).pick({ nowMs: 0, tried: [], keyHash: 0, clientAddress });
      return `target${index + 1}`;
    };
    for (const engine of ["kernel", "proxy"]) {
      await node.reload(text(engine));
      const seen = new Set<string>();
      for (const from of addresses) {
        const family = from.includes(":") ? "v6" : "v4";
        const id = `${engine} ${from}`;
        const name = await client.ask<string>("open", { id, host: top.virtualAddress[family], port: 9_900, from });
        assert.equal(name, expected(family, from), id);
        seen.add(name);
        await client.ask("close", { id });
      }
      assert.equal(seen.size, 3);
    }
    await ended(node);
  });
});
