// The edges of VRRP between two machines: packets both ways in both families, announcements, addresses that end by
// themselves, the monitor, the guardian after kill -9 and the gate after SIGSTOP. Prints the figures it measures.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gateRuleset } from "../../src/io/gate-rules.ts";
import { capability, parseCapabilities } from "../../src/io/privileges.ts";
import { decodeArp, encodeArpRequest, encodeGratuitousArp } from "../../src/wire/arp.ts";
import { allNodes, encodeUnsolicitedAdvertisement } from "../../src/wire/neighbour.ts";
import { linkFlag } from "../../src/wire/netlink/route.ts";
import { type Advertisement, vrrpGroup } from "../../src/wire/vrrp/advertisement.ts";
import { type DecodedAdvertisement, decodeIpv4Packet, decodeIpv6Payload } from "../../src/wire/vrrp/decode.ts";
import { encodeAdvertisement } from "../../src/wire/vrrp/encode.ts";
import { isAlive, pause, root, startProgram, temporaryDirectory, until } from "./kit.ts";
import { type Agent, cable, type Machine, machine, noMachines, noProgram, startAgent } from "./netns-kit.ts";

const limit = { timeout: 90_000, skip: noMachines };
const needsNft = { timeout: 90_000, skip: noMachines || noProgram("nft", "nftables") };

type Site = { readonly one: Machine; readonly other: Machine; readonly a: Agent; readonly b: Agent };

/** Two machines on a cable: 10.46.0.1 and .2, fd46::1 and ::2, link-local fe80::1 and ::2. */
async function site(t: TestContext): Promise<Site> {
  const one = machine(t, "one");
  const other = machine(t, "other");
  cable({ machine: one, device: "eth0" }, { machine: other, device: "eth0" });
  for (const [at, host] of [
    [one, 1],
    [other, 2],
  ] as const) {
    at.ip(
      `addr add 10.46.0.${host}/24 dev eth0`,
      `addr add fd46::${host}/64 dev eth0 nodad`,
      `addr add fe80::${host}/64 dev eth0 nodad`,
    );
  }
  const [a, b] = await Promise.all([startAgent(t, one, "vrrp-io-agent.ts"), startAgent(t, other, "vrrp-io-agent.ts")]);
  return { one, other, a, b };
}

type Heard = {
  readonly family: 4 | 6;
  readonly bytes: string;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly trafficClass: number;
};

async function hear(agent: Agent, name: string): Promise<Heard> {
  return until(`a packet on ${name}`, async () => (await agent.ask<Heard | null>("receive", name)) ?? undefined, {
    everyMs: 2,
  });
}

const decodeOptions = { ttlMin: 255, checksumForm: "pseudoHeader" } as const;

function decode(heard: Heard): Extract<DecodedAdvertisement, { ok: true }>["value"] {
  const bytes = Buffer.from(heard.bytes, "hex");
  const decoded =
    heard.family === 4 ? decodeIpv4Packet(bytes, decodeOptions) : decodeIpv6Payload(bytes, heard, decodeOptions);
  assert.ok(decoded.ok, `decoded: ${JSON.stringify(decoded)}`);
  return decoded.value;
}

function advertisement(family: 4 | 6, between: { source: string; destination: string }, priority = 100): string {
  const addresses = family === 4 ? ["10.46.0.100"] : ["fe80::100", "fd46::100"];
  const said: Advertisement = { version: 3, family, vrid: 51, priority, interval: 100, password: undefined, addresses };
  return Buffer.from(encodeAdvertisement(said, between)).toString("hex");
}

function spread(values: readonly number[], digits = 1): string {
  const sorted = [...values].sort((x, y) => x - y);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(digits);
  return `median ${at(0.5)}, range ${at(0)} to ${at(1)}`;
}

