// keepalived.conf as real keepalived reads it, and as ours is adapted from it: the same file under both, the same settings in its dump
// as in our configuration, and the same node active whether keepalived or evenkeel runs it.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { decodeConfig } from "../../src/config/decode.ts";
import type { Adapted } from "../../src/config/foreign/adapted.ts";
import { nativeJson, nativeYaml } from "../../src/config/foreign/native-text.ts";
import { adaptKeepalived } from "../../src/config/keepalived/adapt.ts";
import { good } from "../../src/core/failure.ts";
import type { HaConfig } from "../../src/model/ha.ts";
import { type Program, root, type Scope, temporaryDirectory, until } from "./kit.ts";
import { cable, type Machine, machine } from "./netns-kit.ts";
import { hasAddress, needsKeepalived, type SharedNode, site, startEvenkeel } from "./vrrp-kit.ts";

const skip = needsKeepalived;

function adapt(text: string, hostname: string): Adapted {
  const adapted = adaptKeepalived({ path: "keepalived.conf", text }, () => good([]), { hostname });
  assert.deepEqual(adapted.problems, []);
  return adapted;
}

function haOf(adapted: Adapted): HaConfig {
  const machineFacts = { hostname: "lb-1", cores: 1 };
  const decoded = decodeConfig(nativeJson(adapted.value), { file: "native", environment: {}, machine: machineFacts });
  assert(decoded.ok, JSON.stringify(decoded.ok || decoded.problems));
  return decoded.config.ha;
}

/** The settings of every virtual router that keepalived's dump and our model both have, in the dump's own words. */
function dumpOf(ha: HaConfig): Record<string, unknown> {
  const entries = ha.virtualRouters.map((router) => {
    const seconds = router.advertisementInterval / 1000;
    const placed = (list: typeof router.addresses) => list.map(({ address }) => address);
    const settings = {
      version: String(router.version),
      interface: router.interface,
      vrid: String(router.vrid),
      priority: String(router.priority),
      interval: router.version === 2 ? `${seconds} sec` : `${router.advertisementInterval} milli-sec`,
      preempt: router.preempt ? "enabled" : "disabled",
      down: String(router.downAdvertisements),
      delay: String(router.announce.delay / 1000),
      repeat: String(router.announce.repeat),
      lowerDelay: String(router.announce.lowerPriorityDelay / 1000),
      lowerRepeat: String(router.announce.lowerPriorityRepeat),
      password: router.password,
      addresses: placed(router.addresses),
      silent: placed(router.silentAddresses),
      peers: router.unicastPeers.map(({ address, ttlMin }) => `${address} min_ttl ${ttlMin} max_ttl 255`),
      tracks: router.tracks.map(({ weight, reverse }) => `weight ${weight}${reverse ? " reverse" : ""}`).sort(),
    };
    return [router.name, settings] as const;
  });
  return Object.fromEntries(entries);
}

/** The same out of what `keepalived -d` says when it starts. */
function parseDump(dump: string): Record<string, unknown> {
  const topology = /------< VRRP Topology >------\n([\s\S]*?)\n------</.exec(dump)?.[1] ?? "";
  const parts = topology.split(/^ VRRP Instance = /m).slice(1);
  return Object.fromEntries(
    parts.map((part) => {
      const [name = "", ...lines] = part.split("\n");
      const said = (label: string) =>
        lines
          .map((line) => line.trim())
          .find((line) => line.startsWith(`${label} = `))
          ?.slice(label.length + 3);
      const below = (label: RegExp) => {
        const start = lines.findIndex((line) => label.test(line.trim()));
        if (start < 0) return [];
        const rest = lines.slice(start + 1);
        const end = rest.findIndex((line) => !/^ {4}/.test(line));
        return rest.slice(0, end < 0 ? undefined : end).map((line) => line.trim());
      };
      const address = (line: string) => line.split(/[ /]/)[0];
      const tracks = [/^Tracked scripts/, /^Tracked processes/, /^Tracked files/, /^Tracked interfaces/].flatMap(below);
      const settings = {
        version: said("VRRP Version"),
        interface: said("Interface")?.split(",")[0],
        vrid: said("Virtual Router ID"),
        priority: said("Priority"),
        interval: said("Advert interval"),
        preempt: said("Preempt"),
        down: said("Down timer adverts"),
        delay: said("Gratuitous ARP delay"),
        repeat: said("Gratuitous ARP repeat"),
        lowerDelay: said("Gratuitous ARP lower priority delay"),
        lowerRepeat: said("Gratuitous ARP lower priority repeat"),
        password: said("Password"),
        addresses: below(/^Virtual IP/).map(address),
        silent: below(/^Virtual IP Excluded/).map(address),
        peers: below(/^Unicast Peer/),
        tracks: tracks.flatMap((line) => /weight -?\d+(?: reverse)?/.exec(line)?.[0] ?? []).sort(),
      };
      return [name.trim(), settings] as const;
    }),
  );
}

