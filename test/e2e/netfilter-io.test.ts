// src/io's way to netfilter against this machine's kernel: a client, a balancer with named maps, three targets, each a
// network namespace. Maps change while clients connect, counters are read, a target's connections are deleted and nobody
// else's.

import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import type { Failure, Result } from "../../src/core/failure.ts";
import type { CounterValue } from "../../src/io/netfilter.ts";
import { addressAndPort, hostNumber } from "../../src/wire/netlink/registers.ts";
import type { LoadResult } from "./fixtures/net-client.ts";
import type { HexChange } from "./fixtures/netfilter-agent.ts";
import { fileScope } from "./http-kit.ts";
import { until } from "./kit.ts";
import {
  type Agent,
  echoTarget,
  type Layer4Topology,
  layer4Topology,
  machine,
  noMachines,
  noProgram,
  startAgent,
} from "./netns-kit.ts";

const skip = noMachines || noProgram("nft", "nftables") || noProgram("conntrack", "conntrack");
const port = 9000;
const slotCount = 30;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const slot = (number: number) => hex(hostNumber(number));
const place = (host: string) => hex(addressAndPort({ host, port }));

type Flipped = { readonly times: readonly number[]; readonly failure?: Failure };
type Counters = Result<readonly (readonly [string, CounterValue])[]>;

function value<T>(result: Result<T>): T {
  return result.ok ? result.value : assert.fail(`${result.failure.code}: ${result.failure.detail}`);
}

function failureOf(result: Result<unknown>): Failure {
  return result.ok ? assert.fail("a failure was expected") : result.failure;
}

/** Slots go round the hosts: 0, 1, 2, 0, 1, 2 and so on. */
function elements(hosts: readonly string[]): string {
  return Array.from({ length: slotCount }, (_, index) => `${index} : ${hosts[index % 3]} . ${port}`).join(", ");
}

function ruleset(net: Layer4Topology): string {
  const v4 = net.targetAddresses.map((address) => address.v4);
  const v6 = net.targetAddresses.map((address) => address.v6);
  const map = (name: string, family: string, protocol: string, hosts: readonly string[]) =>
    `map ${name} { typeof numgen inc mod ${slotCount} : ${family} daddr . ${protocol} dport; elements = { ${elements(hosts)} } }`;
  const rule = (family: string, address: string, protocol: string, name: string) =>
    `${family} daddr ${address} ${protocol} dport 80 dnat ${family} to numgen inc mod ${slotCount} map @${name}`;
  const counts = net.targetAddresses.flatMap((address, index) => [
    `ip daddr ${address.v4} udp dport ${port} counter name udp4_${index + 1}`,
    `ip6 daddr ${address.v6} udp dport ${port} counter name udp6_${index + 1}`,
    `ip daddr ${address.v4} ct state new ct mark set ${index + 1}`,
    `ip6 daddr ${address.v6} ct state new ct mark set ${index + 1}`,
  ]);
  const names = [1, 2, 3].flatMap((index) => [`udp4_${index}`, `udp6_${index}`]);
  return `table inet trial {
    ${names.map((name) => `counter ${name} { }`).join("\n")}
    ${map("tcp4", "ip", "tcp", v4)}
    ${map("tcp6", "ip6", "tcp", v6)}
    ${map("udp4", "ip", "udp", v4)}
    ${map("udp6", "ip6", "udp", v6)}
    chain choose {
      type nat hook prerouting priority dstnat; policy accept;
      ${rule("ip", net.virtualAddress.v4, "tcp", "tcp4")}
      ${rule("ip6", net.virtualAddress.v6, "tcp", "tcp6")}
      ${rule("ip", net.virtualAddress.v4, "udp", "udp4")}
      ${rule("ip6", net.virtualAddress.v6, "udp", "udp6")}
      ip daddr ${net.virtualAddress.v4} udp dport 20000-29999 dnat ip to numgen inc mod ${slotCount} map @udp4
      ip6 daddr ${net.virtualAddress.v6} udp dport 20000-29999 dnat ip6 to numgen inc mod ${slotCount} map @udp6
    }
    chain count {
      type filter hook forward priority filter; policy accept;
      ${counts.join("\n")}
    }
  }
`;
}