test(
  "advertisements by multicast arrive with TTL 255, their class and the source that was chosen",
  limit,
  async (t) => {
    const { a, b, one } = await site(t);
    // Addresses that the kernel would choose as well must not become the source.
    one.ip("addr add 10.46.0.9/24 dev eth0", "addr add fe80::9/64 dev eth0 nodad");
    for (const [family, source, from] of [
      [4, "10.46.0.1", "10.46.0.2"],
      [6, "fe80::1", "fe80::2"],
    ] as const) {
      const name = `v${family}`;
      const options = { name, device: "eth0", family, peers: "multicast" } as const;
      assert.equal(await a.ask("open", { ...options, source }), "opened");
      assert.equal(await b.ask("open", { ...options, source: from }), "opened");
      const destination = vrrpGroup[family];
      const hex = advertisement(family, { source, destination });
      const sent = await a.ask<{ ms: number }>("send", { name, to: destination, hex });
      const packet = await hear(b, name);
      const heard = decode(packet);
      assert.equal(heard.ttl, 255);
      assert.equal(family === 4 ? Buffer.from(packet.bytes, "hex")[1] : packet.trafficClass, 0xc0);
      assert.deepEqual(heard.oddities, []);
      assert.equal(heard.source, source);
      assert.equal(heard.destination, destination);
      assert.equal(heard.advertisement.priority, 100);
      t.diagnostic(`IPv${family} first send ${sent.ms.toFixed(3)} ms`);
      // The sender's own packet comes not back to it.
      assert.equal(await a.ask("receive", name), null);
      assert.deepEqual(await b.ask("counters", name), { received: 1, sent: 0, tooLong: 0, overflowed: 0 });
    }
  },
);

test("advertisements to a peer reach its unicast socket, which hears no group", limit, async (t) => {
  const { a, b } = await site(t);
  for (const [family, source, peer] of [
    [4, "10.46.0.1", "10.46.0.2"],
    [6, "fd46::1", "fd46::2"],
  ] as const) {
    const name = `v${family}`;
    const options = { name, device: "eth0", family, peers: "unicast" } as const;
    assert.equal(await a.ask("open", { ...options, source }), "opened");
    assert.equal(await b.ask("open", { ...options, source: peer }), "opened");
    const group = vrrpGroup[family];
    await a.ask("send", { name, to: group, hex: advertisement(family, { source, destination: group }, 1) });
    await a.ask("send", { name, to: peer, hex: advertisement(family, { source, destination: peer }, 2) });
    const heard = decode(await hear(b, name));
    assert.equal(heard.ttl, 255);
    assert.equal(heard.source, source);
    assert.equal(heard.advertisement.priority, 2);
  }
});

const needsTshark = { timeout: 90_000, skip: noMachines || noProgram("tshark", "tshark") };

test("tshark finds nothing to complain about in what leaves the sockets", needsTshark, async (t) => {
  const { a, other } = await site(t);
  const fields = ["ip.ttl", "ip.dsfield", "ipv6.hlim", "ipv6.tclass", "vrrp.virt_rtr_id", "vrrp.prio"];
  const args = [
    "-l",
    "-i",
    "eth0",
    "-f",
    "proto 112 or ip6 proto 112",
    "-o",
    "vrrp.v3_checksum_as_in_v2:FALSE",
    "-T",
    "fields",
  ];
  const complaints = ["_ws.malformed", "_ws.expert.message"];
  const shown = [...fields, ...complaints].flatMap((field) => ["-e", field]);
  const capture = other.start(t, "tshark", [...args, ...shown]);
  await until("tshark", () => capture.stderr().includes("Capturing on"), { onTimeout: capture.stderr });
  for (const [family, source] of [
    [4, "10.46.0.1"],
    [6, "fe80::1"],
  ] as const) {
    const name = `v${family}`;
    assert.equal(await a.ask("open", { name, device: "eth0", family, source, peers: "multicast" }), "opened");
  }
  // It says that it captures a little before it does.
  const lines = await until("both packets", async () => {
    for (const [family, source] of [
      [4, "10.46.0.1"],
      [6, "fe80::1"],
    ] as const) {
      const destination = vrrpGroup[family];
      await a.ask("send", { name: `v${family}`, to: destination, hex: advertisement(family, { source, destination }) });
    }
    await pause(100);
    const seen = [...new Set(capture.stdout().split("\n").slice(0, -1))];
    return seen.length >= 2 && seen;
  });
  assert.deepEqual(lines.sort(), ["\t\t255\t0x000000c0\t51\t100\t\t", "255\t0xc0\t\t\t51\t100\t\t"].sort());
});

