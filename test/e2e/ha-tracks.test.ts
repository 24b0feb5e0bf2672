// Tracks of interfaces and gateways between machines: a lost carrier, a removed interface, a silent router, a network that
// falls in two while every cable is fine. Prints how long each took to be noticed.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { TrackResult } from "../../src/control/ha/track-watch.ts";
import type { Track, Watch } from "../../src/model/ha.ts";
import { until } from "./kit.ts";
import {
  type Agent,
  addressLines,
  cable,
  type Machine,
  machine,
  noMachines,
  plug,
  startAgent,
  switches,
} from "./netns-kit.ts";

const limit = { timeout: 90_000, skip: noMachines };
const host = (number: number) => ({ v4: `10.47.0.${number}`, v6: `fd47::${number}` });
const router = host(1);
const virtualAddress = "10.47.0.100";

function track(name: string, watch: Watch): Track {
  return { name, watch, rise: 1, fall: 2 };
}

const gateway = (address: string): Watch => ({
  kind: "gateway",
  address,
  interface: "eth0",
  interval: 200,
  timeout: 150,
});
const tracks: readonly Track[] = [
  track("interface", { kind: "interface", interface: "eth0" }),
  track("gateway4", gateway(router.v4)),
  track("gateway6", gateway(router.v6)),
];
/** All that the watch reads of a virtual router. */
const virtualRouters = [{ addresses: [{ address: virtualAddress }], silentAddresses: [] }];

type Site = {
  readonly holder: Machine;
  readonly gate: Machine;
  readonly one: Machine;
  readonly other: Machine;
  readonly watchers: readonly [Agent, Agent];
};

/** The router and one node on the left switch, the other node on the right one, the switches joined by a cable. */
async function site(t: TestContext): Promise<Site> {
  const holder = switches(t, ["left", "right"]);
  cable({ machine: holder, device: "join" }, { machine: holder, device: "joined" });
  holder.ip("link set join master left", "link set joined master right");
  const place = (name: string, bridge: string, number: number) => {
    const made = machine(t, name);
    plug(holder, bridge, { machine: made, device: "eth0" });
    made.ip(...addressLines(host(number), "eth0"), `addr add fe80::${number}/64 dev eth0 nodad`);
    return made;
  };
  const gate = place("router", "left", 1);
  const one = place("one", "left", 11);
  const other = place("other", "right", 12);
  const start = (at: Machine) => startAgent(t, at, "ha-tracks-agent.ts");
  const watchers = await Promise.all([start(one), start(other)]);
  return { holder, gate, one, other, watchers };
}

const watch = (agent: Agent) => agent.ask("apply", { tracks, virtualRouters });

async function standings(agent: Agent): Promise<Readonly<Record<string, string>>> {
  const results = await agent.ask<readonly TrackResult[]>("results");
  return Object.fromEntries(results.map(({ name, standing, code }) => [name, `${standing} ${code}`]));
}

/** Waits until the named tracks stand so; gives the milliseconds since `since` at which the first of them came to it. */
async function noticed(agent: Agent, wanted: Readonly<Record<string, string>>, since: number): Promise<number> {
  await until(
    `${JSON.stringify(wanted)}`,
    async () => {
      const found = await standings(agent);
      return Object.entries(wanted).every(([name, words]) => found[name] === words) ? true : undefined;
    },
    { onTimeout: () => agent.program.stderr() },
  );
  const changes = await agent.ask<readonly { name: string; standing: string; at: number }[]>("changes");
  const first = changes.find(({ name, at }) => name in wanted && at >= since);
  return (first?.at ?? Number.NaN) - since;
}

const allUp = { interface: "up interface.up", gateway4: "up probe.passed", gateway6: "up probe.passed" };

