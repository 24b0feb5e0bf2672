// How nodes share addresses: one at work and one in waiting, two at work that back each other up, three with the addresses spread
// over them so that the loss of any one goes to all others; and a second active node, which is an alarm.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { until } from "./kit.ts";
import { noProgram } from "./netns-kit.ts";
import {
  answeredBy,
  call,
  hasAddress,
  needsKeepalived,
  routerText,
  type SharedNode,
  site,
  startEvenkeel,
  type VrrpNodeProgram,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };

/** Which of the addresses a node has. */
async function carriedBy(t: TestContext, node: SharedNode, addresses: readonly string[]): Promise<readonly string[]> {
  const has = await Promise.all(addresses.map((address) => hasAddress(t, node, address)));
  return addresses.filter((_, index) => has[index]);
}

async function carry(
  t: TestContext,
  nodes: readonly SharedNode[],
  wanted: readonly (readonly string[])[],
  what: string,
): Promise<void> {
  const all = wanted.flat();
  let last: readonly (readonly string[])[] = [];
  await until(
    what,
    async () => {
      last = await Promise.all(nodes.map((node) => carriedBy(t, node, all)));
      return last.every((list, index) => [...list].sort().join() === [...(wanted[index] ?? [])].sort().join());
    },
    { timeoutMs: 20_000, onTimeout: () => JSON.stringify(last) },
  );
}

test("two nodes at work back each other up", limit, async (t) => {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const [a, b] = ["10.46.0.101", "10.46.0.102"];
  const text = (first: number, second: number) => `
ha:
  virtualRouters:
    A: { interface: eth0, vrid: 61, priority: ${first}, advertisementInterval: 100ms, addresses: [${a}/32] }
    B: { interface: eth0, vrid: 62, priority: ${second}, advertisementInterval: 100ms, addresses: [${b}/32] }`;
  const begin = () => startEvenkeel(t, one, text(100, 90));
  const first = await begin();
  await startEvenkeel(t, other, text(90, 100));
  await carry(t, lan.nodes, [[a], [b]], "one address each");
  first.program.signal("SIGTERM");
  await carry(t, lan.nodes, [[], [a, b]], "both on the second");
  await first.program.exited();
  await begin();
  await carry(t, lan.nodes, [[a], [b]], "one address each again");
  lan.link(1, "down");
  await carry(t, lan.nodes, [[a, b], []], "both on the first");
  lan.link(1, "up");
  await carry(t, lan.nodes, [[a], [b]], "and one each in the end");
});

type Plan = {
  readonly carried: readonly { readonly lost?: string; readonly by: Readonly<Record<string, readonly string[]>> }[];
};

test("addresses spread over three nodes go to both others when one is lost, as the plan says", limit, async (t) => {
  const lan = await site(t, 3);
  const names = lan.nodes.map(({ name }) => name);
  const routers = [1, 2, 3, 4, 5, 6].map(
    (number) =>
      `    V${number}: { interface: eth0, vrid: ${60 + number}, advertisementInterval: 100ms, addresses: [10.46.0.${110 + number}/32] }`,
  );
  const text = `ha:\n  spread: true\n  nodes: [${names.join(", ")}]\n  virtualRouters:\n${routers.join("\n")}`;
  const programs = await Promise.all(lan.nodes.map((node) => startEvenkeel(t, node, text)));
  const shown = await programs[0]?.run("vip", "plan", "-c", programs[0].configFile, "-o", "json");
  assert.equal(shown?.code, 0, shown?.stderr);
  const plan: Plan = JSON.parse(shown?.stdout ?? "");
  const wanted = (lost: string | undefined) => {
    const by = plan.carried.find((one) => one.lost === lost)?.by ?? {};
    return names.map((name) => (by[name] ?? []).map((router) => `10.46.0.${110 + Number(router.slice(1))}`));
  };
  assert.deepEqual(
    wanted(undefined).map(({ length }) => length),
    [2, 2, 2],
  );
  await carry(t, lan.nodes, wanted(undefined), "two addresses each");
  for (const [index, name] of names.entries()) {
    lan.link(index, "down");
    assert.deepEqual(
      wanted(name)
        .map(({ length }) => length)
        .sort(),
      [0, 3, 3],
    );
    await carry(t, lan.nodes, wanted(name), `without ${name}`);
    lan.link(index, "up");
    await carry(t, lan.nodes, wanted(undefined), `with ${name} again`);
  }
});

const needsNft = { timeout: 120_000, skip: needsKeepalived || noProgram("nft", "nftables") };

test(
  "a second active node is an alarm in the status of the first, and ends when they hear each other",
  needsNft,
  async (t) => {
    const lan = await site(t);
    const [one, other] = lan.nodes;
    assert.ok(one !== undefined && other !== undefined);
    const fast = { version: 3, interval: "100ms" } as const;
    const [first, second] = await Promise.all([
      startEvenkeel(t, one, routerText({ priority: 100, ...fast })),
      startEvenkeel(t, other, routerText({ priority: 90, ...fast })),
    ]);
    await first.mode("active");
    await call(lan.client, vip4);
    await answeredBy(lan.client, "node1");
    // The second hears nothing, and takes over beside the first.
    for (const line of [
      "add table ip deaf",
      "add chain ip deaf in { type filter hook input priority -300; }",
      "add rule ip deaf in ip protocol 112 drop",
    ]) {
      await other.machine.run(t, "nft", [line]);
    }
    await second.mode("active");
    const alarmed = (node: VrrpNodeProgram) =>
      until("the alarm", async () => {
        const { degraded } = await node.status();
        return degraded.some((sentence) => sentence.includes("10.46.0.2 is active too, with 90"));
      });
    await alarmed(first);
    const shown = await first.run("status");
    assert.equal(shown.code, 2, "degraded");
    assert.match(shown.stdout + shown.stderr, /vrrp\.alarm\.secondActive/);
    assert.equal(first.logged("alarm").length, 1, "told once a minute");
    await other.machine.run(t, "nft", ["delete table ip deaf"]);
    assert.equal((await second.mode("backup")).cause, "higherPriority");
    assert.equal((await first.router()).mode, "active");
  },
);