test("what cannot be opened or sent says why", limit, async (t) => {
  const { a, one } = await site(t);
  const code = async (command: string, argument: unknown) => (await a.ask<{ code?: string }>(command, argument)).code;
  assert.equal(await code("openMissing", "eth7"), "vrrp.socket.interfaceMissing");
  assert.equal(await code("link", "eth7"), "interface.missing");
  const options = { name: "v4", device: "eth0", family: 4 } as const;
  assert.equal(await code("open", { ...options, source: "10.46.0.77", peers: "unicast" }), "vrrp.socket.sourceMissing");
  assert.equal(await a.ask("open", { ...options, source: "10.46.0.1", peers: "multicast" }), "opened");
  one.ip("link set eth0 down");
  const down = await a.ask<{ code: string }>("send", { name: "v4", to: vrrpGroup[4], hex: "00" });
  assert.match(down.code, /^vrrp\.socket\.(linkDown|noRoute|sourceMissing)$/);
  const denied = await one.run(t, "setpriv", [
    "--bounding-set=-net_raw",
    "--inh-caps=-net_raw",
    process.execPath,
    "-e",
    `import(${JSON.stringify(join(root, "src/io/vrrp-socket.ts"))}).then(async ({ openVrrpSocket }) => {
      const { messageRooms } = await import(${JSON.stringify(join(root, "src/io/raw-socket.ts"))});
      const where = { name: "eth0", index: 1 };
      const opened = openVrrpSocket({ family: 4, interface: where, source: "10.46.0.1", peers: "multicast" }, messageRooms());
      console.log(JSON.stringify(opened.failure));
    })`,
  ]);
  const said = JSON.parse(denied.stdout);
  assert.equal(said.code, "vrrp.socket.denied");
  assert.match(said.detail, /CAP_NET_RAW/);
});

test("announcements change what a neighbour believes, in both families", limit, async (t) => {
  const { a, b, other } = await site(t);
  const { mac } = await a.ask<{ mac: string }>("link", "eth0");
  const believed = async (address: string) => {
    const shown = await other.run(t, "ip", ["neigh", "show", address, "dev", "eth0"]);
    return /lladdr (\S+)/.exec(shown.stdout)?.[1];
  };
  for (const address of ["10.46.0.100", "fd46::100"]) {
    other.ip(`neigh replace ${address} lladdr 02:00:00:00:00:99 dev eth0 nud stale`);
    assert.equal(await believed(address), "02:00:00:00:00:99");
  }
  assert.equal(await a.ask("openArp", { name: "arp", device: "eth0", listenTo: [] }), "opened");
  const gratuitous = Buffer.from(encodeGratuitousArp({ mac, address: "10.46.0.100" })).toString("hex");
  const took: number[] = [];
  for (let count = 0; count < 50; count++) {
    took.push((await a.ask<{ ms: number }>("sendArp", { name: "arp", hex: gratuitous })).ms * 1000);
  }
  t.diagnostic(`gratuitous ARP, us: ${spread(took)}`);
  await until("the announcement over IPv4", async () => (await believed("10.46.0.100")) === mac);
  assert.equal(await a.ask("openNeighbour", { name: "nd", device: "eth0", source: "fe80::1" }), "opened");
  assert.equal(await b.ask("openNeighbour", { name: "nd", device: "eth0", source: "fe80::2" }), "opened");
  const said = { mac, address: "fd46::100", source: "fe80::1", router: false };
  const unsolicited = Buffer.from(encodeUnsolicitedAdvertisement(said)).toString("hex");
  await a.ask("send", { name: "nd", to: allNodes, hex: unsolicited });
  await until("the announcement over IPv6", async () => (await believed("fd46::100")) === mac);
  const heard = await hear(b, "nd");
  assert.equal(heard.hopLimit, 255);
  assert.equal(heard.bytes, unsolicited);
});