/** The slots of the first target given to the second, and given back. */
function flips(map: string, first: string, second: string): readonly [away: HexChange, back: HexChange] {
  const slots = Array.from({ length: slotCount / 3 }, (_, index) => slot(index * 3));
  const given = (host: string): HexChange => ({
    map,
    remove: slots,
    add: slots.map((key) => ({ key, data: place(host) })),
  });
  return [given(second), given(first)];
}

suite("netfilter from inside", { skip }, () => {
  const scope = fileScope();
  let net: Layer4Topology;
  let client: Agent;
  let netfilter: Agent;

  const conntrack = (...args: string[]) => net.balancers[0].run(scope, "conntrack", args);
  const change = (changes: readonly HexChange[], table = "trial") =>
    netfilter.ask<Result<true>>("change", { table, changes });
  const counters = async (table = "trial") => new Map(value(await netfilter.ask<Counters>("counters", { table })));
  const list = async (table: string) => value(await netfilter.ask<Result<string>>("list", { table }));
  const connections = (question: "countConnections" | "deleteConnections", filter: object) =>
    netfilter.ask<Result<number>>(question, filter).then(value);

  /** Every tracked connection as `tcp 10.45.1.2 1234 10.45.1.100 80 > 10.45.2.21`: who, whom, and who answers. */
  const tracked = async (): Promise<string[]> => {
    const families = await Promise.all(["ipv4", "ipv6"].map((family) => conntrack("-L", "-f", family)));
    return families
      .flatMap(({ stdout }) => stdout.split("\n"))
      .flatMap((line) => {
        const at = /^(\w+) .*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) /.exec(line);
        return at === null ? [] : [`${at[1]} ${at[2]} ${at[4]} ${at[3]} ${at[5]} > ${at[6]}`];
      })
      .filter((line) => line.includes(" 80 > ") || line.includes(` ${port} > `))
      .toSorted();
  };

  before(async () => {
    net = layer4Topology(scope);
    await Promise.all(net.targets.map((target) => echoTarget(scope, target, port)));
    client = await startAgent(scope, net.client, "net-client.ts");
    netfilter = await startAgent(scope, net.balancers[0], "netfilter-agent.ts");
    value(
      await netfilter.ask<Result<true>>("apply", {
        text: "table inet stranger { set seen { type ipv4_addr; elements = { 192.0.2.1 } }\nchain c { tcp dport 1 drop\n}\n}\n",
      }),
    );
    value(await netfilter.ask<Result<true>>("apply", { text: ruleset(net) }));
  });

  for (const family of ["v4", "v6"] as const) {
    test(`slots change again and again under load and no connection is lost, ${family}`, async (t) => {
      const [first, second] = net.targetAddresses;
      const sets = flips(family === "v4" ? "tcp4" : "tcp6", first[family], second[family]).map((each) => [each]);
      await client.ask("startLoad", { host: net.virtualAddress[family], port: 80, parallel: 8 });
      const { times, failure } = await netfilter.ask<Flipped>("changeAgain", { table: "trial", sets, forMs: 1_500 });
      await until("connections under load", async () => (await client.ask<number>("loadCount")) > 500);
      const { connections: made, byName, errors } = await client.ask<LoadResult>("stopLoad");
      assert.equal(failure, undefined);
      t.diagnostic(`${made} connections, ${times.length} changes of ${slotCount / 3} slots`);
      assert.deepEqual(errors, []);
      assert.deepEqual(Object.keys(byName).toSorted(), ["target1", "target2", "target3"]);
    });
  }

  test("slots that were given away get nobody any more, and all of it was one transaction", async () => {
    const [away, back] = flips("tcp4", net.targetAddresses[0].v4, net.targetAddresses[1].v4);
    value(await change([away]));
    const names = new Set<string>();
    for (let index = 0; index < slotCount; index++) {
      names.add(await client.ask("open", { id: "c", host: net.virtualAddress.v4, port: 80 }));
      await client.ask("close", { id: "c" });
    }
    assert.deepEqual([...names].toSorted(), ["target2", "target3"]);
    value(await change([back]));
  });

  test("a transaction of which one element is wrong changes nothing", async () => {
    const before = await list("trial");
    const [away] = flips("tcp4", net.targetAddresses[0].v4, net.targetAddresses[1].v4);
    const missing = failureOf(await change([away, { map: "udp6", remove: [slot(77)], add: [] }]));
    assert.equal(missing.code, "netfilter.notFound");
    assert.match(missing.detail, /map `udp6`, element 4d000000/);
    const taken = failureOf(
      await change([away, { map: "udp4", remove: [], add: [{ key: slot(0), data: place("10.45.2.99") }] }]),
    );
    assert.equal(taken.code, "netfilter.conflict");
    assert.equal(
      failureOf(await change([away, { map: "none", remove: [slot(0)], add: [] }])).code,
      "netfilter.notFound",
    );
    assert.equal(failureOf(await change([away], "nobody")).code, "netfilter.notFound");
    assert.equal(await list("trial"), before);
  });

  test("an element that is there with the same data may be added again", async () => {
    const same = { key: slot(0), data: place(net.targetAddresses[0].v4) };
    value(await change([{ map: "udp4", remove: [], add: [same] }]));
  });

  test("counters say what was sent, packets and bytes", async () => {
    const before = await counters();
    const headers = { v4: 28, v6: 48 };
    for (const family of ["v4", "v6"] as const) {
      for (let index = 0; index < 12; index++) {
        const host = net.virtualAddress[family];
        await client.ask("datagram", { id: `counted ${family} ${index % 3}`, host, port: 80, text: "x".repeat(10) });
      }
      const name = family === "v4" ? "udp4" : "udp6";
      const now = await counters();
      const more = [1, 2, 3].map((index) => {
        const [one, other] = [now.get(`${name}_${index}`), before.get(`${name}_${index}`)];
        assert.ok(one !== undefined && other !== undefined);
        return { packets: one.packets - other.packets, bytes: one.bytes - other.bytes };
      });
      // Three flows of four datagrams each, one flow a target.
      const each = { packets: 4, bytes: 4 * (headers[family] + 10) };
      assert.deepEqual(more, [each, each, each]);
    }
    assert.deepEqual([...(await counters("stranger"))], []);
    assert.deepEqual([...(await counters("nobody"))], []);
  });

  for (const family of ["v4", "v6"] as const) {
    for (const protocol of ["tcp", "udp"] as const) {
      test(`a target's connections are counted and deleted, nobody else's: ${protocol}, ${family}`, async () => {
        await conntrack("-F");
        const host = net.virtualAddress[family];
        for (let index = 0; index < 6; index++) {
          for (const name of ["v4", "v6"] as const) {
            const to = { host: net.virtualAddress[name], port: 80 };
            await client.ask("open", { id: `${protocol} ${family} ${name} ${index}`, ...to });
            await client.ask("datagram", { id: `${protocol} ${family} ${name} ${index}`, text: "x", ...to });
          }
        }
        const target = { host: net.targetAddresses[0][family], port };
        const direct = `direct ${protocol} ${family}`;
        // Past the balancer's maps: routed, not translated.
        await client.ask("open", { id: direct, ...target });
        await client.ask("datagram", { id: direct, text: "x", ...target });
        const filter = { protocol, target };
        assert.equal(await connections("countConnections", filter), 2);
        assert.equal(await connections("countConnections", { ...filter, mark: 1 }), 2);
        assert.equal(await connections("deleteConnections", { ...filter, mark: 2 }), 0);
        assert.equal(await connections("deleteConnections", { ...filter, target: { ...target, port: 80 } }), 0);
        const all = await tracked();
        assert.equal(all.length, 26);
        assert.equal(await connections("deleteConnections", filter), 2);
        const theirs = (line: string) =>
          line.startsWith(`${protocol} `) && line.includes(` ${host} `) && line.endsWith(`> ${target.host}`);
        assert.deepEqual(
          await tracked(),
          all.filter((line) => !theirs(line)),
        );
        assert.equal(await connections("countConnections", filter), 0);
        assert.equal(await connections("deleteConnections", filter), 0);
        assert.equal(await client.ask("say", { id: direct, line: "still" }), "target1 still");
      });
    }
  }

  test("a flow sticks to its target until its entry is deleted, and then moves at once", async (t) => {
    const [first, second] = net.targetAddresses;
    const flow = { id: "sticky", host: net.virtualAddress.v4, port: 80, text: "x" };
    const say = () => client.ask<string>("datagram", flow);
    const name = (await say()).split(" ")[0];
    const from = net.targets.findIndex((target) => target.name === name);
    const target = { host: net.targetAddresses[from]?.v4 ?? "", port };
    const elsewhere = from === 0 ? second.v4 : first.v4;
    const slots = Array.from({ length: slotCount }, (_, index) => slot(index));
    const given = (host: string) => ({
      map: "udp4",
      remove: slots,
      add: slots.map((key) => ({ key, data: place(host) })),
    });
    value(await change([given(elsewhere)]));
    t.after(async () => {
      await netfilter.ask("apply", { text: `delete table inet trial\n${ruleset(net)}` });
    });
    assert.equal(await say(), `${name} x`);
    assert.equal((await connections("deleteConnections", { protocol: "udp", target, mark: from + 1 })) > 0, true);
    assert.equal(await say(), `${from === 0 ? "target2" : "target1"} x`);
  });

  test("a connection that has ended is no longer counted, and is deleted all the same", async () => {
    await conntrack("-F");
    for (const id of ["a", "b", "c"]) {
      await client.ask("open", { id, host: net.virtualAddress.v4, port: 80 });
      await client.ask("close", { id });
    }
    const filter = { protocol: "tcp", target: { host: net.targetAddresses[0].v4, port } };
    await until("the connection's end", async () => (await connections("countConnections", filter)) === 0);
    assert.equal(await connections("deleteConnections", filter), 1);
  });

  for (const family of ["v4", "v6"] as const) {
    test(`a third of 10,000 flows is deleted, the others stay, ${family}`, async (t) => {
      await conntrack("-F");
      await client.ask("spray", { host: net.virtualAddress[family], first: 20_000, last: 29_999 });
      const filters = net.targetAddresses.map((address) => ({
        protocol: "udp",
        target: { host: address[family], port },
      }));
      const count = () => Promise.all(filters.map((filter) => connections("countConnections", filter)));
      const before = await count();
      const many = Array.from(
        { length: 1_000 },
        (_, index) => filters[index] ?? { ...filters[0], target: { host: filters[0]?.target.host, port: index } },
      );
      const each = await netfilter.ask<{ ms: number; counted: Result<number[]> }>("countEach", many);
      t.diagnostic(`1,000 targets counted in one look of ${each.ms.toFixed(1)} ms`);
      assert.deepEqual(value(each.counted).slice(0, 3), before);
      const { ms, deleted } = await netfilter.ask<{ ms: number; deleted: Result<number> }>("deletionMs", filters[0]);
      t.diagnostic(`${before.join(" + ")} flows: ${value(deleted)} deleted in ${ms.toFixed(1)} ms`);
      assert.equal(
        before.reduce((sum, each) => sum + each, 0),
        10_000,
      );
      assert.equal(value(deleted), before[0]);
      assert.deepEqual(await count(), [0, before[1], before[2]]);
    });
  }

  test("every slot of a map of 65,537 changes in one transaction", async (t) => {
    const text = "table inet wide { map m { typeof numgen inc mod 65537 : ip daddr . tcp dport; }\n}\n";
    value(await netfilter.ask<Result<true>>("apply", { text }));
    const keys = Array.from({ length: 65_537 }, (_, index) => slot(index));
    const all = (host: string) => keys.map((key) => ({ key, data: place(host) }));
    value(await change([{ map: "m", remove: [], add: all("10.0.0.1") }], "wide"));
    value(await change([{ map: "m", remove: keys, add: all("10.0.0.2") }], "wide"));
    const listed = await list("wide");
    assert.equal(listed.split("10.0.0.2 . 9000").length - 1, 65_537);
    assert.ok(!listed.includes("10.0.0.1 "));
    value(await netfilter.ask<Result<true>>("apply", { text: "delete table inet wide\n" }));
    t.diagnostic("2 x 65,537 elements in one transaction");
  });

  test("a flip of one of 1,000 targets among 4,099 slots is measured", async (t) => {
    const hosts = (index: number) => `10.9.${index >> 8}.${index & 255}`;
    const initial = Array.from({ length: 4_099 }, (_, index) => `${index} : ${hosts(index % 1000)} . ${port}`);
    const text = `table inet maglev { map m { typeof numgen inc mod 4099 : ip daddr . tcp dport; elements = { ${initial.join(", ")} } }\n}\n`;
    value(await netfilter.ask<Result<true>>("apply", { text }));
    // Its own 5 slots and as many that Maglev moves besides.
    const few = Array.from({ length: 10 }, (_, index) => slot(index * 400));
    const every = Array.from({ length: 4_099 }, (_, index) => slot(index));
    for (const [what, keys] of [
      ["a flip of 10 slots", few],
      ["all 4,099 slots", every],
    ] as const) {
      const given = (host: string) => [
        { map: "m", remove: keys, add: keys.map((key) => ({ key, data: place(host) })) },
      ];
      const sets = [given("10.8.0.1"), given("10.8.0.2")];
      const { times, failure } = await netfilter.ask<Flipped>("changeAgain", { table: "maglev", sets, forMs: 500 });
      assert.equal(failure, undefined);
      const sorted = times.toSorted((a, b) => a - b);
      const at = (part: number) => sorted[Math.floor(sorted.length * part)]?.toFixed(2);
      t.diagnostic(`${what}: median ${at(0.5)} ms, p95 ${at(0.95)} ms of ${times.length}`);
    }
    value(await netfilter.ask<Result<true>>("apply", { text: "delete table inet maglev\n" }));
  });

  test("rules that are not ours stay as they were, and a table that is gone is not there", async () => {
    const stranger = await list("stranger");
    assert.match(stranger, /192\.0\.2\.1[\s\S]*tcp dport 1 drop/);
    const before = await list("trial");
    assert.equal((await netfilter.ask<Result<true>>("check", { text: "delete table inet trial\n" })).ok, true);
    assert.equal(await list("trial"), before);
    value(await netfilter.ask<Result<true>>("apply", { text: "delete table inet trial\n" }));
    assert.equal((await netfilter.ask<{ ok: boolean; value?: string }>("list", { table: "trial" })).value, undefined);
    assert.equal(await list("stranger"), stranger);
    value(await netfilter.ask<Result<true>>("apply", { text: ruleset(net) }));
  });

  test("rules that nft refuses are refused whole, with nft's words", async () => {
    const text = "table inet half { }\ntable inet other { chain c { bogus\n}\n}\n";
    const refused = failureOf(await netfilter.ask<Result<true>>("apply", { text }));
    assert.equal(refused.code, "nft.refused");
    assert.match(refused.detail, /bogus/);
    assert.equal((await netfilter.ask<{ value?: string }>("list", { table: "half" })).value, undefined);
  });

  test("the machine's capabilities are read, and asking leaves nothing", async () => {
    const read = await netfilter.ask<{
      netAdmin: boolean;
      nft: Result<string>;
      obstacles: Failure[];
      sysctls: { ipv4Forwarding: number; conntrackMax: number; reversePathFilter: [string, number][] };
    }>("capabilities");
    assert.deepEqual([read.netAdmin, read.obstacles], [true, []]);
    assert.match(value(read.nft), /^\d+\.\d+/);
    assert.equal(read.sysctls.ipv4Forwarding, 1);
    assert.ok(read.sysctls.conntrackMax > 0);
    assert.deepEqual(new Map(read.sysctls.reversePathFilter).get("front"), 0);
    const tables = (await net.balancers[0].run(scope, "nft", ["list", "tables"])).stdout;
    assert.deepEqual(tables.trim().split("\n").toSorted(), ["table inet stranger", "table inet trial"]);
  });
});

test("without the right every question is denied, and says what to do", { skip }, async (t) => {
  const at = machine(t, "denied");
  const agent = await startAgent(t, at, "netfilter-agent.ts", {
    under: ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
  });
  const denied = failureOf(await agent.ask<Result<true>>("open"));
  assert.equal(denied.code, "netfilter.denied");
  assert.match(denied.detail, /CAP_NET_ADMIN/);
  assert.equal(failureOf(await agent.ask<Result<true>>("apply", { text: "table inet x { }\n" })).code, "nft.denied");
  const read = await agent.ask<{ netAdmin: boolean; obstacles: Failure[] }>("capabilities");
  assert.deepEqual([read.netAdmin, read.obstacles.map(({ code }) => code)], [false, ["kernel.netAdmin"]]);
});