const folder = join(root, "src/config/keepalived/cases");
/**
 * Where keepalived is known to differ, by what the case itself says: hardware addresses of its own, strictness, a group's
 * tracks, which our model gives to its members. */
const apart = new Set(["vmac.case", "good-report-strict.case", "group.case"]);

/** The cases with nothing but virtual routers that both take. */
function agreedCases(): { readonly name: string; readonly text: string; readonly ha: HaConfig }[] {
  return readdirSync(folder).flatMap((name) => {
    const [text = "", outcome = ""] = readFileSync(join(folder, name), "utf8").split("\n----------\n");
    const refused = /^problems/m.test(outcome);
    if (refused || apart.has(name) || !outcome.includes("virtualRouters:") || text.includes("==>")) return [];
    return [{ name, text, ha: haOf(adapt(text, "lb-1")) }];
  });
}

/** Runs keepalived until it has said what it makes of a file. */
async function dumped(
  t: Scope,
  at: Machine,
  { name, text }: { readonly name: string; readonly text: string },
): Promise<string> {
  const file = join(temporaryDirectory(t), "keepalived.conf");
  mkdirSync(dirname(file), { recursive: true });
  // Programs that are not there it leaves out with all that tracks them.
  writeFileSync(file, `${text.replaceAll(/\/(?:usr\/)?(?:s?bin|etc)\/[\w./-]+/g, "/bin/true")}\n`);
  const pids = ["-p", "-r", "-c"].flatMap((flag) => [flag, `${file}${flag}`]);
  const program = at.start(t, "keepalived", ["-n", "-l", "-d", "-P", "-i", "lb-1", "-f", file, ...pids]);
  const said = () => program.stderr() + program.stdout();
  await until(`the dump of ${name}`, () => /------< Interfaces >------|Stopped Keepalived/.test(said()), {
    onTimeout: said,
  });
  program.signal("SIGTERM");
  await program.exited();
  return said().replaceAll(/^\w{3} \w{3} +\d+ [\d:]+ \d{4}: /gm, "");
}

const atOnce = 16;

test("keepalived's dump of every case says what the adapted configuration says", {
  timeout: 120_000,
  skip,
}, async (t) => {
  const at = machine(t, "oracle");
  const neighbour = machine(t, "neighbour");
  for (const device of ["eth0", "eth1", "eth2", "eth3"]) cable({ machine: at, device }, { machine: neighbour, device });
  at.ip("addr add 10.0.4.2/24 dev eth0", "addr add 10.0.5.2/24 dev eth1", "addr add fe80::2/64 dev eth0 nodad");
  const cases = agreedCases();
  assert.ok(cases.length >= 30, `${cases.length} cases`);
  // Each waits for its own end more than for the machine.
  for (let first = 0; first < cases.length; first += atOnce) {
    const some = cases.slice(first, first + atOnce);
    const dumps = await Promise.all(some.map((one) => dumped(t, at, one)));
    for (const [index, { name, ha }] of some.entries()) {
      assert.deepEqual(dumpOf(ha), parseDump(dumps[index] ?? ""), `${name}\n${dumps[index]}`);
    }
  }
  t.diagnostic(`${cases.length} files, each the same in keepalived's dump and in our configuration`);
});

type Kind = "keepalived" | "evenkeel";

type Scenario = {
  readonly name: string;
  /** What node 1 and node 2 have. */
  readonly texts: readonly [string, string];
  /** Who has the addresses: with both, after that one stopped, after it is back. */
  readonly owners: readonly [1 | 2, 1 | 2, 1 | 2];
  readonly addresses: readonly string[];
  /** Beside keepalived alone, which shows whom it would elect. */
  readonly pairs: readonly (readonly [Kind, Kind])[];
};

type Running = { stop(): Promise<void> };

async function start(t: Scope, at: SharedNode, kind: Kind, text: string): Promise<Running> {
  if (kind === "keepalived") {
    const file = join(temporaryDirectory(t), "keepalived.conf");
    writeFileSync(file, text);
    const pids = ["-p", "-r", "-c"].flatMap((flag) => [flag, `${file}${flag}`]);
    const program: Program = at.machine.start(t, "keepalived", ["-n", "-l", "-P", "-i", at.name, "-f", file, ...pids]);
    await until("keepalived", () => /Startup complete/.test(program.stderr() + program.stdout()), {
      onTimeout: program.stderr,
    });
    return {
      stop: async () => {
        program.signal("SIGTERM");
        await program.exited();
      },
    };
  }
  const { value } = adapt(text, at.name);
  assert(typeof value === "object" && value !== null);
  const { node: _, ...rest } = Object.fromEntries(Object.entries(value));
  const { program } = await startEvenkeel(t, at, nativeYaml(rest));
  return {
    stop: async () => {
      program.signal("SIGTERM");
      await program.exited();
    },
  };
}