test("a question to the gateway is answered, and nobody else is heard", limit, async (t) => {
  const { a, b } = await site(t);
  const [own, far] = await Promise.all([a, b].map((each) => each.ask<{ mac: string }>("link", "eth0")));
  assert.ok(own !== undefined && far !== undefined);
  await a.ask("openArp", { name: "arp", device: "eth0", listenTo: ["10.46.0.254", "10.46.0.2"] });
  await b.ask("openArp", { name: "arp", device: "eth0", listenTo: [] });
  const stranger = encodeGratuitousArp({ mac: far.mac, address: "10.46.0.50" });
  await b.ask("sendArp", { name: "arp", hex: Buffer.from(stranger).toString("hex") });
  const question = encodeArpRequest({ mac: own.mac, senderAddress: "10.46.0.1", targetAddress: "10.46.0.2" });
  await a.ask("sendArp", { name: "arp", hex: Buffer.from(question).toString("hex") });
  const frame = await until("the answer", async () => (await a.ask<string | null>("receiveArp", "arp")) ?? undefined);
  const answer = decodeArp(Buffer.from(frame, "hex"));
  assert.ok(answer.ok);
  assert.equal(answer.value.operation, "reply");
  assert.equal(answer.value.senderAddress, "10.46.0.2");
  assert.equal(answer.value.senderMac, far.mac);
});

type Entry = { readonly address: string; readonly flags: number; readonly preferredSeconds?: number };

function present(entries: readonly Entry[], address: string): Entry | undefined {
  return entries.find((entry) => entry.address === address);
}

test("an address whose lifetime is not renewed goes by itself, with no process alive", limit, async (t) => {
  const { one, a, b } = await site(t);
  const claims: number[] = [];
  for (const [address, prefixLength] of [
    ["10.46.0.100", 32],
    ["fd46::100", 128],
  ] as const) {
    for (const validSeconds of [1, 2]) {
      const what = { address, prefixLength, device: "eth0", validSeconds };
      const claimed = await a.ask<{ ms: number; marked: boolean }>("claim", what);
      claims.push(claimed.ms);
      const began = performance.now();
      // Not even read by anybody: the kernel's own work.
      const gone = await until(`the end of ${address}`, async () => {
        const at = performance.now();
        const shown = await one.run(t, "ip", ["-o", "addr", "show", "dev", "eth0"]);
        return shown.stdout.includes(`${address}/`) ? undefined : at - began;
      });
      t.diagnostic(`${address} valid ${validSeconds} s: gone ${gone.toFixed(0)} ms after its claim`);
      assert.ok(gone > validSeconds * 1000 - 50, `not before its time: ${gone}`);
      const released = await a.ask<{ what: string }>("release", address);
      assert.equal(released.what, "gone");
    }
  }
  t.diagnostic(`claim with its two questions, ms: ${spread(claims, 3)}`);
  // One that is renewed stays, and over IPv6 is never chosen as a source.
  await a.ask("claim", { address: "fd46::100", prefixLength: 128, device: "eth0", validSeconds: 1 });
  for (let count = 0; count < 8; count++) {
    await pause(300);
    assert.equal((await a.ask<{ what: string }>("renew", { address: "fd46::100", validSeconds: 1 })).what, "renewed");
  }
  const entries = await a.ask<readonly Entry[]>("addresses");
  assert.equal(present(entries, "fd46::100")?.preferredSeconds, 0);
  assert.equal((await a.ask<{ what: string }>("release", "fd46::100")).what, "removed");
  assert.equal(present(await b.ask<readonly Entry[]>("addresses"), "fd46::100"), undefined);
});