test(
  "a gateway is up while the router answers, in both families, and is never asked in the name of a virtual address",
  limit,
  async (t) => {
    const { gate, one, watchers } = await site(t);
    const [agent] = watchers;
    // The virtual address comes first on the interface: the kernel itself would ask in its name.
    one.ip(
      `addr flush dev eth0 scope global`,
      `addr add ${virtualAddress}/24 dev eth0`,
      ...addressLines(host(11), "eth0"),
    );
    await watch(agent);
    await noticed(agent, allUp, 0);
    const knows = await gate.run(t, "ip", ["neigh", "show"]);
    assert.ok(knows.stdout.includes(`${host(11).v4} `), knows.stdout);
    assert.ok(!knows.stdout.includes(`${virtualAddress} `), knows.stdout);

    let since = Date.now();
    gate.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 8 });
    const silent = await noticed(agent, { gateway4: "down probe.gateway.silent", gateway6: allUp.gateway6 }, since);
    since = Date.now();
    gate.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 0 });
    const back = await noticed(agent, { gateway4: allUp.gateway4 }, since);
    console.log(`router silent: noticed after ${silent} ms (interval 200, timeout 150, fall 2), back after ${back} ms`);

    // Without an address of its own it asks as nobody, and is answered all the same.
    one.ip("addr flush dev eth0 scope global", `addr add ${virtualAddress}/32 dev eth0`);
    since = Date.now();
    gate.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 8 });
    await noticed(agent, { gateway4: "down probe.gateway.silent" }, since);
    gate.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 0 });
    await noticed(agent, { gateway4: allUp.gateway4 }, Date.now());
    const learned = await gate.run(t, "ip", ["neigh", "show"]);
    assert.ok(!learned.stdout.includes(`${virtualAddress} `), learned.stdout);
  },
);

test(
  "in a partition without a lost carrier the gateway decides: up on the router's side, down on the other",
  limit,
  async (t) => {
    const { holder, watchers } = await site(t);
    const [near, far] = watchers;
    await Promise.all(watchers.map(watch));
    await Promise.all(watchers.map((agent) => noticed(agent, allUp, 0)));
    let since = Date.now();
    holder.ip("link set join down");
    const cut = {
      interface: allUp.interface,
      gateway4: "down probe.gateway.silent",
      gateway6: "down probe.gateway.silent",
    };
    const noticedAfter = await noticed(far, cut, since);
    assert.deepEqual(await standings(near), allUp);
    since = Date.now();
    holder.ip("link set join up");
    const healedAfter = await noticed(far, allUp, since);
    console.log(`partition: noticed after ${noticedAfter} ms, healed after ${healedAfter} ms`);
  },
);

test(
  "a lost carrier takes interface and gateway down, a removed interface too, and a new one of the name brings them back",
  limit,
  async (t) => {
    const { holder, one, watchers } = await site(t);
    const [agent] = watchers;
    await watch(agent);
    await noticed(agent, allUp, 0);
    // p1 is the router's, p2 this node's.
    const ports = (await holder.run(t, "ip", ["-o", "link", "show", "master", "left"])).stdout;
    const port =
      [...ports.matchAll(/\d+: (p\d+)@/g)]
        .map((match) => match[1] ?? "")
        .sort()
        .at(-1) ?? "";
    let since = Date.now();
    holder.ip(`link set ${port} down`);
    const lost = {
      interface: "down interface.noCarrier",
      gateway4: "down gateway.linkDown",
      gateway6: "down gateway.linkDown",
    };
    const lostAfter = await noticed(agent, lost, since);
    since = Date.now();
    holder.ip(`link set ${port} up`);
    const backAfter = await noticed(agent, { interface: allUp.interface }, since);
    await noticed(agent, allUp, since);
    since = Date.now();
    one.ip("link del eth0");
    const missing = {
      interface: "down interface.missing",
      gateway4: "down interface.missing",
      gateway6: "down interface.missing",
    };
    const missingAfter = await noticed(agent, missing, since);
    plug(holder, "left", { machine: one, device: "eth0" });
    one.ip(...addressLines(host(11), "eth0"), "addr add fe80::11/64 dev eth0 nodad");
    await noticed(agent, allUp, Date.now());
    console.log(`carrier: lost ${lostAfter} ms, back ${backAfter} ms, interface removed ${missingAfter} ms`);
  },
);

test("watching costs little: an interface every 100 ms and two gateways five times a second", limit, async (t) => {
  const { watchers } = await site(t);
  const [agent] = watchers;
  await watch(agent);
  await noticed(agent, allUp, 0);
  type Usage = { readonly user: number; readonly system: number };
  const total = ({ user, system }: Usage) => user + system;
  const began = Date.now();
  const before = total(await agent.ask<Usage>("cpu"));
  await until("three seconds", async () => (Date.now() - began >= 3_000 ? true : undefined), { everyMs: 100 });
  const used = total(await agent.ask<Usage>("cpu")) - before;
  console.log(`CPU: ${(used / 10 / (Date.now() - began)).toFixed(2)}% of a core, the question of it included`);
});