const alone: readonly [Kind, Kind] = ["keepalived", "keepalived"];
const looksAgain = 8;

/** Waits until this node has every address and the other one none, and it stays so for some looks. */
async function ownedBy(
  t: Scope,
  nodes: readonly SharedNode[],
  owner: number,
  addresses: readonly string[],
): Promise<void> {
  let looks = 0;
  const seen: string[] = [];
  const look = async () => {
    const has = await Promise.all(
      nodes.map((node) => Promise.all(addresses.map((address) => hasAddress(t, node, address)))),
    );
    const right = has.every((all, index) => all.every((one) => one === (index + 1 === owner)));
    seen.push(JSON.stringify(has));
    looks = right ? looks + 1 : 0;
    return looks >= looksAgain;
  };
  await until(`node ${owner} with ${addresses.join(", ")}`, look, {
    timeoutMs: 20_000,
    onTimeout: () => seen.slice(-5).join("\n"),
  });
}

const quick = "global_defs {\n  vrrp_version 3\n}\n";

function instance(words: readonly string[], addresses: readonly string[], of = { name: "VI_1", vrid: 51 }): string {
  const lines = ["interface eth0", `virtual_router_id ${of.vrid}`, ...words];
  const moved = addresses.map((address) => `    ${address}\n`).join("");
  return `vrrp_instance ${of.name} {\n${lines.map((line) => `  ${line}\n`).join("")}  virtual_ipaddress {\n${moved}  }\n}\n`;
}

const one = "10.46.0.100";
const two = "10.46.0.101";
const failing = "vrrp_script chk {\n  script /bin/false\n  weight -20\n}\n";
const held = "track_script {\n    chk\n  }";

const scenarios: readonly Scenario[] = [
  {
    name: "a failing script with weight -20 makes the lower priority win",
    texts: [
      `${quick}${failing}${instance(["state MASTER", "priority 100", "advert_int 0.1", held], [`${one}/24`])}`,
      `${quick}${instance(["state BACKUP", "priority 90", "advert_int 0.1"], [`${one}/24`])}`,
    ],
    owners: [2, 1, 2],
    addresses: [one],
    pairs: [["evenkeel", "keepalived"]],
  },
  {
    name: "nopreempt over unicast: who comes back waits",
    texts: [
      `${quick}${instance(["priority 100", "advert_int 0.1", "nopreempt", "unicast_peer {\n    10.46.0.2\n  }"], [one])}`,
      `${quick}${instance(["priority 90", "advert_int 0.1", "nopreempt", "unicast_peer {\n    10.46.0.1\n  }"], [one])}`,
    ],
    owners: [1, 2, 2],
    addresses: [one],
    pairs: [["keepalived", "evenkeel"]],
  },
  {
    name: "one file for both nodes in version 2: conditions, a password that is cut, a sync group whose weights are left out",
    texts: (() => {
      const words = (vrid: number) => [
        "@node1 priority 100",
        "@node2 priority 90",
        "authentication {\n    auth_type PASS\n    auth_pass muchtoolong\n  }",
        ...(vrid === 51 ? ["@node1 track_script {\n    @node1 chk\n  @node1 }"] : []),
      ];
      const group = "vrrp_sync_group VG {\n  group {\n    VI_1\n    VI_2\n  }\n}\n";
      const routers = `${instance(words(51), [one])}${instance(words(52), [two], { name: "VI_2", vrid: 52 })}`;
      const text = `${failing}${group}${routers}`;
      return [text, text] as const;
    })(),
    owners: [1, 2, 1],
    addresses: [one, two],
    pairs: [
      ["evenkeel", "keepalived"],
      ["keepalived", "evenkeel"],
    ],
  },
];

for (const { name, texts, owners, addresses, pairs } of scenarios) {
  test(`${name}: the same election with evenkeel in keepalived's place`, { timeout: 120_000, skip }, async (t) => {
    await Promise.all(
      [alone, ...pairs].map(async (kinds) => {
        const lan = await site(t);
        const [first, second] = lan.nodes;
        assert.ok(first !== undefined && second !== undefined);
        const nodes = [first, second];
        const begin = (index: number) =>
          start(t, nodes[index] ?? first, kinds[index] ?? "keepalived", texts[index] ?? "");
        const running = [await begin(0), await begin(1)];
        await ownedBy(t, nodes, owners[0], addresses);
        const stopped = owners[0] - 1;
        await running[stopped]?.stop();
        await ownedBy(t, nodes, owners[1], addresses);
        await begin(stopped);
        await ownedBy(t, nodes, owners[2], addresses);
      }),
    );
  });
}