test("an address of the operator's is never taken, changed or removed", limit, async (t) => {
  const { one, a } = await site(t);
  const claim = (address: string, prefixLength = 32) =>
    a.ask<{ code?: string; marked?: boolean }>("claim", { address, prefixLength, device: "eth0", validSeconds: 60 });
  // There before us: under the same and under another prefix length, and on another interface.
  one.ip("addr add 10.46.0.70/32 dev eth0", "addr add 10.46.0.71/32 dev lo");
  for (const address of ["10.46.0.1", "10.46.0.70", "10.46.0.71"]) {
    assert.equal((await claim(address)).code, "address.foreign", address);
  }
  // Removed behind our back and put there anew by somebody else.
  assert.equal((await claim("10.46.0.100")).marked, true);
  one.ip("addr del 10.46.0.100/32 dev eth0");
  assert.equal((await a.ask<{ what: string }>("renew", { address: "10.46.0.100", validSeconds: 60 })).what, "gone");
  one.ip("addr add 10.46.0.100/32 dev eth0");
  const renewed = await a.ask<{ code: string }>("renew", { address: "10.46.0.100", validSeconds: 60 });
  assert.equal(renewed.code, "address.foreign");
  assert.equal((await a.ask<{ what: string }>("release", "10.46.0.100")).what, "gone");
  const shown = await one.run(t, "ip", ["-o", "addr", "show", "dev", "eth0"]);
  for (const line of ["10.46.0.70/32", "10.46.0.100/32"])
    assert.match(shown.stdout, new RegExp(`${line}.*valid_lft forever`));
});

test("removing the first address of a subnet takes no other with it", limit, async (t) => {
  const { one, a } = await site(t);
  one.sysctl({ "net.ipv4.conf.all.promote_secondaries": 0, "net.ipv4.conf.eth0.promote_secondaries": 0 });
  await a.ask("claim", { address: "10.47.0.100", prefixLength: 24, device: "eth0", validSeconds: 60 });
  one.ip("addr add 10.47.0.5/24 dev eth0");
  assert.equal((await a.ask<{ what: string }>("release", "10.47.0.100")).what, "removed");
  assert.ok(present(await a.ask<readonly Entry[]>("addresses"), "10.47.0.5") !== undefined);
});

test("what a former run left is known by its mark and removed", limit, async (t) => {
  const { one, a } = await site(t);
  await a.ask("claim", { address: "10.46.0.100", prefixLength: 32, device: "eth0" });
  const next = await startAgent(t, one, "vrrp-io-agent.ts");
  assert.deepEqual(await next.ask("removeLeftovers"), ["10.46.0.100"]);
  assert.equal(present(await next.ask<readonly Entry[]>("addresses"), "10.46.0.100"), undefined);
});

type News = { readonly kind: string; readonly entry?: Entry; readonly link?: { name: string; flags: number } };

test("the monitor tells of a removed address, of a cut link and of its return", limit, async (t) => {
  const { one, other, a } = await site(t);
  await a.ask("claim", { address: "10.46.0.100", prefixLength: 32, device: "eth0", validSeconds: 60 });
  await a.ask("news");
  const told = async (what: string, judge: (news: News) => boolean) => {
    const began = performance.now();
    await until(what, async () => (await a.ask<readonly News[]>("news")).some(judge), { everyMs: 1 });
    return performance.now() - began;
  };
  one.ip("addr del 10.46.0.100/32 dev eth0");
  const removal = await told(
    "the removal",
    (news) => news.kind === "addressRemoved" && news.entry?.address === "10.46.0.100",
  );
  other.ip("link set eth0 down");
  // The kernel itself tells of a lost carrier up to a second late (net/core/link_watch.c); asked, it says so at once.
  assert.equal((await a.ask<{ flags: number }>("link", "eth0")).flags & linkFlag.lowerUp, 0);
  const carrier = (news: News) => news.kind === "link" && ((news.link?.flags ?? 0) & linkFlag.lowerUp) !== 0;
  const cut = await told("the cut", (news) => news.kind === "link" && !carrier(news));
  other.ip("link set eth0 up");
  await told("the link", carrier);
  t.diagnostic(`told after at most: removal ${removal.toFixed(1)} ms, cut ${cut.toFixed(1)} ms (asked over a socket)`);
});

type Held = {
  readonly capabilities: readonly number[];
  readonly noNewPrivileges: boolean;
  readonly realtime: boolean;
  readonly guardian: number;
};

const holderPath = join(root, "test/e2e/fixtures/vrrp-io-holder.ts");

