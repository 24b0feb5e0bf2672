// What an operator does to virtual routers while they run, and what he is told: orders by hand, a changed configuration, an
// address removed or added behind our back, an interface that comes late, a node that must not preempt.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { until } from "./kit.ts";
import {
  answeredBy,
  call,
  type Heard,
  hasAddress,
  longestSilence,
  needsKeepalived,
  routerText,
  type SharedNode,
  type Site,
  site,
  startEvenkeel,
  startKeepalived,
  type VrrpNodeProgram,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };
const fast = { version: 3, interval: "100ms" } as const;

type Two = {
  readonly lan: Site;
  readonly nodes: readonly [SharedNode, SharedNode];
  readonly first: VrrpNodeProgram;
  readonly second: VrrpNodeProgram;
};

/** Two of ours at 100 ms, priorities 100 and 90, the client calling. */
async function two(t: TestContext, more = ""): Promise<Two> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const [first, second] = await Promise.all([
    startEvenkeel(t, one, routerText({ priority: 100, ...fast, more })),
    startEvenkeel(t, other, routerText({ priority: 90, ...fast, more })),
  ]);
  await first.mode("active");
  await second.mode("backup");
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  await lan.client.ask("forget");
  return { lan, nodes: [one, other], first, second };
}

async function silence(lan: Site): Promise<number> {
  const longest = longestSilence(await lan.client.ask<readonly Heard[]>("answers"));
  await lan.client.ask("forget");
  return longest;
}

test("release, takeover and resume by hand move the address without a client noticing", limit, async (t) => {
  const { lan, first, second } = await two(t);
  const released = await first.run("vip", "release", "VI_1");
  assert.equal(released.code, 0, released.stderr);
  await answeredBy(lan.client, "node2");
  assert.equal((await second.mode("active")).cause, "resignation");
  assert.equal((await first.mode("backup")).byHand, "release");
  const gaps = [await silence(lan)];
  // It stays away though its priority is the higher one, until it is told to compete again.
  const told = await first.run("explain", "vip", "VI_1");
  assert.match(told.stdout, /released by hand/);
  assert.equal((await first.run("vip", "resume", "VI_1")).code, 0);
  await answeredBy(lan.client, "node1");
  gaps.push(await silence(lan));
  await first.mode("active");
  assert.equal((await second.run("vip", "takeover", "VI_1")).code, 0);
  await answeredBy(lan.client, "node2");
  gaps.push(await silence(lan));
  assert.equal((await first.mode("backup")).cause, "higherPriority");
  const listed = await second.run("vip", "ls");
  assert.match(listed.stdout, /VI_1 +active/);
  const unknown = await second.run("vip", "takeover", "VI_9");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /VI_9/);
  t.diagnostic(`longest silences, ms: release, resume, takeover ${gaps.map((gap) => gap.toFixed(1)).join(", ")}`);
});

test(
  "a reload keeps the addresses that stay, adds and removes the others, and never gives up the role",
  limit,
  async (t) => {
    const { lan, nodes, first } = await two(t, "addressMismatch: warn");
    const text = (addresses: readonly string[], priority = 100) => routerText({ priority, ...fast, addresses });
    await first.reload(text([`${vip4}/32`, "10.46.0.101/32"]));
    await until("the second address", () => hasAddress(t, nodes[0], "10.46.0.101"));
    assert.ok(await hasAddress(t, nodes[0]));
    await first.reload(text(["10.46.0.101/32"]));
    await until("the first address gone", async () => !(await hasAddress(t, nodes[0])));
    await first.reload(text([`${vip4}/32`], 120));
    await until("the new priority", async () => (await first.router()).priority === 120);
    const router = await first.router();
    assert.equal(router.takeovers, 1);
    assert.deepEqual(
      router.addresses.map(({ address, here }) => [address, here]),
      [[vip4, "held"]],
    );
    await answeredBy(lan.client, "node1");
    // Without virtual routers there is nothing to hold.
    await first.reload(
      'listeners: { web: { bind: "127.0.0.1:8080", protocol: http, routes: [ { respond: { status: 200 } } ] } }',
    );
    await answeredBy(lan.client, "node2");
    assert.equal(await hasAddress(t, nodes[0]), false);
  },
);

test("an address that somebody removes is put back with an alarm; one added anew is left alone", limit, async (t) => {
  const { nodes, first } = await two(t);
  const [one] = nodes;
  one.machine.ip(`addr del ${vip4}/32 dev eth0`);
  await until("the address is back", () => hasAddress(t, one));
  const alarms = (await first.router()).alarms;
  assert.equal(alarms["vrrp.alarm.addressRemoved"]?.count, 1);
  assert.ok((await first.status()).degraded.some((sentence) => sentence.includes("vrrp.alarm.addressRemoved")));
  assert.equal((await first.router()).mode, "active");
  // The same as removing it and adding it anew, but faster than it is put back.
  one.machine.ip(`addr replace ${vip4}/32 dev eth0`);
  await until("told of it", async () => (await first.router()).alarms["vrrp.alarm.addressForeign"] !== undefined);
  first.program.signal("SIGTERM");
  await first.program.exited();
  assert.ok(await hasAddress(t, one), "it is the operator's and stays");
});

test(
  "the machine's own address is refused as a virtual one, and so is an interface that is not there",
  limit,
  async (t) => {
    const lan = await site(t);
    const [one] = lan.nodes;
    assert.ok(one !== undefined);
    const wrong = await startEvenkeel(t, one, routerText({ priority: 100, addresses: ["10.46.0.1/32"] }), {
      ready: false,
    });
    assert.equal((await wrong.program.exited()).code, 1);
    assert.match(wrong.program.stderr(), /10\.46\.0\.1/);
    const text = routerText({ priority: 100, ...fast }).replace("interface: eth0", "interface: eth7");
    const missing = await startEvenkeel(t, one, text, { ready: false });
    assert.equal((await missing.program.exited()).code, 1);
    assert.match(missing.program.stderr(), /eth7/);
    const waits = text.replace("interface: eth7", "interface: eth7, waitForInterface: true");
    const awaiting = await startEvenkeel(t, one, waits);
    await awaiting.mode("fault");
    one.machine.ip(
      "link add eth7 type veth peer name eth8",
      "link set eth8 up",
      "link set eth7 up",
      "addr add 10.47.0.1/24 dev eth7",
    );
    await awaiting.mode("active");
  },
);

test("without preemption the address stays where it is, and comes when the other goes", limit, async (t) => {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const rival = startKeepalived(t, other, { priority: 90, version: 3, interval: 0.1 });
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node2");
  const node = await startEvenkeel(t, one, routerText({ priority: 100, ...fast, more: "preempt: false" }));
  await node.mode("backup");
  await lan.client.ask("forget");
  await until("advertisements", async () => (await node.router()).advertisementsReceived > 10);
  assert.equal((await node.router()).mode, "backup");
  rival.signal("SIGTERM");
  await answeredBy(lan.client, "node1");
});

test("a cut cable is a fault, and the address comes back with the link", limit, async (t) => {
  const { lan, nodes, first } = await two(t);
  lan.link(0, "down");
  await answeredBy(lan.client, "node2");
  t.diagnostic(`cable cut, both ours: longest silence ${(await silence(lan)).toFixed(1)} ms`);
  await first.mode("fault");
  assert.equal(await hasAddress(t, nodes[0]), false);
  lan.link(0, "up");
  await answeredBy(lan.client, "node1");
  t.diagnostic(`failback: longest silence ${(await silence(lan)).toFixed(1)} ms`);
});
