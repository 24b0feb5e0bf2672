// Sync groups between evenkeel and real keepalived: the inside and the outside address of a gateway are on one node, whichever
// cable is cut, whoever is active, and come back together.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { until } from "./kit.ts";
import { type Machine, plug } from "./netns-kit.ts";
import {
  hasAddress,
  needsKeepalived,
  type SharedNode,
  type Site,
  site,
  startEvenkeel,
  startKeepalivedWith,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };
const inside = "10.47.0.100";

type TwoSided = {
  readonly lan: Site;
  readonly nodes: readonly [SharedNode, SharedNode];
  /** Pulls a node's inner cable. */
  cut(index: number): void;
  mend(index: number): void;
};

/** Two nodes with a second interface, eth1, on a switch of its own. */
async function twoSided(t: TestContext): Promise<TwoSided> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  lan.holder.ip("link add inner type bridge forward_delay 0 mcast_snooping 0", "link set inner up");
  const ports: string[] = [];
  for (const { machine, host } of [one, other]) {
    plug(lan.holder, "inner", { machine, device: "eth1" });
    machine.ip(`addr add 10.47.0.${host}/24 dev eth1`);
    ports.push(await newPort(t, lan.holder, ports));
  }
  const set = (index: number, state: string) => lan.holder.ip(`link set ${ports[index]} ${state}`);
  return { lan, nodes: [one, other], cut: (index) => set(index, "down"), mend: (index) => set(index, "up") };
}

async function newPort(t: TestContext, holder: Machine, known: readonly string[]): Promise<string> {
  const shown = await holder.run(t, "ip", ["-o", "link", "show", "master", "inner"]);
  const names = [...shown.stdout.matchAll(/^\d+: ([^@:]+)/gm)].map(([, name]) => name ?? "");
  const port = names.find((name) => !known.includes(name));
  assert.ok(port !== undefined, shown.stdout);
  return port;
}

const evenkeelText = (priority: number) => `
ha:
  syncGroups: { gateway: { members: [outside, inside] } }
  virtualRouters:
    outside: { interface: eth0, vrid: 51, priority: ${priority}, advertisementInterval: 100ms, addresses: [${vip4}/32] }
    inside: { interface: eth1, vrid: 52, priority: ${priority}, advertisementInterval: 100ms, addresses: [${inside}/32] }`;

const keepalivedInstance = (name: string, device: string, vrid: number, priority: number, address: string) => `
vrrp_instance ${name} { state BACKUP
  interface ${device}
  virtual_router_id ${vrid}
  priority ${priority}
  advert_int 0.1
  virtual_ipaddress { ${address}/32 dev ${device} }
}`;

const keepalivedText = (priority: number) => `
global_defs { vrrp_version 3 }
vrrp_sync_group gateway { group { outside
  inside
} }
${keepalivedInstance("outside", "eth0", 51, priority, vip4)}
${keepalivedInstance("inside", "eth1", 52, priority, inside)}`;

/** Both addresses are on the first, or on the second, and on that alone. */
async function bothOn(t: TestContext, { nodes }: TwoSided, index: 0 | 1, told: () => string): Promise<void> {
  const look = async (node: SharedNode) => [await hasAddress(t, node), await hasAddress(t, node, inside, "eth1")];
  await until(
    `both addresses on node${index + 1}`,
    async () => {
      const [one, other] = await Promise.all(nodes.map(look));
      const [with_, without] = index === 0 ? [one, other] : [other, one];
      return with_?.every((has) => has) === true && without?.every((has) => !has) === true;
    },
    { onTimeout: told, timeoutMs: 20_000 },
  );
}

for (const order of ["evenkeel before keepalived", "keepalived before evenkeel"] as const) {
  test(`${order}: members of a sync group move together, and back`, limit, async (t) => {
    const site = await twoSided(t);
    const [one, other] = site.nodes;
    const ours = order === "evenkeel before keepalived";
    const node = await startEvenkeel(t, ours ? one : other, evenkeelText(ours ? 100 : 90));
    const rival = startKeepalivedWith(t, ours ? other : one, keepalivedText(ours ? 90 : 100));
    const told = () => `${node.program.stderr()}\n${rival.stdout()}${rival.stderr()}`;
    await bothOn(t, site, 0, told);
    site.cut(0);
    await bothOn(t, site, 1, told);
    site.mend(0);
    await bothOn(t, site, 0, told);
    const { routers } = (await node.status()).ha?.vrrp ?? { routers: [] };
    const mode = ours ? "active" : "backup";
    assert.deepEqual(
      routers.map((router) => [router.name, router.mode]),
      [
        ["outside", mode],
        ["inside", mode],
      ],
    );
    // The outer cable as well.
    site.lan.link(0, "down");
    await bothOn(t, site, 1, told);
    site.lan.link(0, "up");
    await bothOn(t, site, 0, told);
  });
}