/** A process that holds 10.46.0.100 on the first machine, its guardian ready. */
async function holder(
  t: TestContext,
  at: Machine,
  times: { readonly interval: number; readonly validSeconds: number },
) {
  const endPath = join(temporaryDirectory(t), "end");
  const values = ["eth0", "10.46.0.1", "10.46.0.100", `${times.interval}`, `${times.validSeconds}`, endPath];
  const program = at.start(t, process.execPath, [holderPath, ...values]);
  const held = await until<Held>(
    "the holder",
    () => {
      const [first] = program.stdout().split("\n");
      return program.stdout().includes('"guarding"') && first !== undefined ? JSON.parse(first) : undefined;
    },
    { onTimeout: program.stderr },
  );
  return { program, held, resign: () => writeFileSync(endPath, "") };
}

/** Reads advertisements of the other machine until one has that priority. */
async function hearPriority(agent: Agent, priority: number): Promise<void> {
  await until(
    `an advertisement of priority ${priority}`,
    async () => {
      const heard = await agent.ask<Heard | null>("receive", "v4");
      return heard !== null && decode(heard).advertisement.priority === priority;
    },
    { everyMs: 0 },
  );
}

async function listen(agent: Agent): Promise<void> {
  const options = { name: "v4", device: "eth0", family: 4, source: "10.46.0.2", peers: "multicast" } as const;
  assert.equal(await agent.ask("open", options), "opened");
}

test("every thread of a confined process has two capabilities and no way to more", limit, async (t) => {
  const { one, b } = await site(t);
  await listen(b);
  const { program, held, resign } = await holder(t, one, { interval: 20, validSeconds: 3 });
  assert.deepEqual([...held.capabilities].sort(), [capability.netAdmin, capability.netRaw]);
  assert.equal(held.noNewPrivileges, true);
  t.diagnostic(`real-time priority: ${held.realtime ? "granted" : "not granted"}`);
  await hearPriority(b, 100);
  const guardian = readFileSync(`/proc/${held.guardian}/status`, "utf8");
  assert.deepEqual([...parseCapabilities(guardian)].sort(), [capability.netAdmin, capability.netRaw]);
  const memory = /VmRSS:\s*(\d+ kB)/.exec(guardian)?.[1];
  const ready = /"realtime":(true|false)},"afterMs":([\d.]+)/.exec(program.stdout());
  t.diagnostic(
    `guardian: resident ${memory}, ready after ${Number(ready?.[2]).toFixed(0)} ms, real-time ${ready?.[1]}`,
  );
  // In order: the guardian is let go and has nothing to do.
  resign();
  await program.exited();
  await until("the guardian's end", () => !isAlive(held.guardian));
  assert.doesNotMatch(program.stderr(), /guardian/);
  await hearPriority(b, 0);
  const entries = await b.ask<readonly Entry[]>("addresses");
  assert.equal(present(entries, "10.46.0.100"), undefined);
});

test("after kill -9 of the holder its guardian resigns for it and removes the address", limit, async (t) => {
  const { one, a, b } = await site(t);
  await listen(b);
  const reactions: number[] = [];
  for (let round = 0; round < 3; round++) {
    const { program, held } = await holder(t, one, { interval: 100, validSeconds: 60 });
    await hearPriority(b, 100);
    // What is meant for the whole service or its group does not end a guardian, nor does it make it act.
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.kill(held.guardian, signal);
    const group = readFileSync(`/proc/${held.guardian}/stat`, "utf8").split(") ")[1]?.split(" ")[2];
    assert.equal(Number(group), held.guardian, "in a process group of its own");
    await a.ask("news");
    const killed = performance.now();
    process.kill(program.pid, "SIGKILL");
    await hearPriority(b, 0);
    reactions.push(performance.now() - killed);
    await until("the guardian's end", () => !isAlive(held.guardian));
    assert.equal(present(await a.ask<readonly Entry[]>("addresses"), "10.46.0.100"), undefined);
    const said = /(\d+) advertisements of priority 0 sent, (\d+) addresses removed in ([\d.]+) ms/.exec(
      program.stderr(),
    );
    assert.deepEqual([said?.[1], said?.[2]], ["1", "1"], program.stderr());
    t.diagnostic(`guardian's work ${said?.[3]} ms`);
  }
  t.diagnostic(`kill -9 to priority 0 heard by the other node, ms: ${spread(reactions)}`);
});

test("a guardian that lags shortens a lease and never lengthens it", limit, async (t) => {
  const { one, a } = await site(t);
  const { program, held } = await holder(t, one, { interval: 100, validSeconds: 2 });
  // Orders to renew wait in the pipe while it stands still; meanwhile the kernel ends the lease.
  process.kill(held.guardian, "SIGSTOP");
  const gone = async () => present(await a.ask<readonly Entry[]>("addresses"), "10.46.0.100") === undefined;
  await until("the end of the lease", gone);
  process.kill(held.guardian, "SIGCONT");
  await until("the report", () => program.stdout().includes('"gone"'));
  assert.ok(await gone(), "it is not put back by a late order");
  process.kill(program.pid, "SIGKILL");
  await until("the guardian's end", () => !isAlive(held.guardian));
});

type Answered = { readonly first: number; readonly last: number; readonly count: number; readonly now: number };

test(
  "the gate closes by itself when a holder is stopped, and opens with its next advertisement",
  needsNft,
  async (t) => {
    const { one, other, a, b } = await site(t);
    const router = { key: 1, interface: "eth0", family: 4, vrid: 51, addresses: ["10.46.0.100"], lease: 300 } as const;
    const installed = await a.ask<string>("installGate", [router]);
    t.diagnostic(`gate ${installed}`);
    assert.equal(installed, "renewedByKernel");
    const { program, held } = await holder(t, one, { interval: 100, validSeconds: 60 });
    const service = { address: "10.46.0.100", port: 7777 };
    await a.ask("echo", service);
    await b.ask("knock", service);
    const closings: number[] = [];
    for (let round = 0; round < 3; round++) {
      await b.ask("forgetAnswers");
      await until("answers", async () => (await b.ask<Answered>("answered")).count > 50);
      const stopped = performance.timeOrigin + performance.now();
      process.kill(program.pid, "SIGSTOP");
      const silent = await until("silence", async () => {
        const seen = await b.ask<Answered>("answered");
        return seen.now - seen.last > 150 ? seen : undefined;
      });
      closings.push(silent.last - stopped);
      if (round === 0) {
        assert.ok(
          present(await a.ask<readonly Entry[]>("addresses"), "10.46.0.100") !== undefined,
          "the address is there",
        );
        // Nor does the kernel answer for it: who asks anew learns nothing.
        other.ip("neigh flush dev eth0");
        await until("the failed question", async () => {
          const shown = await other.run(t, "ip", ["neigh", "show", "10.46.0.100", "dev", "eth0"]);
          return /FAILED|INCOMPLETE/.test(shown.stdout) || !shown.stdout.includes("lladdr");
        });
      }
      await b.ask("forgetAnswers");
      process.kill(program.pid, "SIGCONT");
    }
    t.diagnostic(`lease 300 ms, advertisements every 100 ms: last answer after the stop, ms: ${spread(closings)}`);
    for (const closing of closings) assert.ok(closing < 300 + 100, `closed with the lease: ${closing}`);
    assert.equal(await a.ask("removeGate"), "removed");
    process.kill(program.pid, "SIGKILL");
    await until("the guardian's end", () => !isAlive(held.guardian));
  },
);

test("the lease is renewed by hand where the kernel cannot, and ends within its ticks", needsNft, async (t) => {
  const { one, a } = await site(t);
  const routers = [
    { key: 1, interface: "eth0", family: 4, vrid: 51, addresses: ["10.46.0.100"], lease: 200 },
    { key: 2, interface: "eth0", family: 6, vrid: 51, addresses: ["fe80::100", "fd46::100"], lease: 200 },
  ] as const;
  assert.equal((await a.ask<{ code: string }>("renewLease", { key: 1, lease: 200 })).code, "gate.missing");
  assert.equal(await a.ask("installGate", routers), "renewedByKernel");
  const took: number[] = [];
  for (let count = 0; count < 50; count++) {
    took.push((await a.ask<{ ms: number }>("renewLease", { key: 2, lease: 200 })).ms);
  }
  t.diagnostic(`renewal by hand, ms: ${spread(took, 3)}`);
  const began = performance.now();
  const ended = await until("the end of the lease", async () => {
    const at = performance.now();
    const shown = await one.run(t, "nft", ["list", "set", "netdev", "evenkeel_gate", "lease"]);
    return shown.stdout.includes("expires") ? undefined : at - began;
  });
  t.diagnostic(`200 ms of lease ended after ${ended.toFixed(0)} ms`);
  assert.ok(ended > 150, "not before its time");
});

test(
  "over IPv6 too nothing passes without the lease, neither packets nor answers to neighbours",
  needsNft,
  async (t) => {
    const { other, a, b } = await site(t);
    const router = { key: 9, interface: "eth0", family: 6, vrid: 51, addresses: ["fd46::100"], lease: 60_000 } as const;
    assert.equal(await a.ask("installGate", [router]), "renewedByKernel");
    await a.ask("claim", { address: "fd46::100", prefixLength: 128, device: "eth0", validSeconds: 60 });
    const service = { address: "fd46::100", port: 7777 };
    await a.ask("echo", service);
    await b.ask("knock", service);
    const answers = async () => (await b.ask<Answered>("answered")).count;
    // No advertisement was ever sent: the gate is not armed.
    await until("answers before the first lease", async () => (await answers()) > 5);
    await a.ask("renewLease", { key: 9, lease: 60_000 });
    await b.ask("forgetAnswers");
    await until("answers under the lease", async () => (await answers()) > 5);
    assert.equal(await a.ask("closeLease", 9), "closed");
    await pause(20);
    await b.ask("forgetAnswers");
    other.ip("neigh flush dev eth0");
    await until("the failed question", async () => {
      const shown = await other.run(t, "ip", ["neigh", "show", "fd46::100", "dev", "eth0"]);
      return /FAILED|INCOMPLETE/.test(shown.stdout);
    });
    assert.equal(await answers(), 0);
    await a.ask("renewLease", { key: 9, lease: 60_000 });
    await until("answers under the new lease", async () => (await answers()) > 5);
    // Given up in order: what still comes is nobody's business here.
    assert.equal(await a.ask("closeLease", 9), "closed");
    assert.equal(await a.ask("disarm", 9), "disarmed");
    assert.equal(await a.ask("disarm", 9), "disarmed");
    await b.ask("forgetAnswers");
    await until("answers without a gate", async () => (await answers()) > 5);
  },
);

test("kernels without the egress hook get rules that they can take", needsNft, async (t) => {
  const { one } = await site(t);
  const path = join(temporaryDirectory(t), "rules");
  const routers = [{ key: 1, interface: "eth0", family: 4, vrid: 51, addresses: ["10.46.0.100"], lease: 200 }] as const;
  writeFileSync(path, gateRuleset(routers, { egress: false }));
  await one.run(t, "nft", ["-f", path]);
  assert.match((await one.run(t, "nft", ["list", "ruleset"])).stdout, /jump gate_1/);
});

test("a process that is to end with its parent ends when that is killed", limit, async (t) => {
  const source = (path: string) => JSON.stringify(join(root, path));
  const child = `import { endWithParent } from ${source("src/io/privileges.ts")};
    console.log(endWithParent(process.ppid, "SIGKILL").ok, process.pid, endWithParent(1, "SIGKILL").failure.code);
    setInterval(() => {}, 1000);`;
  const parent = `import { spawn } from "node:child_process";
    spawn(process.execPath, ["--input-type=module", "-e", ${JSON.stringify(child)}], { stdio: "inherit" });`;
  const program = startProgram(t, process.execPath, ["--input-type=module", "-e", parent]);
  const said = await until("the child", () => /true (\d+) privilege.orphan/.exec(program.stdout()) ?? undefined, {
    onTimeout: program.stderr,
  });
  process.kill(program.pid, "SIGKILL");
  await until("the child's end", () => !isAlive(Number(said[1])));
});
